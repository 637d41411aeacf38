/** The tiles of one layer: asked within its bounds, tried again when the server is busy. */

import { diagnose, isPicture, tileTemplate } from "./api.js";
import { extentParts } from "./extent.js";
import L from "./leaflet.js";
import { mayPass, stopWaiting, waitForServer } from "./recovery.js";

const MAX_TRIES = 3;
const MAX_WAIT_S = 60;
const QUIET_WAIT_S = 3;
const CAUSE_LASTS_MS = 1000;
const BUSY = new Set([200, 429, 503]);

/** Leaflet's layers of tiles know one box; this is for extents that cross the antimeridian. */
export const withinExtent = {
  _isValidTile(coords) {
    return this.options.extent.some((bounds) => {
      this.options.bounds = bounds;
      return L.GridLayer.prototype._isValidTile.call(this, coords);
    });
  },
};

const ExtentTileLayer = L.TileLayer.extend(withinExtent);

/** Return the options of a layer of tiles. */
export const tileOptions = (layer) => ({
  extent: extentParts(layer.bounds).map(([west, south, east, north]) =>
    L.latLngBounds([south, west], [north, east]),
  ),
  minZoom: layer.minzoom,
  maxNativeZoom: layer.maxzoom,
  maxZoom: 22,
  updateWhenZooming: false,
  keepBuffer: 1,
});

/**
 * Return the Leaflet layer of a server layer in a style.
 *
 * @param {(busy: boolean) => void} onbusy called when loading starts and ends.
 * @param {(state: {count: number, status: number, reason: string, retrying: boolean,
 *   retry: () => void}) => void} onfailure called whenever the tiles that are missing have changed; count 0 means all is well.
 */
export function serverTiles(layer, style, { onbusy, onfailure }) {
  const tiles = new ExtentTileLayer(tileTemplate(layer, style), tileOptions(layer));
  return watched(tiles, { onbusy, onfailure });
}

/** Return a layer of tiles, each with its address as `src`, that tells what it does; see `serverTiles`. */
export function watched(tiles, { onbusy, onfailure }) {
  const failures = new Failures(tiles, onfailure);
  tiles.on({
    loading: () => onbusy(true),
    load: () => onbusy(false),
    remove: () => onbusy(false),
    tileerror: ({ tile }) => failures.add(tile),
    tileload: ({ tile }) => failures.forget(tile),
    tileunload: ({ tile }) => failures.forget(tile),
    tileabort: ({ tile }) => failures.forget(tile),
  });
  return tiles;
}

/** The tiles of a layer that have not come, and why. */
class Failures {
  constructor(tiles, report) {
    this.tiles = tiles;
    this.report = report;
    /** @type {Map<HTMLImageElement, {tries: number, final: boolean, quiet: boolean}>} */
    this.missing = new Map();
    this.cause = null;
    this.reason = "";
    this.status = 0;
  }

  async add(image) {
    const failure = this.missing.get(image) ?? { tries: 0, final: false, quiet: true };
    this.missing.set(image, failure);
    const url = image.src;
    const { status, reason, retryAfterS } = await this.sharedCause(url);
    if (this.missing.get(image) !== failure) return;
    this.reason = reason;
    this.status = status;
    const waitS = Math.min(MAX_WAIT_S, retryAfterS ?? 2 ** failure.tries);
    failure.final = !BUSY.has(status) || failure.tries >= MAX_TRIES;
    failure.quiet = !failure.final && failure.tries === 0 && waitS <= QUIET_WAIT_S;
    failure.tries += 1;
    if (!failure.final) setTimeout(() => this.again(image, failure, url), jittered(waitS));
    else if (mayPass(status)) this.waitForServer();
    this.tell();
  }

  // One of the tiles is asked for; when it comes, so do the others.
  waitForServer() {
    const probe = async () => this.missing.size === 0 || isPicture([...this.missing.keys()][0].src);
    waitForServer(this, { probe, recover: () => this.redrawMissing() });
  }

  redrawMissing() {
    stopWaiting(this);
    for (const [image, failure] of this.missing) {
      Object.assign(failure, { tries: 0, final: false, quiet: true });
      this.again(image, failure, image.src);
    }
    this.cause = null;
    this.tell();
  }

  again(image, failure, url) {
    if (this.missing.get(image) === failure) image.src = url;
  }

  // Many tiles fail together when a server is down; asking for one of them says why for all.
  sharedCause(url) {
    if (!this.cause) {
      this.cause = diagnose(url);
      this.cause.then(() => setTimeout(() => (this.cause = null), CAUSE_LASTS_MS));
    }
    return this.cause;
  }

  forget(image) {
    if (!this.missing.delete(image)) return;
    if (this.missing.size === 0) stopWaiting(this);
    this.tell();
  }

  tell() {
    const loud = [...this.missing.values()].filter((failure) => !failure.quiet);
    this.report({
      count: loud.length,
      status: this.status,
      reason: this.reason,
      retrying: loud.some((failure) => !failure.final),
      retry: () => this.redrawMissing(),
    });
  }
}

// Spread, so that a server that was too busy does not get everything back at one moment.
const jittered = (waitS) => 1000 * waitS * (1 + Math.random() / 2) + 250 * Math.random();

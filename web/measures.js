/** What the browser measured of each tile: time, bytes, whose cache it came from, what it cost upstream. */

const TILE = /\/tiles\/(.+)\/(\d+)\/(\d+)\/(\d+)(?:@\dx)?\.\w+$/;
const MOST = 4000;

/**
 * Return what is known of a tile by its PerformanceResourceTiming, or null if it is of something else.
 *
 * `cache` is "browser", or of the server "hit", "miss" or "outside" (the layer); `upstream` counts the
 * requests to Earth Engine that were made for it.
 */
export function measured(timing, root) {
  if (!timing.name.startsWith(`${root}tiles/`)) return null;
  const found = TILE.exec(new URL(timing.name).pathname);
  if (!found) return null;
  const said = new Map((timing.serverTiming ?? []).map(({ name, description }) => [name, description]));
  const isBrowsers = timing.transferSize === 0 && timing.encodedBodySize > 0;
  return {
    layer: decodeURIComponent(found[1]),
    tile: found.slice(2).join("/"),
    status: timing.responseStatus ?? 0,
    ms: Math.round(timing.duration),
    bytes: timing.encodedBodySize,
    cache: isBrowsers ? "browser" : (said.get("cache") ?? ""),
    upstream: isBrowsers ? 0 : Number(said.get("upstream") ?? 0),
  };
}

/** All tiles since the page was opened. Event "measure", with detail the tile, tells of each. */
export class Measures extends EventTarget {
  constructor() {
    super();
    this.counts = { tiles: 0, cached: 0, failed: 0, bytes: 0, upstream: 0 };
    /** Tiles of a layer that came without a request to Earth Engine, whether or not it is its own. */
    this.spared = new Map();
    /** @type {Map<string, object>} the newest of each layer and tile */
    this.byTile = new Map();
    /** Names of layers that Earth Engine is asked for. */
    this.costly = new Set();
    const root = new URL(".", document.baseURI).href;
    const observer = new PerformanceObserver((list) => {
      for (const timing of list.getEntries()) this.add(measured(timing, root));
    });
    observer.observe({ type: "resource", buffered: true });
  }

  add(tile) {
    if (!tile) return;
    const { counts, spared } = this;
    const isThere = tile.status === 0 ? tile.bytes > 0 : tile.status < 400;
    const isCached = tile.cache === "browser" || tile.cache === "hit" || tile.cache === "outside";
    if (tile.upstream > 0) this.costly.add(tile.layer);
    counts.tiles += 1;
    counts.failed += Number(!isThere);
    counts.cached += Number(isThere && isCached);
    counts.bytes += tile.bytes;
    counts.upstream += tile.upstream;
    const isSpared = isThere && tile.upstream === 0 && tile.cache !== "outside";
    spared.set(tile.layer, (spared.get(tile.layer) ?? 0) + Number(isSpared));
    this.byTile.set(`${tile.layer} ${tile.tile}`, tile);
    if (this.byTile.size > MOST) this.byTile.delete(this.byTile.keys().next().value);
    this.dispatchEvent(new CustomEvent("measure", { detail: tile }));
  }

  /** The sums of all tiles; `saved` counts those of Earth Engine's layers that cost no request. */
  get totals() {
    const saved = [...this.costly].reduce((sum, layer) => sum + (this.spared.get(layer) ?? 0), 0);
    return { ...this.counts, saved };
  }

  /** Note that Earth Engine is asked for layers of these names. */
  expect(names) {
    for (const name of names) this.costly.add(name);
    this.dispatchEvent(new CustomEvent("measure"));
  }

  /** Return what is known of a layer's tile at z/x/y, or of the one that was magnified for it. */
  find(layer, { z, x, y }) {
    for (let up = 0; up <= z; up += 1) {
      const found = this.byTile.get(`${layer} ${z - up}/${x >> up}/${y >> up}`);
      if (found) return found;
    }
    return null;
  }
}

/** Return the totals as a short text. */
export function meterText({ tiles, cached, failed, upstream, saved }) {
  if (tiles === 0) return "no tiles yet";
  const parts = [tiles === 1 ? "1 tile" : `${tiles} tiles`, `${Math.round((100 * cached) / tiles)} % cached`];
  if (failed > 0) parts.push(`${failed} failed`);
  if (upstream + saved > 0) parts.push(`${upstream} Earth Engine requests, ${saved} saved`);
  return parts.join(" · ");
}

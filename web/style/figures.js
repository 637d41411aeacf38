/** Figures of bands for presets and histograms: of the view or of the whole layer. */

import { fetchFrom } from "../api.js";
import { figuresOf, PERCENTILES } from "./presets.js";
import { valueParameters } from "./model.js";

const BINS = 128;
/** Pixels of a sample, at most: those of a large screen; more are read from a pyramid level. */
const PIXELS = 1_000_000;

/** Asks the server, or the tiles that the page holds, and remembers the answers. */
export class Figures {
  /**
   * @param {object} layer
   * @param {Record<string, string>} own the parameters of the layer's own look.
   * @param {{id: string, map: object}} where the entry, and the map whose view counts.
   */
  constructor(layer, own, { id, map }) {
    this.layer = layer;
    this.own = own;
    this.id = id;
    this.map = map;
    this.held = new Map();
  }

  /**
   * Return {band: figures} of what a look draws.
   *
   * @param {object} look
   * @param {{place: "view" | "all", again?: boolean}} options `again` measures what is in view now.
   */
  async of(look, { place, again = false }) {
    const wanted = valueParameters(look, this.own);
    const key = JSON.stringify([place, wanted]);
    if (again || !this.held.has(key)) this.held.set(key, this.ask(look, wanted, place));
    try {
      return await this.held.get(key);
    } catch (error) {
      this.held.delete(key);
      throw error;
    }
  }

  async ask(look, wanted, place) {
    const held = place === "view" ? await this.painted(look) : null;
    if (held) return held;
    const box = place === "view" ? boxOf(this.map.bounds) : null;
    const name = this.layer.name.split("/").map(encodeURIComponent).join("/");
    return fetchFrom(`statistics/${name}`, {
      ...wanted,
      ...(wanted.bands && { bands: [...new Set(wanted.bands.split(","))].join(",") }),
      ...(box && { bbox: box.join(",") }),
      pixels: PIXELS,
      bins: BINS,
      percentiles: PERCENTILES.join(","),
    });
  }

  /** Return figures of the values that the map has painted; null where it has none of these bands. */
  async painted({ mode, bands, nodata, kept }) {
    if ((mode !== "one" && mode !== "three") || nodata || kept.unscale) return null;
    const values = (await this.map.visibleValues?.(this.id))?.bands;
    if (!values || !bands.every((band) => values[band]?.length)) return null;
    return Object.fromEntries(bands.map((band) => [band, figuresOf(values[band], BINS)]));
  }
}

/** Return the box of a view as the server takes it: within a turn of the Earth; null for all of it. */
export function boxOf([west, south, east, north]) {
  if (east - west >= 359.99) return null;
  const turned = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;
  const within = (lat) => Math.min(Math.max(lat, -90), 90);
  return [turned(west), within(south), turned(east) === -180 ? 180 : turned(east), within(north)].map((value) => Number(value.toFixed(6)));
}

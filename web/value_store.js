/** Decoded tiles of values, up to a number of bytes, and their colours; in the worker, or without one. */

import { makePainter } from "./colors.js";
import { readTile } from "./npz.js";

const MAX_PAINTERS = 8;

/** Tiles of values by their addresses. */
export class ValueStore {
  /** @param {number} maxBytes of decoded values; beyond it the tiles unused for longest go. */
  constructor(maxBytes = 192_000_000) {
    this.maxBytes = maxBytes;
    this.bytes = 0;
    /** @type {Map<string, import("./npz.js").ValueTile>} the one used last is the last. */
    this.tiles = new Map();
    this.painters = new Map();
  }

  /** Keep the tile in the NPZ of an address. */
  async put(url, buffer) {
    const tile = await readTile(buffer);
    this.remove(url);
    this.tiles.set(url, tile);
    this.bytes += tile.bytes;
    for (const oldest of this.tiles.keys()) {
      if (this.bytes <= this.maxBytes || oldest === url) break;
      this.remove(oldest);
    }
  }

  remove(url) {
    this.bytes -= this.tiles.get(url)?.bytes ?? 0;
    this.tiles.delete(url);
  }

  take(url) {
    const tile = this.tiles.get(url);
    if (!tile) return null;
    this.tiles.delete(url);
    this.tiles.set(url, tile);
    return tile;
  }

  /** Return {url, width, height, pixels}, RGBA; or null if the tile is not there any more. */
  paint(url, drawing, key = JSON.stringify(drawing)) {
    const tile = this.take(url);
    if (!tile) return null;
    const pixels = this.painter(drawing, key, tile.planes[0].constructor)(tile);
    return { url, width: tile.width, height: tile.height, pixels: new Uint8ClampedArray(pixels.buffer) };
  }

  painter(drawing, key, Type) {
    const typed = `${Type.name} ${key}`;
    const painter = this.painters.get(typed) ?? makePainter(drawing, Type);
    this.painters.delete(typed);
    this.painters.set(typed, painter);
    if (this.painters.size > MAX_PAINTERS) this.painters.delete(this.painters.keys().next().value);
    return painter;
  }

  /**
   * Return valid values, {band id: Float64Array}, of parts of tiles; at most `most` of each band, evenly.
   *
   * @param {{url: string, box: [number, number, number, number]}[]} parts `box` is the part of a tile
   *   as shares of its sides: left, top, right, bottom.
   */
  sample(parts, most) {
    const windows = parts.map(({ url, box }) => windowOf(this.take(url), box)).filter(Boolean);
    const pixels = windows.reduce((sum, { columns, rows }) => sum + columns * rows, 0);
    const stride = Math.max(1, Math.ceil(Math.sqrt(pixels / most)));
    const found = {};
    for (const { tile, left, top, columns, rows } of windows) {
      tile.bands.forEach((id, band) => {
        const values = (found[id] ??= []);
        const { [band]: plane } = tile.planes;
        const { [band]: valid } = tile.valid;
        for (let row = top; row < top + rows; row += stride) {
          for (let at = row * tile.width + left; at < row * tile.width + left + columns; at += stride) {
            if (!valid || valid[at]) values.push(plane[at]);
          }
        }
      });
    }
    return Object.fromEntries(Object.entries(found).map(([id, values]) => [id, Float64Array.from(values)]));
  }
}

function windowOf(tile, [left, top, right, bottom]) {
  if (!tile) return null;
  const from = (share, side) => Math.min(Math.max(Math.floor(share * side), 0), side);
  const [x, y] = [from(left, tile.width), from(top, tile.height)];
  const [columns, rows] = [from(right, tile.width) - x, from(bottom, tile.height) - y];
  return columns > 0 && rows > 0 ? { tile, left: x, top: y, columns, rows } : null;
}

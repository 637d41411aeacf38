/** A layer painted here from tiles of values, which are asked for once, whatever the colours. */

import { ask, tileTemplate } from "./api.js";
import { sampleTiles, paintTiles, putTile } from "./painting.js";
import L from "./leaflet.js";
import { tileOptions, watched, withinExtent } from "./tiles.js";

/** Statuses of a server that may answer later. */
const BUSY = new Set([429, 500, 502, 503, 504]);

const ValueGrid = L.GridLayer.extend({
  ...withinExtent,

  initialize(owner, options) {
    L.GridLayer.prototype.initialize.call(this, options);
    this.owner = owner;
  },

  createTile(coords, done) {
    return this.owner.createTile(coords, done);
  },
});

/** The tiles of one layer's values, and how they are painted. */
export class ValueLayer {
  /**
   * @param {object} layer as the server lists it.
   * @param {Record<string, string>} parameters of the tiles of values: `drawings.valueParameters`.
   * @param {object} drawing how they are painted.
   * @param {object} listeners as of `serverTiles`, and `onrefused(status)`: values cannot be had.
   */
  constructor(layer, parameters, drawing, { onrefused, ...listeners }) {
    this.template = tileTemplate(layer, parameters, { ext: "npz" });
    this.pictures = tileTemplate(layer);
    this.drawing = drawing;
    this.onrefused = onrefused;
    this.repaints = 0;
    this.wantsPaint = false;
    /** @type {Map<HTMLCanvasElement, {url: string, painted: object | null, leave: AbortController}>} */
    this.canvases = new Map();
    this.grid = watched(new ValueGrid(this, tileOptions(layer)), listeners);
    this.grid.on("tileunload", ({ tile }) => this.drop(tile));
  }

  /** Paint all tiles anew; asks the server for nothing. */
  setDrawing(drawing) {
    this.drawing = drawing;
    this.wantsPaint = true;
    if (!this.painting) this.painting = this.repaint();
    return this.painting;
  }

  // The newest drawing waits for the one before: were that given up, a slider in motion would show none.
  async repaint() {
    while (this.wantsPaint) {
      this.wantsPaint = false;
      const { drawing } = this;
      const stale = [...this.canvases].filter(([, { painted }]) => painted && painted !== drawing);
      const urls = [...new Set(stale.map(([, { url }]) => url))];
      const tiles = new Map((await paintTiles(urls, drawing)).filter(Boolean).map((tile) => [tile.url, tile]));
      for (const [canvas, { url }] of stale) {
        const tile = tiles.get(url);
        if (tile) this.show(canvas, tile, drawing);
        else if (this.canvases.has(canvas)) this.load(canvas);
      }
      this.repaints += 1;
    }
    this.painting = null;
  }

  createTile(coords, done) {
    const canvas = document.createElement("canvas");
    const place = { ...coords, r: L.Browser.retina ? "@2x" : "" };
    const tile = { url: L.Util.template(this.template, place), painted: null, leave: new AbortController(), done };
    const picture = L.Util.template(this.pictures, place);
    // As of an image: what failed is asked for again by its address, which is that of the picture there.
    Object.defineProperty(canvas, "src", { get: () => picture, set: () => this.load(canvas) });
    canvas.className = "value-tile";
    canvas.setAttribute("role", "presentation");
    this.canvases.set(canvas, tile);
    this.load(canvas);
    return canvas;
  }

  async load(canvas) {
    const tile = this.canvases.get(canvas);
    if (!tile) return;
    const { url, leave, done } = tile;
    try {
      const { drawing } = this;
      let [painted] = await paintTiles([url], drawing);
      if (!painted) {
        await putTile(url, await this.fetched(url, leave.signal));
        [painted] = await paintTiles([url], drawing);
      }
      if (!this.canvases.has(canvas)) return;
      if (!painted) throw new Error("The tile is too large to be kept.");
      this.show(canvas, painted, drawing);
      done(null, canvas);
      if (this.drawing !== drawing) this.setDrawing(this.drawing);
    } catch (error) {
      if (!leave.signal.aborted && this.canvases.has(canvas)) done(error, canvas);
    }
  }

  async fetched(url, signal) {
    const response = await ask(url, signal);
    if (response.ok) return response.arrayBuffer();
    if (!BUSY.has(response.status)) this.onrefused(response.status);
    throw new Error(`The server answered with status ${response.status}.`);
  }

  show(canvas, { width, height, pixels }, drawing) {
    const tile = this.canvases.get(canvas);
    if (!tile) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
    tile.painted = drawing;
    canvas.dataset.painted = "";
  }

  drop(canvas) {
    this.canvases.get(canvas)?.leave.abort();
    this.canvases.delete(canvas);
  }

  /** Return valid values in view, {bands: {id: Float64Array}}, at most `most` of each band. */
  async visibleValues(most) {
    const view = this.grid.getContainer()?.closest(".leaflet-container")?.getBoundingClientRect();
    if (!view) return { bands: {} };
    const parts = [...this.canvases].filter(([, { painted }]) => painted).map(([canvas, { url }]) => ({
      url,
      box: boxWithin(canvas.getBoundingClientRect(), view),
    }));
    return { bands: await sampleTiles(parts, most) };
  }
}

/** Return the part of a tile that is in view, as shares of its sides. */
function boxWithin(tile, view) {
  const share = (edge, start, length) => Math.min(Math.max((edge - start) / length, 0), 1);
  return [
    share(view.left, tile.left, tile.width),
    share(view.top, tile.top, tile.height),
    share(view.right, tile.left, tile.width),
    share(view.bottom, tile.top, tile.height),
  ];
}

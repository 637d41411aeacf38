/** An entry on the map: pictures of the server, or values that are painted here; one follows the other unseen. */

import { serverTiles } from "./tiles.js";

const FADE_MS = 250;
const MAX_VALUES = 200_000;

/** The modules that draw values, which a page that only shows does without; null before they are wanted. */
let live = null;

async function load() {
  const [drawings, painting, layers] = await Promise.all([
    import("./drawings.js"),
    import("./painting.js"),
    import("./value_layer.js"),
  ]);
  live = { ...drawings, ...painting, ...layers };
}

/**
 * @typedef {object} Shown tiles on the map.
 * @property {L.GridLayer} grid
 * @property {string} key what is drawn: the style of pictures, or the parameters of values.
 * @property {ValueLayer | null} values null for pictures.
 * @property {boolean} retired whether it tells no more.
 * @property {object | null} failure what it told last.
 */

const isSameBut = (name, one, other) =>
  [...Object.keys(one), ...Object.keys(other)].every((each) => each === name || one[each] === other[each]);

/** The tiles of one entry; what is on the map stays until what follows is there. */
export class DrawnLayer {
  /**
   * @param {L.Map} map
   * @param {import("./state.js").Entry} entry
   * @param {object} listeners what `serverTiles` wants to tell about an entry.
   * @param {L.GridLayer | null} ready pictures of it that are on the map already, unseen.
   */
  constructor(map, { layer, style }, listeners, ready = null) {
    Object.assign(this, { map, layer, style, listeners });
    this.drawings = null;
    this.isWanted = false;
    this.isEdited = false;
    this.refused = new Set();
    this.asking = null;
    this.opacity = 1;
    this.zIndex = 1;
    this.next = null;
    this.shown = this.pictures(style, ready);
    this.shown.grid.addTo(map);
  }

  get options() {
    return this.shown.grid.options;
  }

  getContainer() {
    return this.shown.grid.getContainer();
  }

  /** The layer of values that is on the map, or null. */
  get values() {
    return this.shown.values;
  }

  setZIndex(zIndex) {
    this.zIndex = zIndex;
    this.next?.grid.setZIndex(zIndex);
    this.shown.grid.setZIndex(zIndex);
    return this;
  }

  setOpacity(opacity) {
    this.opacity = opacity;
    // Leaflet fades tiles in anew that have just come, and leaves those half-way that go out of view.
    const { grid } = this.shown;
    if (grid.options.opacity !== opacity) grid.setOpacity(opacity);
    return this;
  }

  /**
   * Draw in another style, from values from now on unless only the time is another.
   *
   * @param {L.GridLayer | null} ready pictures in it that are on the map already, unseen.
   */
  restyle(style, ready = null) {
    this.isEdited ||= !isSameBut("time", this.style, style);
    this.style = style;
    if (ready) this.adopt(ready);
    else this.update();
  }

  adopt(ready) {
    this.drop(this.next);
    this.next = this.pictures(this.style, ready);
    this.swap(this.next);
  }

  /** Draw from values, so that another style needs nothing of the server. */
  setLive(isWanted) {
    this.isWanted = isWanted;
    this.update();
  }

  remove() {
    this.isGone = true;
    this.asking?.abort();
    this.drop(this.next);
    this.drop(this.shown);
    this.listeners.onbusy(false);
    if (this.shown.failure?.count) this.listeners.onfailure({ ...this.shown.failure, count: 0 });
  }

  /** Whether values are shown, which are painted anew without a request. */
  get isPainted() {
    return Boolean(this.shown.values);
  }

  /** Return valid values in view, {bands: {id: Float64Array}}; null while pictures are shown. */
  visibleValues() {
    return this.shown.values?.visibleValues(MAX_VALUES) ?? null;
  }

  /** Show the style that is wanted now. */
  async update() {
    const { style } = this;
    if (this.isGone || this.asking) return;
    if (!(this.isWanted || this.isEdited) || style.encoding) return this.showPictures(style);
    const drawing = this.drawings?.find(style) ?? (await this.told(style));
    if (this.isGone) return;
    if (this.style !== style) return this.update();
    if (drawing && live.isPaintable(drawing)) this.showDrawing(style, drawing);
    else this.showPictures(style);
  }

  // One question at a time: by the answer the drawings of most styles are known.
  async told(style) {
    this.asking = new AbortController();
    try {
      if (!live) await load();
      if (!live.canPaint) return null;
      this.drawings ??= new live.Drawings(this.layer);
      return await this.drawings.get(style, this.asking.signal);
    } catch {
      // The server will say of pictures what is wrong with the style.
      return null;
    } finally {
      this.asking = null;
    }
  }

  showPictures(style) {
    this.show(JSON.stringify(style), () => this.pictures(style), () => {});
  }

  showDrawing(style, drawing) {
    const parameters = live.valueParameters(style, drawing);
    const key = `values ${JSON.stringify(parameters)}`;
    if (this.refused.has(key)) return this.showPictures(style);
    const make = () => this.painted(key, parameters, drawing);
    return this.show(key, make, ({ values }) => values.setDrawing(drawing));
  }

  /** Bring what a key stands for onto the map, or have it changed if it is there. */
  show(key, make, change) {
    if (this.shown.key === key) {
      this.drop(this.next);
      this.next = null;
      change(this.shown);
    } else if (this.next?.key === key) change(this.next);
    else {
      this.drop(this.next);
      this.next = make();
      this.follow(this.next);
    }
  }

  follow(next) {
    const { grid } = next;
    grid.setOpacity(0).setZIndex(this.zIndex);
    grid.once("load", () => {
      // Until then tiles fade in.
      if (this.map.options.fadeAnimation) setTimeout(() => this.swap(next), FADE_MS);
      else this.swap(next);
    });
    grid.addTo(this.map);
    if (!grid.isLoading()) this.swap(next);
  }

  swap(next) {
    if (this.next !== next) return;
    const before = this.shown;
    const [was, is] = [before, next].map(({ grid }) => grid.getContainer());
    is.classList.toggle("pixelated", was.classList.contains("pixelated"));
    is.style.clip = was.style.clip;
    next.grid.setOpacity(this.opacity);
    this.shown = next;
    this.next = null;
    this.drop(before);
    if (before.failure?.count && !next.failure) this.listeners.onfailure({ ...before.failure, count: 0 });
  }

  drop(shown) {
    if (!shown) return;
    shown.retired = true;
    shown.grid.remove();
    this.listeners.onbusy(Boolean(this.shown.grid.isLoading() || this.next?.grid.isLoading()));
  }

  pictures(style, ready = null) {
    const shown = { key: JSON.stringify(style), values: null, retired: false, failure: null };
    return Object.assign(shown, { grid: ready ?? serverTiles(this.layer, style, this.tellers(shown)) });
  }

  painted(key, parameters, drawing) {
    const shown = { key, retired: false, failure: null };
    const onrefused = () => this.refuse(key);
    const values = new live.ValueLayer(this.layer, parameters, drawing, { ...this.tellers(shown), onrefused });
    return Object.assign(shown, { values, grid: values.grid });
  }

  /** Draw pictures instead of values that the server does not give. */
  refuse(key) {
    if (this.refused.has(key)) return;
    this.refused.add(key);
    this.update();
  }

  tellers(shown) {
    return {
      onbusy: (busy) => shown.retired || this.listeners.onbusy(busy),
      onfailure: (failure) => {
        shown.failure = failure;
        if (!shown.retired) this.listeners.onfailure(failure);
      },
    };
  }
}

/** Return whether two styles have the same parameters with the same values. */
export const sameStyle = (one, other) => {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
};

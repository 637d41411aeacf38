/** The map itself, in Leaflet, which only it and the modules that draw on it use. */

import { DrawnLayer, sameStyle } from "./drawn_layer.js";
import { contains, firstExtent, unrolled } from "./extent.js";
import { graticule } from "./graticule.js";
import { freeSpace } from "./free_space.js";
import L from "./leaflet.js";
import { serverTiles } from "./tiles.js";

const MAX_ZOOM = 22;
const FULL_ENOUGH = 0.75;

/** A map with server layers on it. */
export class LayerMap {
  /** @param {HTMLElement} element the map fills it. */
  constructor(element) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map = L.map(element, {
      attributionControl: false,
      zoomControl: false,
      minZoom: 1,
      maxZoom: MAX_ZOOM,
      worldCopyJump: true,
      zoomAnimation: !calm,
      fadeAnimation: !calm,
      inertia: !calm,
    });
    this.animate = !calm;
    this.tiles = new Map();
    this.lively = new Set();
    this.entries = [];
    /** Tiles that `preload` has made, by the ids of their entries. */
    this.ready = new Map();
    this.clips = new Map();
    this.take = null;
    this.outline = null;
    this.pin = null;
    L.control.zoom({ position: "topright" }).addTo(this.map);
    L.control.scale({ position: "bottomright", imperial: false, maxWidth: 120 }).addTo(this.map);
    graticule().addTo(this.map);
    showKeyboardUse(element);
    this.map.on("moveend", () => this.showPixels());
    this.map.on("move zoom viewreset resize", () => this.clip());
  }

  /**
   * Draw what the state says, and nothing else.
   *
   * @param {import("./state.js").Entry[]} entries the first is on top.
   * @param {(entry: object) => object} listeners what `serverTiles` wants to tell about an entry.
   */
  draw(entries, listeners) {
    this.entries = entries;
    this.listeners = listeners;
    const shown = new Map(entries.filter(({ visible }) => visible).map((entry) => [entry.id, entry]));
    for (const [id, drawn] of [...this.tiles]) if (!isAsDrawn(drawn, shown.get(id))) this.remove(id);
    entries.forEach((entry, index) => {
      if (entry.visible && !this.tiles.has(entry.id)) this.add(entry, listeners(entry));
      const tiles = this.tiles.get(entry.id)?.tiles;
      if (tiles && tiles.style !== entry.style) tiles.restyle(entry.style, this.takeReady(entry));
      tiles?.setZIndex(entries.length - index).setOpacity(entry.opacity);
    });
    for (const id of [...this.ready.keys()]) if (!this.tiles.has(id)) this.dropReady(id);
    this.showPixels();
    this.clip();
  }

  add(entry, listeners) {
    const tiles = new DrawnLayer(this.map, entry, listeners, this.takeReady(entry));
    this.tiles.set(entry.id, { layer: entry.layer, tiles });
    if (this.lively.has(entry.id)) tiles.setLive(true);
  }

  /** Return the tiles that `preload` has made for an entry as it is now, or null. */
  takeReady({ id, layer, style }) {
    const ready = this.ready.get(id);
    if (ready?.layer !== layer || !sameStyle(ready.style, style)) return null;
    this.ready.delete(id);
    return ready.tiles;
  }

  /** Draw an entry from values, so that changes of its style show at once and ask the server nothing. */
  live(id, on) {
    if (on) this.lively.add(id);
    else this.lively.delete(id);
    this.tiles.get(id)?.tiles.setLive(on);
  }

  /** Return whether changes of an entry's colours are painted from values that the map has. */
  isLive(id) {
    return this.lively.has(id) && (this.tiles.get(id)?.tiles.isPainted ?? false);
  }

  /**
   * Return a promise of valid values of an entry in view, at most 200,000 a band: {bands: {id: Float64Array}};
   * of null where the map has none, as of an entry that is drawn by the server.
   */
  async visibleValues(id) {
    return (await this.tiles.get(id)?.tiles.visibleValues()) ?? null;
  }

  /**
   * Load the tiles of entries as they will be, unseen; the next `draw` of the same shows them at once.
   *
   * Resolves when they have come or failed, and at once where they are drawn already.
   */
  async preload(entries) {
    const shown = (entry) => {
      const drawn = this.tiles.get(entry.id);
      return drawn?.layer === entry.layer && sameStyle(drawn.tiles.style, entry.style);
    };
    await Promise.all(entries.filter((entry) => !shown(entry)).map((entry) => this.load(entry)));
  }

  load(entry) {
    const { id, layer, style } = entry;
    this.dropReady(id);
    const tiles = serverTiles(layer, style, this.listeners(entry)).setOpacity(0);
    this.ready.set(id, { layer, style, tiles });
    const loaded = new Promise((resolve) => tiles.once("load remove", resolve));
    tiles.addTo(this.map);
    // Outside of its bounds a layer has no tiles to wait for.
    return tiles.isLoading() ? loaded : undefined;
  }

  dropReady(id) {
    this.ready.get(id)?.tiles.remove();
    this.ready.delete(id);
  }

  /** Show entries between two shares of the map's width alone: a map of ids to [from, to], 0 to 1. */
  setClips(clips) {
    this.clips = clips;
    this.clip();
  }

  clip() {
    const { x: width, y: height } = this.map.getSize();
    const { x: left, y: top } = this.map.containerPointToLayerPoint([0, 0]);
    for (const [id, { tiles }] of this.tiles) {
      const container = tiles.getContainer();
      const [from, to] = this.clips.get(id) ?? [];
      const sides = [top, left + width * to, top + height, left + width * from].map((side) => `${side}px`);
      if (container) container.style.clip = from === undefined ? "" : `rect(${sides.join(" ")})`;
    }
  }

  remove(id) {
    this.tiles.get(id)?.tiles.remove();
    this.tiles.delete(id);
  }

  // Past the last zoom of its data a layer is magnified: in blocks, since pixels are then what one
  // wants to see, but the layers behind it smoothly, as a backdrop.
  showPixels() {
    const { zoom, lat, lon } = this.view;
    const front = this.entries.find(({ layer, visible }) => visible && contains(layer.bounds, lon, lat));
    for (const [id, { tiles }] of this.tiles) {
      const pixels = id === front?.id && zoom > tiles.options.maxNativeZoom;
      tiles.getContainer()?.classList.toggle("pixelated", pixels);
    }
  }

  get view() {
    const { lat, lng } = this.map.getCenter().wrap();
    return { zoom: this.map.getZoom(), lat, lon: lng };
  }

  /** The bounds of what is in view: [west, south, east, north], unrolled about the antimeridian. */
  get bounds() {
    const bounds = this.map.getBounds();
    return [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
  }

  setView({ zoom, lat, lon }) {
    this.map.setView([lat, lon], Math.min(zoom, MAX_ZOOM), { animate: false });
  }

  /** Show these bounds in the part of the map that no panel covers. */
  fit(bounds, { animate = this.animate } = {}) {
    const [west, south, east, north] = unrolled(bounds);
    this.map.fitBounds(L.latLngBounds([south, west], [north, east]), {
      ...freeSpace(),
      animate,
      maxZoom: 17,
    });
  }

  /** Show these layers; those without a place that is known only if there are no others. */
  fitFirst(layers) {
    const placed = layers.filter(({ noPlace, pending }) => !noPlace && !pending);
    const some = placed.length ? placed : layers;
    this.fill(firstExtent(some.map((layer) => layer.bounds)), some[0]?.maxzoom ?? 0);
  }

  // Zooms are whole, so that pixels are; what just does not fit into one would be small in the
  // next, with emptiness all around. So some of it may reach over the edges.
  fill(bounds, finest) {
    this.fit(bounds, { animate: false });
    const zoom = this.map.getZoom();
    const [west, south, east, north] = unrolled(bounds);
    const corners = [[north, west], [south, east]].map((corner) => this.map.project(corner, zoom));
    const size = corners[1].subtract(corners[0]);
    const { paddingTopLeft, paddingBottomRight } = freeSpace();
    const free = this.map.getSize().subtract(paddingTopLeft).subtract(paddingBottomRight);
    const used = Math.max(size.x / free.x, size.y / free.y);
    if (used > FULL_ENOUGH || zoom >= finest || !(free.x > 0 && free.y > 0)) return;
    const offset = L.point(paddingBottomRight).subtract(paddingTopLeft).divideBy(2);
    // A zoom on, coordinates are twice as large.
    const middle = corners[0].add(corners[1]).add(offset);
    this.map.setView(this.map.unproject(middle, zoom + 1), zoom + 1, { animate: false });
  }

  /** Return the part of the world that no panel covers: [west, south, east, north]. */
  get seen() {
    const { paddingTopLeft, paddingBottomRight } = freeSpace();
    const corner = this.map.getSize().subtract(paddingBottomRight);
    const { lat: north, lng: west } = this.map.containerPointToLatLng(paddingTopLeft);
    const { lat: south, lng: east } = this.map.containerPointToLatLng(corner);
    return [west, south, east, north];
  }

  /** Draw another layer of Leaflet, which says by its `zIndex` where among the server's. */
  addBackdrop(layer) {
    layer.addTo(this.map);
  }

  /** Return whether a layer of Leaflet is on the map. */
  has(layer) {
    return this.map.hasLayer(layer);
  }

  /** Outline a layer's bounds, or none. */
  highlight(layer) {
    this.outline?.remove();
    this.outline = null;
    if (!layer) return;
    const [west, south, east, north] = unrolled(layer.bounds);
    const options = { className: "outline", interactive: false, fill: false };
    this.outline = L.rectangle([[south, west], [north, east]], options).addTo(this.map);
  }

  /** Mark a place, or none. */
  mark(place) {
    this.pin?.remove();
    this.pin = null;
    if (!place) return;
    const options = { className: "pin", radius: 7, interactive: false };
    this.pin = L.circleMarker([place.lat, place.lon], options).addTo(this.map);
  }

  /** West, south, east, north of what is in view; east may be more than 180. */
  get bounds() {
    const bounds = this.map.getBounds();
    return [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
  }

  /** Give the places that someone points at to `take` instead, until this is called with null. */
  takePoints(take) {
    this.take = take;
    this.map.getContainer().classList.toggle("sketching", take !== null);
  }

  /** Call back with {lon, lat} when someone points at a place: click, long press, Enter. */
  onpoint(callback) {
    const at = ({ lat, lng }) => (this.take ?? callback)({ lat, lon: lng });
    this.map.on("click contextmenu", (event) => at(event.latlng));
    this.map.getContainer().addEventListener("keydown", (event) => {
      if (event.target === event.currentTarget && event.key === "Enter") at(this.map.getCenter());
    });
  }

  onmove(callback) {
    this.map.on("moveend", callback);
  }

  /** Call back with {lon, lat} under the mouse, and with null when it leaves the map. */
  onhover(callback) {
    this.map.on("mousemove", ({ latlng }) => {
      const { lat, lng } = latlng.wrap();
      callback({ lat, lon: lng });
    });
    this.map.on("mouseout", () => callback(null));
  }

  /** Put an element among the map's controls, in a corner such as "bottomright". */
  addControl(element, position) {
    const control = L.control({ position });
    control.onAdd = () => element;
    control.addTo(this.map);
    L.DomEvent.disableClickPropagation(element);
  }
}

const isAsDrawn = (drawn, entry) => entry?.layer === drawn.layer;

// Leaflet focuses the map on every press of the mouse, so :focus-visible cannot tell the two apart.
function showKeyboardUse(element) {
  const show = (byKeyboard) => element.classList.toggle("by-keyboard", byKeyboard);
  element.addEventListener("keyup", (event) => show(event.target === element));
  for (const type of ["pointerdown", "focusout"]) element.addEventListener(type, () => show(false));
}

/** Lines and areas drawn on the map, by pointer or at the crosshair. With map.js a user of Leaflet. */

import L from "./leaflet.js";

const MAX_POINTS = 100;
/** Two presses this close are a double press, which adds one point. */
const SAME_PX = 10;

/** One drawing on the map: a line, a polygon or a box. Positions are [lon, lat] in degrees. */
export class Sketch {
  /** @param {import("./map.js").LayerMap} layerMap the map to draw on. */
  constructor(layerMap) {
    this.layerMap = layerMap;
    this.map = layerMap.map;
    this.group = L.layerGroup();
    this.kind = "line";
    this.positions = [];
    this.move = ({ latlng }) => this.draw([...this.positions, [latlng.lng, latlng.lat]]);
    // Leaflet makes two quick taps a double one wherever they are.
    this.end = () => this.again && this.finish();
  }

  /**
   * Let somebody draw: each press on the map adds a point, a double press or `finish` ends it, and a
   * box ends with its second point.
   *
   * @param {"line" | "polygon" | "box"} kind
   * @param {{onchange: (positions: number[][]) => void, ondone: (positions: number[][]) => void}} told
   */
  begin(kind, { onchange, ondone }) {
    this.cancel();
    Object.assign(this, { kind, onchange, ondone, positions: [], isDrawing: true });
    this.group.addTo(this.map);
    this.draw([]);
    this.layerMap.takePoints(({ lon, lat }) => this.add([lon, lat]));
    this.map.doubleClickZoom.disable();
    this.map.on("mousemove", this.move).on("dblclick", this.end);
  }

  add(position) {
    const before = this.positions.at(-1);
    this.again = before !== undefined && this.gap(before, position) < SAME_PX;
    if (this.again) return;
    this.positions.push(position);
    this.draw(this.positions);
    this.onchange(this.positions);
    const most = this.kind === "box" ? 2 : MAX_POINTS;
    if (this.positions.length >= most) this.finish();
  }

  /** Return the pixels between two positions. */
  gap(one, other) {
    const [from, to] = [one, other].map(([lon, lat]) => this.map.latLngToContainerPoint([lat, lon]));
    return from.distanceTo(to);
  }

  /** Whether there are enough points to end. */
  get isEnough() {
    return this.positions.length >= (this.kind === "polygon" ? 3 : 2);
  }

  /** End drawing; returns whether there were enough points. */
  finish() {
    if (!this.isDrawing || !this.isEnough) return false;
    this.release();
    this.draw(this.positions);
    this.ondone(this.positions);
    return true;
  }

  cancel() {
    if (!this.isDrawing) return;
    this.release();
    this.positions = [];
    this.draw([]);
  }

  release() {
    this.isDrawing = false;
    this.layerMap.takePoints(null);
    this.map.doubleClickZoom.enable();
    this.map.off("mousemove", this.move).off("dblclick", this.end);
  }

  /** Show positions that come from elsewhere. */
  show(kind, positions) {
    this.cancel();
    Object.assign(this, { kind, positions });
    this.group.addTo(this.map);
    this.draw(positions);
  }

  draw(positions) {
    this.group.clearLayers();
    const at = positions.map(([lon, lat]) => [lat, lon]);
    const options = { interactive: false, className: `sketch ${this.kind} ${this.isDrawing ? "next" : ""}` };
    if (at.length > 1) this.shape(at, options).addTo(this.group);
    for (const place of this.isDrawing ? at.slice(0, this.positions.length) : []) {
      L.circleMarker(place, { radius: 5, interactive: false, className: "sketch-point" }).addTo(this.group);
    }
  }

  shape(at, options) {
    if (this.kind === "box") return L.rectangle([at[0], at.at(-1)], options);
    return this.kind === "polygon" ? L.polygon(at, options) : L.polyline(at, options);
  }

  /** Take all off the map. */
  clear() {
    this.cancel();
    this.positions = [];
    this.group.clearLayers().remove();
  }
}

/** Figures and downloads of an area that is drawn on the map or given by numbers. */

import { addressOf, fetchFile, fetchFrom, styleQuery, valueQuery } from "./api.js";
import { figures } from "./areafigures.js";
import { h } from "./dom.js";
import { button, check, field, layerSelect } from "./forms.js";
import { boundsOf, boxRing, formatArea, formatPosition, parsePlace, polygon, ringArea, wrapped } from "./geometry.js";
import { infoOf } from "./infos.js";
import { sizesOf } from "./areasizes.js";
import { Sketch } from "./sketch.js";
import { fileName, save } from "./table.js";

const BOX = "M4 6h16v12H4z";
const POLYGON = "M5 9l8-5 7 7-4 9-9-2z";
const VIEW = "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5";
const SUM = "M17 5H7l6 7-6 7h10";
const SAVE = "M12 4v11M7 10l5 5 5-5M5 20h14";
const SIDES = [
  ["West", 180],
  ["South", 90],
  ["East", 180],
  ["North", 90],
];

/** The form in the drawer and the area on the map. */
export class Tool {
  constructor(context) {
    this.context = context;
    this.isOpen = false;
    this.kind = "box";
    /** The corners of the area, open; [] without any. */
    this.ring = [];
    this.reading = new AbortController();
    context.state.addEventListener("change", () => this.isOpen && this.layers.fill());
  }

  open(opener) {
    this.sketch = new Sketch(this.context.map);
    this.layers = layerSelect(this.context.state, () => this.changed());
    this.make();
    this.isOpen = true;
    this.context.drawer.open({ title: "Area", element: this.element, opener, onclose: () => this.close() });
    this.show(this.kind, this.ring);
    document.dispatchEvent(new CustomEvent("toolchange"));
  }

  close() {
    this.isOpen = false;
    this.reading.abort();
    this.sketch.clear();
    document.dispatchEvent(new CustomEvent("toolchange"));
  }

  make() {
    this.sides = SIDES.map(([, most]) =>
      h("input", { type: "number", step: "any", min: -most, max: most, onchange: () => this.typedBox() }),
    );
    this.corners = h("textarea", {
      placeholder: "latitude, longitude\nlatitude, longitude\nlatitude, longitude",
      spellcheck: false,
      onchange: () => this.typedPolygon(),
    });
    this.boxFields = h("div", { className: "pair" }, this.sides.map((input, n) => field(SIDES[n][0], input)));
    this.polygonField = field("Corners, one a line", this.corners);
    this.hint = h("p", { className: "quiet", role: "status" });
    this.sizes = h("ul", { className: "sizes quiet" });
    this.boxButton = button(BOX, "Draw a box", () => this.begin("box"));
    this.polygonButton = button(POLYGON, "Draw a polygon", () => this.begin("polygon"));
    this.result = h("div", { "aria-live": "polite" });
    this.element = h(
      "div",
      { className: "tool-form" },
      field("Layer", this.layers.select),
      h(
        "div",
        { className: "actions" },
        this.boxButton,
        this.polygonButton,
        button(VIEW, "What is in view", () => this.show("box", boxRing(this.context.map.bounds))),
      ),
      this.boxFields,
      this.polygonField,
      this.hint,
      this.sizes,
      h(
        "div",
        { className: "actions" },
        button(SUM, "Statistics", () => this.run(() => this.summarize())),
        button(SAVE, "GeoTIFF", () => this.run(() => this.saveGeoTiff())),
        button(SAVE, "PNG", () => this.run(() => this.savePng())),
      ),
      this.result,
    );
  }

  begin(kind) {
    if (this.sketch.isDrawing) return void (this.sketch.finish() || this.show(this.kind, this.ring));
    this.sketch.begin(kind, {
      onchange: (positions) => (this.hint.textContent = positions.length > 2 ? formatArea(ringArea(positions)) : ""),
      ondone: (positions) => this.show(kind, kind === "box" ? boxRing(boundsOf(positions)) : positions),
    });
    this.hint.textContent =
      kind === "box"
        ? "Press the map at two opposite corners, or Enter at its crosshair."
        : "Press the map at each corner, or Enter at its crosshair; twice at the last.";
    const used = kind === "box" ? this.boxButton : this.polygonButton;
    used.lastChild.textContent = kind === "box" ? "Stop drawing" : "End the polygon";
    return undefined;
  }

  /** Take an area over into the form and onto the map. */
  show(kind, ring) {
    this.kind = kind;
    this.ring = ring.map(([lon, lat]) => [lon, Math.max(-90, Math.min(90, lat))]);
    this.boxButton.lastChild.textContent = "Draw a box";
    this.polygonButton.lastChild.textContent = "Draw a polygon";
    this.boxFields.hidden = kind !== "box";
    this.polygonField.hidden = kind !== "polygon";
    const bounds = this.ring.length ? this.bounds : [];
    this.sides.forEach((input, n) => (input.value = bounds.length ? +bounds[n].toFixed(7) : ""));
    this.corners.value = this.ring.map(([lon, lat]) => formatPosition([wrapped(lon), lat])).join("\n");
    for (const input of [...this.sides, this.corners]) check(input, true);
    this.sketch.show(kind, kind === "box" && ring.length ? [ring[0], ring[2]] : this.ring);
    this.changed();
  }

  /** West, south, east, north; west > east across the antimeridian, as the server takes it. */
  get bounds() {
    const [west, south, east, north] = boundsOf(this.ring);
    if (east - west >= 360) return [-180, south, 180, north];
    return [wrapped(west), south, wrapped(east), north];
  }

  typedBox() {
    const values = this.sides.map((input, n) => ({ input, value: Number(input.value), most: SIDES[n][1] }));
    const right = values.map(({ input, value, most }) => check(input, input.value !== "" && Math.abs(value) <= most));
    if (right.includes(false)) return;
    const [west, south, east, north] = values.map(({ value }) => value);
    if (!check(this.sides[3], south < north)) return;
    this.show("box", boxRing([west, south, west > east ? east + 360 : east, north]));
  }

  typedPolygon() {
    const places = this.corners.value.split("\n").filter((line) => line.trim()).map(parsePlace);
    if (!check(this.corners, places.length > 2 && !places.includes(null))) return;
    this.show("polygon", places);
  }

  /** Say how large the area is, and what the downloads will be. */
  async changed() {
    this.reading.abort();
    this.result.replaceChildren();
    this.sizes.replaceChildren();
    if (this.ring.length === 0) {
      this.hint.textContent = "Draw an area, or give its sides in degrees.";
      return;
    }
    this.hint.textContent = formatArea(ringArea(this.ring));
    const entry = this.layers.entry();
    const info = await infoOf(entry.layer).catch(() => null);
    if (entry !== this.layers.entry() || !info) return;
    this.size = sizesOf(this.ring, info);
    this.sizes.replaceChildren(...this.size.texts.map((text) => h("li", {}, text)));
  }

  async run(task) {
    if (this.ring.length === 0) return void (this.hint.textContent = "Draw an area first, or give its sides in degrees.");
    this.reading.abort();
    this.reading = new AbortController();
    const { signal } = this.reading;
    this.result.replaceChildren(h("p", { className: "quiet" }, "Reading…"));
    try {
      const nodes = await task();
      if (!signal.aborted) this.result.replaceChildren(...nodes);
    } catch (error) {
      if (!signal.aborted) this.result.replaceChildren(h("p", { className: "wrong" }, error.message));
    }
    return undefined;
  }

  /** Return what the server is asked of the area: parameters, and a body to post. */
  where(parameters) {
    const { signal } = this.reading;
    if (this.kind === "polygon") return [parameters, { body: polygon(this.ring), signal }];
    return [{ ...parameters, bbox: String(this.bounds.map((value) => +value.toFixed(9))) }, { signal }];
  }

  async summarize() {
    const entry = this.layers.entry();
    const { layer } = entry;
    const [parameters, options] = this.where(valueQuery(entry.style));
    const address = addressOf("statistics", layer);
    const answer = options.body
      ? JSON.parse(await (await fetchFile(address, parameters, options)).text())
      : await fetchFrom(address, parameters, options.signal);
    const info = await infoOf(layer).catch(() => null);
    return figures(entry, answer, info, ringArea(this.ring));
  }

  async saveGeoTiff() {
    const { layer, style, id } = this.layers.entry();
    const size = this.size?.cropSize ?? {};
    const { clip, ...values } = valueQuery(style);
    const blob = await fetchFile(addressOf("crop", layer, ".tif"), ...this.where({ ...values, ...size }));
    return this.saved(`${fileName(id, "area")}.tif`, blob);
  }

  async savePng() {
    const { layer, style, id } = this.layers.entry();
    const { clip, ...look } = styleQuery(layer, style);
    const width = String(this.size?.pngWidth ?? 1024);
    const blob = await fetchFile(addressOf("preview", layer, ".png"), ...this.where({ ...look, width }));
    return this.saved(`${fileName(id, "area")}.png`, blob);
  }

  saved(name, blob) {
    save(name, blob);
    const size = blob.size < 1e6 ? `${Math.ceil(blob.size / 1000)} kB` : `${(blob.size / 1e6).toFixed(1)} MB`;
    return [h("p", { className: "quiet" }, `Saved ${name}, ${size}.`)];
  }
}

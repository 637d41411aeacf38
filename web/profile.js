/** The values of a layer along a line that is drawn on the map or given by its ends. */

import { addressOf, fetchFrom, valueQuery } from "./api.js";
import { Chart } from "./chart.js";
import { h } from "./dom.js";
import { button, check, field, layerSelect } from "./forms.js";
import { formatLength, formatPosition, lineLength, parsePlace, wrapped } from "./geometry.js";
import { infoOf } from "./infos.js";
import { Sketch } from "./sketch.js";
import { fileName, save, toCsv } from "./table.js";
import { formatValue } from "./values.js";

const DRAW = "M4 20l4-1L19 8l-3-3L5 16zM14 7l3 3";
const READ = "M4 18l5-7 4 4 6-9";
const SAVE = "M12 4v11M7 10l5 5 5-5M5 20h14";
const POINTS = 256;
const MOST_SHOWN = 3;

/** The form in the drawer and the line on the map. */
export class Tool {
  constructor(context) {
    this.context = context;
    this.isOpen = false;
    this.positions = [];
    this.reading = null;
    /** What the values that are shown are of, as text. */
    this.subject = "";
    context.state.addEventListener("change", () => this.isOpen && this.follow());
  }

  /** Follow the list of layers, and another time or formula of the one that is shown. */
  follow() {
    this.layers.fill();
    const entry = this.layers.entry();
    if (this.subject && entry && subjectOf(entry) !== this.subject) this.read();
  }

  open(opener) {
    this.sketch = new Sketch(this.context.map);
    this.layers = layerSelect(this.context.state, () => this.positions.length && this.read());
    this.make();
    this.isOpen = true;
    this.context.drawer.open({ title: "Profile", element: this.element, opener, onclose: () => this.close() });
    this.show(this.positions);
    document.dispatchEvent(new CustomEvent("toolchange"));
  }

  close() {
    this.isOpen = false;
    this.subject = "";
    this.reading?.abort();
    this.sketch.clear();
    this.context.map.mark(null);
    document.dispatchEvent(new CustomEvent("toolchange"));
  }

  make() {
    const ends = { placeholder: "latitude, longitude", inputMode: "text", onchange: () => this.typed() };
    this.from = h("input", ends);
    this.to = h("input", ends);
    this.length = h("p", { className: "quiet", role: "status" });
    this.draw = button(DRAW, "Draw on the map", () => this.toggleDrawing());
    this.result = h("div", { "aria-live": "polite" });
    this.element = h(
      "div",
      { className: "tool-form" },
      field("Layer", this.layers.select),
      h("div", { className: "pair" }, field("From", this.from), field("To", this.to)),
      h("div", { className: "actions" }, this.draw, button(READ, "Read values", () => this.read())),
      this.length,
      this.result,
    );
  }

  toggleDrawing() {
    if (this.sketch.isDrawing) return void (this.sketch.finish() || this.stopDrawing());
    this.context.map.mark(null);
    this.result.replaceChildren();
    this.sketch.begin("line", {
      onchange: (positions) => this.tell(positions),
      ondone: (positions) => {
        this.stopDrawing();
        this.show(positions);
        this.read();
      },
    });
    this.draw.lastChild.textContent = "End the line";
    this.length.textContent = "Press the map at each corner, or Enter at its crosshair; twice at the last.";
  }

  stopDrawing() {
    this.sketch.cancel();
    this.draw.lastChild.textContent = "Draw on the map";
  }

  tell(positions) {
    this.length.textContent = positions.length > 1 ? formatLength(lineLength(positions)) : "";
  }

  /** Take positions over into the form and onto the map. */
  show(positions) {
    this.positions = positions.map(([lon, lat]) => [lon, lat]);
    this.from.value = positions.length ? formatPosition(onEarth(positions[0])) : "";
    this.to.value = positions.length ? formatPosition(onEarth(positions.at(-1))) : "";
    this.sketch.show("line", this.positions);
    this.tell(positions);
  }

  /** Take over the ends that were typed; corners between them stay. */
  typed() {
    const [from, to] = [this.from, this.to].map((input) => parsePlace(input.value));
    check(this.from, from || this.from.value === "");
    check(this.to, to || this.to.value === "");
    if (!from || !to) return false;
    this.stopDrawing();
    this.show([from, ...this.positions.slice(1, -1), to]);
    return true;
  }

  async read() {
    const entry = this.layers.entry();
    if (!check(this.from, parsePlace(this.from.value)) | !check(this.to, parsePlace(this.to.value)) || !entry) {
      this.length.textContent = "Draw a line, or give both ends as latitude and longitude: 40.71, -112.1.";
      return;
    }
    this.reading?.abort();
    const reading = new AbortController();
    this.reading = reading;
    this.subject = subjectOf(entry);
    this.result.replaceChildren(h("p", { className: "quiet" }, "Reading…"));
    try {
      const known = infoOf(entry.layer).catch(() => null);
      const line = this.positions.flatMap(onEarth).map((value) => +value.toFixed(7));
      const query = { ...valueQuery(entry.style), line: String(line), points: String(POINTS) };
      const answer = await fetchFrom(addressOf("profile", entry.layer), query, reading.signal);
      this.result.replaceChildren(...this.shown(entry, answer, await known));
    } catch (error) {
      if (!reading.signal.aborted) this.result.replaceChildren(h("p", { className: "wrong" }, error.message));
    }
  }

  shown(entry, answer, info) {
    const { length_m: length, distances_m: at, lons, lats, values, pixel_factor: factor } = answer;
    this.length.textContent = formatLength(length);
    const bands = Object.keys(values);
    if (bands.every((band) => values[band].every((value) => value === null))) {
      return [h("p", { className: "quiet" }, "No data along this line.")];
    }
    const first = entry.layer.bands.filter((band) => bands.includes(band));
    const on = new Set((first.length ? first : bands).slice(0, MOST_SHOWN));
    const unit = (info?.bands ?? []).find(({ id }) => bands.length === 1 && id === bands[0])?.unit ?? "";
    const [scale, name] = length < 5000 ? [1, "m"] : [1000, "km"];
    const chart = new Chart({
      label: `Values along ${formatLength(length)}`,
      x: { title: `Distance in ${name}`, format: (value) => `${formatValue(+value.toFixed(3))} ${name}` },
      y: { title: unit, format: (value) => `${formatValue(value)} ${unit}`.trim() },
      at: at.map((distance) => distance / scale),
      series: bands.map((band) => ({ name: band, values: values[band], isOn: on.has(band) })),
      onpoint: (index) => this.context.map.mark({ lon: lons[index], lat: lats[index] }),
    });
    const rows = [["distance_m", "lon", "lat", ...bands]];
    at.forEach((distance, n) => rows.push([distance, lons[n], lats[n], ...bands.map((band) => values[band][n])]));
    const saveAll = () => save(`${fileName(entry.id, "profile")}.csv`, toCsv(rows));
    return [
      chart.element,
      h("p", { className: "quiet" }, `${name === "m" ? "Metres" : "Kilometres"} along the line.`),
      factor > 1 && h("p", { className: "quiet" }, `Read from an overview, of pixels ${factor} times as large.`),
      h("div", { className: "actions" }, button(SAVE, "CSV", saveAll)),
    ].filter(Boolean);
  }
}

const onEarth = ([lon, lat]) => [wrapped(lon), lat];

const subjectOf = ({ id, layer, style }) => JSON.stringify([id, layer.tiles, valueQuery(style)]);

/** A small chart of lines over one axis, read by pointer, by keys and as a table. */

import { h } from "./dom.js";
import { table } from "./table.js";
import { formatTick, numberTicks } from "./ticks.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 320;
const HEIGHT = 190;
const LEFT = 48;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 26;
const MAX_DOTTED = 80;
const COLORS = 6;

/**
 * @typedef {object} Axis
 * @property {string} title
 * @property {(value: number) => string} format for readings and the table.
 * @property {(least: number, most: number) => number[]} [ticks]
 * @property {(value: number, step: number) => string} [tick] the text of a tick.
 */

/** A chart; `element` goes into the page. */
export class Chart {
  /**
   * @param {{label: string, x: Axis, y: Axis, at: number[],
   *   series: {name: string, values: (number | null)[], isOn?: boolean}[],
   *   onpoint?: (index: number) => void}} content `at` is where the values lie along x, ascending;
   *   a null is a gap. `onpoint` is called with the sample that somebody points at.
   */
  constructor({ label, x, y, at, series, onpoint = () => {} }) {
    Object.assign(this, { label, x, y, at, onpoint });
    this.series = series.map((each, n) => ({ isOn: true, ...each, look: `s${n % COLORS}` }));
    this.index = Math.max(0, this.series[0]?.values.findIndex((value) => value !== null) ?? 0);
    this.reading = h("p", { className: "chart-reading", "aria-hidden": "true" });
    this.plot = h("div", {
      className: "chart-plot",
      tabIndex: 0,
      role: "slider",
      "aria-label": `${label}: values along the line`,
      "aria-valuemin": "0",
      "aria-valuemax": String(Math.max(at.length - 1, 0)),
      onkeydown: (event) => this.press(event),
      onpointermove: (event) => this.point(event),
      onpointerdown: (event) => this.point(event),
    });
    this.element = h(
      "figure",
      { className: "chart", "aria-label": label, role: "group" },
      this.series.length > 1 && this.legend(),
      this.plot,
      this.reading,
      this.table(),
    );
    this.draw();
  }

  legend() {
    const button = (each) =>
      h(
        "button",
        {
          type: "button",
          className: `chart-key ${each.look}`,
          "aria-pressed": String(each.isOn),
          onclick: (event) => {
            each.isOn = !each.isOn;
            event.currentTarget.setAttribute("aria-pressed", String(each.isOn));
            this.draw();
          },
        },
        each.name,
      );
    const props = { className: "chart-keys", role: "group", "aria-label": "Lines shown" };
    return h("div", props, this.series.map(button));
  }

  /** The same values as text; made when it is opened. */
  table() {
    const body = h("div", { className: "chart-table", tabIndex: 0, role: "region", "aria-label": "Values" });
    const fill = ({ target }) => {
      if (!target.open || body.firstChild) return;
      const heads = [this.x.title, ...this.series.map(({ name }) => name)];
      const rows = this.at.map((at, n) => [
        this.x.format(at),
        ...this.series.map(({ values }) => (values[n] === null ? "–" : this.y.format(values[n]))),
      ]);
      body.append(table(this.label, heads, rows));
    };
    return h("details", { className: "chart-details", ontoggle: fill }, h("summary", {}, "As a table"), body);
  }

  get shown() {
    return this.series.filter(({ isOn }) => isOn);
  }

  draw() {
    const [least, most] = extent(this.shown.flatMap(({ values }) => values));
    const first = this.at[0] ?? 0;
    const last = this.at.at(-1) ?? 1;
    const width = last - first || 1;
    this.toX = (value) => LEFT + ((value - first) / width) * (WIDTH - LEFT - RIGHT);
    this.toY = (value) => HEIGHT - BOTTOM - ((value - least) / (most - least)) * (HEIGHT - TOP - BOTTOM);
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
    svg.append(...this.yTicks(least, most), ...this.xTicks(first, last));
    for (const each of this.shown) svg.append(...this.line(each));
    this.cursor = make("line", { class: "chart-cursor", y1: TOP, y2: HEIGHT - BOTTOM });
    svg.append(this.cursor);
    this.plot.replaceChildren(svg);
    this.show(this.index);
  }

  yTicks(least, most) {
    const ticks = numberTicks(least, most);
    const step = ticks[1] - ticks[0] || most - least;
    return ticks.flatMap((value) => {
      const y = this.toY(value);
      return [
        make("line", { class: "chart-grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }),
        make("text", { class: "chart-tick", x: LEFT - 6, y: y + 3.5, "text-anchor": "end" }, formatTick(value, step)),
      ];
    });
  }

  xTicks(first, last) {
    const ticks = this.x.ticks?.(first, last) ?? numberTicks(first, last);
    const step = ticks[1] - ticks[0] || last - first || 1;
    const write = this.x.tick ?? formatTick;
    return ticks.map((value) => {
      const x = this.toX(value);
      const anchor = x > WIDTH - 30 ? "end" : "middle";
      return make("text", { class: "chart-tick", x, y: HEIGHT - 8, "text-anchor": anchor }, write(value, step));
    });
  }

  /** Return a path with gaps where values are missing, and dots where they are few or alone. */
  line({ values, look }) {
    let path = "";
    const dots = [];
    values.forEach((value, n) => {
      if (value === null) return;
      const [x, y] = [this.toX(this.at[n]), this.toY(value)];
      const [before, after] = [values[n - 1] ?? null, values[n + 1] ?? null];
      path += `${before === null ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
      const isAlone = before === null && after === null;
      if (isAlone || values.length <= MAX_DOTTED) dots.push(make("circle", { class: `chart-dot ${look}`, cx: x, cy: y, r: 2 }));
    });
    return [make("path", { class: `chart-line ${look}`, d: path || "M0 0" }), ...dots];
  }

  press(event) {
    const page = Math.max(1, Math.round(this.at.length / 10));
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: page, PageDown: -page };
    const to = { Home: 0, End: this.at.length - 1 }[event.key] ?? this.index + (steps[event.key] ?? NaN);
    if (Number.isNaN(to)) return;
    event.preventDefault();
    this.show(to);
    this.onpoint(this.index);
  }

  point({ clientX }) {
    const { left, width } = this.plot.getBoundingClientRect();
    const x = ((clientX - left) / width) * WIDTH;
    const gaps = this.at.map((value) => Math.abs(this.toX(value) - x));
    this.show(gaps.indexOf(Math.min(...gaps)));
    this.onpoint(this.index);
  }

  /** Point at a sample; indexes beyond the ends mean the ends. */
  show(index) {
    this.index = Math.max(0, Math.min(this.at.length - 1, index));
    const at = this.at[this.index];
    if (at === undefined) return;
    const x = this.toX(at);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    const values = this.shown.map(({ name, values: { [this.index]: value } }) => {
      const text = value === null ? "no data" : this.y.format(value);
      return this.series.length > 1 ? `${name} ${text}` : text;
    });
    const text = `${this.x.format(at)}: ${values.join(", ")}`;
    this.reading.textContent = text;
    this.plot.setAttribute("aria-valuenow", String(this.index));
    this.plot.setAttribute("aria-valuetext", text);
  }
}

/** Return the least and the most of values with a margin, the second always the larger. */
function extent(values) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return [0, 1];
  const least = known.reduce((one, other) => Math.min(one, other));
  const most = known.reduce((one, other) => Math.max(one, other));
  const margin = (most - least) * 0.05 || Math.abs(least) * 0.05 || 1;
  return [least - margin, most + margin];
}

function make(tag, attributes, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.textContent = text;
  return element;
}

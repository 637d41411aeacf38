/** A histogram with two handles for the ends of a range, by pointer and by keyboard. */

import { h } from "../dom.js";
import { rounded, shown } from "./presets.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [300, 72];
const STEP = 0.01;
const BIG_STEP = 0.1;

/** The histogram of one band. */
export class Histogram {
  /**
   * @param {string} label names the band in the handles' names.
   * @param {(range: [number, number]) => void} onchange called while a handle moves.
   */
  constructor(label, onchange) {
    this.label = label;
    this.onchange = onchange;
    this.range = [0, 1];
    this.counts = [];
    this.edges = [];
    this.isLog = false;
    this.bars = document.createElementNS(SVG, "path");
    this.bars.classList.add("bars");
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    svg.append(this.bars);
    this.within = h("div", { className: "histogram-range" });
    this.handles = [this.makeHandle(0, "Minimum"), this.makeHandle(1, "Maximum")];
    this.plot = h("div", { className: "histogram-plot" }, this.within, this.handles);
    this.plot.prepend(svg);
    this.ends = [h("span", {}), h("span", {})];
    this.element = h("div", { className: "histogram" }, this.plot, h("div", { className: "histogram-ends" }, this.ends));
  }

  makeHandle(index, what) {
    const handle = h("div", {
      className: "histogram-handle",
      role: "slider",
      tabIndex: 0,
      "aria-label": `${what} of ${this.label}`,
      onkeydown: (event) => this.press(index, event),
      onpointerdown: (event) => this.grab(index, event),
    });
    handle.dataset.end = index ? "max" : "min";
    return handle;
  }

  /** Show counts between edges, one edge more than counts; none is an empty plot. */
  setCounts([counts, edges], { isLog = false } = {}) {
    Object.assign(this, { counts, edges, isLog });
    this.bars.setAttribute("d", barsPath(counts, edges, this.domain, isLog));
    this.draw();
  }

  /** Show the ends of the range. */
  setRange([low, high]) {
    if (![low, high].every(Number.isFinite)) return;
    const before = String(this.domain);
    this.range = [low, high];
    if (String(this.domain) === before || this.dragged) this.draw();
    else this.setCounts([this.counts, this.edges], this);
  }

  /** The values at the left and the right end of the plot. */
  get domain() {
    if (this.dragged) return this.dragged;
    const [low, high] = trimmed(this.counts, this.edges) ?? this.range;
    return withRoom(Math.min(low, this.range[0]), Math.max(high, this.range[1]));
  }

  draw() {
    const [left, right] = this.domain;
    this.handles.forEach((handle, index) => {
      const value = this.range[index];
      handle.style.left = percent((value - left) / (right - left));
      handle.setAttribute("aria-valuemin", String(rounded(left)));
      handle.setAttribute("aria-valuemax", String(rounded(right)));
      handle.setAttribute("aria-valuenow", String(rounded(value)));
      handle.setAttribute("aria-valuetext", shown(value));
    });
    this.within.style.left = percent((this.range[0] - left) / (right - left));
    this.within.style.right = percent((right - this.range[1]) / (right - left));
    this.ends[0].textContent = short(left);
    this.ends[1].textContent = short(right);
  }

  press(index, event) {
    const step = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, PageDown: -BIG_STEP, PageUp: BIG_STEP }[event.key];
    const [left, right] = this.domain;
    const times = event.shiftKey && Math.abs(step) === STEP ? BIG_STEP / STEP : 1;
    if (step) this.move(index, this.range[index] + step * times * (right - left));
    else if (event.key === "Home") this.move(index, left);
    else if (event.key === "End") this.move(index, right);
    else return;
    event.preventDefault();
  }

  grab(index, event) {
    const handle = event.currentTarget;
    handle.focus();
    handle.setPointerCapture(event.pointerId);
    event.preventDefault();
    // The scale stands still while it is dragged.
    this.dragged = this.domain;
    const drag = ({ clientX }) => {
      const { left, width } = this.plot.getBoundingClientRect();
      const [low, high] = this.domain;
      this.move(index, low + ((clientX - left) / width) * (high - low));
    };
    const drop = () => {
      handle.removeEventListener("pointermove", drag);
      this.dragged = null;
      this.setCounts([this.counts, this.edges], this);
    };
    handle.addEventListener("pointermove", drag);
    handle.addEventListener("lostpointercapture", drop, { once: true });
  }

  /** Move an end; it stays on its side of the other, and whole where the domain is wide and whole. */
  move(index, value) {
    const [left, right] = this.domain;
    const least = (right - left) * 1e-3;
    const within = Math.min(Math.max(value, left), right);
    const other = this.range[1 - index];
    const apart = index === 0 ? Math.min(within, other - least) : Math.max(within, other + least);
    const moved = rounded(right - left > 200 ? Math.round(apart) : apart);
    if (index === 0 ? moved >= other : moved <= other) return;
    this.range[index] = moved;
    this.draw();
    this.onchange([...this.range]);
  }
}

const short = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "–");

const percent = (share) => `${Math.min(Math.max(share, 0), 1) * 100}%`;

function withRoom(low, high) {
  const room = (high - low || Math.abs(low) || 1) * 0.02;
  return [low - room, high + room];
}

/** Return the ends of all but one in a thousand at either end; null without counts. */
export function trimmed(counts, edges) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let [first, last, below, above] = [0, counts.length - 1, counts[0], counts.at(-1)];
  while (first < last && below <= total / 1000) below += counts[++first];
  while (last > first && above <= total / 1000) above += counts[--last];
  return [edges[first], edges[last + 1]];
}

/** Return the outline of bars, as path data in a box of 300 by 72. */
export function barsPath(counts, edges, [left, right], isLog) {
  const height = isLog ? Math.log1p : (count) => count;
  const tallest = Math.max(...counts.map(height), Number.MIN_VALUE);
  const x = (value) => (Math.min(Math.max((value - left) / (right - left), 0), 1) * WIDTH).toFixed(1);
  const steps = counts.map((count, index) => {
    const y = (HEIGHT - (height(count) / tallest) * (HEIGHT - 4)).toFixed(1);
    return `H${x(edges[index])}V${y}H${x(edges[index + 1])}`;
  });
  return counts.length ? `M${x(edges[0])} ${HEIGHT}${steps.join("")}V${HEIGHT}Z` : "";
}

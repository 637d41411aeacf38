/** The range of each band: presets, a histogram with handles, and numbers. */

import { h, iconButton } from "../dom.js";
import { mistakeOf, put, segments, textButton, toggle } from "./fields.js";
import { Histogram } from "./histogram.js";
import { PRESETS, rangeOf, rounded } from "./presets.js";

const AGAIN = "M20 11a8 8 0 1 0-2.300 6M20 5v6h-6";
const PLACES = [
  ["view", "Visible view"],
  ["all", "Whole layer"],
];
const CHANNELS = ["red", "green", "blue"];

/** The section of ranges. */
export class RangeSection {
  /** @param {{change: (patch: object) => void, figures: import("./figures.js").Figures}} editor */
  constructor(editor) {
    this.editor = editor;
    this.preset = null;
    this.place = "view";
    this.names = [];
    this.rows = [];
    this.places = segments("Figures of", PLACES, (place) => this.measure({ place }));
    this.chips = PRESETS.map(({ name, label }) =>
      textButton(label, () => this.usePreset(name), { "aria-pressed": "false" }),
    );
    this.status = h("p", { className: "quiet small", role: "status" });
    this.log = toggle("Logarithmic counts", () => this.drawCounts());
    this.body = h("div", { className: "bands-ranges" });
    const again = iconButton(AGAIN, "Measure again", () => this.measure({ again: true }));
    this.element = h(
      "section",
      { className: "style-part" },
      h("h3", {}, "Range"),
      h("div", { className: "row" }, this.places.element, again),
      h("div", { className: "chips", role: "group", "aria-label": "Presets" }, this.chips),
      this.status,
      this.body,
      mistakeOf("min"),
      mistakeOf("max"),
      this.log.element,
    );
    this.places.show(this.place);
  }

  /** Show a look: rows of bands are made anew only if they are others. */
  show(look) {
    this.element.hidden = Boolean(look.classes) || look.curve === "equalize" || look.min.length === 0;
    const names = namesOf(look);
    if (String(names) !== String(this.names)) this.makeRows(names);
    this.rows.forEach(({ histogram, boxes }, index) => {
      const range = [look.min[index], look.max[index]];
      histogram.setRange(range);
      boxes.forEach((box, end) => put(box, Number.isFinite(range[end]) ? range[end] : ""));
    });
    this.chips.forEach((chip, index) => {
      chip.ariaPressed = String(PRESETS[index].name === this.preset);
    });
  }

  makeRows(names) {
    this.names = names;
    this.figures = null;
    this.rows = names.map((name, index) => {
      const histogram = new Histogram(name, (range) => this.setRange(index, range));
      const boxes = ["Minimum", "Maximum"].map((what, end) =>
        h("input", {
          type: "number",
          step: "any",
          "aria-label": `${what} of ${name}, number`,
          oninput: ({ target }) => this.typed(index, end, target),
        }),
      );
      const element = h(
        "div",
        { className: "band-range" },
        h("div", { className: "band-range-head" }, boxes[0], h("span", {}, name), boxes[1]),
        histogram.element,
      );
      if (names.length === 3) element.classList.add(CHANNELS[index]);
      return { histogram, boxes, element };
    });
    this.body.replaceChildren(...this.rows.map(({ element }) => element));
  }

  typed(index, end, { value, valueAsNumber }) {
    const { min, max } = this.editor.look;
    const range = [min[index], max[index]];
    range[end] = value === "" ? Number.NaN : valueAsNumber;
    this.setRange(index, range);
  }

  setRange(index, [low, high]) {
    const { min, max } = this.editor.look;
    this.preset = null;
    this.editor.change({ min: min.with(index, low), max: max.with(index, high) }, { slides: true });
  }

  async usePreset(name) {
    this.preset = name;
    this.show(this.editor.look);
    await this.measure();
  }

  /** Measure where it is not known yet, or again, and apply the preset that is chosen. */
  measure(how = {}) {
    this.measured = this.ask(how);
    return this.measured;
  }

  async ask({ place = this.place, again = false }) {
    this.place = place;
    this.places.show(place);
    this.status.textContent = "Measuring…";
    const asked = (this.asked = {});
    if (this.element.hidden) return;
    try {
      const found = await this.editor.figures.of(this.editor.look, { place, again });
      if (asked !== this.asked) return;
      this.figures = found;
      this.drawCounts();
      this.status.textContent = told(Object.values(found), place);
      this.applyPreset();
    } catch (error) {
      if (asked === this.asked && error.name !== "AbortError") this.status.textContent = `Not measured. ${error.message}`;
    }
  }

  drawCounts() {
    Object.values(this.figures ?? {}).slice(0, this.rows.length).forEach((_, index) => {
      const figures = this.figuresAt(index);
      this.rows[index].histogram.setCounts(figures?.histogram ?? [[], []], { isLog: this.log.input.checked });
    });
  }

  figuresAt(index) {
    const { mode, bands } = this.editor.look;
    return (mode === "one" || mode === "three") ? this.figures[bands[index]] : Object.values(this.figures)[0];
  }

  applyPreset() {
    if (!this.preset) return;
    const { min, max } = this.editor.look;
    const ranges = this.rows.map((_, index) => rangeOf(this.figuresAt(index), this.preset) ?? [min[index], max[index]]);
    this.editor.change({ min: ranges.map(([low]) => low), max: ranges.map(([, high]) => high) });
  }
}

function namesOf({ mode, bands, algorithm }) {
  if (mode === "one" || mode === "three") return bands;
  return [{ formula: "Formula", like: "Similarity" }[mode] ?? algorithm];
}

function told(figures, place) {
  const count = Math.max(0, ...figures.map((each) => each.count ?? 0));
  const where = place === "view" ? "in view" : "of the layer";
  if (count === 0) return place === "view" ? "There are no values in view: move the map, or take the whole layer." : "There are no values.";
  const share = Math.min(...figures.map((each) => each.valid_percent ?? 100));
  return `${count.toLocaleString("en")} pixels ${where}${share < 99.95 ? `, ${rounded(100 - share).toPrecision(2)} % masked` : ""}`;
}

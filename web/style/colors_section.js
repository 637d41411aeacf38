/** The colours of one band: a palette, or classes and intervals; elevations in relief. */

import { h } from "../dom.js";
import { ClassTable } from "./class_table.js";
import { intervals, singles } from "./classes.js";
import { put, segments, textButton, toggle } from "./fields.js";
import { PalettePicker } from "./palette_picker.js";
import { colorsOf } from "./palettes.js";

const KINDS = [
  ["palette", "Palette"],
  ["classes", "Classes"],
];

/** The section of colours. */
export class ColorsSection {
  /**
   * @param {{change: (patch: object) => void, maps: Map<string, object>,
   *   known: {value: number, name: string, color: string}[]}} editor `known` are the layer's own classes.
   */
  constructor(editor) {
    this.editor = editor;
    this.kinds = segments("Colours", KINDS, (kind) => this.setKind(kind));
    this.picker = new PalettePicker(editor.maps, (palette) => editor.change({ palette }));
    const names = new Map(editor.known.map(({ value, name }) => [value, name]));
    this.table = new ClassTable((classes) => editor.change({ classes }, { slides: true }), names);
    this.count = h("input", { type: "number", min: 2, max: 64, step: 1, value: 5, "aria-label": "Number of intervals" });
    this.makers = h(
      "div",
      { className: "row wrap" },
      textButton("A class for each whole number", () => this.makeSingles()),
      h("span", { className: "interval-maker" }, textButton("Intervals:", () => this.makeIntervals()), this.count),
    );
    this.note = h("p", { className: "quiet small", role: "status" });
    this.relief = toggle("Shaded relief", (relief) => editor.change({ relief }));
    this.element = h(
      "section",
      { className: "style-part" },
      h("h3", {}, "Colours"),
      this.kinds.element,
      this.picker.element,
      this.makers,
      this.note,
      this.table.element,
      this.relief.element,
    );
  }

  /** Show a look. */
  show(look) {
    this.element.hidden = look.mode === "three" || (look.mode === "terrain" && look.min.length === 0 && !look.classes);
    const isClassed = look.classes !== null;
    this.kinds.show(isClassed ? "classes" : "palette");
    this.makers.hidden = !isClassed;
    this.note.hidden = !isClassed;
    this.table.element.hidden = !isClassed;
    this.picker.show(look.palette);
    if (isClassed) this.table.show(look.classes);
    this.relief.element.hidden = isClassed || look.mode !== "one";
    this.relief.input.checked = look.relief;
  }

  setKind(kind) {
    if (kind === "palette") return this.editor.change({ classes: null }, { measure: this.editor.look.min.length === 0 });
    if (this.editor.known.length) return this.makeSingles();
    const { min, max } = this.editor.look;
    const isFew = Number.isInteger(min[0]) && Number.isInteger(max[0]) && max[0] - min[0] <= 20;
    return isFew ? this.makeSingles() : this.makeIntervals();
  }

  get range() {
    const { min, max, classes } = this.editor.look;
    if (min.length) return [min[0], max[0]];
    const ends = (classes ?? []).flatMap(({ low, high }) => [low, high ?? low]);
    return ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
  }

  get colors() {
    return colorsOf(this.editor.look.palette || "viridis", this.editor.maps);
  }

  makeSingles() {
    const own = this.editor.known.map(({ value, color }) => ({ low: value, high: null, color, alpha: "" }));
    const classes = own.length ? own : singles(...this.range, this.colors);
    this.take(classes, "Too many whole numbers in the range: make intervals, or narrow it.");
  }

  async makeIntervals() {
    // The extremes are those of the figures, which may be on their way.
    await this.editor.range.measured;
    const count = Math.min(Math.max(Math.round(this.count.valueAsNumber) || 5, 2), 64);
    put(this.count, count);
    const classes = intervals(...this.range, count, this.colors);
    this.take(this.editor.range.figures ? widened(classes, this.editor.range.figuresAt(0)) : classes, "");
  }

  take(classes, otherwise) {
    this.note.textContent = classes ? "" : otherwise;
    if (classes) this.editor.change({ classes, relief: false, curve: "" });
  }
}

/** Return intervals of which the first and the last hold the extremes, too. */
function widened(classes, { min, max }) {
  const [first, last] = [classes[0], classes.at(-1)];
  if (Number.isFinite(min) && min < first.low) first.low = Math.floor(min);
  if (Number.isFinite(max) && max >= last.high) last.high = Math.floor(max) + 1;
  return classes;
}

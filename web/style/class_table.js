/** The table of classes: a value or an interval, and its colour, in each row. */

import { h, iconButton } from "../dom.js";
import { MAX_CLASSES, wrongOf } from "./classes.js";
import { mistakeOf, textButton } from "./fields.js";

/** The table; `show(classes)` sets it. */
export class ClassTable {
  /**
   * @param {(classes: import("./classes.js").ColorClass[]) => void} onchange called with classes that are right.
   * @param {Map<number, string>} names of classes by value, where they are known.
   */
  constructor(onchange, names) {
    this.onchange = onchange;
    this.names = names;
    this.classes = [];
    this.rows = h("div", { className: "class-rows" });
    this.mistake = mistakeOf("colormap");
    this.element = h("div", { className: "class-table" }, this.rows, this.mistake, textButton("Add a class", () => this.add()));
  }

  /** Show classes; rows that somebody is typing in stay. */
  show(classes) {
    if (JSON.stringify(classes) === JSON.stringify(this.classes)) return;
    this.classes = classes;
    this.draw();
  }

  draw() {
    this.rows.replaceChildren(...this.classes.map((each, index) => this.row(each, index)));
  }

  row(each, index) {
    const name = this.names.get(each.low);
    const number = (key, label) =>
      h("input", {
        type: "number",
        step: "any",
        value: each[key],
        "aria-label": `${label} of class ${index + 1}`,
        oninput: ({ target }) => this.set(index, { [key]: target.value === "" ? Number.NaN : target.valueAsNumber }),
      });
    const color = h("input", {
      type: "color",
      value: each.color,
      "aria-label": `Colour of class ${index + 1}`,
      oninput: ({ target }) => this.set(index, { color: target.value }),
    });
    const ends = each.high === null ? [number("low", "Value")] : [number("low", "Start"), number("high", "End")];
    return h(
      "div",
      { className: "class-row" },
      color,
      ends,
      h("span", { className: "class-name" }, each.high === null && name !== String(each.low) ? (name ?? "") : ""),
      iconButton("close", `Remove class ${index + 1}`, () => this.remove(index)),
    );
  }

  set(index, members) {
    this.take(this.classes.with(index, { ...this.classes[index], ...members }));
  }

  remove(index) {
    this.take(this.classes.toSpliced(index, 1));
    this.draw();
    const buttons = this.rows.querySelectorAll(".icon-button");
    (buttons[index] ?? [...buttons].at(-1) ?? this.element.lastChild).focus();
  }

  add() {
    const last = this.classes.at(-1) ?? { low: 0, high: null, color: "#808080", alpha: "" };
    if (this.classes.length >= MAX_CLASSES) return;
    const width = last.high === null ? 0 : last.high - last.low;
    const next = last.high === null ? { ...last, low: last.low + 1 } : { ...last, low: last.high, high: last.high + width };
    this.take([...this.classes, next]);
    this.draw();
    [...this.rows.querySelectorAll("input[type=number]")].at(next.high === null ? -1 : -2)?.focus();
  }

  take(classes) {
    this.classes = classes;
    const wrong = wrongOf(classes);
    this.mistake.textContent = wrong;
    this.mistake.hidden = !wrong;
    if (!wrong) this.onchange(classes);
  }
}

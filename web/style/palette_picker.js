/** Choose a palette: named ones with previews, searched and turned around, or a list of colours. */

import { h, iconButton } from "../dom.js";
import { mistakeOf, put, textButton } from "./fields.js";
import { colorsOf, gradient, matching, nameOf, readColors, reversed, textOf } from "./palettes.js";

const TURN = "M7 4L3 8l4 4M3 8h13M17 12l4 4-4 4M21 16H8";
const LEFT = "M14 6l-6 6 6 6";
const RIGHT = "M10 6l6 6-6 6";
const MAX_SWATCHES = 32;

/** The picker; `show(text)` sets it. */
export class PalettePicker {
  /**
   * @param {Map<string, object>} maps the server's colour maps by name.
   * @param {(text: string) => void} onchange called with the text of a palette, as queries have it.
   */
  constructor(maps, onchange) {
    this.maps = maps;
    this.onchange = onchange;
    this.text = "";
    this.bar = h("span", { className: "palette-bar" });
    this.name = h("span", { className: "palette-name" });
    this.open = h("button", { type: "button", className: "palette-open", "aria-expanded": "false", onclick: () => this.toggle() }, this.bar, this.name);
    this.search = h("input", {
      type: "search",
      placeholder: `Search ${maps.size} palettes`,
      "aria-label": "Search palettes by name or kind",
      oninput: () => this.list(),
    });
    this.found = h("div", { className: "palette-list", role: "group", "aria-label": "Palettes" });
    this.chooser = h("div", { className: "palette-chooser", hidden: true }, this.search, this.found);
    this.editing = h("textarea", { rows: 2, spellcheck: false, "aria-label": "Colours, as hex digits with commas between", oninput: () => this.typed() });
    this.mistake = mistakeOf("palette", this.editing);
    this.swatches = h("div", { className: "swatches" });
    const details = h("details", { className: "palette-edit" }, h("summary", {}, "Edit colours"), this.swatches, this.editing, this.mistake);
    this.element = h(
      "div",
      { className: "palette-picker" },
      h("div", { className: "row" }, this.open, iconButton(TURN, "Reverse the palette", () => this.choose(reversed(this.text, maps)))),
      this.chooser,
      details,
    );
  }

  toggle(isOpen = this.chooser.hidden) {
    this.chooser.hidden = !isOpen;
    this.open.ariaExpanded = String(isOpen);
    if (!isOpen) return;
    this.list();
    this.search.focus({ preventScroll: true });
  }

  list() {
    const names = matching(this.maps, this.search.value);
    const none = h("p", { className: "quiet small" }, "No palette has that name. Kinds are sequential, diverging, cyclic and qualitative.");
    this.found.replaceChildren(...(names.length ? names.map((name) => this.row(name)) : [none]));
  }

  row(name) {
    const bar = h("span", { className: "palette-bar" });
    const { colors, kind } = this.maps.get(name);
    bar.style.background = gradient(colors, kind === "qualitative");
    const chosen = this.text.toLowerCase().replace(/_r$/, "") === name;
    const props = { type: "button", className: "palette-row", "aria-pressed": String(chosen), title: kind };
    return h("button", { ...props, onclick: () => this.choose(name) }, bar, h("span", {}, name));
  }

  choose(text) {
    this.show(text);
    for (const row of this.found.querySelectorAll(".palette-row")) {
      row.ariaPressed = String(row.lastChild.textContent === text.replace(/_r$/, ""));
    }
    this.onchange(text);
  }

  /** Show a palette; "" is grey. */
  show(text) {
    this.text = text;
    const colors = colorsOf(text, this.maps);
    this.bar.style.background = gradient(colors);
    const name = text.includes(",") ? nameOf(text, this.maps) : text || "gray";
    this.name.textContent = name ?? `${colors.length} colours`;
    this.open.ariaLabel = `Palette: ${this.name.textContent}`;
    put(this.editing, colors.join(", "));
    this.showSwatches(colors);
  }

  typed() {
    const { colors, wrong } = readColors(this.editing.value);
    this.mistake.textContent = wrong;
    this.mistake.hidden = !wrong;
    this.editing.ariaInvalid = wrong ? "true" : null;
    if (!wrong) this.edit(colors);
  }

  edit(colors) {
    const text = textOf(colors);
    this.show(text);
    this.onchange(text);
  }

  showSwatches(colors) {
    const told = colors.join();
    if (this.swatches.told === told) return;
    this.swatches.told = told;
    if (colors.length > MAX_SWATCHES) {
      const fewer = textButton("Make it 9 colours", () => this.edit(sampled(colors, 9)));
      return this.swatches.replaceChildren(h("p", { className: "quiet small" }, `${colors.length} colours.`), fewer);
    }
    const focused = [...this.swatches.querySelectorAll("input, button")].indexOf(document.activeElement);
    const add = textButton("Add", () => this.edit([...colors, colors.at(-1)]), { "aria-label": "Add a colour" });
    this.swatches.replaceChildren(...colors.map((color, index) => this.swatch(colors, color, index)), add);
    if (focused >= 0) this.swatches.querySelectorAll("input, button")[focused]?.focus();
  }

  swatch(colors, color, index) {
    const at = `Colour ${index + 1}`;
    const moved = (to) => this.edit(colors.with(index, colors[to]).with(to, color));
    const pick = h("input", {
      type: "color",
      value: color,
      "aria-label": at,
      onchange: ({ target }) => this.edit(colors.with(index, target.value)),
    });
    return h(
      "span",
      { className: "swatch" },
      index > 0 && iconButton(LEFT, `Move colour ${index + 1} to the left`, () => moved(index - 1)),
      pick,
      index < colors.length - 1 && iconButton(RIGHT, `Move colour ${index + 1} to the right`, () => moved(index + 1)),
      colors.length > 2 && iconButton("close", `Remove colour ${index + 1}`, () => this.edit(colors.toSpliced(index, 1))),
    );
  }
}

const sampled = (colors, count) =>
  Array.from({ length: count }, (_, index) => colors[Math.round((index * (colors.length - 1)) / (count - 1))]);

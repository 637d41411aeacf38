/** What is drawn: one band, three, a formula of bands, or what is made of elevations. */

import { h } from "../dom.js";
import { choice, field, mistakeOf, put, segments, setOptions, slider, textButton } from "./fields.js";
import { composites, formulas } from "./formulas.js";
import { ALGORITHMS } from "./model.js";

const MODES = [
  ["one", "One band"],
  ["three", "Three bands"],
  ["formula", "Formula"],
  ["terrain", "Terrain"],
];
const CHANNELS = ["Red", "Green", "Blue"];

/** The first section of the editor. */
export class SourceSection {
  /** @param {{change: (patch: object, how?: object) => void, bands: string[], own: object}} editor */
  constructor(editor) {
    this.editor = editor;
    this.modes = segments("What is drawn", MODES, (mode) => this.setMode(mode));
    this.one = choice(editor.bands, (band) => editor.change({ bands: [band] }, { measure: true }));
    this.three = CHANNELS.map((_, index) => choice(editor.bands, (band) => this.setBand(index, band)));
    this.formula = h("textarea", {
      rows: 2,
      spellcheck: false,
      placeholder: "(B8 - B4) / (B8 + B4)",
      oninput: () => this.typed(),
    });
    this.parts = {
      one: field("Band", this.one, "bands"),
      three: h("div", {}, this.makeComposites(), this.makeChannels()),
      formula: this.makeFormula(),
      terrain: this.makeTerrain(),
      like: h("p", { className: "quiet" }, "Similarity to the pixel at a place, as the layer has it."),
    };
    this.element = h("section", { className: "style-part" }, h("h3", {}, "Show"), this.modes.element, Object.values(this.parts));
  }

  makeChannels() {
    return h(
      "div",
      { className: "channels" },
      this.three.map((select, index) => h("label", { className: CHANNELS[index].toLowerCase() }, CHANNELS[index], select)),
      mistakeOf("bands", ...this.three),
    );
  }

  makeComposites() {
    const { bands, own } = this.editor;
    const known = composites(bands, own.bands?.split(",") ?? []);
    const chips = known.map((each) => textButton(each.name, () => this.editor.change({ bands: each.bands }, { measure: true })));
    return chips.length > 0 && h("div", { className: "chips" }, chips);
  }

  makeFormula() {
    const known = formulas(this.editor.bands, this.editor.own.bands?.split(",") ?? []);
    const chips = known.map(({ name, text, palette }) =>
      textButton(name, () => {
        this.formula.value = text;
        this.editor.change({ mode: "formula", expression: text, palette, classes: null, curve: "" }, { measure: true });
      }),
    );
    const names = this.editor.bands.slice(0, 12).join(", ") + (this.editor.bands.length > 12 ? " …" : "");
    return h(
      "div",
      {},
      chips.length > 0 && h("div", { className: "chips" }, chips),
      field("Formula", this.formula, "expression"),
      h("p", { className: "quiet small" }, `Bands: ${names}`),
    );
  }

  makeTerrain() {
    const options = Object.entries(ALGORITHMS).map(([value, { label }]) => [value, label]);
    this.algorithm = choice(options, (algorithm) =>
      this.editor.change({ algorithm, terrain: {}, palette: "", classes: null, curve: "" }, { measure: true }),
    );
    this.elevations = choice(this.editor.bands, (band) => this.editor.change({ bands: [band] }));
    this.numbers = h("div", {});
    this.numbersOf = null;
    const band = field("Elevations", this.elevations, "bands");
    band.hidden = this.editor.bands.length < 2;
    return h("div", {}, field("Product", this.algorithm, "algorithm"), band, this.numbers);
  }

  typed() {
    this.editor.change({ mode: "formula", expression: this.formula.value.replace(/\s+/g, " ").trim() }, { measure: true, slides: true });
  }

  setMode(mode) {
    const { look, bands, own } = this.editor;
    const take = (patch) => this.editor.change({ mode, curve: "", classes: null, ...patch }, { measure: true });
    const first = look.mode === "three" || look.mode === "one" ? look.bands[0] : bands[0];
    if (mode === "one") return take({ bands: [first ?? bands[0]] });
    if (mode === "three") return take({ bands: threeOf(bands, own), palette: "" });
    if (mode === "terrain") return take({ bands: [first ?? bands[0]], palette: "", terrain: {}, resampling: "nearest" });
    const expression = look.expression || formulas(bands, own.bands?.split(",") ?? [])[0]?.text || `${safe(first ?? bands[0])} * 1`;
    this.formula.value = expression;
    return take({ expression });
  }

  setBand(index, band) {
    const bands = this.editor.look.bands.with(index, band);
    this.editor.change({ bands }, { measure: true });
  }

  /** Show a look. */
  show(look) {
    const modes = MODES.map(([mode]) => mode).filter((mode) => mode !== "three" || this.editor.bands.length >= 3);
    this.modes.show(look.mode, modes);
    for (const [mode, part] of Object.entries(this.parts)) part.hidden = mode !== look.mode;
    if (look.mode === "one") put(this.one, look.bands[0]);
    if (look.mode === "three") this.three.forEach((select, index) => put(select, look.bands[index]));
    if (look.mode === "formula") put(this.formula, look.expression);
    if (look.mode === "terrain") this.showTerrain(look);
  }

  showTerrain({ algorithm, terrain, bands }) {
    const known = Object.entries(ALGORITHMS).map(([value, { label }]) => [value, label]);
    setOptions(this.algorithm, algorithm in ALGORITHMS ? known : [...known, [algorithm, algorithm]]);
    put(this.algorithm, algorithm);
    put(this.elevations, bands[0] ?? this.editor.bands[0]);
    if (this.numbersOf !== algorithm) this.makeNumbers(algorithm);
    for (const { name, usual, control } of this.controls) control.show(terrain[name] ?? usual);
  }

  makeNumbers(algorithm) {
    this.numbersOf = algorithm;
    this.controls = (ALGORITHMS[algorithm]?.parameters ?? []).map((each) => {
      const { name, label, low, high } = each;
      const step = high <= 20 ? 0.1 : 1;
      const control = slider(label, { low, high, step, parameter: name }, (value) => {
        const { terrain } = this.editor.look;
        this.editor.change({ terrain: { ...terrain, [name]: Number.isFinite(value) ? String(value) : "" } }, { slides: true });
      });
      return { ...each, control };
    });
    this.numbers.replaceChildren(...this.controls.map(({ control }) => control.element));
  }
}

const threeOf = (bands, own) => {
  const listed = own.bands?.split(",") ?? [];
  return listed.length === 3 ? listed : bands.slice(0, 3);
};

/** Return a band as a formula has it. */
export const safe = (band) => (/^[A-Za-z_]\w*$/.test(band) ? band : `b(${JSON.stringify(band)})`);

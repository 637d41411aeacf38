/** The style editor of one layer, in the drawer: what is changed shows on the map at once. */

import { fetchColormaps, fetchFrom } from "../api.js";
import { h, icon, styleSheet } from "../dom.js";
import { absolute } from "../links.js";
import { ColorsSection } from "./colors_section.js";
import { mistakesIn, showMistakes, textButton } from "./fields.js";
import { Figures } from "./figures.js";
import { changed, lookOf, mistakes, parametersOf, sameParameters } from "./model.js";
import { nameOf } from "./palettes.js";
import { RangeSection } from "./range_section.js";
import { SaveSection } from "./save_section.js";
import { SourceSection } from "./source_section.js";
import { ToneSection } from "./tone_section.js";

await styleSheet("css/style_editor.css");

const DELAY_MS = 200;
const TYPING_MS = 400;
/** Parameters whose values are right if they were right here: the server need not be asked before. */
const PLAIN = new Set(["min", "max", "gamma", "palette"]);

let maps = null;

/** Open the editor of an entry; resolves when it shows. */
export async function openEditor(entry, context, opener) {
  const [own, now, colormaps] = await Promise.all([
    fetchLook(entry.layer, {}),
    fetchLook(entry.layer, entry.style),
    maps ?? fetchColormaps(),
  ]);
  maps ??= new Map(colormaps.colormaps.map((map) => [map.name, map]));
  const editor = new Editor(entry, context, own, now);
  const onclose = () => editor.close();
  context.drawer.open({ title: `Style of ${entry.layer.title}`, element: editor.element, opener, onclose });
  editor.start();
}

const pathOf = ({ name }) => name.split("/").map(encodeURIComponent).join("/");
const fetchLook = (layer, style) => fetchFrom(`info/${pathOf(layer)}`, style);

/** Holds the look, and keeps the controls, the state and the map in step with it. */
class Editor {
  constructor(entry, { state, map, permalink }, own, now) {
    Object.assign(this, { id: entry.id, layer: entry.layer, state, map, maps });
    this.own = own.parameters;
    this.bands = own.bands.map(({ id }) => id);
    this.known = own.style.classes ?? [];
    this.ownLook = this.read(own);
    // As the look writes them: 1e-7, not 1e-07.
    this.plain = parametersOf(this.ownLook, this.own);
    this.look = this.read(now);
    this.sent = entry.style;
    this.turn = 0;
    this.figures = new Figures(entry.layer, own.parameters, { id: entry.id, map });
    this.source = new SourceSection(this);
    this.range = new RangeSection(this);
    this.colors = new ColorsSection(this);
    this.tone = new ToneSection(this);
    this.save = new SaveSection(entry.layer, () => ({
      parameters: this.savedParameters,
      link: absolute("") + permalink.fragment,
    }));
    this.wrong = h("p", { className: "wrong", role: "alert", hidden: true });
    this.undo = button("undo", "Undo", () => state.undo());
    this.redo = button("redo", "Redo", () => state.redo());
    this.reset = textButton("Reset", () => this.toOwn(), { title: "Back to the layer’s own style" });
    const bar = h("div", { className: "style-bar" }, this.undo, this.redo, this.reset);
    const sections = [this.source, this.range, this.colors, this.tone, this.save].map(({ element }) => element);
    this.element = h("div", { className: "style-editor" }, bar, this.wrong, sections);
    this.onchange = ({ detail }) => this.follow(detail);
  }

  /** Return the look of an answer of GET /info: classes where the palette is one of classes. */
  read({ parameters, style }) {
    const look = lookOf(parameters);
    if (!style.classes || look.classes || look.mode !== "one") return { ...look, palette: this.named(look.palette) };
    const classes = style.classes.map(({ value, color }) => ({ low: value, high: null, color, alpha: "" }));
    return { ...look, classes };
  }

  named(palette) {
    return (palette.includes(",") && nameOf(palette, this.maps)) || palette;
  }

  start() {
    this.state.addEventListener("change", this.onchange);
    this.map.live?.(this.id, true);
    this.show();
    this.range.measure();
  }

  close() {
    this.state.removeEventListener("change", this.onchange);
    clearTimeout(this.timer);
    this.turn += 1;
    this.map.live?.(this.id, false);
  }

  get entry() {
    return this.state.find(this.id);
  }

  /** All parameters of what is shown, with the opacity that the page adds. */
  get savedParameters() {
    const found = parametersOf(this.look, this.own);
    const opacity = Number(found.opacity ?? 1) * (this.entry?.opacity ?? 1);
    return { ...found, ...((found.opacity || opacity !== 1) && { opacity: String(Number(opacity.toFixed(3))) }) };
  }

  /**
   * Change the look.
   *
   * @param {object} patch members of the look.
   * @param {{measure?: boolean, slides?: boolean}} how with `measure` other values are drawn: their
   *   range is found first; with `slides` it may be one step of undo with the change before.
   */
  change(patch, { measure = false, slides = false } = {}) {
    this.look = { ...this.look, ...patch };
    this.slides = slides;
    if (measure && (patch.mode || patch.algorithm)) this.range.preset = null;
    if (patch.classes === null && this.look.min.length === 0) measure = true;
    this.show();
    this.turn += 1;
    clearTimeout(this.timer);
    const wrong = mistakes(this.look);
    this.tell(measure && !wrong.expression ? {} : wrong);
    if (Object.keys(wrong).length && !measure) return;
    if (wrong.expression) return;
    const wait = measure ? (patch.expression === undefined ? 0 : TYPING_MS) : this.delay();
    if (wait === 0 && !measure) this.send();
    else this.timer = setTimeout(() => (measure ? this.measure() : this.check()), wait);
  }

  /** How long to wait for more changes: not at all where the map recolours what it has. */
  delay() {
    const parts = changed(this.parameters, this.before);
    return this.map.isLive?.(this.id) && parts.every((name) => PLAIN.has(name)) ? 0 : DELAY_MS;
  }

  get parameters() {
    return parametersOf(this.look, this.own);
  }

  /** The parameters of what the map shows. */
  get before() {
    return Object.keys(this.sent).length ? this.sent : this.plain;
  }

  setOpacity(value) {
    this.state.setOpacity(this.id, value);
  }

  /** Find the range of other values, by the layer's own look or the server's rule. */
  async measure() {
    const turn = this.turn;
    try {
      const found = isSameSource(this.look, this.ownLook) ? this.ownLook : await this.usualLook();
      if (turn !== this.turn) return;
      const { min, max } = found;
      const isOwn = found === this.ownLook;
      const colors = isOwn ? { palette: found.palette, classes: found.classes, relief: found.relief } : {};
      if (this.look.mode === "terrain" && !this.look.palette) colors.palette = found.palette;
      this.look = { ...this.look, min, max, ...colors };
      this.show();
      this.tell(mistakes(this.look));
      this.send();
      this.range.measure();
    } catch (error) {
      if (turn === this.turn) this.tell(mistakesIn(error.message));
    }
  }

  async usualLook() {
    const { relief, ...wanted } = parametersOf({ ...this.look, min: [], max: [], gamma: 1 }, this.own);
    return this.read(await fetchLook(this.layer, wanted));
  }

  /** Draw the look, after the server has agreed to it where it has not seen such a one yet. */
  async check() {
    const turn = this.turn;
    const style = this.parameters;
    try {
      const parts = changed(style, this.before);
      if (parts.some((name) => !PLAIN.has(name))) await fetchFrom(`tilejson/${pathOf(this.layer)}.json`, style);
      if (turn === this.turn) this.send();
    } catch (error) {
      if (turn === this.turn) this.tell(mistakesIn(error.message));
    }
  }

  send() {
    const style = sameParameters(this.parameters, this.plain) ? {} : this.parameters;
    if (!this.entry || sameParameters(style, this.entry.style)) return;
    this.sent = style;
    this.state.setStyle(this.id, style, { slides: this.slides });
  }

  toOwn() {
    this.range.preset = null;
    this.state.setStyle(this.id, {}, { slides: false });
  }

  /** Take over what was changed elsewhere: undo, a link, another control of the page. */
  async follow({ id }) {
    const { entry } = this;
    if (!entry) return this.element.replaceChildren(h("p", { className: "quiet" }, "The layer was removed."));
    this.showState();
    if (sameParameters(entry.style, this.sent) || (id !== null && id !== this.id)) return;
    this.sent = entry.style;
    this.turn += 1;
    const turn = this.turn;
    try {
      const look = Object.keys(entry.style).length ? this.read(await fetchLook(this.layer, entry.style)) : this.ownLook;
      if (turn !== this.turn) return;
      const isOther = !isSameSource(look, this.look);
      this.look = look;
      this.range.preset = null;
      this.show();
      this.tell({});
      if (isOther) this.range.measure();
    } catch (error) {
      if (turn === this.turn) this.tell(mistakesIn(error.message));
    }
  }

  show() {
    this.source.show(this.look);
    this.range.show(this.look);
    this.colors.show(this.look);
    this.showState();
  }

  showState() {
    this.tone.show(this.look, this.entry?.opacity ?? 1);
    this.undo.ariaDisabled = String(!this.state.canUndo);
    this.redo.ariaDisabled = String(!this.state.canRedo);
    this.save.show();
  }

  tell(wrong) {
    const left = showMistakes(this.element, wrong);
    this.wrong.textContent = left.join(" ");
    this.wrong.hidden = left.length === 0;
  }
}

const button = (name, text, onclick) =>
  h("button", { type: "button", className: "button", onclick }, icon(name), text);

/** Return whether two looks draw the same values. */
function isSameSource(one, other) {
  const told = ({ mode, bands, expression, algorithm, terrain, kept, nodata }) =>
    JSON.stringify([mode, mode === "formula" ? expression : bands, mode === "terrain" && [algorithm, terrain], kept, nodata]);
  return told(one) === told(other);
}

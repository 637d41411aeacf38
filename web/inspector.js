/** The values under a point: every band of every visible layer, followed while the card is open. */

import { fetchPoint, valueQuery } from "./api.js";
import { copyText, h, icon, iconButton } from "./dom.js";
import { wrapped } from "./geometry.js";
import { infoOf } from "./infos.js";
import { showNote } from "./messages.js";
import { titleOf } from "./row.js";
import { toCsv } from "./table.js";
import { featureReadings, formatPixel, formatPlace, formatValue, onMap, readings, toJson, toRows } from "./values.js";

const RETRY_MS = 5000;
const LONGEST_RETRY_MS = 60_000;
const CLICK_PX = 6;
const TABLE = "M4 5h16v14H4zM4 10h16M4 15h16M10 5v14";

/**
 * Buttons below the values of a layer; `applies` says for which entries one is shown.
 *
 * @type {{name: string, label: string, icon: string, applies: (entry: object) => boolean,
 *   open: (entry: object, place: {lon: number, lat: number}, context: object, opener: HTMLElement) => void}[]}
 */
export const pointTools = [];

/** The card that shows them. */
export class Inspector {
  /**
   * @param {HTMLElement} element the card, hidden until something is read.
   * @param {object} context of the page.
   * @param {() => void} onclose called when it is closed.
   */
  constructor(element, context, onclose) {
    this.element = element;
    this.context = context;
    this.onclose = onclose;
    this.place = null;
    this.sections = [];
    context.state.addEventListener("change", () => this.follow());
  }

  /** Read the visible entries, top first, at {lon, lat} and show what they say as it comes. */
  read({ lon, lat }) {
    this.stop();
    this.place = { lon: wrapped(lon), lat, zoom: this.context.map.view.zoom };
    this.list = h("div", { className: "card-body", "aria-live": "polite" });
    this.element.replaceChildren(this.head(), this.list);
    this.element.hidden = false;
    return this.follow();
  }

  head() {
    const { tile, pixelM } = onMap(this.place);
    const where = `z ${tile.z} · x ${tile.x} · y ${tile.y} · ${formatPixel(pixelM)}/px`;
    return h(
      "header",
      { className: "card-head" },
      h(
        "div",
        { className: "place" },
        h("h2", {}, formatPlace(this.place)),
        h("p", { className: "tile-address" }, where),
      ),
      iconButton("copy", "Copy as JSON", () => this.copy((sections) => toJson(this.place, sections))),
      iconButton(TABLE, "Copy as CSV", () => this.copy((sections) => toCsv(toRows(this.place, sections)))),
      iconButton("close", "Close", () => this.close()),
    );
  }

  /** Read what is visible now and was not read in its present form; keep the rest. */
  async follow() {
    const { place } = this;
    if (!place) return;
    const known = new Map(this.sections.map((section) => [section.subject, section]));
    const entries = this.context.state.visible;
    const sections = entries.map((entry) => known.get(subjectOf(entry)) ?? new Section(entry, place, this.context));
    if (sections.length === this.sections.length && sections.every((each, n) => each === this.sections[n])) {
      sections.forEach((section, n) => section.update(entries[n]));
      if (sections.length) return;
    }
    for (const section of this.sections) if (!sections.includes(section)) section.stop();
    this.sections = sections;
    const empty = h("p", { className: "quiet" }, "No layer is shown.");
    this.list.replaceChildren(...(sections.length ? sections.map(({ element }) => element) : [empty]));
    this.element.setAttribute("aria-busy", "true");
    await Promise.all(sections.map((section, n) => (section.update(entries[n]), section.read())));
    if (this.sections === sections) this.element.setAttribute("aria-busy", "false");
  }

  async copy(write) {
    const copied = await copyText(write(this.sections.filter(({ found }) => found)));
    showNote(copied ? "Values copied." : "The browser does not let the page copy.");
  }

  stop() {
    for (const section of this.sections) section.stop();
    this.sections = [];
    this.place = null;
  }

  /** Close it; returns whether it was open. */
  close() {
    if (this.element.hidden) return false;
    this.stop();
    this.element.hidden = true;
    this.onclose();
    return true;
  }
}

/** Return a text that is the same as long as an entry's values are. */
const subjectOf = ({ id, layer, style }) => JSON.stringify([id, layer.tiles, valueQuery(style)]);

/** One entry's values. */
class Section {
  constructor(entry, place, context) {
    this.entry = entry;
    this.subject = subjectOf(entry);
    this.place = place;
    this.reading = new AbortController();
    this.asked = null;
    this.found = null;
    this.retryMs = RETRY_MS;
    this.body = h("p", { className: "quiet" }, "Reading…");
    this.note = h("p", { className: "quiet value-note", hidden: true });
    this.element = h("section", { className: "values" }, h("h3", {}, titleOf(entry)), this.note, this.body);
    this.element.append(this.tools(context));
    this.element.dataset.layer = entry.id;
  }

  tools(context) {
    const { entry, place } = this;
    const fitting = pointTools.filter((tool) => tool.applies(entry));
    const button = ({ name, label, icon: image, open }) =>
      h(
        "button",
        {
          type: "button",
          className: "button",
          "data-tool": name,
          "aria-label": `${label}: ${titleOf(entry)}`,
          onclick: (event) => open(this.entry, place, context, event.currentTarget),
        },
        icon(image),
        label,
      );
    return h("div", { className: "actions", hidden: fitting.length === 0 }, fitting.map(button));
  }

  /** Read once; whoever asks again gets the same answer. */
  read() {
    this.asked ??= this.ask();
    return this.asked;
  }

  async ask() {
    const { signal } = this.reading;
    const { layer, style } = this.entry;
    try {
      // Values are shown without units, too, if there is no info.
      const known = infoOf(layer).catch(() => null);
      const { pixelM } = onMap(this.place);
      const place = layer.table ? { ...this.place, radius: CLICK_PX * pixelM } : this.place;
      const { values = {}, features = null, more = false } = await fetchPoint(layer, style, place, signal);
      this.info = await known;
      this.values = values;
      this.features = features;
      this.hasMore = more;
      this.fill();
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  fail(error) {
    this.replace(h("p", { className: "wrong" }, error.message));
    const again = () => {
      clearTimeout(this.timer);
      document.removeEventListener("serverback", again);
      this.asked = this.ask();
    };
    this.timer = setTimeout(again, this.retryMs);
    document.addEventListener("serverback", again, { signal: this.reading.signal });
    this.retryMs = Math.min(2 * this.retryMs, LONGEST_RETRY_MS);
  }

  /** Show a newer entry of the same values: another choice of bands marks other channels. */
  update(entry) {
    if (entry === this.entry) return;
    this.entry = entry;
    if (this.values) this.fill();
  }

  fill() {
    if (this.features) return this.fillFeatures();
    const { layer, style } = this.entry;
    const shown = style.bands?.split(",") ?? layer.bands;
    const classBands = layer.bands.length === 1 ? [...layer.bands, ...shown.slice(0, 1)] : [];
    this.found = readings(this.values, this.info, classBands);
    const pixel = formatPixel(Math.min(...(this.info?.bands ?? []).map((band) => band.scale_m ?? Infinity)));
    const notes = [style.time, pixel && `pixels of ${pixel}`].filter(Boolean);
    this.note.textContent = notes.join(" · ");
    this.note.hidden = notes.length === 0;
    this.replace(bandList(this.found, shown));
  }

  /** Show the properties of the features of a table. */
  fillFeatures() {
    const { features } = this;
    this.found = featureReadings(features);
    const count = this.hasMore ? `more than ${features.length} features` : `${features.length} features`;
    this.note.textContent = features.length > 1 ? count : "";
    this.note.hidden = features.length < 2;
    const list = ({ properties }) => bandList(featureReadings([{ properties }]), []);
    const nothing = h("p", { className: "quiet" }, "No feature here.");
    this.replace(features.length ? h("div", { className: "features" }, features.map(list)) : nothing);
  }

  replace(node) {
    this.body.replaceWith(node);
    this.body = node;
  }

  stop() {
    this.reading.abort();
    clearTimeout(this.timer);
  }
}

function bandList(found, shownBands) {
  if (found.every(({ value }) => value === null)) return h("p", { className: "quiet" }, "No data here.");
  return h("dl", { className: "bands" }, found.map((each) => bandValue(each, shownBands)));
}

function bandValue({ band, value, unit, className, quantity, description }, shownBands) {
  const more = quantity === null ? unit : `${formatValue(quantity)} ${unit}`.trim();
  const node = h(
    "div",
    { className: "band" },
    h("dt", { title: description ? `${band}: ${description}` : band }, band),
    h(
      "dd",
      { className: value === null ? "quiet" : "" },
      formatValue(value),
      value !== null && more !== "" && h("small", { className: "unit" }, quantity === null ? ` ${more}` : ` = ${more}`),
      className !== "" && h("small", { className: "class-name" }, className),
    ),
  );
  const channel = shownBands.length === 3 ? shownBands.indexOf(band) : -1;
  if (channel >= 0) node.classList.add("channel", ["red", "green", "blue"][channel]);
  node.dataset.band = band;
  return node;
}

/** The values under a point: every band of every visible layer. */

import { fetchPoint } from "./api.js";
import { copyText, h, iconButton } from "./dom.js";
import { showNote } from "./messages.js";
import { titleOf } from "./row.js";

/** The card that shows them. */
export class Inspector {
  /**
   * @param {HTMLElement} element the card, hidden until something is read.
   * @param {() => void} onclose called when it is closed.
   */
  constructor(element, onclose) {
    this.element = element;
    this.onclose = onclose;
    this.reading = null;
  }

  /** Read the entries, top first, at a point and show what they say as it comes. */
  async read(entries, { lon, lat }) {
    this.reading?.abort();
    const reading = new AbortController();
    this.reading = reading;
    const place = { lon: wrapped(lon), lat };
    const sections = entries.map((entry) => new Section(entry));
    this.show(place, sections);
    await Promise.all(sections.map((section) => section.read(place, reading.signal)));
    if (!reading.signal.aborted) this.element.setAttribute("aria-busy", "false");
  }

  show(place, sections) {
    const copy = () => copyValues(place, sections);
    this.element.setAttribute("aria-busy", "true");
    this.element.replaceChildren(
      h(
        "header",
        { className: "card-head" },
        h("h2", { className: "place" }, formatPlace(place)),
        iconButton("copy", "Copy as JSON", copy),
        iconButton("close", "Close", () => this.close()),
      ),
      h(
        "div",
        { className: "card-body", "aria-live": "polite" },
        sections.map((section) => section.element),
        sections.length === 0 && h("p", { className: "quiet" }, "No layer is shown."),
      ),
    );
    this.element.hidden = false;
  }

  /** Close it; returns whether it was open. */
  close() {
    if (this.element.hidden) return false;
    this.reading?.abort();
    this.element.hidden = true;
    this.onclose();
    return true;
  }
}

/** One layer's values. */
class Section {
  constructor(entry) {
    const { id, layer } = entry;
    this.entry = entry;
    this.values = null;
    this.body = h("p", { className: "quiet" }, "Reading…");
    this.element = h("section", { className: "values" }, h("h3", {}, titleOf(entry)), this.body);
    this.element.dataset.layer = id;
  }

  async read(place, signal) {
    const { layer, style } = this.entry;
    try {
      this.values = (await fetchPoint(layer, style, place, signal)).values ?? {};
      this.fill(bandList(this.values, style.bands?.split(",") ?? layer.bands));
    } catch (error) {
      if (!signal.aborted) this.fill(h("p", { className: "wrong" }, error.message));
    }
  }

  fill(node) {
    this.body.replaceWith(node);
    this.body = node;
  }
}

function bandList(values, shownBands) {
  const bands = Object.entries(values);
  if (bands.every(([, value]) => value === null)) {
    return h("p", { className: "quiet" }, "No data here.");
  }
  return h("dl", { className: "bands" }, bands.map((band) => bandValue(band, shownBands)));
}

function bandValue([band, value], shownBands) {
  const node = h(
    "div",
    { className: "band" },
    h("dt", { title: band }, band),
    h("dd", { className: value === null ? "quiet" : "" }, formatValue(value)),
  );
  const channel = shownBands.length === 3 ? shownBands.indexOf(band) : -1;
  if (channel >= 0) node.classList.add("channel", ["red", "green", "blue"][channel]);
  node.dataset.band = band;
  return node;
}

/** Return a band's value as text: whole numbers as they are, others to seven digits. */
export function formatValue(value) {
  if (value === null) return "no data";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(7)));
}

/** Return a place as people write it: 40.71000° N, 112.10000° W. */
export function formatPlace({ lat, lon }) {
  const part = (degrees, positive, negative) =>
    `${Math.abs(degrees).toFixed(5)}° ${degrees < 0 ? negative : positive}`;
  return `${part(lat, "N", "S")}, ${part(lon, "E", "W")}`;
}

/** Return the longitude within -180 .. 180. */
const wrapped = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;

async function copyValues(place, sections) {
  const layers = sections.filter(({ values }) => values);
  const values = Object.fromEntries(layers.map((section) => [section.entry.id, section.values]));
  const copied = await copyText(JSON.stringify({ ...place, layers: values }, null, 2));
  showNote(copied ? "Values copied." : "The browser does not let the page copy.");
}

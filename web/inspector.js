/** The values under a point: every band of every visible layer. */

import { fetchPoint } from "./api.js";
import { copyText, h, iconButton } from "./dom.js";
import { showNote } from "./messages.js";

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

  /** Read the layers, top first, at a point and show what they say as it comes. */
  async read(layers, { lon, lat }) {
    this.reading?.abort();
    const reading = new AbortController();
    this.reading = reading;
    const place = { lon: wrapped(lon), lat };
    const sections = layers.map((layer) => new Section(layer));
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

  close() {
    if (this.element.hidden) return;
    this.reading?.abort();
    this.element.hidden = true;
    this.onclose();
  }
}

/** One layer's values. */
class Section {
  constructor(layer) {
    this.layer = layer;
    this.values = null;
    this.body = h("p", { className: "quiet" }, "Reading…");
    this.element = h("section", { className: "values" }, h("h3", {}, layer.title), this.body);
    this.element.dataset.layer = layer.name;
  }

  async read({ lon, lat }, signal) {
    try {
      this.values = (await fetchPoint(this.layer, lon, lat, signal)).values ?? {};
      this.fill(bandList(this.values, this.layer.bands));
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
  const values = Object.fromEntries(layers.map((section) => [section.layer.name, section.values]));
  const copied = await copyText(JSON.stringify({ ...place, layers: values }, null, 2));
  showNote(copied ? "Values copied." : "The browser does not let the page copy.");
}

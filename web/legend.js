/** The legend of a layer in its style: classes with their names, a colour bar, or channels. */

import { fetchFrom, isServerUp, legendUrl } from "./api.js";
import { h } from "./dom.js";
import { waitForServer } from "./recovery.js";

/** Dragging a handle changes a style many times a second; the legend follows when it rests. */
const REST_MS = 400;
const CHANNELS = { red: "R", green: "G", blue: "B" };

/** The legend of one layer; it takes no place until it has come. */
export class Legend {
  /** @param {string} title of its layer, which stands above it. */
  constructor(title) {
    this.element = h("div", { className: "legend", role: "group", "aria-label": `Legend of ${title}`, hidden: true });
    this.layer = null;
    this.style = null;
    this.timer = 0;
    this.request = new AbortController();
    /** The server's legend that was drawn last, and the style without a range it is for. */
    this.held = { description: null, look: "" };
  }

  /** Show the legend of a layer in a style, soon. */
  show(layer, style) {
    if (layer === this.layer && style === this.style) return;
    const isFirst = this.style === null;
    this.layer = layer;
    this.style = style;
    this.request.abort();
    clearTimeout(this.timer);
    const known = lookOf(style) === this.held.look && withRange(this.held.description, style);
    if (known) this.draw(known);
    else this.timer = setTimeout(() => this.fetch(), isFirst ? 0 : REST_MS);
  }

  async fetch() {
    this.request = new AbortController();
    const { layer, style } = this;
    const { signal } = this.request;
    try {
      const description = await fetchFrom(...addressOf(layer, style), signal);
      this.held = { description, look: lookOf(style) };
      this.draw(description);
    } catch {
      if (signal.aborted) return;
      // A style that cannot be drawn has no legend; that of a server that is away comes later.
      this.element.hidden = true;
      if (await isServerUp()) return;
      const probe = async () => this.element.isConnected;
      waitForServer(this, { probe, recover: () => this.fetch() });
    }
  }

  draw(description) {
    const parts = partsOf(description);
    this.element.replaceChildren(...parts);
    this.element.hidden = parts.length === 0;
  }
}

/** Return address and parameters of the server's legend; the API key is added where it is fetched. */
function addressOf(layer, style) {
  const [address, query] = legendUrl(layer, style, "json").split("?");
  const { key, ...parameters } = Object.fromEntries(new URLSearchParams(query));
  return [address, parameters];
}

/** Return a style without what only moves the ends of its range. */
function lookOf({ min, max, opacity, ...look }) {
  return JSON.stringify(look);
}

/**
 * Return a legend with the ends that a style gives it, or null where only the server knows them.
 *
 * The colours of a bar are spread between its ends, so that they stay as they are.
 */
export function withRange(legend, { min, max, stretch }) {
  if (!legend || stretch || min === undefined || max === undefined) return null;
  const [lows, highs] = [min, max].map((text) => text.split(",").map(Number));
  if (legend.kind === "channels") {
    const channels = legend.channels.map((channel, index) => ({
      ...channel,
      min: lows[index] ?? lows[0],
      max: highs[index] ?? highs[0],
    }));
    return { ...legend, channels };
  }
  if (legend.kind !== "gradient" || legend.max === legend.min) return null;
  const [low] = lows;
  const [high] = highs;
  const share = (value) => (value - legend.min) / (legend.max - legend.min);
  const stops = legend.stops.map((stop) => ({ ...stop, value: low + share(stop.value) * (high - low) }));
  return { ...legend, min: low, max: high, stops };
}

function partsOf(legend) {
  if (legend.kind === "classes") return [classList(legend)];
  if (legend.kind === "channels") return [channelList(legend)];
  return legend.kind === "gradient" && legend.stops.length ? bar(legend) : [];
}

function classList({ classes, unit }) {
  const items = classes.map(({ color, label, ...range }) =>
    h("li", {}, swatch(color), h("span", {}, label || rangeText(range, unit))),
  );
  return h("ul", { className: "classes", tabIndex: items.length > 10 ? 0 : -1 }, items);
}

function swatch(color) {
  const element = h("span", { className: "swatch" });
  element.style.backgroundColor = color;
  return element;
}

function channelList({ channels }) {
  const rows = channels.map(({ channel, band, min, max, unit }) =>
    h(
      "div",
      {},
      h("dt", { className: channel }, CHANNELS[channel]),
      h("dd", {}, h("span", {}, band), h("span", { className: "range" }, rangeText({ min, max }, unit))),
    ),
  );
  return h("dl", { className: "channels" }, rows);
}

function bar({ min, max, stops, unit, bands }) {
  const strip = h("div", { className: "strip" });
  const at = (value) => `${(100 * (value - min)) / (max - min)}%`;
  const colours = stops.map(({ value, color }) => `${color} ${at(value)}`);
  // One colour alone makes no gradient.
  strip.style.background = stops.length > 1 ? `linear-gradient(to right, ${colours.join(", ")})` : stops[0].color;
  const ends = [min, (min + max) / 2, max].map((value) => h("span", {}, formatEnd(value)));
  const caption = `${bands.join(", ")}${unit ? ` (${unit})` : ""}`;
  return [h("p", { className: "caption" }, caption), strip, h("p", { className: "ends" }, ends)];
}

function rangeText({ value, min, max }, unit) {
  const text = value === undefined ? `${formatEnd(min)} to ${formatEnd(max)}` : formatEnd(value);
  return unit ? `${text} ${unit}` : text;
}

const formatEnd = (value) => String(Number(Number(value).toPrecision(4)));

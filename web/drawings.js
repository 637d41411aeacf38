/** How an entry is drawn: as the server tells it once, and then worked out here for every other style. */

import { fetchFrom } from "./api.js";

/** Parameters that change no value and which pixels are read neither; the rules for them are told here. */
const LOCAL = ["min", "max", "palette", "gamma", "opacity"];
/** Parameters of tiles of values; `bands` is added for the bands that are drawn. */
const OF_VALUES = [
  "nodata", "unscale", "expression", "algorithm", "azimuth", "altitude", "z_factor", "interval", "like",
  "threshold", "resampling", "time",
];
const MAX_KNOWN = 24;

const pick = (style, names) => Object.fromEntries(names.filter((name) => name in style).map((name) => [name, style[name]]));
const without = (style, names) => Object.fromEntries(Object.entries(style).filter(([name]) => !names.includes(name)));

/** Return the parameters of the tiles of values that a style is drawn from. */
export function valueParameters(style, drawing) {
  const bands = drawing.made ? style.bands : drawing.bands.join(",");
  return { ...(bands && { bands }), ...pick(style, OF_VALUES) };
}

/** Return whether colours of values are all there is to a drawing. */
export const isPaintable = (drawing) =>
  drawing !== null && !drawing.light && [1, 3].includes(drawing.bands.length) &&
  (drawing.classes.length === 0 || drawing.bands.length === 1);

/** The drawings of one layer that the server has told. */
export class Drawings {
  /** @param {object} layer */
  constructor(layer) {
    this.layer = layer;
    /** @type {{style: object, drawing: object}[]} the newest first. */
    this.known = [];
  }

  /** Return the drawing of a style if it follows from what is known, else null. */
  find(style) {
    for (const each of this.known) {
      const drawing = derived(each, style);
      if (drawing) return drawing;
    }
    return null;
  }

  /** Return the drawing of a style, asking the server if need be; null if there is none. */
  async get(style, signal) {
    const found = this.find(style);
    if (found) return found;
    const query = without(style, ["time", "encoding"]);
    const { drawing } = await fetchFrom(infoPath(this.layer.name), query, signal);
    if (!isDrawing(drawing)) return null;
    this.known.unshift({ style, drawing });
    this.known.length = Math.min(this.known.length, MAX_KNOWN);
    return drawing;
  }
}

const infoPath = (name) => `info/${name.split("/").map(encodeURIComponent).join("/")}`;

const isDrawing = (drawing) =>
  ["bands", "ranges", "palette", "quantiles", "classes"].every((name) => Array.isArray(drawing?.[name]));

/**
 * Return how a style is drawn, from a drawing that is known for another; null if it does not follow.
 *
 * The styles may differ in LOCAL parameters alone, and the known one may set no other than the new one.
 *
 * @param {{style: Record<string, string>, drawing: object}} known
 * @param {Record<string, string>} style
 */
export function derived({ style: told, drawing }, style) {
  if (JSON.stringify(told) === JSON.stringify(style)) return drawing;
  if (!isSame(without(told, LOCAL), without(style, LOCAL))) return null;
  if (LOCAL.some((name) => name in told && !(name in style))) return null;
  const opacity = "opacity" in style ? number(style.opacity) : drawing.opacity;
  if (opacity !== null && !(opacity >= 0 && opacity <= 1)) return null;
  // Classes have all the colours.
  if (drawing.classes.length) return LOCAL.some((name) => name !== "opacity" && name in style) ? null : { ...drawing, opacity };
  // Elevations are shaded until somebody chooses colours or a range for them, but not all.
  if (drawing.light && ["min", "max", "palette"].some((name) => name in style)) return null;
  const ranges = rangesOf(style, drawing);
  const palette = paletteOf(style, drawing);
  const gamma = gammaOf(style, told, drawing);
  if (!ranges || !palette || Number.isNaN(gamma)) return null;
  return { ...drawing, ranges, palette, gamma, opacity };
}

const isSame = (one, other) => {
  const sorted = (style) => JSON.stringify(Object.entries(style).sort(([a], [b]) => (a < b ? -1 : 1)));
  return sorted(one) === sorted(other);
};

const number = (text) => (/^[-+.\deE]+$/.test(text) ? Number(text) : NaN);

function rangesOf(style, drawing) {
  if (!("min" in style) && !("max" in style)) return drawing.ranges;
  if (!("min" in style && "max" in style) || drawing.curve === "equalize") return null;
  const [lows, highs] = [style.min, style.max].map((text) => text.split(",").map(number));
  const count = Math.max(lows.length, highs.length);
  const fits = [lows, highs].every(({ length }) => length === 1 || length === count);
  if (!fits || ![1, drawing.bands.length].includes(count)) return null;
  const ranges = Array.from({ length: count }, (_, i) => [lows[lows.length > 1 ? i : 0], highs[highs.length > 1 ? i : 0]]);
  return ranges.every(([low, high]) => Number.isFinite(low) && Number.isFinite(high) && low < high) ? ranges : null;
}

function paletteOf(style, drawing) {
  if (!("palette" in style)) return drawing.palette;
  const colors = style.palette.toLowerCase().split(",").map((color) => color.trim().replace(/^#/, ""));
  const isHex = colors.every((color) => /^([\da-f]{3}|[\da-f]{6})$/.test(color));
  if (!isHex || colors.length > 256 || drawing.bands.length !== 1) return null;
  return colors.map((color) => (color.length === 3 ? color.replace(/./g, "$&$&") : color));
}

/** Return the gamma, NaN if it does not follow: with a square root it is twice the parameter. */
function gammaOf(style, told, drawing) {
  if (!("gamma" in style)) return drawing.gamma;
  const gamma = number(style.gamma);
  if (!(gamma >= 0.01 && gamma <= 100)) return NaN;
  if (!drawing.processed && !("stretch" in style)) return gamma;
  return "gamma" in told ? gamma * (drawing.gamma / number(told.gamma)) : NaN;
}

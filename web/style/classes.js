/** Colours of classes and of intervals: the parameter `colormap`, read, made and written. */

import { colorAt, hexOf } from "./palettes.js";

const MAX_SINGLE = 64;
export const MAX_CLASSES = 256;

/**
 * @typedef {{low: number, high: number | null, color: string, alpha: string}} ColorClass values from low
 *   to less than high, or low alone; color is "#rrggbb", alpha two hex digits or "".
 */

/** Return the classes in the text of `colormap`; none if it is something else. */
export function parseClasses(text) {
  try {
    const found = JSON.parse(text);
    if (Array.isArray(found)) return found.map(([low, high, color]) => entry(low, high, color));
    return Object.entries(found).map(([value, color]) => entry(Number(value), null, color));
  } catch {
    return [];
  }
}

function entry(low, high, color) {
  const digits = color.replace(/^#/, "");
  const alpha = digits.length === 8 ? digits.slice(6) : "";
  return { low, high, color: hexOf(digits.slice(0, alpha ? 6 : 8)) ?? "#000000", alpha };
}

/** Return classes as the text of `colormap`; single values and intervals do not mix. */
export function formatClasses(classes) {
  if (classes.every(({ high }) => high !== null)) {
    return JSON.stringify(classes.map(({ low, high, color, alpha }) => [low, high, color + alpha]));
  }
  // Not an object, which would put whole numbers first: of equal values the last holds either way.
  const parts = classes.map(({ low, color, alpha }) => `${JSON.stringify(String(low))}:"${color}${alpha}"`);
  return `{${parts.join(",")}}`;
}

/**
 * Return equally wide intervals from low to high in the colours of a palette.
 *
 * The last takes in the largest value, too: it ends a little above `high`.
 */
export function intervals(low, high, count, colors) {
  const edge = (index) => Number((low + ((high - low) * index) / count).toPrecision(6));
  return Array.from({ length: count }, (_, index) => ({
    low: edge(index),
    high: index === count - 1 ? justAbove(edge(count)) : edge(index + 1),
    color: colorAt(colors, count === 1 ? 0 : index / (count - 1)),
    alpha: "",
  }));
}

const justAbove = (value) => Number((value + Math.max(Math.abs(value), 1) * 1e-5).toPrecision(7));

/**
 * Return a class for each whole number from low to high in the colours of a palette, or for those of
 * `values` alone; null if there are too many.
 */
export function singles(low, high, colors, values = null) {
  const [first, last] = [Math.ceil(low), Math.floor(high)];
  const listed = values ?? Array.from({ length: Math.min(last - first + 1, MAX_CLASSES + 1) }, (_, at) => first + at);
  if (listed.length === 0 || listed.length > (values ? MAX_CLASSES : MAX_SINGLE)) return null;
  const share = (value) => (last === first ? 0 : (value - first) / (last - first));
  return listed.map((value) => ({ low: value, high: null, color: colorAt(colors, share(value)), alpha: "" }));
}

/** Return what is wrong with classes, or "". */
export function wrongOf(classes) {
  if (classes.length === 0) return "Expected at least one class.";
  const bad = classes.find(({ low, high }) => !Number.isFinite(low) || (high !== null && !(high > low)));
  if (!bad) return "";
  return Number.isFinite(bad.low) ? `Expected more than ${bad.low} as the end of its interval.` : "Expected a number as value.";
}

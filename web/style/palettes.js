/** Palettes as text: the name of a colour map, or hex colours with commas between. */

const REVERSED = "_r";
const HEX = /^#?([0-9a-f]{3}|[0-9a-f]{6})$/i;
const MAX_COLORS = 256;
const GREY = ["#000000", "#ffffff"];

/**
 * Return the colours of a palette, each as "#rrggbb".
 *
 * @param {string} text "" is grey.
 * @param {Map<string, object>} maps the server's colour maps by name.
 */
export function colorsOf(text, maps) {
  if (!text) return GREY;
  const base = text.toLowerCase().replace(/_r$/, "");
  const map = maps.get(base === "grey" ? "gray" : base);
  if (!map) return text.split(",").map((part) => hexOf(part) ?? "#000000");
  return text.toLowerCase().endsWith(REVERSED) ? [...map.colors].reverse() : map.colors;
}

/** Return a colour as "#rrggbb" in lower case, or null. */
export function hexOf(text) {
  const [, digits] = HEX.exec(text.trim()) ?? [];
  if (!digits) return null;
  const six = digits.length === 3 ? digits.replace(/./g, "$&$&") : digits;
  return `#${six.toLowerCase()}`;
}

/**
 * Read a list of colours that somebody typed, with commas, spaces or lines between.
 *
 * Returns {colors: ["#rrggbb"], wrong: text or ""}; `wrong` says what is wrong and what would be right.
 */
export function readColors(text) {
  const parts = text.split(/[\s,;]+/).filter(Boolean);
  const bad = parts.find((part) => !hexOf(part));
  if (bad) return { colors: [], wrong: `“${bad.slice(0, 20)}” is no colour: expected hex digits such as #1a9850.` };
  if (parts.length > MAX_COLORS) return { colors: [], wrong: `${parts.length} colours, at most ${MAX_COLORS} may be.` };
  if (parts.length === 0) return { colors: [], wrong: "Expected colours such as #d73027, #ffffbf, #1a9850." };
  return { colors: parts.map(hexOf), wrong: "" };
}

/** Return colours as the text of a palette: the name of a colour map that has them, or the list. */
export function textOf(colors, maps = new Map()) {
  const list = colors.map((color) => color.slice(1)).join(",");
  return nameOf(list, maps) ?? list;
}

/** Return the name of the colour map with these colours, perhaps turned around; null without one. */
export function nameOf(text, maps) {
  const wanted = text.split(",").map((part) => hexOf(part));
  const same = (colors) => colors.length === wanted.length && colors.every((color, at) => color === wanted[at]);
  for (const { name, colors } of maps.values()) {
    if (same(colors)) return name;
    if (same([...colors].reverse())) return name + REVERSED;
  }
  return null;
}

/** Turn a palette around. */
export function reversed(text, maps) {
  if (!text) return "gray_r";
  if (!maps.has(text.toLowerCase().replace(/_r$/, ""))) return text.split(",").reverse().join(",");
  return text.toLowerCase().endsWith(REVERSED) ? text.slice(0, -2) : text + REVERSED;
}

/** Return the names of the maps whose name or kind holds every word of `search`. */
export function matching(maps, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return [...maps.values()]
    .filter(({ name, kind }) => words.every((word) => `${name} ${kind}`.includes(word)))
    .map(({ name }) => name);
}

/** Return the colour at a share from 0 to 1 of a palette, linear between its colours. */
export function colorAt(colors, share) {
  const at = Math.min(Math.max(share, 0), 1) * (colors.length - 1);
  const below = Math.min(Math.floor(at), Math.max(colors.length - 2, 0));
  const [low, high] = [colors[below], colors[Math.min(below + 1, colors.length - 1)]].map(channels);
  const mixed = low.map((value, index) => Math.round(value + (high[index] - value) * (at - below)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

const channels = (color) => [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));

/** Return a CSS gradient of colours, or bands of them for classes. */
export function gradient(colors, qualitative = false) {
  if (colors.length === 1) return `linear-gradient(${colors[0]}, ${colors[0]})`;
  const steps = qualitative
    ? colors.map((color, at) => `${color} ${(at / colors.length) * 100}% ${((at + 1) / colors.length) * 100}%`)
    : colors;
  return `linear-gradient(to right, ${steps.join(", ")})`;
}

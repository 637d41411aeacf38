/**
 * The state of the page as the fragment of its address, and back.
 *
 *     #map=9/40.7100/-112.1000&l=great-salt-lake;o=0.8;s.palette=viridis,elevation;v=0&x=blue-marble
 *
 * `map` is zoom/latitude/longitude, `l` the layers from the top down, each with `o` (opacity, 0 to
 * 1, default 1), `v` (0 = hidden), `n` (number of a duplicate) and `s.NAME` (a parameter of its
 * style); `x` names layers taken out of the list. Layers left out are hidden. Features register keys
 * of their own. A fragment never leaves the browser, and what is wrong in it is dropped, not believed.
 */

const MAX_LENGTH = 32_000;
const MAX_COPIES = 99;
const STYLE_NAME = /^[a-z][a-z0-9_]{0,30}$/;
/** What no link may hold, nor make the page ask for. */
const SECRET = new Set(["key"]);

/**
 * Read a fragment.
 *
 * Returns {view: {zoom, lat, lon} or null, layers: [{name, copy, style, visible, opacity}] or null,
 * removed: [name], others: {key: text}, dropped: [text]}; null stands for "says nothing", `others`
 * are the keys that features register, `dropped` lists what could not be read.
 */
export function parseHash(hash) {
  const result = { view: null, layers: null, removed: [], others: {}, dropped: [] };
  const text = hash.replace(/^#/, "").slice(0, MAX_LENGTH);
  for (const part of text.split("&")) {
    const [key, value] = splitAt(part, "=");
    if (key === "map") result.view = parseView(value) ?? drop(result, part);
    else if (key === "l") result.layers = parseLayers(value, result);
    else if (key === "x") result.removed = value.split(",").map(decode).filter(Boolean);
    else if (/^[a-z][a-z0-9]*$/.test(key)) result.others[key] = decode(value) ?? drop(result, part);
  }
  return result;
}

function drop(result, text) {
  result.dropped.push(text);
  return null;
}

function splitAt(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function parseView(text) {
  const parts = text.split("/");
  const [zoom, lat, lon] = parts.map((part) => number(part, -360, 360));
  if (parts.length !== 3 || [zoom, lat, lon].includes(null)) return null;
  if (zoom < 0 || zoom > 30 || Math.abs(lat) > 90) return null;
  return { zoom, lat, lon };
}

/** Return the number in `text` when it lies between the two ends, else null. */
function number(text, least, most) {
  if (!/^-?\d+(\.\d+)?$/.test(text)) return null;
  const value = Number(text);
  return value >= least && value <= most ? value : null;
}

const parseLayers = (text, result) =>
  text
    .split(",")
    .filter(Boolean)
    .map((part) => parseLayer(part, result))
    .filter(Boolean);

function parseLayer(text, result) {
  const [first, ...settings] = text.split(";");
  const name = decode(first);
  if (!name) return drop(result, text);
  const layer = { name, copy: 1, style: {}, visible: true, opacity: 1 };
  for (const setting of settings) {
    const [key, value] = splitAt(setting, "=");
    if (key === "v") layer.visible = value !== "0";
    if (key === "o") layer.opacity = number(value, 0, 1) ?? drop(result, setting) ?? 1;
    if (key === "n") layer.copy = copyNumber(value) ?? drop(result, setting) ?? 1;
    if (key.startsWith("s.")) addStyle(layer.style, key.slice(2), decode(value)) || drop(result, setting);
  }
  return layer;
}

function copyNumber(text) {
  const value = number(text, 1, MAX_COPIES);
  return Number.isInteger(value) ? value : null;
}

function addStyle(style, name, value) {
  if (!STYLE_NAME.test(name) || SECRET.has(name) || !value) return false;
  style[name] = value;
  return true;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** Write a fragment: the inverse of `parseHash`. */
export function formatHash({ zoom, lat, lon }, layers, removed = [], others = {}) {
  const digits = Math.min(7, Math.max(3, Math.round(zoom / 3) + 2));
  const view = `${+zoom.toFixed(2)}/${lat.toFixed(digits)}/${lon.toFixed(digits)}`;
  const parts = [`map=${view}`, `l=${layers.map(formatLayer).join(",")}`];
  if (removed.length) parts.push(`x=${removed.map(encodeName).join(",")}`);
  for (const [key, text] of Object.entries(others)) if (text) parts.push(`${key}=${encode(text)}`);
  return `#${parts.join("&")}`;
}

const encodeName = (name) => encodeURIComponent(name).replaceAll("%2F", "/");
const encode = (text) => encodeURIComponent(text).replace(/%(2F|3A|2C)/g, decodeURIComponent);

function formatLayer({ name, copy = 1, style = {}, visible, opacity }) {
  const strength = opacity === 1 ? "" : `;o=${+opacity.toFixed(2)}`;
  const looks = Object.entries(style).map(([key, value]) => `;s.${key}=${encodeURIComponent(value)}`);
  const number = copy === 1 ? "" : `;n=${copy}`;
  return encodeName(name) + number + strength + (visible ? "" : ";v=0") + looks.join("");
}

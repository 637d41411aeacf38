/**
 * The state of the page as the fragment of its address, and back.
 *
 *     #map=9/40.7100/-112.1000&l=great-salt-lake;o=0.8,blue-marble,elevation;v=0
 *
 * `map` is zoom/latitude/longitude, `l` the layers from the top down, each with `o` (opacity, 0 to
 * 1, default 1) and `v` (0 = hidden). Layers left out are hidden. A fragment never leaves the
 * browser, and what is wrong in it is dropped, not believed.
 */

const MAX_LENGTH = 8000;
const WRITE_DELAY_MS = 150;

/**
 * Read a fragment.
 *
 * Returns {view: {zoom, lat, lon} or null, layers: [{name, visible, opacity}] or null, dropped:
 * [text]}; null stands for "says nothing", `dropped` lists what could not be read.
 */
export function parseHash(hash) {
  const result = { view: null, layers: null, dropped: [] };
  const text = hash.replace(/^#/, "").slice(0, MAX_LENGTH);
  for (const part of text.split("&")) {
    const [key, value] = splitAt(part, "=");
    if (key === "map") result.view = parseView(value) ?? drop(result, part);
    if (key === "l") result.layers = parseLayers(value, result);
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

function parseLayers(text, result) {
  const layers = new Map();
  for (const part of text.split(",").filter(Boolean)) {
    const layer = parseLayer(part, result);
    if (layer && !layers.has(layer.name)) layers.set(layer.name, layer);
  }
  return [...layers.values()];
}

function parseLayer(text, result) {
  const [first, ...settings] = text.split(";");
  const name = decode(first);
  if (!name) return drop(result, text);
  const layer = { name, visible: true, opacity: 1 };
  for (const setting of settings) {
    const [key, value] = splitAt(setting, "=");
    if (key === "v") layer.visible = value !== "0";
    if (key === "o") layer.opacity = number(value, 0, 1) ?? drop(result, setting) ?? 1;
  }
  return layer;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** Write a fragment: the inverse of `parseHash`. */
export function formatHash({ zoom, lat, lon }, layers) {
  const digits = Math.min(7, Math.max(3, Math.round(zoom / 3) + 2));
  const view = `${+zoom.toFixed(2)}/${lat.toFixed(digits)}/${lon.toFixed(digits)}`;
  return `#map=${view}&l=${layers.map(formatLayer).join(",")}`;
}

function formatLayer({ name, visible, opacity }) {
  const encoded = encodeURIComponent(name).replaceAll("%2F", "/");
  const strength = opacity === 1 ? "" : `;o=${+opacity.toFixed(2)}`;
  return encoded + strength + (visible ? "" : ";v=0");
}

/** Keep the address in step: returns a function to call after each change, cheap to call often. */
export function permalinkWriter(describe) {
  let timer = null;
  const write = () => {
    const { view, layers } = describe();
    try {
      history.replaceState(history.state, "", formatHash(view, layers));
    } catch {
      // Some browsers allow only so many changes a minute; the next one will do.
    }
  };
  return () => {
    clearTimeout(timer);
    timer = setTimeout(write, WRITE_DELAY_MS);
  };
}

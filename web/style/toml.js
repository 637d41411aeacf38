/** A layer's look as lines for `tileserver.toml`. */

const NUMBERS = ["gamma", "opacity", "nodata", "azimuth", "altitude", "z_factor", "interval", "threshold"];
const FLAGS = ["unscale", "relief"];
const TEXTS = ["resampling", "algorithm", "like", "stretch", "colormap"];
const COMPUTED = /^projects\/[^/]+\/expressions\//;

/** Return a name that a layer may have in the configuration, made of any text. */
export function layerName(text) {
  const plain = text.normalize("NFKD").replace(/[^\w.-]+/g, "-").replace(/^[^A-Za-z0-9]+|-+$/g, "");
  return plain.slice(0, 64) || "layer";
}

/** Return whether a layer may have this name. */
export const isLayerName = (text) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text);

/**
 * Return the table of a layer.
 *
 * @param {string} name of the new layer.
 * @param {{asset: string, title: string}} layer
 * @param {Record<string, string>} parameters the whole look, as a query has it.
 */
export function tomlSnippet(name, { asset, title, attribution }, parameters) {
  const given = Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== "none"));
  const lines = [`[layers.${/^[\w-]+$/.test(name) ? name : quoted(name)}]`];
  if (COMPUTED.test(asset)) lines.push("# Beside the expression or the collection of the layer:");
  else lines.push(`asset = ${quoted(asset)}`);
  if (title && title !== name) lines.push(`title = ${quoted(title)}`);
  if (attribution) lines.push(`attribution = ${quoted(attribution)}`);
  if (given.bands) lines.push(`bands = ${list(given.bands, quoted)}`);
  if (given.expression) lines.push(`formula = ${quoted(given.expression)}`);
  for (const key of ["min", "max"]) if (given[key]) lines.push(`${key} = ${numbers(given[key])}`);
  if (given.palette) lines.push(`palette = ${palette(given.palette)}`);
  for (const key of NUMBERS) if (given[key]) lines.push(`${key} = ${number(given[key])}`);
  for (const key of FLAGS) if (given[key]) lines.push(`${key} = ${given[key]}`);
  for (const key of TEXTS) if (given[key]) lines.push(`${key} = ${quoted(given[key])}`);
  return `${lines.join("\n")}\n`;
}

const list = (text, write) => `[${text.split(",").map(write).join(", ")}]`;
const numbers = (text) => (text.includes(",") ? list(text, number) : number(text));
const palette = (text) => (text.includes(",") ? list(text, quoted) : quoted(text));

// TOML wants a digit before and behind a point, and no plus sign's zero.
function number(text) {
  if (text.trim().toLowerCase() === "nan") return "nan";
  const value = Number(text);
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? String(value) : String(value).replace("e+", "e");
}

/** Return text as TOML's basic string. */
function quoted(text) {
  const escaped = text.replace(/["\\]/g, "\\$&").replace(/[\u0000-\u001f\u007f]/g, (sign) => {
    return `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}

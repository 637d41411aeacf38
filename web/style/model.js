/** A look as the editor holds it, from and to the parameters of a query. */

import { formatClasses, parseClasses } from "./classes.js";

/** What elevations can be made into: parameters with the range that the server takes. */
export const ALGORITHMS = {
  hillshade: {
    label: "Hillshade",
    parameters: [
      { name: "azimuth", label: "Light from (°)", low: 0, high: 360, usual: 315 },
      { name: "altitude", label: "Light’s height (°)", low: 0, high: 90, usual: 45 },
      { name: "z_factor", label: "Exaggeration", low: 0.1, high: 20, usual: 1 },
    ],
  },
  slope: { label: "Slope", parameters: [{ name: "z_factor", label: "Exaggeration", low: 0.1, high: 20, usual: 1 }] },
  aspect: { label: "Aspect", parameters: [] },
  contours: {
    label: "Contours",
    parameters: [{ name: "interval", label: "Metres between lines", low: 1, high: 1000, usual: 100 }],
  },
};
export const RESAMPLINGS = ["nearest", "bilinear", "cubic", "average", "mode"];
export const CURVES = [
  ["", "Linear"],
  ["sqrt", "Square root"],
  ["log", "Logarithm"],
  ["equalize", "Equalized"],
];
const OF_ALGORITHMS = ["azimuth", "altitude", "z_factor", "interval"];
/** Parameters whose value a layer's own settings would come back for, were they left out. */
const REMOVABLE = ["nodata", "expression", "algorithm", "like", "stretch", "colormap"];
/** Parameters that the editor leaves as they are. */
const KEPT = ["time", "like", "threshold", "unscale"];
const OF_VALUES = new Set([
  "bands",
  "nodata",
  "unscale",
  "expression",
  "algorithm",
  ...OF_ALGORITHMS,
  "like",
  "threshold",
  "time",
]);
const NEUTRAL = { gamma: "1", opacity: "1", resampling: "nearest", relief: "false", unscale: "false" };

/**
 * Return the look in parameters, all of which are said outright, as `parameters` of GET /info has them.
 *
 * `mode` is "one", "three", "formula", "terrain" or "like"; min and max have a number for each band.
 */
export function lookOf(parameters) {
  const given = Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== "none"));
  const list = (text) => (text ? text.split(",") : []);
  const bands = list(given.bands);
  const mode = modeOf(given, bands);
  const count = mode === "three" ? 3 : 1;
  const numbers = (text) => list(text).map(Number);
  return {
    mode,
    bands,
    expression: given.expression ?? "",
    algorithm: given.algorithm ?? "hillshade",
    terrain: Object.fromEntries(OF_ALGORITHMS.filter((name) => given[name]).map((name) => [name, given[name]])),
    min: spread(numbers(given.min), count),
    max: spread(numbers(given.max), count),
    palette: given.palette ?? "",
    classes: given.colormap ? parseClasses(given.colormap) : null,
    relief: given.relief === "true",
    gamma: Number(given.gamma ?? 1),
    opacity: given.opacity ?? "",
    curve: given.stretch?.split(",").at(-1) ?? "",
    resampling: given.resampling ?? "nearest",
    nodata: given.nodata ?? "",
    kept: Object.fromEntries(KEPT.filter((name) => given[name]).map((name) => [name, given[name]])),
  };
}

function modeOf(given, bands) {
  if (given.expression) return "formula";
  if (given.algorithm) return "terrain";
  if (given.like) return "like";
  return bands.length === 3 ? "three" : "one";
}

const spread = (values, count) => (values.length === 1 ? new Array(count).fill(values[0]) : values);

/**
 * Return the parameters that draw a look, whatever the layer's own settings add to them.
 *
 * @param {object} look
 * @param {Record<string, string>} own the parameters of the layer's own look.
 */
export function parametersOf(look, own = {}) {
  const found = { ...ofValues(look), ...ofDrawing(look), ...look.kept };
  if (look.resampling !== "nearest") found.resampling = look.resampling;
  if (own.palette && !found.palette && !found.colormap && look.mode !== "three") found.palette = "gray";
  for (const name of REMOVABLE) if (name in own && !found[name]) found[name] = "none";
  for (const [name, text] of Object.entries(NEUTRAL)) if (name in own && !found[name]) found[name] = text;
  return found;
}

/** Return the parameters that decide values, for GET /statistics. */
export function valueParameters(look, own) {
  const whole = Object.entries(parametersOf(look, own));
  return Object.fromEntries(whole.filter(([name]) => OF_VALUES.has(name)));
}

function ofValues(look) {
  const { like, threshold, unscale, time } = look.kept;
  const found = Object.fromEntries(
    Object.entries({ like, threshold, unscale, time, nodata: look.nodata }).filter(([, text]) => text),
  );
  if (look.mode === "formula") return { ...found, expression: look.expression };
  if (look.bands.length) found.bands = look.bands.join(",");
  return look.mode === "terrain" ? { ...found, algorithm: look.algorithm, ...look.terrain } : found;
}

function ofDrawing(look) {
  const found = {};
  if (look.opacity) found.opacity = look.opacity;
  if (look.classes) return { ...found, colormap: formatClasses(look.classes) };
  if (look.gamma !== 1) found.gamma = String(look.gamma);
  if (look.mode !== "three" && look.palette) found.palette = look.palette;
  if (look.mode === "one" && look.relief) found.relief = "true";
  if (look.curve) found.stretch = look.curve;
  if (look.curve === "equalize" || look.min.length === 0) return found;
  return { ...found, min: joined(look.min), max: joined(look.max) };
}

const joined = (values) => (new Set(values).size === 1 ? String(values[0]) : values.join(","));

/** Return whether two sets of parameters are the same. */
export const sameParameters = (one, other) => canonical(one) === canonical(other);

const canonical = (parameters) => JSON.stringify(Object.entries(parameters).sort());

/** Return the names of the parameters that differ. */
export const changed = (one, other) =>
  [...new Set([...Object.keys(one), ...Object.keys(other)])].filter((name) => one[name] !== other[name]);

/** Return {parameter: what is wrong} of a look, as far as it can be told here. */
export function mistakes(look) {
  const found = {};
  if (look.mode === "formula" && !look.expression.trim()) found.expression = "Expected a formula, such as (B8 - B4) / (B8 + B4).";
  if (look.classes || look.curve === "equalize") return found;
  for (const name of ["min", "max"]) {
    if (!look[name].every(Number.isFinite)) found[name] = "Expected a number.";
  }
  const at = look.min.findIndex((low, index) => low >= look.max[index]);
  if (!found.min && !found.max && at >= 0) found.max = `Expected more than ${look.min[at]}.`;
  if (!(look.gamma >= 0.01 && look.gamma <= 100)) found.gamma = "Expected a number from 0.01 to 100.";
  return found;
}

/** Values under a point as text, with units and names of classes, and as JSON and CSV. */

import { groundPixel, tileAt } from "./geometry.js";

/** Return a band's value as text: whole numbers as they are, others to seven digits. */
export function formatValue(value) {
  if (value === null || value === undefined) return "no data";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(7)));
}

/** Return a place as people write it: 40.71000° N, 112.10000° W. */
export function formatPlace({ lat, lon }) {
  const part = (degrees, positive, negative) =>
    `${Math.abs(degrees).toFixed(5)}° ${degrees < 0 ? negative : positive}`;
  return `${part(lat, "N", "S")}, ${part(lon, "E", "W")}`;
}

/** Return the tile and the pixel size of the map at a place: {tile: {z, x, y}, pixelM}. */
export const onMap = ({ lon, lat, zoom }) => ({
  tile: tileAt(lon, lat, zoom),
  pixelM: groundPixel(lat, zoom),
});

/** Return metres of a pixel as text: 30 m, 0.25 m, 1.2 km. */
export function formatPixel(metres) {
  if (!(metres > 0) || !Number.isFinite(metres)) return "";
  const [value, unit] = metres < 1000 ? [metres, "m"] : [metres / 1000, "km"];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

/**
 * Return what is known of each value: [{band, value, unit, className, quantity, description}].
 *
 * `quantity` is value * scale + offset where a file gives these, else null; the unit is its own.
 *
 * @param {Record<string, number | null>} values
 * @param {object | null} info what GET /info says of the layer.
 * @param {string[]} classBands the bands that the classes of `info` are for.
 */
export function readings(values, info, classBands) {
  const notes = new Map((info?.bands ?? []).map((band) => [band.id, band]));
  const classes = new Map((info?.classes ?? []).map(({ value, name }) => [value, name]));
  return Object.entries(values).map(([band, value]) => {
    const { unit = "", description = "", scale = 1, offset = 0 } = notes.get(band) ?? {};
    const isScaled = typeof value === "number" && (scale !== 1 || offset !== 0);
    return {
      band,
      value,
      unit,
      description,
      className: classBands.includes(band) ? (classes.get(value) ?? "") : "",
      quantity: isScaled ? value * scale + offset : null,
    };
  });
}

/** Return the properties of features as readings; those of several have the feature's number in front. */
export function featureReadings(features) {
  const only = { unit: "", description: "", className: "", quantity: null };
  return features.flatMap(({ properties }, index) =>
    Object.entries(properties).map(([name, value]) => {
      const plain = value !== null && typeof value === "object" ? JSON.stringify(value) : value;
      return { ...only, band: features.length > 1 ? `${index + 1} ${name}` : name, value: plain };
    }),
  );
}

/** Return readings of layers as JSON: {lon, lat, tile, layers: {id: {band: value}}, and what is known}. */
export function toJson(place, sections) {
  const layers = {};
  const about = {};
  for (const { entry, found } of sections) {
    layers[entry.id] = Object.fromEntries(found.map(({ band, value }) => [band, value]));
    const { time } = entry.style;
    const known = { ...(time && { time }), ...named(found, "unit"), ...named(found, "className", "class") };
    if (Object.keys(known).length) about[entry.id] = known;
  }
  const { lon, lat } = place;
  const members = { lon, lat, tile: onMap(place).tile, layers };
  return JSON.stringify(Object.keys(about).length ? { ...members, about } : members, null, 2);
}

function named(found, member, name = member) {
  const known = found.filter((each) => each[member]).map((each) => [each.band, each[member]]);
  return known.length ? { [name]: Object.fromEntries(known) } : {};
}

/** Return readings of layers as rows of a table, the heads first. */
export const toRows = ({ lon, lat }, sections) => [
  ["lon", "lat", "layer", "time", "band", "value", "unit", "class"],
  ...sections.flatMap(({ entry, found }) =>
    found.map(({ band, value, unit, className }) => [
      lon,
      lat,
      entry.id,
      entry.style.time ?? "",
      band,
      value,
      unit,
      className,
    ]),
  ),
];

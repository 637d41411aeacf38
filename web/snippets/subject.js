/** What a snippet is about: a layer as it is shown now, with its addresses in full. */

import { legendUrl, styleQuery, tileJsonUrl, tileTemplate } from "../api.js";
import { absolute, fadedStyle, withoutKey } from "../links.js";

const MAX_LAT = 85.0511;
const MERCATOR_M = 20037508.342789244;

/**
 * @typedef {object} Subject
 * @property {string} name of the layer, in addresses.
 * @property {string} id letters, digits and dashes, for identifiers in code.
 * @property {string} title
 * @property {string} attribution plain text.
 * @property {number[]} bounds west, south, east, north in degrees, within the map; all longitudes of a
 *   layer that crosses the antimeridian.
 * @property {boolean} isWorld whether the bounds are all longitudes.
 * @property {number} minzoom
 * @property {number} maxzoom
 * @property {number} opacity that of the page, over the style's own; 1 is full.
 * @property {boolean} hasValues whether it shows one band, whose values tiles can hold.
 * @property {(options?: {r?: string, faded?: boolean, more?: object}) => string} xyz the address of a
 *   tile; `r` is "", "@2x" or "{r}"; `faded` puts the opacity into it; `more` are parameters.
 * @property {string} tilejson
 * @property {string} legend
 * @property {string} wmts of the capabilities.
 * @property {string} connections of QGIS's connections file.
 * @property {string} definition of QGIS's layer definition.
 * @property {string} html of the one-file map.
 * @property {string} pmtiles
 * @property {string} preview of a picture of it all.
 */

/**
 * Return what snippets need of an entry.
 *
 * @param {import("../state.js").Entry} entry
 * @param {{withKey?: boolean}} options whether addresses carry the API key that the page was opened with.
 * @returns {Subject}
 */
export function subjectOf(entry, { withKey = false } = {}) {
  const { layer, opacity } = entry;
  const style = entry.style ?? {};
  const faded = fadedStyle(entry);
  const link = (relative) => (withKey ? absolute(relative) : withoutKey(absolute(relative)));
  const query = (more = {}) => `?${new URLSearchParams({ ...styleQuery(layer, faded), ...more })}`;
  const name = layer.name.split("/").map(encodeURIComponent).join("/");
  const key = withKey ? keyParameter() : {};
  const bounds = clamped(layer.bounds);
  return {
    name: layer.name,
    id: identifier(layer.name),
    title: layer.title,
    attribution: layer.attribution,
    bounds,
    isWorld: bounds[2] - bounds[0] >= 360,
    minzoom: layer.minzoom,
    maxzoom: layer.maxzoom,
    opacity,
    hasValues: (style.bands ? style.bands.split(",") : (layer.bands ?? [])).length === 1,
    xyz: ({ r = "", faded: isFaded = false, more = {} } = {}) =>
      link(tileTemplate(layer, { ...(isFaded ? faded : style), ...more }, { retina: true })).replace("{r}", r),
    tilejson: link(tileJsonUrl(layer, faded)),
    legend: link(legendUrl(layer, style)),
    wmts: absolute(`wmts/${name}${query({ service: "WMTS", request: "GetCapabilities", ...key })}`),
    connections: absolute(`qgis.xml${query({ layer: layer.name, ...key })}`),
    definition: absolute(`qgis/${name}.qlr${query(key)}`),
    html: absolute(`export/${name}.html${query(key)}`),
    pmtiles: absolute(`export/${name}.pmtiles${query(key)}`),
    preview: absolute(`preview/${name}.png${query(key)}`),
  };
}

const keyParameter = () => {
  const key = new URLSearchParams(location.search).get("key");
  return key ? { key } : {};
};

function clamped([west, south, east, north]) {
  const [left, right] = west <= east ? [Math.max(west, -180), Math.min(east, 180)] : [-180, 180];
  return [left, Math.max(south, -MAX_LAT), right, Math.min(north, MAX_LAT)];
}

const identifier = (name) => name.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").toLowerCase() || "layer";

const mercatorY = (lat) => (Math.asinh(Math.tan((lat * Math.PI) / 180)) * MERCATOR_M) / Math.PI;

/** Return bounds in degrees as [west, south, east, north] in metres of EPSG:3857. */
export const mercatorBounds = ([west, south, east, north]) => [
  (west * MERCATOR_M) / 180,
  mercatorY(south),
  (east * MERCATOR_M) / 180,
  mercatorY(north),
];

/** Return the tile {z, x, y} in the middle of the bounds, of a zoom at which they fill about two tiles. */
export function middleTile({ bounds, minzoom, maxzoom }) {
  const [west, south, east, north] = mercatorBounds(bounds);
  const share = Math.max(east - west, north - south) / (2 * MERCATOR_M);
  const z = Math.min(Math.max(Math.floor(Math.log2(2 / share)), minzoom), maxzoom);
  const tiles = 2 ** z;
  const place = (metres) => Math.min(Math.floor(((metres + MERCATOR_M) / (2 * MERCATOR_M)) * tiles), tiles - 1);
  return { z, x: place((west + east) / 2), y: tiles - 1 - place((south + north) / 2) };
}

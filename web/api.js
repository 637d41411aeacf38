/** What the server is asked, and at which address. Every address is relative to the page. */

import { isBounds } from "./extent.js";

const MAX_PAGES = 3;
const TIMEOUT_MS = 30_000;
const MAX_REASON = 300;

/** The server answered with an error, or not at all; the message is for people. */
export class ServerError extends Error {}

const path = (name) => name.split("/").map(encodeURIComponent).join("/");

/** The API key that the page was opened with, as a parameter for all it asks, or {}. */
const apiKey = () => {
  const key = new URLSearchParams(location.search).get("key");
  return key ? { key } : {};
};

/** Return a query, "?…", of parameters and the API key, or "". */
function query(parameters = {}) {
  const text = new URLSearchParams({ ...parameters, ...apiKey() }).toString();
  return text ? `?${text}` : "";
}

/** Parameters that only decide how values are drawn; all others of a style decide the values. */
const OF_DRAWING = new Set([
  "bands", "min", "max", "palette", "gamma", "opacity", "resampling", "stretch", "colormap", "relief", "encoding",
]);

/**
 * Return the parameters that draw a layer in a style: the version token of `layer.tiles` and the style.
 *
 * `{}` is the layer's own style. An API key is added by `query`, never here.
 */
export function styleQuery(layer, style = {}) {
  const { key, ...own } = Object.fromEntries(new URLSearchParams(layer.tiles.split("?")[1] ?? ""));
  return { ...own, ...style };
}

/** Return the part of a style that decides values, for points and statistics. */
export const valueQuery = (style = {}) =>
  Object.fromEntries(Object.entries(style).filter(([name]) => !OF_DRAWING.has(name)));

/**
 * Return the tile address template, relative to the page; `{r}` is "@2x" on dense screens.
 *
 * The host and the prefix in `layer.tiles` are left out: behind a proxy the page knows better than
 * the server under which address it was reached.
 *
 * @param {object} layer
 * @param {Record<string, string>} style
 * @param {{retina?: boolean, ext?: string}} options `ext` such as "webp", else that of `layer.tiles`.
 */
export function tileTemplate(layer, style = {}, { retina = true, ext } = {}) {
  const mark = layer.tiles.lastIndexOf("{y}");
  const suffix = mark < 0 ? ".png" : layer.tiles.slice(mark + 3).split("?")[0];
  const end = ext ? `.${ext}` : suffix;
  return `tiles/${path(layer.name)}/{z}/{x}/{y}${retina ? "{r}" : ""}${end}${query(styleQuery(layer, style))}`;
}

/** Return the address of the legend; times say nothing about colours. */
export function legendUrl(layer, style = {}, ext = "svg") {
  const { time, ...looks } = styleQuery(layer, style);
  return `legend/${path(layer.name)}.${ext}${query(looks)}`;
}

/** Return the address of the TileJSON, which finds the newest version by itself. */
export const tileJsonUrl = (layer, style = {}) => `tilejson/${path(layer.name)}.json${query(style)}`;

/** Return values at a place: {values: {band: number or null}}, of all bands or of `bands`. */
export function fetchPoint(layer, style, { lon, lat, bands, radius }, signal) {
  const near = radius && { radius: String(Math.min(radius, 1e6)) };
  const place = { lon: lon.toFixed(7), lat: lat.toFixed(7), ...(bands && { bands: String(bands) }), ...near };
  return fetchJson(`point/${path(layer.name)}${query({ ...valueQuery(style), ...place })}`, signal);
}

/** Return figures a band: {band: {min, max, mean, …}}, of a box [west, south, east, north] or of all. */
export function fetchStatistics(layer, style, { bbox, bands } = {}, signal) {
  const where = { ...(bbox && { bbox: String(bbox) }), ...(bands && { bands: String(bands) }) };
  return fetchJson(`statistics/${path(layer.name)}${query({ ...valueQuery(style), ...where })}`, signal);
}

/** Return bands, types, CRS, scale, dates and properties of a layer. */
export const fetchInfo = (layer, signal) => fetchJson(`info/${path(layer.name)}${query()}`, signal);

/**
 * Return any layer or asset by its name, as GET /layers would list it.
 *
 * @throws {ServerError} there is none, or it cannot be read.
 */
export async function fetchLayer(name, signal) {
  const { bands, ...described } = await fetchInfo({ name }, signal);
  const { description, attribution } = await fetchJson(tileJsonUrl({ name }), signal);
  const version = described.version ? `?${new URLSearchParams({ v: described.version })}` : "";
  const tiles = `{z}/{x}/{y}.png${version}`;
  const layer = cleanLayer({ ...described, description, attribution, tiles, visible: false });
  if (!layer) throw new ServerError("The server's answer does not describe a layer.");
  return layer;
}

/**
 * Return {assets: [{type, name, title, drawn}], next}: assets to choose from, in pages.
 *
 * @param {{parent?: string, q?: string, limit?: number} | string} where a query, or `next` of a page.
 */
export async function fetchAssets(where, signal) {
  const url = typeof where === "string" ? where : `assets${query(where)}`;
  const { assets, next } = await fetchJson(url, signal);
  const text = (value) => (typeof value === "string" ? value : "");
  const listed = (Array.isArray(assets) ? assets : [])
    .filter((one) => text(one?.name))
    .map((one) => ({ type: text(one.type), name: one.name, title: text(one.title) || one.name, drawn: one.drawn === true }));
  return { assets: listed, next: nextPage(url, next, "assets") };
}

/** Return the named palettes. */
export const fetchColormaps = (signal) => fetchJson("colormaps", signal);

/** Return the address of a route of a layer without its query, such as that of its times. */
export const addressOf = (route, layer, suffix = "") => `${route}/${path(layer.name)}${suffix}`;

/**
 * Return a file of the server as a blob; with `body`, a GeoJSON object, it is posted.
 *
 * @throws {ServerError} with the server's reason.
 */
export async function fetchFile(address, parameters = {}, { body, signal } = {}) {
  const post = body && { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const response = await ask(address + query(parameters), signal, "default", post);
  if (!response.ok) throw new ServerError(await reasonOf(response));
  return response.blob();
}

/**
 * Return a file of the server at a full address as a blob, with the API key in a header: links in the file have none.
 *
 * @throws {ServerError} with the server's reason.
 */
export async function fetchWithoutKeys(address) {
  const { key } = apiKey();
  const response = await ask(address, null, "default", { headers: key ? { "X-API-Key": key } : {} });
  if (!response.ok) throw new ServerError(await reasonOf(response));
  return response.blob();
}

/** Return any JSON of the server; `address` is relative, without the API key. */
export const fetchFrom = (address, parameters = {}, signal) => fetchJson(address + query(parameters), signal);

/**
 * Return what the page may ask of others: {world, baseMaps, geocoder, local}.
 *
 * `world` is the address of outlines of land or null, `geocoder` that of a server of place names,
 * `local` are the prefixes of assets that Earth Engine is not asked for, or null without it.
 */
export async function fetchPageSettings() {
  const answer = await fetchJson(`page.json${query()}`);
  const text = (value) => (typeof value === "string" && value ? value : null);
  const baseMaps = Array.isArray(answer?.base_maps) ? answer.base_maps : [];
  return {
    world: text(answer?.world),
    geocoder: text(answer?.geocoder),
    local: Array.isArray(answer?.local) ? answer.local.map(String) : null,
    baseMaps: baseMaps.filter((one) => text(one?.name) && text(one?.url)),
  };
}

/**
 * Return {layers, failures, complete}.
 *
 * `failures` are those that the server cannot show, {title, reason}; `complete` is false when it has
 * more pages than we read. With a `text`, those that have it in their name or title.
 */
export async function fetchLayers(text = "", signal) {
  const layers = new Map();
  const failures = [];
  let url = `layers${query(text ? { q: text } : {})}`;
  for (let page = 0; url && page < MAX_PAGES; page += 1) {
    // What the browser holds may be a minute old; the ETag makes asking cheap.
    const answer = await fetchJson(url, signal, "no-cache");
    for (const layer of (answer.layers ?? []).map(cleanLayer)) {
      if (layer && !layers.has(layer.name)) layers.set(layer.name, layer);
    }
    failures.push(...(answer.errors ?? []).map(cleanFailure));
    url = nextPage(url, answer.next);
  }
  return { layers: [...layers.values()], failures, complete: !url };
}

function nextPage(current, next, route = "layers") {
  if (typeof next !== "string" || next === "") return null;
  const here = new URL(current, document.baseURI);
  const url = new URL(next, here);
  // Only the query counts: behind a proxy the server cannot know our path.
  return url.search && url.search !== here.search ? `${route}${url.search}` : null;
}

/** Return the layer, frozen, with every member the page relies on, or null for one that has no name. */
export function cleanLayer(layer) {
  if (typeof layer?.name !== "string" || layer.name === "") return null;
  const text = (value) => (typeof value === "string" ? value : "");
  return Object.freeze({
    ...layer,
    title: text(layer.title) || layer.name,
    asset: text(layer.asset),
    tiles: text(layer.tiles),
    description: text(layer.description),
    attribution: text(layer.attribution),
    noPlace: text(layer.no_place),
    table: layer.table ?? null,
    pending: layer.pending === true,
    bounds: isBounds(layer.bounds) ? layer.bounds : [-180, -90, 180, 90],
    minzoom: Number.isFinite(layer.minzoom) ? layer.minzoom : 0,
    maxzoom: Number.isFinite(layer.maxzoom) ? layer.maxzoom : 22,
    bands: Array.isArray(layer.style?.bands) ? layer.style.bands.map(String) : [],
    visible: layer.visible === true,
  });
}

function cleanFailure(failure) {
  const text = (value) => (typeof value === "string" ? value.slice(0, MAX_REASON) : "");
  const title = text(failure?.title) || text(failure?.name) || "A layer";
  return { title, reason: text(failure?.reason) || "The server does not say why." };
}

/**
 * Return the JSON at an address.
 *
 * @throws {ServerError} with the reason, or that it is no JSON.
 */
export async function fetchJson(url, signal, cache = "default", more = {}) {
  const response = await ask(url, signal, cache, more);
  if (!response.ok) throw new ServerError(await reasonOf(response));
  try {
    return await response.json();
  } catch {
    throw new ServerError("The server's answer is not JSON.");
  }
}

export async function ask(url, signal, cache = "default", more = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
    return await fetch(url, { cache, signal: either, ...more });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ServerError("The server does not answer.");
  }
}

/**
 * Ask for a tile that failed as an image once more, to learn why.
 *
 * Returns {status, reason, retryAfterS}; status 0 means no answer at all, retryAfterS may be null.
 */
export async function diagnose(tileUrl) {
  try {
    const response = await ask(tileUrl);
    const retryAfterS = parseRetryAfter(response.headers.get("Retry-After"), Date.now());
    const reason = response.ok ? "The answer is not an image." : await reasonOf(response);
    return { status: response.status, reason, retryAfterS };
  } catch (error) {
    return { status: 0, reason: error.message, retryAfterS: null };
  }
}

/** Return whether an address gives a picture now. */
export async function isPicture(url) {
  const response = await ask(url);
  return response.ok && (response.headers.get("Content-Type") ?? "").startsWith("image/");
}

/** Return whether the server answers at all. */
export async function isServerUp() {
  try {
    return (await ask(`healthz${query()}`, null, "no-store")).ok;
  } catch {
    return false;
  }
}

/** Return the seconds a Retry-After header asks for (a number or an HTTP date), or null. */
export function parseRetryAfter(header, nowMs) {
  if (!header) return null;
  if (/^\d+$/.test(header.trim())) return Number(header);
  // Date.parse takes much for a date, "-5" for one; an HTTP date begins with its weekday.
  const date = /^[A-Z][a-z]{2}, /.test(header) ? Date.parse(header) : NaN;
  return Number.isNaN(date) ? null : Math.max(0, (date - nowMs) / 1000);
}

async function reasonOf(response) {
  const body = (await response.text().catch(() => "")).trim();
  const reason = jsonMessage(body) ?? (isPlain(response) ? body.split("\n")[0] : "");
  return reason.slice(0, MAX_REASON) || `The server answered with status ${response.status}.`;
}

const isPlain = (response) =>
  (response.headers.get("Content-Type") ?? "").startsWith("text/plain");

function jsonMessage(body) {
  try {
    const message = JSON.parse(body)?.error?.message;
    return typeof message === "string" ? message : null;
  } catch {
    return null;
  }
}

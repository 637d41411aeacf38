/** What the server is asked, and at which address. Every address is relative to the page. */

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

/** Return the version token of a layer and the API key as a query, or "". */
function version(layer) {
  const token = new URLSearchParams(layer.tiles.split("?")[1] ?? "").get("v");
  return query(token ? { v: token } : {});
}

/**
 * Return the tile address template, relative to the page; `{r}` is "@2x" on dense screens.
 *
 * An API key that the list of layers was asked with is in `layer.tiles` already.
 *
 * The host and the prefix in `layer.tiles` are left out: behind a proxy the page knows better than
 * the server under which address it was reached.
 */
export function tileTemplate(layer, { retina = true } = {}) {
  const mark = layer.tiles.lastIndexOf("{y}");
  const suffix = mark < 0 ? ".png" : layer.tiles.slice(mark + 3);
  return `tiles/${path(layer.name)}/{z}/{x}/{y}${retina ? "{r}" : ""}${suffix}`;
}

export const legendUrl = (layer) => `legend/${path(layer.name)}.svg${version(layer)}`;
export const tileJsonUrl = (layer) => `tilejson/${path(layer.name)}.json${query()}`;

/** Return the full address of a relative one; braces of templates stay as they are. */
export const absolute = (relative) => new URL(".", document.baseURI).href + relative;

/** Return every band's value: {values: {band: number or null}}. */
export function fetchPoint(layer, lon, lat, signal) {
  const place = query({ lon: lon.toFixed(7), lat: lat.toFixed(7) });
  return fetchJson(`point/${path(layer.name)}${place}`, signal);
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

function nextPage(current, next) {
  if (typeof next !== "string" || next === "") return null;
  const here = new URL(current, document.baseURI);
  const url = new URL(next, here);
  // Only the query counts: behind a proxy the server cannot know our path.
  return url.search && url.search !== here.search ? `layers${url.search}` : null;
}

/** Return the layer with every member the page relies on, or null for one that has no name. */
function cleanLayer(layer) {
  if (typeof layer?.name !== "string" || layer.name === "") return null;
  const text = (value) => (typeof value === "string" ? value : "");
  return {
    ...layer,
    title: text(layer.title) || layer.name,
    tiles: text(layer.tiles),
    description: text(layer.description),
    attribution: text(layer.attribution),
    noPlace: text(layer.no_place),
    pending: layer.pending === true,
    bounds: isBounds(layer.bounds) ? layer.bounds : [-180, -90, 180, 90],
    minzoom: Number.isFinite(layer.minzoom) ? layer.minzoom : 0,
    maxzoom: Number.isFinite(layer.maxzoom) ? layer.maxzoom : 22,
    bands: Array.isArray(layer.style?.bands) ? layer.style.bands.map(String) : [],
    visible: layer.visible === true,
  };
}

function cleanFailure(failure) {
  const text = (value) => (typeof value === "string" ? value.slice(0, MAX_REASON) : "");
  const title = text(failure?.title) || text(failure?.name) || "A layer";
  return { title, reason: text(failure?.reason) || "The server does not say why." };
}

const isBounds = (bounds) =>
  Array.isArray(bounds) && bounds.length === 4 && bounds.every(Number.isFinite);

async function fetchJson(url, signal, cache = "default") {
  const response = await ask(url, signal, cache);
  if (!response.ok) throw new ServerError(await reasonOf(response));
  try {
    return await response.json();
  } catch {
    throw new ServerError("The server's answer is not JSON.");
  }
}

async function ask(url, signal, cache = "default") {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
    return await fetch(url, { cache, signal: either });
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

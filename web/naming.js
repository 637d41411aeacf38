/** Which layer a text means: a name, a path below the roots, or the address of tiles. */

import { fetchAssets, fetchLayer, ServerError } from "./api.js";

const TILES = /^tiles\/(.+?)\/(?:\{z\}|\d+)\/(?:\{x\}|\d+)\/[^/]+$/;
const TILEJSON = /^tilejson\/(.+)\.json$/;
const SUFFIX = /\.(tiff?|vrt|nc|zarr|jp2|img)$/i;
const NOT_STYLE = new Set(["v", "key"]);
const SHOWN = 3;

/**
 * Find what a text means.
 *
 * @param {string} text the name of a layer or an asset, the end of one, with or without the suffix of
 *   its file, or an address of this server's tiles or TileJSON.
 * @returns {Promise<{layer: object, style: Record<string, string>}>}
 * @throws {ServerError} nothing, or more than one thing; or the server says why not.
 */
export async function findLayer(text, signal) {
  const address = parseAddress(text, document.baseURI);
  if (address) return { layer: await fetchLayer(address.name, signal), style: address.style };
  const isFile = SUFFIX.test(text);
  try {
    if (!isFile) return { layer: await fetchLayer(text, signal), style: {} };
  } catch (error) {
    const name = await findByPath(text, signal).catch(() => null);
    if (name === null) throw error;
    return { layer: await fetchLayer(name, signal), style: {} };
  }
  const name = await findByPath(text, signal);
  if (name === null) throw new ServerError(`No asset that may be read ends with ${stem(text)}.`);
  return { layer: await fetchLayer(name, signal), style: {} };
}

/**
 * Return {name, style} of an address of tiles or TileJSON below `base`; null for other texts.
 *
 * @throws {ServerError} it is an address of another server, or of something else here.
 */
export function parseAddress(text, base) {
  if (!/^https?:\/\//.test(text) && !/^\/?(tiles|tilejson)\//.test(text)) return null;
  const root = new URL(".", base);
  const url = new URL(text.replace(/^\/(?=tiles|tilejson)/, ""), root);
  if (!url.href.startsWith(root.href)) {
    throw new ServerError(`That is an address of ${url.host}. Only those below ${root.href} can be added.`);
  }
  const place = url.pathname.slice(root.pathname.length).replaceAll("%7B", "{").replaceAll("%7D", "}");
  const found = TILES.exec(place) ?? TILEJSON.exec(place);
  if (!found) throw new ServerError("That is not an address of tiles, such as …/tiles/NAME/{z}/{x}/{y}.png.");
  const style = Object.fromEntries([...url.searchParams].filter(([name]) => !NOT_STYLE.has(name)));
  return { name: decodeURIComponent(found[1]), style };
}

const stem = (text) => text.replace(/^(\.?\/)+/, "").replace(SUFFIX, "");

async function findByPath(text, signal) {
  const wanted = stem(text);
  const { assets } = await fetchAssets({ q: wanted, limit: 1000 }, signal);
  const names = assets.map(({ name }) => name).filter((name) => `/${name}`.endsWith(`/${wanted}`));
  if (names.length < 2) return names[0] ?? null;
  const some = names.slice(0, SHOWN).join(", ");
  throw new ServerError(`${names.length} assets end with ${wanted}: ${some}. Write more of the name.`);
}

/** What GET /info says of layers, asked once for each version of one. */

import { fetchInfo } from "./api.js";

const MOST = 100;
const held = new Map();

/** Return the info of a layer, from memory if it was asked before. */
export function infoOf(layer) {
  const key = `${layer.name} ${layer.tiles}`;
  const known = held.get(key);
  if (known) return known;
  const asked = fetchInfo(layer);
  held.set(key, asked);
  // The next one may ask again after a failure.
  asked.catch(() => held.delete(key));
  if (held.size > MOST) held.delete(held.keys().next().value);
  return asked;
}

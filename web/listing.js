/** Which layers the list starts with, and how more of a long list, and named assets, come into it. */

import { fetchLayer, fetchLayers } from "./api.js";

const SEARCH_MS = 250;
const MAX_LOOKED_UP = 20;
const MANY = 8;

/** Return the layers of a list as they are first shown: of more than eight only one. */
export function firstShown(layers) {
  const placed = placedVisible(layers);
  const first = placed.find(({ visible }) => visible);
  return layers.length > MANY ? placed.map((layer) => withVisible(layer, layer === first)) : placed;
}

/** Return the layers, those without a place on Earth hidden if others are shown. */
export function placedVisible(layers) {
  if (!layers.some(({ visible, noPlace }) => visible && !noPlace)) return layers;
  return layers.map((layer) => withVisible(layer, layer.visible && !layer.noPlace));
}

const withVisible = (layer, visible) =>
  layer.visible === visible ? layer : Object.freeze({ ...layer, visible });

/** Look up the layers and assets that a link names and the state does not know; others are left out. */
export async function learnNamed(state, link) {
  const names = new Set((link.layers ?? []).map(({ name }) => name));
  const missing = [...names].filter((name) => !state.known.has(name)).slice(0, MAX_LOOKED_UP);
  const found = await Promise.all(missing.map((name) => fetchLayer(name).catch(() => null)));
  state.learn(found.filter(Boolean));
}

/**
 * Return a function that adds the layers that have a text, some time after the last key.
 *
 * @param {(error: Error) => void} onerror
 */
export function searcher(state, onerror) {
  let timer = 0;
  let request = new AbortController();
  return (text) => {
    clearTimeout(timer);
    request.abort();
    if (text === "") return;
    request = new AbortController();
    const { signal } = request;
    timer = setTimeout(async () => {
      try {
        state.extend((await fetchLayers(text, signal)).layers);
      } catch (error) {
        if (!signal.aborted) onerror(error);
      }
    }, SEARCH_MS);
  };
}

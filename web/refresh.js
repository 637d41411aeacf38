/** The list of layers asked for again: files that come, go or change, and layers not read yet. */

import { fetchLayers } from "./api.js";

const PENDING_MS = 2000;
const QUIET_MS = 10_000;
const LONGEST_MS = 60_000;
const SHARE = 20;

/**
 * Call back with each newer list while the page is in sight.
 *
 * Soon while layers are pending, else every ten seconds; a list that takes a second to come is
 * followed by twenty seconds of rest, at most a minute. An answer that fails is passed over.
 *
 * @param {boolean} pending whether a layer of the list so far was not read yet.
 * @param {(list: {layers: object[], failures: object[], complete: boolean}) => boolean} onlist
 *   returns whether to go on.
 */
export function followLayers(pending, onlist) {
  const later = (waitMs) => setTimeout(look, waitMs);
  const look = async () => {
    if (document.hidden) return document.addEventListener("visibilitychange", look, { once: true });
    const began = performance.now();
    let goOn = true;
    try {
      const list = await fetchLayers();
      pending = isPending(list.layers);
      goOn = onlist(list);
    } catch (error) {
      console.debug(error);
    }
    const rest = Math.min(SHARE * (performance.now() - began), LONGEST_MS);
    return goOn && later(Math.max(pending ? PENDING_MS : QUIET_MS, rest));
  };
  later(pending ? PENDING_MS : QUIET_MS);
}

/** Return whether a layer of a list was not read yet. */
export const isPending = (layers) => layers.some((layer) => layer.pending);

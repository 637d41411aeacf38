/** What failed for want of the server is asked for again until it answers, while the page is in sight. */

import { isServerUp } from "./api.js";

const FIRST_MS = 1500;
const LONGEST_MS = 30_000;

/** @type {Map<object | string, {probe: () => Promise<boolean>, recover: () => void}>} */
const waiting = new Map();
let timer = null;
let tries = 0;

/**
 * Wait until the server can answer.
 *
 * The server is asked whether it is up; if so, each that waits is probed, with one request of its
 * own, and recovers if that went well. Event "serverback" on `document` tells that it is up.
 *
 * @param {object | string} key of the one that waits; a later call with it replaces the earlier one.
 * @param {{probe: () => Promise<boolean>, recover: () => void}} one
 */
export function waitForServer(key, one) {
  waiting.set(key, one);
  schedule();
}

export function stopWaiting(key) {
  waiting.delete(key);
}

function schedule() {
  if (timer !== null) return;
  // Spread, so that a server that comes back does not get all pages at one moment.
  const waitMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** tries) * (1 + Math.random() / 2);
  timer = setTimeout(look, waitMs);
}

async function look() {
  if (document.hidden) return document.addEventListener("visibilitychange", look, { once: true });
  if (waiting.size && (await isServerUp())) {
    document.dispatchEvent(new CustomEvent("serverback"));
    await Promise.all([...waiting].map(([key, one]) => tryOne(key, one)));
  }
  timer = null;
  tries = waiting.size ? tries + 1 : 0;
  if (waiting.size) schedule();
}

async function tryOne(key, one) {
  const isBack = await one.probe().catch(() => false);
  if (!isBack || waiting.get(key) !== one) return;
  waiting.delete(key);
  one.recover();
}

// The network came back: there is no need to wait out the pause.
window.addEventListener("online", () => {
  if (timer === null || !waiting.size) return;
  clearTimeout(timer);
  tries = 0;
  look();
});

/** Return whether an answer of this status may be another one later; 0 is no answer at all. */
export const mayPass = (status) => status === 0 || status === 429 || status >= 500;

/** Return what can be done about an answer of this status, as a sentence. */
export function advice(status) {
  if (status === 0) return "Its tiles come by themselves when it is back.";
  if (mayPass(status)) return "The page goes on asking.";
  if (status === 401 || status === 403) return "Open the page with a key: ?key=… in its address.";
  if (status === 404) return "It may have been moved or removed.";
  if (status === 400) return "The layer’s own style may work.";
  return "";
}

/** Asks the worker to decode and paint tiles of values; the page does so itself where there is none. */

import { ValueStore } from "./value_store.js";

/** Whether this browser can decode tiles of values. */
export const canPaint = (() => {
  try {
    return Boolean(new DecompressionStream("deflate-raw"));
  } catch {
    return false;
  }
})();

/** Calls of one worker, answered in the order in which they are made. */
class Calls {
  constructor() {
    this.waiting = new Map();
    this.number = 0;
    this.worker = new Worker(new URL("./painter.js", import.meta.url), { type: "module" });
    this.worker.addEventListener("message", ({ data }) => this.settle(data));
    // A worker that cannot be loaded says nothing of the calls it was sent.
    this.worker.addEventListener("error", () => this.fail());
  }

  call(kind, wanted, transfer = []) {
    return new Promise((resolve, reject) => {
      if (!this.worker) return reject(new Error("no worker"));
      this.number += 1;
      this.waiting.set(this.number, { resolve, reject });
      return this.worker.postMessage({ number: this.number, kind, ...wanted }, transfer);
    });
  }

  settle({ number, answer, error }) {
    const { resolve, reject } = this.waiting.get(number) ?? {};
    this.waiting.delete(number);
    if (error === undefined) resolve?.(answer);
    else reject?.(new Error(error));
  }

  fail() {
    this.worker.terminate();
    this.worker = null;
    for (const { reject } of this.waiting.values()) reject(new Error("no worker"));
    this.waiting.clear();
  }
}

/** The same on the page's own thread. */
class Here {
  constructor() {
    this.store = new ValueStore();
  }

  async call(kind, { url, buffer, urls, drawing, parts, most }) {
    if (kind === "put") return this.store.put(url, buffer);
    if (kind === "sample") return { bands: this.store.sample(parts, most) };
    const key = JSON.stringify(drawing);
    return { tiles: urls.map((each) => this.store.paint(each, drawing, key)) };
  }
}

let calls = null;

function painter() {
  if (calls?.worker === null) calls = new Here();
  if (calls) return calls;
  try {
    calls = new Calls();
  } catch {
    calls = new Here();
  }
  return calls;
}

/** Keep the tile in an NPZ, under its address; throws if it is none. */
export const putTile = (url, buffer) => painter().call("put", { url, buffer }, [buffer]);

/** Return the pixels of tiles, {url, width, height, pixels}; null for one that is no longer kept. */
export const paintTiles = async (urls, drawing) => (await painter().call("paint", { urls, drawing })).tiles;

/** Return the valid values in parts of tiles, {band id: Float64Array}; see `ValueStore.sample`. */
export const sampleTiles = async (parts, most) => (await painter().call("sample", { parts, most })).bands;

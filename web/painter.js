/** The worker that decodes tiles of values and paints them, so that the page stays at the visitor's hand. */

import { ValueStore } from "./value_store.js";

const store = new ValueStore();

const answers = {
  put: async ({ url, buffer }) => {
    await store.put(url, buffer);
    return {};
  },
  paint: ({ urls, drawing }) => {
    const key = JSON.stringify(drawing);
    return { tiles: urls.map((url) => store.paint(url, drawing, key)) };
  },
  sample: ({ parts, most }) => ({ bands: store.sample(parts, most) }),
};

addEventListener("message", async ({ data: { number, kind, ...wanted } }) => {
  try {
    const answer = await answers[kind](wanted);
    const buffers = [...(answer.tiles ?? []).filter(Boolean).map(({ pixels }) => pixels.buffer)];
    postMessage({ number, answer }, buffers);
  } catch (error) {
    postMessage({ number, error: String(error?.message ?? error) });
  }
});

/** The server's legend of a layer, inline. */

import { legendUrl } from "./api.js";
import { h } from "./dom.js";

/** Return the legend of a layer in a style, as an image that takes no place until it has come. */
export function legend(layer, style = {}) {
  const image = h("img", {
    className: "legend",
    alt: `Legend of ${layer.title}`,
    hidden: true,
    decoding: "async",
    onload: () => (image.hidden = false),
    onerror: () => image.remove(),
  });
  image.src = legendUrl(layer, style);
  return image;
}

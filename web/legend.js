/** The server's legend of a layer, inline. */

import { isServerUp, legendUrl } from "./api.js";
import { h } from "./dom.js";
import { waitForServer } from "./recovery.js";

/** Return the legend of a layer in a style, as an image that takes no place until it has come. */
export function legend(layer, style = {}) {
  const image = h("img", {
    className: "legend",
    alt: `Legend of ${layer.title}`,
    hidden: true,
    decoding: "async",
    onload: () => (image.hidden = false),
    onerror: () => {
      image.hidden = true;
      removeOrWait(image);
    },
  });
  image.src = legendUrl(layer, style);
  return image;
}

/** Take out a legend that there is not; one of a server that does not answer comes later. */
async function removeOrWait(image) {
  if (await isServerUp()) return image.remove();
  const probe = async () => image.isConnected;
  return waitForServer(image, { probe, recover: () => (image.src = image.src) });
}

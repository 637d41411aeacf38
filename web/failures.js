/** Layers that the server cannot show, and why. */

import { h } from "./dom.js";

/** Return the list of layers that cannot be shown and why, closed at first; "" if there are none. */
export function notShown(failures, open = false) {
  if (failures.length === 0) return "";
  const count = failures.length === 1 ? "1 layer cannot be shown" : `${failures.length} layers cannot be shown`;
  const rows = failures.map(({ title, reason }) =>
    h("li", {}, h("strong", {}, title), h("span", {}, `: ${reason}`)),
  );
  return h("details", { className: "not-shown", open }, h("summary", {}, count), h("ul", {}, rows));
}

/** `?embed=1`: the map alone, for a frame in another page; `&legend=1` keeps the legends. */

import { h } from "./dom.js";
import { Legend } from "./legend.js";
import { titleOf } from "./row.js";

const asked = new URLSearchParams(location.search);

/** Whether the page is a part of another. */
export const isEmbedded = asked.get("embed") === "1";
if (isEmbedded) document.documentElement.dataset.embed = "1";

/** Show the legends of the visible layers over the map, if they were asked for. */
export function start({ state }) {
  if (!isEmbedded || asked.get("legend") !== "1") return;
  const box = h("aside", { className: "embed-legend card", "aria-label": "Legend" });
  document.body.append(box);
  const legends = new Map();
  const update = () => {
    box.replaceChildren(...state.visible.map((entry) => section(entry, legends)));
    box.hidden = state.visible.length === 0;
  };
  state.addEventListener("change", update);
  update();
}

function section(entry, legends) {
  if (!legends.has(entry.id)) legends.set(entry.id, new Legend(titleOf(entry)));
  const legend = legends.get(entry.id);
  legend.show(entry.layer, entry.style);
  return h("section", {}, h("h2", {}, titleOf(entry)), legend.element);
}

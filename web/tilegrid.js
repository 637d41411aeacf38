/** A sheet over the map for those who look after a server: tiles with their address and what they took. */

import { fetchPageSettings } from "./api.js";
import { h } from "./dom.js";
import L from "./leaflet.js";
import { Measures, meterText } from "./measures.js";
import { mapTools } from "./tools.js";

const MOST_LAYERS = 4;

const TileGrid = L.GridLayer.extend({
  createTile(coords) {
    const tile = h("div", { className: "tile-address-sheet" });
    tile.coords = coords;
    tile.append(...this.options.lines(coords));
    return tile;
  },
});

/** Register the sheet, and put the meter beside the credits. */
export function start({ map, state }) {
  const measures = new Measures();
  const meter = h("div", { className: "meter", title: "Tiles since the page was opened" });
  map.addControl(meter, "bottomright");
  const show = () => (meter.textContent = meterText(measures.totals));
  show();
  const lines = (coords) => [h("strong", {}, `${coords.z}/${coords.x}/${coords.y}`), ...rows(coords, state, measures)];
  const grid = new TileGrid({ zIndex: 1000, className: "tile-grid", keepBuffer: 0, lines });
  const fill = () => {
    for (const tile of grid.getContainer()?.querySelectorAll(".tile-address-sheet") ?? []) {
      tile.replaceChildren(...lines(tile.coords));
    }
  };
  knowCosts(measures, state);
  let planned = 0;
  measures.addEventListener("measure", () => {
    planned ||= requestAnimationFrame(() => {
      planned = 0;
      show();
      fill();
    });
  });
  state.addEventListener("change", fill);
  mapTools.push({
    name: "tile-grid",
    label: "Addresses of tiles",
    icon: "M4 4h16v16H4zM4 12h16M12 4v16",
    key: "z",
    isOn: () => map.has(grid),
    toggle: () => (map.has(grid) ? grid.remove() : map.addBackdrop(grid)),
  });
}

/** Learn which layers are Earth Engine's, before a tile of theirs tells. */
async function knowCosts(measures, state) {
  const { local } = await fetchPageSettings().catch(() => ({ local: null }));
  if (!local) return;
  const isLocal = (asset) => local.some((prefix) => asset.startsWith(`${prefix}/`));
  const learn = () => {
    const others = state.entries.filter(({ layer }) => !isLocal(layer.asset));
    measures.expect(others.map(({ layer }) => layer.name));
  };
  learn();
  state.addEventListener("change", learn);
}

/** Return what the visible layers' tiles took, one line each. */
function rows(coords, state, measures) {
  const names = [...new Set(state.visible.map(({ layer }) => layer.name))];
  return names
    .slice(0, MOST_LAYERS)
    .map((name) => [name, measures.find(name, coords)])
    .filter(([, tile]) => tile)
    .map(([name, tile]) => h("span", {}, `${name}: ${tileText(tile)}`));
}

/** Return what is known of a tile as text: "200 · 23 ms · 14.1 kB · hit". */
export function tileText({ status, ms, bytes, cache, upstream }) {
  const size = bytes < 1000 ? `${bytes} B` : `${(bytes / 1000).toPrecision(3)} kB`;
  const cost = upstream > 0 ? `${upstream} upstream` : "";
  return [status || "", `${ms} ms`, size, cache, cost].filter(Boolean).join(" · ");
}

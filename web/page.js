/** The page put together: the map, the list, the inspector, and the address that holds it all. */

import { fetchLayers } from "./api.js";
import { Corner } from "./corner.js";
import { h } from "./dom.js";
import { Inspector } from "./inspector.js";
import { LayerList, notShown } from "./layers.js";
import { LayerMap } from "./map.js";
import { hideMessage, showMessage } from "./messages.js";
import { Panel } from "./panel.js";
import { parseHash, permalinkWriter } from "./permalink.js";
import { LayerState } from "./state.js";

/** Start the page. */
export async function start() {
  const map = new LayerMap(document.getElementById("map"));
  const panel = new Panel(document.getElementById("panel"));
  map.setView(parseHash(location.hash).view ?? { zoom: 2, lat: 20, lon: 0 });
  await load(map, panel);
}

async function load(map, panel) {
  panel.say("loading…");
  panel.show(h("div", { className: "skeleton", "aria-label": "Loading the layers" }));
  try {
    const { layers, failures, complete } = await fetchLayers();
    if (layers.length === 0) showEmpty(panel, failures);
    else run(map, panel, layers, failures);
    if (!complete) showMessage("layers", { text: `Only the first ${layers.length} layers are listed.` });
  } catch (error) {
    showBroken(panel, error, () => load(map, panel));
  }
}

function showEmpty(panel, failures) {
  const text = failures.length ? "This server has no layers to show." : "This server has no layers yet.";
  panel.say("none");
  panel.show(h("p", { className: "quiet" }, text), notShown(failures, true));
  panel.open(true);
}

function showBroken(panel, error, retry) {
  panel.say("not available");
  panel.show(
    h("p", { className: "wrong", role: "alert" }, `The layers could not be fetched. ${error.message}`),
    h("button", { type: "button", className: "button", onclick: retry }, "Try again"),
  );
  panel.open(true);
}

function run(map, panel, layers, failures) {
  const state = new LayerState(layers);
  const list = new LayerList(state, {
    fit: (layer) => map.fit(layer.bounds),
    highlight: (layer) => map.highlight(layer),
  });
  const corner = new Corner();
  map.addControl(corner.element, "bottomright");
  const draw = () => {
    map.draw(state.entries, (layer) => tileListeners(layer, list));
    corner.setCredits(state.visible);
    panel.say(`${state.visible.length} of ${layers.length} shown`);
  };
  panel.show(
    list.element,
    notShown(failures),
    h("p", { className: "tip" }, "Click or tap the map to read its values."),
  );
  const writeAddress = permalinkWriter(() => ({ view: map.view, layers: state.snapshot() }));
  followAddress(map, state, writeAddress);
  draw();
  state.addEventListener("change", draw);
  state.addEventListener("change", writeAddress);
  map.onmove(() => {
    list.setZoom(map.view.zoom);
    writeAddress();
  });
  list.setZoom(map.view.zoom);
  writeAddress();
  map.onhover((place) => corner.setPlace(place));
  inspectPoints(map, state);
}

function tileListeners(layer, list) {
  let dismissed = "";
  const key = `tiles of ${layer.name}`;
  const onfailure = ({ count, reason, retrying, retry }) => {
    if (count === 0) dismissed = "";
    if (count === 0 || reason === dismissed) return hideMessage(key);
    const tiles = count === 1 ? "1 tile is missing." : `${count} tiles are missing.`;
    return showMessage(key, {
      title: layer.title,
      text: `${tiles} ${reason}${retrying ? " Trying again…" : ""}`,
      action: { label: "Retry", run: retry },
      ondismiss: () => (dismissed = reason),
    });
  };
  return { onbusy: (busy) => list.setBusy(layer, busy), onfailure };
}

function followAddress(map, state, writeAddress) {
  const apply = (hash) => {
    const { view, layers, dropped } = parseHash(hash);
    const unknown = layers ? state.restore(layers) : [];
    if (view) map.setView(view);
    tellDropped([...dropped, ...unknown]);
    return view;
  };
  if (!apply(location.hash)) map.fitFirst(state.visible);
  window.addEventListener("hashchange", (event) => {
    // Not location.hash, which a write that was under way may have put back.
    apply(new URL(event.newURL).hash);
    writeAddress();
  });
}

function tellDropped(dropped) {
  if (dropped.length === 0) return hideMessage("address");
  const text = `This part of the link means nothing here: ${dropped.join(", ").slice(0, 200)}`;
  return showMessage("address", { text, tone: "note" });
}

function inspectPoints(map, state) {
  const inspector = new Inspector(document.getElementById("inspector"), () => map.mark(null));
  map.onpoint((place) => {
    map.mark(place);
    inspector.read(state.visible, place);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") inspector.close();
  });
}

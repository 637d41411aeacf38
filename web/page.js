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
import { followLayers, isPending } from "./refresh.js";
import { LayerState } from "./state.js";

const SEARCH_MS = 250;
const MAX_LINKED = 20;
const MAX_VISIBLE = 10;

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
    if (layers.length === 0) showEmpty(panel, failures, () => load(map, panel));
    else run(map, panel, complete ? placedVisible(layers) : await withLinked(fewVisible(layers)), failures, complete);
    if (!complete) {
      const text = `Only the first ${layers.length} layers are listed. The filter finds the others.`;
      showMessage("layers", { text, tone: "note" });
    }
  } catch (error) {
    showBroken(panel, error, () => load(map, panel));
  }
}

/** Return the layers of a list that is too long to show, all but the first few hidden. */
const fewVisible = (layers) =>
  layers.map((layer, index) => ({ ...layer, visible: layer.visible && index < MAX_VISIBLE }));

/** Return the layers, those without a place on Earth hidden if others are shown. */
function placedVisible(layers) {
  if (!layers.some(({ visible, noPlace }) => visible && !noPlace)) return layers;
  return layers.map((layer) => ({ ...layer, visible: layer.visible && !layer.noPlace }));
}

/** Return layers and, hidden, those that the address names beside them. */
async function withLinked(layers) {
  const listed = new Set(layers.map((layer) => layer.name));
  const names = (parseHash(location.hash).layers ?? []).map(({ name }) => name);
  const missing = names.filter((name) => !listed.has(name)).slice(0, MAX_LINKED);
  const found = await Promise.all(
    missing.map(async (name) => (await fetchLayers(name)).layers.filter((layer) => layer.name === name)),
  );
  return [...layers, ...found.flat().map((layer) => ({ ...layer, visible: false }))];
}

/** Return a function that adds the layers that have a text, some time after the last key. */
function searcher(state) {
  let timer = 0;
  let request = new AbortController();
  return (text) => {
    clearTimeout(timer);
    request.abort();
    if (text === "") return;
    request = new AbortController();
    const { signal } = request;
    timer = setTimeout(async () => {
      try {
        state.add((await fetchLayers(text, signal)).layers);
      } catch (error) {
        if (!signal.aborted) showMessage("layers", { text: `The search failed. ${error.message}` });
      }
    }, SEARCH_MS);
  };
}

function showEmpty(panel, failures, again) {
  const text = failures.length ? "This server has no layers to show." : "This server has no layers yet.";
  panel.say("none");
  panel.show(h("p", { className: "quiet" }, text), notShown(failures, true));
  panel.open(true);
  const told = JSON.stringify(failures);
  followLayers(false, (list) => {
    const same = list.layers.length === 0 && JSON.stringify(list.failures) === told;
    if (!same) again();
    return same;
  });
}

function showBroken(panel, error, retry) {
  panel.say("not available");
  panel.show(
    h("p", { className: "wrong", role: "alert" }, `The layers could not be fetched. ${error.message}`),
    h("button", { type: "button", className: "button", onclick: retry }, "Try again"),
  );
  panel.open(true);
}

function run(map, panel, layers, failures, complete) {
  const state = new LayerState(layers);
  const list = new LayerList(state, {
    fit: (layer) => map.fit(layer.bounds),
    highlight: (layer) => map.highlight(layer),
  }, complete ? null : searcher(state));
  const corner = new Corner();
  map.addControl(corner.element, "bottomright");
  const draw = () => {
    map.draw(state.entries, (layer) => tileListeners(layer, list));
    corner.setCredits(state.visible);
    panel.say(`${state.visible.length} of ${state.entries.length} shown`);
  };
  const wrong = h("div", {}, notShown(failures));
  panel.show(
    wrong,
    list.element,
    h("p", { className: "tip" }, "Click or tap the map to read its values."),
  );
  const writeAddress = permalinkWriter(() => ({ view: map.view, layers: state.snapshot() }));
  const linked = followAddress(map, state, writeAddress);
  const firstView = linked ? null : JSON.stringify(map.view);
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
  followLayers(isPending(layers), (newest) => {
    const untouched = JSON.stringify(map.view) === firstView && isPending(state.visible);
    state.refresh(placedVisible(newest.layers), newest.complete);
    if (untouched) map.fitFirst(state.visible);
    showFailures(wrong, newest.failures);
    return true;
  });
}

/** Show why layers cannot be shown, unless it is what is shown already. */
function showFailures(element, failures) {
  const open = element.querySelector("details")?.open ?? false;
  const node = h("div", {}, notShown(failures, open));
  if (node.textContent !== element.textContent) element.replaceChildren(...node.childNodes);
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
  const linked = apply(location.hash);
  if (!linked) map.fitFirst(state.visible);
  window.addEventListener("hashchange", (event) => {
    // Not location.hash, which a write that was under way may have put back.
    apply(new URL(event.newURL).hash);
    writeAddress();
  });
  return Boolean(linked);
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

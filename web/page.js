/** The page put together: the map, the list, the features, and the address that holds it all. */

import { Address } from "./address.js";
import { fetchLayers } from "./api.js";
import { Corner } from "./corner.js";
import { h } from "./dom.js";
import { Drawer } from "./drawer.js";
import { isEmbedded } from "./embed.js";
import { notShown } from "./failures.js";
import { FEATURES } from "./features.js";
import { Inspector } from "./inspector.js";
import { Keys } from "./keys.js";
import { LayerList } from "./layers.js";
import { firstShown, learnNamed, searcher } from "./listing.js";
import { LayerMap } from "./map.js";
import * as messages from "./messages.js";
import { Panel } from "./panel.js";
import { parseHash } from "./permalink.js";
import { tileListeners } from "./problems.js";
import { stopWaiting, waitForServer } from "./recovery.js";
import { followLayers, isPending } from "./refresh.js";
import { LayerState } from "./state.js";
import { toolbar } from "./tools.js";

const { hideMessage, showMessage } = messages;

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
    stopWaiting("layers");
    const named = parseHash(location.hash).layers ?? [];
    const begin = () => run(map, panel, layers, failures, complete);
    if (layers.length === 0 && named.length === 0) showEmpty(panel, failures, () => load(map, panel), begin);
    else await begin();
    if (!complete) {
      const text = `Only the first ${layers.length} layers are listed. The filter finds the others.`;
      showMessage("layers", { text, tone: "note" });
    }
  } catch (error) {
    showBroken(panel, error, () => load(map, panel));
  }
}

/** Say that there are no layers; one adds some assets, or layers come by themselves. */
function showEmpty(panel, failures, again, begin) {
  const text = failures.length ? "This server has no layers to show." : "This server has no layers yet.";
  panel.say("none");
  let hasBegun = false;
  const add = async () => {
    hasBegun = true;
    await begin();
    document.querySelector(".list-bar .add").click();
  };
  const button = h("button", { type: "button", className: "button", onclick: add }, "Add a layer");
  panel.show(h("p", { className: "quiet" }, text), button, notShown(failures, true));
  panel.open(true);
  const told = JSON.stringify(failures);
  followLayers(false, (list) => {
    if (hasBegun) return false;
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
  const probe = async () => Boolean(await fetchLayers());
  waitForServer("layers", { probe, recover: retry });
}

async function run(map, panel, layers, failures, complete) {
  const state = new LayerState(firstShown(layers));
  const permalink = new Address(
    () => ({ view: map.view, layers: state.snapshot(), removed: [...state.removed] }),
    (link) => applyLink(map, state, link),
  );
  const drawer = new Drawer(document.getElementById("drawer"));
  const keys = new Keys();
  const context = { state, map, drawer, messages, keys, panel, permalink, listTools: [] };
  FEATURES.forEach((feature) => feature(context));
  const onerror = (error) => showMessage("layers", { text: `The search failed. ${error.message}` });
  const list = new LayerList(context, complete ? null : searcher(state, onerror));
  context.focused = () => list.focused;
  document.getElementById("tools").replaceChildren(toolbar(context));
  const wrong = h("div", {}, notShown(failures));
  panel.show(wrong, list.element, h("p", { className: "tip" }, "Click or tap the map to read its values."));
  const link = parseHash(location.hash);
  await applyLink(map, state, link);
  permalink.read(link);
  if (!link.view) map.fitFirst(layersOf(state.visible));
  state.forget();
  showState(context, list);
  followMap(context, list);
  if (!isEmbedded) inspectPoints(context);
  keys.addCloser(() => drawer.close());
  followServer(context, layers, wrong, link.view ? null : JSON.stringify(map.view));
}

const layersOf = (entries) => entries.map(({ layer }) => layer);

/** Draw the state now and after each change. */
function showState({ state, map, panel, permalink }, list) {
  const corner = new Corner();
  map.addControl(corner.element, "bottomright");
  map.onhover((place) => corner.setPlace(place));
  const draw = () => {
    map.draw(state.entries, (entry) => tileListeners(entry, list));
    corner.setCredits(state.visible);
    panel.say(`${state.visible.length} of ${state.entries.length} shown`);
  };
  draw();
  state.addEventListener("change", draw);
  permalink.follow(state);
  permalink.changed();
}

function followMap({ map, permalink }, list) {
  map.onmove(() => {
    list.setZoom(map.view.zoom);
    permalink.changed();
  });
  list.setZoom(map.view.zoom);
}

/** Take over newer lists of the server; `firstView` is the view that was not chosen by anybody. */
function followServer({ state, map }, layers, wrong, firstView) {
  followLayers(isPending(layers), (newest) => {
    const untouched = JSON.stringify(map.view) === firstView && isPending(layersOf(state.visible));
    state.refresh(firstShown(newest.layers), newest.complete);
    if (untouched) map.fitFirst(layersOf(state.visible));
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

/** Show what a link says; layers and assets that are not in the list are looked up first. */
async function applyLink(map, state, link) {
  if (link.view) map.setView(link.view);
  await learnNamed(state, link);
  const unknown = link.layers ? state.restore(link.layers, link.removed) : [];
  tellDropped([...link.dropped, ...unknown]);
}

function tellDropped(dropped) {
  if (dropped.length === 0) return hideMessage("address");
  const text = `This part of the link means nothing here: ${dropped.join(", ").slice(0, 200)}`;
  return showMessage("address", { text, tone: "note" });
}

function inspectPoints(context) {
  const { map, keys } = context;
  const inspector = new Inspector(document.getElementById("inspector"), context, () => map.mark(null));
  map.onpoint((place) => {
    map.mark(place);
    inspector.read(place);
  });
  keys.addCloser(() => inspector.close());
}

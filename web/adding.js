/** "Add a layer": by name, path or address, or from the folders, collections and images there are. */

import { fetchAssets, fetchLayer, fetchLayers } from "./api.js";
import { openDialog } from "./dialog.js";
import { h, icon, styleSheet } from "./dom.js";
import { contains } from "./extent.js";
import { findLayer } from "./naming.js";

await styleSheet("css/adding.css");

const SEARCH_MS = 250;
const MAX_LAYERS = 20;
const LABEL = "Search, or the name, path or tile address of a layer";

/** Open the dialog. */
export const openAdding = (context) => new AddDialog(context);

/** Show a layer: the entry that has it, unless that is shown already or another style is wanted. */
export function showLayer({ state, map }, layer, style = {}) {
  const isIt = (entry) => entry.layer.name === layer.name || entry.layer.asset === layer.asset;
  const there = Object.keys(style).length === 0 && state.entries.find((entry) => isIt(entry) && !entry.visible);
  if (there) state.setVisible(there.id, true);
  else state.insert(layer, style);
  const { lat, lon } = map.view;
  if (!contains(layer.bounds, lon, lat)) map.fit(layer.bounds);
}

/** The dialog. */
class AddDialog {
  constructor(context) {
    this.context = context;
    this.path = [];
    this.timer = 0;
    this.request = new AbortController();
    /** Counts what was added or refused, whose news a list that comes later must not replace. */
    this.attempts = 0;
    this.field = h("input", {
      type: "search",
      className: "filter",
      placeholder: "Search, or paste a name, path or address",
      "aria-label": LABEL,
      autocomplete: "off",
      spellcheck: false,
      oninput: () => this.searchSoon(),
    });
    const submit = h("button", { type: "submit", className: "button" }, "Add");
    const form = h("form", { className: "add-form" }, this.field, submit);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.addNamed();
    });
    this.news = h("p", { className: "add-news", role: "status" });
    this.trail = h("nav", { className: "trail", "aria-label": "Folders" });
    this.list = h("ul", { className: "assets", "aria-label": "Layers and assets" });
    this.more = h("button", { type: "button", className: "button", hidden: true }, "Show more");
    const element = h("div", {}, form, this.news, this.trail, this.list, this.more);
    openDialog({ title: "Add a layer", element, className: "adding", onclose: () => this.close() });
    this.field.focus();
    this.browse();
  }

  close() {
    clearTimeout(this.timer);
    this.request.abort();
  }

  say(text, isWrong = false) {
    this.news.textContent = text;
    this.news.classList.toggle("wrong", isWrong);
  }

  searchSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.browse(), SEARCH_MS);
  }

  /**
   * Show what the folder has, or what has the words of the field.
   *
   * @param {number} attempts how many layers were tried before; once one more is, its news stay.
   */
  async browse(attempts = this.attempts) {
    this.request.abort();
    this.request = new AbortController();
    const { signal } = this.request;
    const q = this.field.value.trim();
    const parent = this.path.at(-1);
    this.showTrail();
    this.list.setAttribute("aria-busy", "true");
    const query = { ...(parent && { parent }), ...(q && { q: q.slice(0, 200) }) };
    const [layers, assets] = await Promise.allSettled([
      q && this.path.length < 2 ? fetchLayers(q, signal) : { layers: [] },
      fetchAssets(query, signal),
    ]);
    if (signal.aborted) return;
    const only = this.onlyFolder(assets.value);
    if (only && !q) return this.enter([only], attempts);
    this.list.setAttribute("aria-busy", "false");
    const found = (layers.value?.layers ?? []).slice(0, MAX_LAYERS);
    this.list.replaceChildren(...found.map((layer) => this.layerRow(layer)));
    if (assets.status === "fulfilled") this.append(assets.value);
    if (attempts === this.attempts) this.tell(q, assets.reason);
  }

  /** Return the one folder there is at the top, which one need not choose. */
  onlyFolder(found) {
    if (this.path.length > 0 || found?.assets.length !== 1 || found.next) return null;
    const [{ name, drawn }] = found.assets;
    return drawn ? null : name;
  }

  tell(q, error) {
    const nothing = q ? `Nothing here has “${q}” in its name.` : "This folder has nothing to show.";
    if (error) this.say(error.message, this.list.childElementCount === 0);
    else this.say(this.list.childElementCount === 0 ? nothing : "");
  }

  append({ assets, next }) {
    this.list.append(...assets.map((asset) => this.assetRow(asset)));
    this.more.hidden = next === null;
    this.more.onclick = async () => {
      const { signal } = this.request;
      const last = this.list.lastElementChild;
      try {
        this.append(await fetchAssets(next, signal));
        last.nextElementSibling?.querySelector("button").focus();
      } catch (error) {
        if (!signal.aborted) this.say(error.message, true);
      }
    };
  }

  showTrail() {
    const step = (title, depth) =>
      h("button", { type: "button", className: "step", onclick: () => this.go(this.path.slice(0, depth)) }, title);
    const steps = this.path.map((name, index) => step(index ? name.split("/").at(-1) : name, index + 1));
    this.trail.replaceChildren(step("All", 0), ...steps);
    this.trail.lastElementChild.setAttribute("aria-current", "true");
    this.trail.hidden = this.path.length === 0;
  }

  go(path) {
    this.field.value = "";
    this.enter(path);
    this.field.focus();
  }

  enter(path, attempts = this.attempts) {
    this.path = path;
    return this.browse(attempts);
  }

  layerRow(layer) {
    return this.row("layers", layer.title, "layer of this server", () => Promise.resolve(layer));
  }

  assetRow({ type, name, title, drawn }) {
    const isFolder = type === "FOLDER" || type === "IMAGE_COLLECTION";
    const into = h(
      "button",
      { type: "button", className: "asset-name", onclick: () => this.go([...this.path, name]) },
      icon("folder"),
      h("span", {}, this.path.length ? title : name),
    );
    if (isFolder && !drawn) return h("li", {}, into);
    const add = this.row("image", title, this.field.value ? name : "", () => fetchLayer(name));
    if (isFolder) add.prepend(into);
    else if (!drawn) return h("li", { className: "quiet" }, `${title} has no pixels`);
    return add;
  }

  row(symbol, title, note, find) {
    const button = h(
      "button",
      {
        type: "button",
        className: "asset-name",
        "aria-label": `Add ${title}`,
        onclick: async () => {
          if (await this.add(title, async () => ({ layer: await find(), style: {} }))) button.append(icon("check"));
        },
      },
      icon(symbol),
      h("span", {}, title, note && h("small", {}, note)),
    );
    return h("li", {}, button);
  }

  async addNamed() {
    const text = this.field.value.trim();
    if (text === "") return this.say("Expected a name, a path or an address.", true);
    clearTimeout(this.timer);
    if (await this.add(text, () => findLayer(text))) this.field.select();
    return undefined;
  }

  /** Add what `find` finds, and say so; returns whether it was found. */
  async add(title, find) {
    this.attempts += 1;
    this.say(`Looking for ${title}…`);
    try {
      const { layer, style } = await find();
      showLayer(this.context, layer, style);
      this.say(`${layer.title} was added.`);
      return true;
    } catch (error) {
      this.say(error.message, true);
      return false;
    }
  }
}

/** The list of layers: show and hide, order, opacity, go there, take the address away. */

import { absolute, tileJsonUrl, tileTemplate } from "./api.js";
import { copyText, h, icon, iconButton } from "./dom.js";
import { legend } from "./legend.js";
import { showMessage, showNote } from "./messages.js";
import { dragToReorder } from "./reorder.js";

const FILTER_FROM = 9;

/** The layer list in its panel. */
export class LayerList {
  /**
   * @param {import("./state.js").LayerState} state what the list shows and changes.
   * @param {{fit: (layer: object) => void, highlight: (layer: object | null) => void}} map
   * @param {((text: string) => void) | null} search finds more layers, if not all are in `state`.
   */
  constructor(state, map, search = null) {
    this.state = state;
    this.search = search;
    this.rows = new Map();
    this.makeRow = (layer) =>
      new Row(layer, { ...map, state, moveBy: (name, step) => this.moveBy(name, step) });
    this.list = h("ol", { className: "layers", "aria-label": "Layers, the top one first" });
    this.news = h("p", { className: "visually-hidden", "aria-live": "polite" });
    this.filter = h("input", {
      type: "search",
      className: "filter",
      placeholder: "Filter layers",
      "aria-label": "Filter layers",
      oninput: () => {
        this.applyFilter();
        this.search?.(this.filter.value.trim());
      },
      hidden: state.entries.length < FILTER_FROM,
    });
    dragToReorder(this.list, (item, index) => state.move(item.dataset.name, index));
    this.list.addEventListener("keydown", (event) => this.moveByKey(event));
    this.element = h("div", { className: "layer-list" }, this.filter, this.list, this.news);
    state.addEventListener("change", () => this.update());
    this.update();
  }

  update() {
    const focused = document.activeElement;
    const { entries } = this.state;
    const isNew = entries.filter(({ layer }) => this.rows.get(layer.name)?.layer !== layer);
    const layers = new Set(entries.map(({ layer }) => layer));
    for (const row of [...this.rows.values()]) if (!layers.has(row.layer)) this.drop(row);
    for (const { layer } of isNew) this.rows.set(layer.name, this.makeRow(layer));
    const rows = entries.map(({ layer }) => this.rows.get(layer.name));
    const inOrder = rows.every((row, index) => row.element === this.list.children[index]);
    if (!inOrder) this.list.append(...rows.map((row) => row.element));
    rows.forEach((row, index) => row.update(entries[index], index, entries.length));
    // Moving an element takes its focus away.
    if (!inOrder && this.list.contains(focused)) focused.focus();
    this.filter.hidden &&= entries.length < FILTER_FROM;
    if (isNew.length) this.applyFilter();
  }

  drop(row) {
    row.element.remove();
    this.rows.delete(row.layer.name);
  }

  applyFilter() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { layer, element } of this.rows.values()) {
      const text = `${layer.name} ${layer.title}`.toLowerCase();
      element.hidden = !words.every((word) => text.includes(word));
    }
    // A place in a filtered list says nothing about the place in the whole.
    this.list.classList.toggle("filtered", words.length > 0);
  }

  moveByKey(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !event.target.matches(".grip")) return;
    event.preventDefault();
    const { name } = event.target.closest("li").dataset;
    this.moveBy(name, step);
  }

  moveBy(name, step) {
    const index = this.state.entries.findIndex(({ layer }) => layer.name === name);
    const target = Math.min(this.state.entries.length - 1, Math.max(0, index + step));
    if (target === index) return;
    this.state.move(name, target);
    const { title } = this.state.entries[target].layer;
    this.news.textContent = `${title}: place ${target + 1} of ${this.state.entries.length}`;
  }

  setBusy(layer, busy) {
    this.rows.get(layer.name)?.element.classList.toggle("busy", busy);
  }

  /** Say of the layers that begin at a deeper zoom that one has to come closer. */
  setZoom(zoom) {
    for (const { layer, hint } of this.rows.values()) hint.hidden = zoom >= layer.minzoom;
  }
}

/** Return the list of layers that cannot be shown and why, closed at first; "" if there are none. */
export function notShown(failures, open = false) {
  if (failures.length === 0) return "";
  const count = failures.length === 1 ? "1 layer cannot be shown" : `${failures.length} layers cannot be shown`;
  const rows = failures.map(({ title, reason }) =>
    h("li", {}, h("strong", {}, title), h("span", {}, `: ${reason}`)),
  );
  return h("details", { className: "not-shown", open }, h("summary", {}, count), h("ul", {}, rows));
}

/** One layer of the list. */
class Row {
  constructor(layer, { state, fit, highlight, moveBy }) {
    this.layer = layer;
    this.legend = null;
    this.hint = h("p", { className: "hint", hidden: true }, "Zoom in to see this layer.");
    this.switch = h("input", {
      type: "checkbox",
      role: "switch",
      className: "switch",
      onchange: () => state.setVisible(layer.name, this.switch.checked),
    });
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.01,
      "aria-label": `Opacity of ${layer.title}`,
      oninput: () => state.setOpacity(layer.name, Number(this.slider.value)),
    });
    this.percent = h("output", {});
    this.shown = h(
      "div",
      { className: "shown" },
      this.hint,
      h("label", { className: "opacity" }, h("span", {}, "Opacity"), this.slider, this.percent),
    );
    this.more = this.makeMore(moveBy);
    this.element = h(
      "li",
      {
        className: "layer",
        onpointerenter: () => highlight(layer),
        onpointerleave: () => highlight(null),
        onfocusin: () => highlight(layer),
        onfocusout: () => highlight(null),
      },
      this.makeHead(fit),
      this.shown,
      this.more,
    );
    this.element.dataset.name = layer.name;
  }

  makeHead(fit) {
    const { layer } = this;
    const order = "Drag, or press the up and down arrows";
    const expand = iconButton("more", `More about ${layer.title}`, () => {
      this.more.hidden = !this.more.hidden;
      expand.setAttribute("aria-expanded", String(!this.more.hidden));
    });
    expand.setAttribute("aria-expanded", "false");
    return h(
      "div",
      { className: "layer-head" },
      h(
        "button",
        { type: "button", className: "grip", title: order, "aria-label": `Move ${layer.title}. ${order}.` },
        icon("grip"),
      ),
      h("label", { className: "layer-title" }, this.switch, h("span", {}, layer.title), this.tag()),
      iconButton("fit", `Go to ${layer.title}`, () => fit(layer), { className: "icon-button fit" }),
      expand,
    );
  }

  /** Say of a scan or a photograph that the map beneath it means nothing; of others, what is not known. */
  tag() {
    if (this.layer.pending) return h("small", { className: "pending" }, "being read…");
    return this.layer.noPlace && h("small", { className: "no-place" }, "no place on Earth");
  }

  makeMore(moveBy) {
    const { layer } = this;
    this.up = labelled("up", "Move up", () => moveBy(layer.name, -1));
    this.down = labelled("down", "Move down", () => moveBy(layer.name, 1));
    return h(
      "div",
      { className: "more", hidden: true },
      layer.description && h("p", {}, layer.description),
      layer.noPlace && h("p", { className: "no-place" }, layer.noPlace),
      layer.asset && h("p", { className: "asset" }, layer.asset),
      h(
        "div",
        { className: "actions" },
        this.up,
        this.down,
        copyButton("XYZ URL", xyzUrl(layer)),
        copyButton("TileJSON URL", absolute(tileJsonUrl(layer))),
      ),
    );
  }

  update({ visible, opacity }, index, count) {
    this.switch.checked = visible;
    this.shown.hidden = !visible;
    if (visible && !this.legend) this.shown.prepend((this.legend = legend(this.layer)));
    this.element.classList.toggle("is-visible", visible);
    if (Number(this.slider.value) !== opacity) this.slider.value = opacity;
    const percent = `${Math.round(opacity * 100)}%`;
    this.slider.style.setProperty("--filled", percent);
    this.slider.setAttribute("aria-valuetext", percent);
    this.percent.textContent = percent;
    // Not `disabled`: the button one has just pressed would lose its focus.
    this.up.ariaDisabled = String(index === 0);
    this.down.ariaDisabled = String(index === count - 1);
  }
}

const labelled = (name, text, onclick) =>
  h("button", { type: "button", className: "button", onclick }, icon(name), text);

function copyButton(what, url) {
  const button = labelled("copy", what, () => copyUrl(what, url));
  button.title = url;
  button.ariaLabel = `Copy ${what}`;
  return button;
}

const xyzUrl = (layer) => absolute(tileTemplate(layer, { retina: false }));

async function copyUrl(what, url) {
  if (await copyText(url)) showNote(`${what} copied.`);
  else showMessage("copy", { title: `${what}:`, text: url, tone: "note" });
}

/** The list of layers: filter and order. */

import { h, iconButton } from "./dom.js";
import { showMessage } from "./messages.js";
import { dragToReorder } from "./reorder.js";
import { Row } from "./row.js";

/** A longer list has a filter, and rows that take less room. */
export const MANY = 8;
/** With more than these in view, legends and sliders show when their row is expanded. */
const MAX_OPEN = 3;

/** The layer list in its panel. */
export class LayerList {
  /**
   * @param {object} context with the state that the list shows and changes, and the map.
   * @param {((text: string) => void) | null} search finds more layers, if not all are in `state`.
   */
  constructor(context, search = null) {
    const { state, map } = context;
    this.state = state;
    this.search = search;
    /** @type {Map<string, Row>} by the id of the entry */
    this.rows = new Map();
    this.focusedId = null;
    this.makeRow = (entry) =>
      new Row(entry, {
        context,
        fit: (layer) => {
          state.setVisible(entry.id, true);
          map.fit(layer.bounds);
        },
        highlight: (layer) => map.highlight(layer),
        moveBy: (id, step) => this.moveBy(id, step),
      });
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
    });
    this.empty = h("div", { className: "empty", role: "status" });
    this.bar = h("div", { className: "list-bar", role: "group", "aria-label": "All layers" });
    dragToReorder(this.list, (item, index) => state.move(item.dataset.name, index));
    this.list.addEventListener("keydown", (event) => this.moveByKey(event));
    this.list.addEventListener("focusin", ({ target }) => {
      this.focusedId = target.closest("li")?.dataset.name ?? null;
    });
    this.element = h("div", { className: "layer-list" }, this.bar, this.filter, this.list, this.empty, this.news);
    this.fillBar(context);
    state.addEventListener("change", ({ detail }) => this.update(detail));
    this.update();
  }

  // Undo and hiding everything; features put buttons such as "Add a layer" before them.
  fillBar({ state, listTools = [] }) {
    this.undo = iconButton("undo", "Undo", () => state.undo());
    this.redo = iconButton("redo", "Redo", () => state.redo());
    this.hideAll = iconButton("hide", "Hide all", () => state.hideAll());
    this.bar.append(...listTools, h("span", { className: "gap" }), this.undo, this.redo, this.hideAll);
  }

  update(change) {
    const focused = document.activeElement;
    const removed = change?.kind === "remove" && this.rows.get(change.id);
    const { entries } = this.state;
    const isNew = entries.filter(({ id, layer }) => this.rows.get(id)?.layer !== layer);
    const ids = new Set(entries.map(({ id }) => id));
    for (const { id } of isNew) this.drop(id);
    for (const id of [...this.rows.keys()]) if (!ids.has(id)) this.drop(id);
    for (const entry of isNew) this.rows.set(entry.id, this.makeRow(entry));
    const rows = entries.map(({ id }) => this.rows.get(id));
    const inOrder = rows.every((row, index) => row.element === this.list.children[index]);
    if (!inOrder) this.list.append(...rows.map((row) => row.element));
    rows.forEach((row, index) => row.update(entries[index], index, entries.length));
    // Moving an element takes its focus away.
    if (!inOrder && this.list.contains(focused)) focused.focus();
    this.filter.hidden = entries.length <= MANY && this.filter.value === "";
    this.list.classList.toggle("compact", entries.length > MANY);
    this.list.classList.toggle("folded", entries.length > MANY && this.state.visible.length > MAX_OPEN);
    // Not `disabled`: the button one has just pressed would lose its focus.
    this.undo.ariaDisabled = String(!this.state.canUndo);
    this.redo.ariaDisabled = String(!this.state.canRedo);
    this.hideAll.ariaDisabled = String(this.state.visible.length === 0);
    this.applyFilter();
    if (removed) this.tellRemoved(removed.title, focused);
  }

  tellRemoved(title, focused) {
    // The button that was pressed went with its row.
    if (!focused?.isConnected) (this.list.querySelector(".grip") ?? this.undo).focus();
    showMessage("removed", {
      text: `${title} was removed from the list.`,
      action: { label: "Undo", run: () => this.state.undo() },
      tone: "note",
      passing: true,
    });
  }

  drop(id) {
    this.rows.get(id)?.element.remove();
    this.rows.delete(id);
  }

  /** The entry whose row had the focus last, else the top one that is visible. */
  get focused() {
    return this.state.find(this.focusedId) ?? this.state.visible[0] ?? this.state.entries[0];
  }

  applyFilter() {
    const text = this.filter.value.trim();
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...this.rows.values()];
    for (const row of rows) {
      const told = `${row.layer.name} ${row.title}`.toLowerCase();
      row.element.hidden = !words.every((word) => told.includes(word));
    }
    // A place in a filtered list says nothing about the place in the whole.
    this.list.classList.toggle("filtered", words.length > 0);
    this.tellEmpty(text, rows.every((row) => row.element.hidden));
  }

  tellEmpty(text, isEmpty) {
    const none = this.state.defaultNames.length ? "All layers were removed from the list." : "No layer is in the list.";
    const told = text ? `No layer has “${text}” in its name.` : none;
    const news = isEmpty ? told : "";
    if (this.empty.textContent !== news) this.empty.textContent = news;
  }

  moveByKey(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !event.target.matches(".grip")) return;
    event.preventDefault();
    this.moveBy(event.target.closest("li").dataset.name, step);
  }

  moveBy(id, step) {
    const index = this.state.entries.findIndex((entry) => entry.id === id);
    const target = Math.min(this.state.entries.length - 1, Math.max(0, index + step));
    if (target === index) return;
    this.state.move(id, target);
    const { title } = this.rows.get(id);
    this.news.textContent = `${title}: place ${target + 1} of ${this.state.entries.length}`;
  }

  /** Show whether tiles of an entry are being loaded. */
  /** Say in a layer's row what is wrong with it, {text, retry}, or null. */
  setProblem(id, problem) {
    this.rows.get(id)?.setProblem(problem);
  }

  setBusy(id, busy) {
    const { element } = this.rows.get(id) ?? {};
    element?.classList.toggle("busy", busy);
    element?.setAttribute("aria-busy", String(busy));
  }

  /** Say of the layers that begin at a deeper zoom that one has to come closer, and of those magnified, how far. */
  setZoom(zoom) {
    this.zoom = zoom;
    for (const row of this.rows.values()) row.setZoom(zoom);
  }
}

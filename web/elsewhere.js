/** A hint of the shown layers that lie outside the view, each a button that goes there. */

import { h, icon } from "./dom.js";
import { overlaps } from "./extent.js";

const MAX_LISTED = 50;

/** The hint: a button that opens a list; nothing while every shown layer is in view. */
export class Elsewhere {
  /** @param {(layer: object) => void} go called with the layer that was chosen. */
  constructor(go) {
    this.go = go;
    this.layers = [];
    this.label = h("span", {});
    this.list = h("ul", { className: "card", hidden: true });
    this.toggle = h(
      "button",
      { type: "button", className: "button", onclick: () => this.open(this.list.hidden) },
      icon("fit"),
      this.label,
    );
    this.element = h("nav", { className: "elsewhere", "aria-label": "Layers elsewhere", hidden: true });
    this.element.append(this.toggle, this.list);
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.list.hidden) return;
      event.stopPropagation();
      this.open(false);
      this.toggle.focus();
    });
    this.open(false);
  }

  open(open) {
    this.list.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
  }

  /**
   * @param {object[]} layers the shown ones that are not in view.
   * @param {number} inView how many are.
   */
  update(layers, inView) {
    const same = layers.length === this.layers.length && layers.every((layer, at) => layer === this.layers[at]);
    this.element.hidden = layers.length === 0;
    this.label.textContent = hint(layers.length, inView);
    if (same) return;
    this.layers = layers;
    if (layers.length === 0) this.open(false);
    const rows = layers.slice(0, MAX_LISTED).map((layer) => h("li", {}, this.row(layer)));
    const rest = layers.length - rows.length;
    this.list.replaceChildren(...rows, ...(rest > 0 ? [h("li", { className: "quiet" }, `and ${rest} more`)] : []));
  }

  row(layer) {
    const go = () => {
      this.open(false);
      this.go(layer);
    };
    return h("button", { type: "button", className: "button", onclick: go }, layer.title);
  }
}

/** Return what the hint says of `count` layers that are not in view, beside `inView` that are. */
export function hint(count, inView) {
  const layers = count === 1 ? "layer" : "layers";
  return inView > 0 ? `${count} more ${layers} elsewhere` : `${count} ${layers} elsewhere, none here`;
}

/** Put the hint on the page. */
export function start({ map, state }) {
  const elsewhere = new Elsewhere((layer) => map.fit(layer.bounds));
  document.querySelector("main").append(elsewhere.element);
  const look = () => {
    const { seen } = map;
    const layers = [...new Set(state.visible.map(({ layer }) => layer))];
    const away = layers.filter((layer) => !overlaps(layer.bounds, seen));
    elsewhere.update(away, layers.length - away.length);
  };
  state.addEventListener("change", look);
  map.onmove(look);
}

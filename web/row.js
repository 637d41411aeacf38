/** One layer of the list: show and hide, opacity, its legend, and its tools. */

import { copyText, h, icon, iconButton } from "./dom.js";
import { infoOf } from "./infos.js";
import { Legend } from "./legend.js";
import { tileJsonAddress, xyzAddress } from "./links.js";
import { showMessage, showNote } from "./messages.js";
import { layerButtons } from "./tools.js";
import { formatPixel } from "./values.js";

/** One layer of the list. */
export class Row {
  /**
   * @param {import("./state.js").Entry} entry as it is now; `update` takes later ones of its id.
   * @param {{fit: (layer: object) => void, highlight: (layer: object | null) => void,
   *   moveBy: (id: string, step: number) => void, context: object}} actions
   */
  constructor(entry, { fit, highlight, moveBy, context }) {
    const { id, layer } = entry;
    const { state } = context;
    this.id = id;
    this.layer = layer;
    this.title = titleOf(entry);
    this.legend = new Legend(this.title);
    this.hint = h("p", { className: "hint", hidden: true }, "Zoom in to see this layer.");
    this.switch = h("input", {
      type: "checkbox",
      role: "switch",
      className: "switch",
      onchange: () => state.setVisible(id, this.switch.checked),
    });
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.01,
      "aria-label": `Opacity of ${this.title}`,
      oninput: () => state.setOpacity(id, Number(this.slider.value)),
    });
    this.percent = h("output", {});
    this.pixels = h("p", { className: "pixels", hidden: true });
    this.problem = h("div", { className: "row-problem", hidden: true });
    this.shown = h(
      "div",
      { className: "shown" },
      this.legend.element,
      this.hint,
      h("label", { className: "opacity" }, h("span", {}, "Opacity"), this.slider, this.percent),
    );
    const tools = layerButtons(entry, context);
    this.more = this.makeMore(moveBy, tools.others);
    this.element = h(
      "li",
      {
        className: "layer",
        onpointerenter: () => highlight(layer),
        onpointerleave: () => highlight(null),
        onfocusin: () => highlight(layer),
        onfocusout: () => highlight(null),
      },
      this.makeHead(fit, tools.primary),
      this.problem,
      this.shown,
      this.more,
    );
    this.element.dataset.name = id;
  }

  makeHead(fit, tools) {
    const { layer, title } = this;
    const order = "Drag, or press the up and down arrows";
    const expand = iconButton("more", `More about ${title}`, () => {
      this.more.hidden = !this.more.hidden;
      this.element.classList.toggle("expanded", !this.more.hidden);
      expand.setAttribute("aria-expanded", String(!this.more.hidden));
      if (!this.more.hidden) this.tellPixels();
    });
    expand.setAttribute("aria-expanded", "false");
    return h(
      "div",
      { className: "layer-head" },
      h(
        "button",
        { type: "button", className: "grip", title: order, "aria-label": `Move ${title}. ${order}.` },
        icon("grip"),
      ),
      h("label", { className: "layer-title" }, this.switch, h("span", { title }, title), this.tag()),
      iconButton("fit", `Go to ${title}`, () => fit(layer), { className: "icon-button fit" }),
      tools,
      expand,
    );
  }

  /** Say of a scan or a photograph that the map beneath it means nothing; of others, what is not known. */
  tag() {
    if (this.layer.pending) return h("small", { className: "pending" }, "being read…");
    return this.layer.noPlace && h("small", { className: "no-place" }, "no place on Earth");
  }

  makeMore(moveBy, tools) {
    const { layer, id } = this;
    this.up = labelled("up", "Move up", () => moveBy(id, -1));
    this.down = labelled("down", "Move down", () => moveBy(id, 1));
    this.copies = [
      copyButton("XYZ URL", () => xyzAddress(this.entry)),
      copyButton("TileJSON URL", () => tileJsonAddress(this.entry)),
    ];
    return h(
      "div",
      { className: "more", hidden: true },
      layer.description && h("p", {}, layer.description),
      layer.noPlace && h("p", { className: "no-place" }, layer.noPlace),
      layer.asset && h("p", { className: "asset" }, layer.asset),
      this.pixels,
      h(
        "div",
        { className: "actions" },
        this.up,
        this.down,
        tools,
        this.copies,
      ),
    );
  }

  update(entry, index, count) {
    const { visible, opacity } = entry;
    this.entry = entry;
    for (const button of this.copies) button.showAddress();
    this.switch.checked = visible;
    this.shown.hidden = !visible;
    if (visible) this.legend.show(entry.layer, entry.style);
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

  setZoom(zoom) {
    const { minzoom, maxzoom } = this.layer;
    const times = 2 ** Math.round(zoom - maxzoom);
    const text = zoom < minzoom ? "Zoom in to see this layer." : times > 1 ? `Its pixels are magnified ${times} times.` : "";
    this.hint.hidden = text === "";
    this.hint.textContent = text;
  }

  /** Say how large the pixels are, and at which zoom they are those of the screen. */
  async tellPixels() {
    if (this.pixels.textContent) return;
    const info = await infoOf(this.layer).catch(() => null);
    const side = !this.layer.table && formatPixel(Math.min(...(info?.bands ?? []).map((band) => band.scale_m ?? Infinity)));
    this.pixels.textContent = side ? `Native pixel ${side} = zoom ${this.layer.maxzoom}.` : "";
    this.pixels.hidden = !side;
  }

  setProblem(problem) {
    this.problem.hidden = !problem;
    this.element.classList.toggle("failing", Boolean(problem));
    if (!problem) return this.problem.replaceChildren();
    const { text, retry } = problem;
    const label = `Retry: ${this.title}`;
    const button = h("button", { type: "button", className: "button", "aria-label": label, onclick: retry }, "Retry");
    return this.problem.replaceChildren(h("p", { className: "wrong" }, text), button);
  }
}

/** Return the title of an entry, with its number if it is a duplicate. */
export function titleOf({ id, layer }) {
  const number = id === layer.name ? "" : id.slice(layer.name.length + 1);
  return number ? `${layer.title} (${number})` : layer.title;
}

const labelled = (name, text, onclick) =>
  h("button", { type: "button", className: "button", onclick }, icon(name), text);

function copyButton(what, address) {
  const button = labelled("copy", what, () => copyUrl(what, address()));
  button.ariaLabel = `Copy ${what}`;
  button.showAddress = () => (button.title = address());
  return button;
}

async function copyUrl(what, url) {
  if (await copyText(url)) showNote(`${what} copied.`);
  else showMessage("copy", { title: `${what}:`, text: url, tone: "note" });
}

/** A look to take away: a link to the page, the address of its tiles, lines for the configuration. */

import { tileTemplate } from "../api.js";
import { copyText, h, icon } from "../dom.js";
import { absolute } from "../links.js";
import { showNote } from "../messages.js";
import { isLayerName, layerName, tomlSnippet } from "./toml.js";

/** The section, closed until it is wanted. */
export class SaveSection {
  /**
   * @param {object} layer
   * @param {() => {parameters: Record<string, string>, link: string}} describe the whole look with its
   *   opacity, and the address of the page.
   */
  constructor(layer, describe) {
    this.layer = layer;
    this.describe = describe;
    this.name = h("input", {
      type: "text",
      value: layerName(`${layer.name.split("/").at(-1)}-styled`),
      maxLength: 64,
      spellcheck: false,
      oninput: () => this.show(),
    });
    this.wrong = h("p", { className: "wrong", hidden: true }, "Expected letters, digits, “.”, “_” and “-”, a letter or digit first.");
    this.fields = {
      link: output("Link to this map", 2),
      tiles: output("XYZ tiles", 3),
      toml: output("For tileserver.toml", 8),
    };
    this.element = h(
      "details",
      { className: "style-part save-layer", ontoggle: () => this.show() },
      h("summary", {}, "Save as layer"),
      h("label", { className: "field" }, h("span", {}, "Name"), this.name),
      this.wrong,
      Object.values(this.fields).map(({ element }) => element),
    );
  }

  /** Write what the look is now, if it is open. */
  show() {
    if (!this.element.open) return;
    const { parameters, link } = this.describe();
    const name = this.name.value.trim();
    this.wrong.hidden = isLayerName(name);
    this.fields.link.area.value = link;
    this.fields.tiles.area.value = tilesUrl(this.layer, parameters);
    this.fields.toml.area.value = isLayerName(name) ? tomlSnippet(name, this.layer, parameters) : "";
  }
}

/** Return the address of the tiles in a look: it says all of it, and holds no key and no version. */
export function tilesUrl(layer, parameters) {
  const template = tileTemplate({ ...layer, tiles: "{z}/{x}/{y}.png" }, {}, { retina: false });
  const query = new URLSearchParams(parameters).toString().replaceAll("%2C", ",");
  return `${absolute(template.split("?")[0])}?${query}`;
}

function output(label, rows) {
  const area = h("textarea", { rows, readOnly: true, spellcheck: false, "aria-label": label, onfocus: () => area.select() });
  const copy = h(
    "button",
    { type: "button", className: "button", "aria-label": `Copy ${label}`, onclick: () => take(area, label) },
    icon("copy"),
    "Copy",
  );
  return { area, element: h("div", { className: "output" }, h("div", { className: "row" }, h("span", {}, label), copy), area) };
}

async function take(area, label) {
  if (await copyText(area.value)) return showNote(`${label}: copied.`);
  area.focus();
  return showNote("The browser does not let the page copy; the text is selected.");
}

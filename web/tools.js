/** The places where features register: buttons in each layer's row, and buttons on the map. */

import { h, icon, iconButton } from "./dom.js";

/**
 * Buttons of a layer's row, in the order in which they are shown.
 *
 * `icon` is a name in dom.js or path data; a `primary` one is always in sight, the others when the row
 * is expanded; `applies`, if there, says for which entries the button is shown.
 *
 * @type {{name: string, label: string, icon: string, primary?: boolean,
 *   applies?: (entry: object, context: object) => boolean,
 *   open: (entry: object, context: object, opener: HTMLElement) => void}[]}
 */
export const layerTools = [];

/**
 * Buttons on the map, in the order in which they are shown.
 *
 * `key` is a shortcut such as "c"; `isOn`, if there, makes it a toggle that is pressed while true:
 * dispatch "toolchange" on `document` when that changes by other means.
 *
 * @type {{name: string, label: string, icon: string, key?: string,
 *   isOn?: (context: object) => boolean, toggle: (context: object, button: HTMLElement) => void}[]}
 */
export const mapTools = [];

/** Return the buttons for one entry: {primary: [element], others: [element]}. */
export function layerButtons(entry, context) {
  const current = () => context.state.find(entry.id) ?? entry;
  const fitting = layerTools.filter((tool) => tool.applies?.(entry, context) ?? true);
  const run = (tool) => (event) => tool.open(current(), context, event.currentTarget);
  const named = (tool) => ({ "data-tool": tool.name });
  return {
    primary: fitting
      .filter((tool) => tool.primary)
      .map((tool) => iconButton(tool.icon, `${tool.label}: ${entry.layer.title}`, run(tool), named(tool))),
    others: fitting
      .filter((tool) => !tool.primary)
      .map((tool) => {
        const label = `${tool.label}: ${entry.layer.title}`;
        const props = { type: "button", className: "button", "aria-label": label, onclick: run(tool) };
        return h("button", { ...props, ...named(tool) }, icon(tool.icon), tool.label);
      }),
  };
}

/** Return the toolbar of the map, whose shortcuts are added to `context.keys`. */
export function toolbar(context) {
  const buttons = mapTools.map((tool) => mapButton(tool, context));
  const list = h("div", { className: "tool-list", id: "tool-list" }, buttons);
  const more = iconButton("tools", "Tools", () => {
    const isOpen = list.classList.toggle("is-open");
    more.setAttribute("aria-expanded", String(isOpen));
  });
  more.classList.add("tool-more");
  more.setAttribute("aria-expanded", "false");
  more.setAttribute("aria-controls", "tool-list");
  return h("div", { className: "toolbar card", role: "group", "aria-label": "Tools" }, more, list);
}

function mapButton(tool, context) {
  const label = tool.key ? `${tool.label} (${tool.key})` : tool.label;
  const show = () => tool.isOn && button.setAttribute("aria-pressed", String(tool.isOn(context)));
  const toggle = () => {
    tool.toggle(context, button);
    show();
  };
  const button = iconButton(tool.icon, tool.label, toggle, { title: label, "data-tool": tool.name });
  show();
  document.addEventListener("toolchange", show);
  if (tool.key) context.keys.add(tool.key, tool.label, toggle);
  return button;
}

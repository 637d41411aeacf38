/** Keyboard shortcuts, and the dialog that lists them. */

import { openDialog } from "./dialog.js";
import { h } from "./dom.js";
import { isEmbedded } from "./embed.js";
import { recall, remember } from "./memory.js";
import { mapTools } from "./tools.js";

const SETTING = "single-keys";
const NOT_TEXT = new Set(["checkbox", "radio", "range", "button", "submit", "color"]);
/** What the map and the list know by themselves. */
const BUILT_IN = [
  ["Arrows, + and −", "Move and zoom the map, when it has the focus"],
  ["Enter", "Read the values under the crosshair"],
  ["↑ and ↓", "Move a layer, on its handle"],
  ["Esc", "Close what is open"],
];

/** The shortcuts of the page. */
export class Keys {
  constructor() {
    this.shortcuts = new Map();
    this.closers = [];
    this.singleKeys = recall(SETTING) !== "off";
    document.addEventListener("keydown", (event) => this.press(event));
  }

  /**
   * Add a shortcut.
   *
   * @param {string} key as KeyboardEvent names it, such as "s" or "?", or with "Ctrl+" and "Shift+"
   *   before it; Ctrl is ⌘ on a Mac.
   * @param {string} label what it does, for the list.
   * @param {() => void} handler
   */
  add(key, label, handler) {
    this.shortcuts.set(key, { label, handler });
  }

  /** Add what Escape closes; it returns whether it was open. The one added last comes first. */
  addCloser(close) {
    this.closers.unshift(close);
  }

  press(event) {
    if (isEmbedded || event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return void this.closers.find((close) => close());
    const name = nameOf(event);
    const shortcut = this.shortcuts.get(name);
    if (!shortcut || isText(event.target) || (!name.includes("Ctrl+") && !this.singleKeys)) return;
    event.preventDefault();
    shortcut.handler();
  }

  /** Show all shortcuts. */
  show() {
    const rows = [...this.shortcuts].map(([key, { label }]) => [key, label]);
    const toggle = h("input", { type: "checkbox", role: "switch", className: "switch" });
    toggle.checked = this.singleKeys;
    toggle.addEventListener("change", () => {
      this.singleKeys = toggle.checked;
      remember(SETTING, toggle.checked ? "on" : "off");
    });
    openDialog({
      title: "Keyboard",
      element: h(
        "div",
        { className: "keys" },
        h(
          "dl",
          {},
          [...rows, ...BUILT_IN].map(([key, label]) =>
            h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, label)),
          ),
        ),
        h("label", { className: "setting" }, toggle, h("span", {}, "Shortcuts of a single key")),
      ),
    });
  }
}

/** Register the button and the key that show them. */
export function start({ keys }) {
  mapTools.push({ name: "help", label: "Keyboard", icon: "help", key: "?", toggle: () => keys.show() });
}

function nameOf({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  const name = key.length === 1 && (ctrlKey || metaKey) ? key.toUpperCase() : key;
  const shift = shiftKey && (key.length > 1 || ctrlKey || metaKey) ? "Shift+" : "";
  return `${ctrlKey || metaKey ? "Ctrl+" : ""}${altKey ? "Alt+" : ""}${shift}${name}`;
}

const isText = (target) =>
  target.matches?.("textarea, select, [contenteditable]") ||
  (target.matches?.("input") && !NOT_TEXT.has(target.type));

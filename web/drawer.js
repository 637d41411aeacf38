/** One drawer beside the map, for whatever needs more room than a row: a sheet below on a phone. */

import { h, iconButton } from "./dom.js";

/** The drawer; it holds one thing at a time. */
export class Drawer {
  /** @param {HTMLElement} element an aside, hidden while it is closed. */
  constructor(element) {
    this.element = element;
    this.content = null;
  }

  get isOpen() {
    return this.content !== null;
  }

  /** The element that is shown, or null. */
  get shown() {
    return this.content?.element ?? null;
  }

  /**
   * Show an element under a title, in place of what was shown.
   *
   * @param {{title: string, element: HTMLElement, opener?: HTMLElement | null, onclose?: () => void}}
   *   content `opener` gets the focus back when the drawer is closed; the drawer takes it now.
   */
  open({ title, element, opener = document.activeElement, onclose = () => {} }) {
    this.content?.onclose();
    this.content = { element, opener, onclose };
    const heading = h("h2", { className: "drawer-title", id: "drawer-title", tabIndex: -1 }, title);
    this.element.replaceChildren(
      h("header", { className: "card-head" }, heading, iconButton("close", "Close", () => this.close())),
      h("div", { className: "card-body" }, element),
    );
    this.element.setAttribute("aria-labelledby", "drawer-title");
    this.element.hidden = false;
    heading.focus({ preventScroll: true });
  }

  /** Close it; returns whether it was open. */
  close() {
    if (!this.content) return false;
    const { opener, onclose } = this.content;
    const hadFocus = this.element.contains(document.activeElement);
    this.content = null;
    this.element.hidden = true;
    this.element.replaceChildren();
    onclose();
    if (hadFocus && opener?.isConnected) opener.focus();
    return true;
  }
}

/** The card that holds the layer list: a column beside the map, a sheet of three heights on a phone. */

import { h, icon, iconButton } from "./dom.js";

const WIDE = matchMedia("(min-width: 720px)");
const HEIGHTS = ["closed", "half", "full"];
/** Shares of the screen's height above which a sheet that is let go becomes the next higher one. */
const SNAPS = [0.25, 0.68];
const FLICK_PX = 24;

/** A card with a head that opens and closes its body. */
export class Panel {
  /** @param {HTMLElement} element the card. */
  constructor(element) {
    this.element = element;
    this.subtitle = h("span", { className: "subtitle" });
    this.body = h("div", { className: "card-body", id: "panel-body" });
    this.wasDragged = false;
    this.toggle = h(
      "button",
      {
        type: "button",
        className: "panel-toggle",
        "aria-controls": "panel-body",
        onclick: () => this.press(),
      },
      h("img", { src: "icon.svg", alt: "", width: 28, height: 28 }),
      h("span", { className: "heading" }, "Layers"),
      this.subtitle,
      icon("chevron"),
    );
    // What dragging the head does, for those who cannot drag.
    this.handle = iconButton("heights", "Sheet", () => this.next(), { className: "icon-button sheet-handle" });
    element.replaceChildren(h("h1", { className: "panel-head" }, this.toggle), this.handle, this.body);
    this.followDrags();
    this.open(WIDE.matches);
    WIDE.addEventListener("change", () => this.open(WIDE.matches));
  }

  /** Open or close it; on a phone, half the screen high. */
  open(open) {
    this.setHeight(open ? "half" : "closed");
  }

  /** Set the height: "closed", "half" or "full"; beside a map the last two are the same. */
  setHeight(height) {
    this.height = height;
    this.element.dataset.height = height;
    this.element.style.maxHeight = "";
    this.body.hidden = height === "closed";
    this.toggle.setAttribute("aria-expanded", String(height !== "closed"));
    const label = `Sheet: ${height}. Make it ${this.following}.`;
    this.handle.setAttribute("aria-label", label);
    this.handle.title = label;
  }

  get following() {
    return HEIGHTS[(HEIGHTS.indexOf(this.height) + 1) % HEIGHTS.length];
  }

  next() {
    this.setHeight(this.following);
  }

  press() {
    if (!this.wasDragged) this.open(this.body.hidden);
    this.wasDragged = false;
  }

  followDrags() {
    let startY = null;
    this.toggle.addEventListener("pointerdown", (event) => {
      this.wasDragged = false;
      if (WIDE.matches || event.button !== 0) return;
      startY = event.clientY;
      this.toggle.setPointerCapture(event.pointerId);
    });
    this.toggle.addEventListener("pointermove", ({ clientY }) => {
      if (startY === null || (Math.abs(clientY - startY) < FLICK_PX && !this.wasDragged)) return;
      this.wasDragged = true;
      this.body.hidden = false;
      this.element.style.maxHeight = `${innerHeight - clientY + FLICK_PX}px`;
    });
    const drop = ({ clientY }) => {
      if (startY !== null && this.wasDragged) this.setHeight(this.heightAt(startY, clientY));
      startY = null;
    };
    this.toggle.addEventListener("pointerup", drop);
    this.toggle.addEventListener("pointercancel", drop);
  }

  /** Return the height nearest to where the head was let go, at least one step in its direction. */
  heightAt(startY, endY) {
    const share = 1 - endY / innerHeight;
    const nearest = SNAPS.filter((snap) => share > snap).length;
    const before = HEIGHTS.indexOf(this.height);
    const step = endY < startY ? Math.max(nearest, Math.min(before + 1, 2)) : Math.min(nearest, Math.max(before - 1, 0));
    return HEIGHTS[step];
  }

  /** Say something beside the heading. */
  say(text) {
    this.subtitle.textContent = text;
  }

  show(...nodes) {
    this.body.replaceChildren(...nodes);
  }
}

/** The card that holds the layer list: a column beside the map, a sheet below it on a phone. */

import { h, icon } from "./dom.js";

const WIDE = matchMedia("(min-width: 720px)");
const SWIPE_PX = 24;

/** A card with a head that opens and closes its body. */
export class Panel {
  /** @param {HTMLElement} element the card. */
  constructor(element) {
    this.subtitle = h("span", { className: "subtitle" });
    this.body = h("div", { className: "card-body", id: "panel-body" });
    this.toggle = h(
      "button",
      {
        type: "button",
        className: "panel-toggle",
        "aria-controls": "panel-body",
        onclick: () => this.open(this.body.hidden),
      },
      h("img", { src: "icon.svg", alt: "", width: 28, height: 28 }),
      h("span", { className: "heading" }, "Layers"),
      this.subtitle,
      icon("chevron"),
    );
    element.replaceChildren(h("h1", { className: "panel-head" }, this.toggle), this.body);
    this.openBySwipe();
    this.open(WIDE.matches);
    WIDE.addEventListener("change", () => this.open(WIDE.matches));
  }

  open(open) {
    this.body.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
  }

  openBySwipe() {
    let startY = 0;
    this.toggle.addEventListener("touchstart", (event) => (startY = event.touches[0].clientY), {
      passive: true,
    });
    this.toggle.addEventListener(
      "touchend",
      (event) => {
        const down = event.changedTouches[0].clientY - startY;
        if (WIDE.matches || Math.abs(down) < SWIPE_PX) return;
        event.preventDefault();
        this.open(down < 0);
      },
      { passive: false },
    );
  }

  /** Say something beside the heading. */
  say(text) {
    this.subtitle.textContent = text;
  }

  show(...nodes) {
    this.body.replaceChildren(...nodes);
  }
}

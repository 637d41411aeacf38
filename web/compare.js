/** Two layers side by side, with a line between them that one moves, or one after the other. */

import { h, icon, iconButton } from "./dom.js";
import { fillOptions } from "./forms.js";
import { titleOf } from "./row.js";

const STEPS = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1 };

/** The line, and the bar above it that says which layers. */
export class Compare {
  constructor(context) {
    this.context = context;
    this.isOn = false;
    this.at = 0.5;
    /** "" while the line divides the two, else "left" or "right", the one that is shown everywhere. */
    this.only = "";
    this.left = h("select", { "aria-label": "Layer on the left", onchange: () => this.choose() });
    this.right = h("select", { "aria-label": "Layer on the right", onchange: () => this.choose() });
    this.flick = h("button", { type: "button", className: "button", onclick: () => this.flicker() }, "Flicker");
    this.bar = h(
      "section",
      { id: "compare", className: "card", "aria-label": "Compare", hidden: true },
      this.left,
      this.right,
      this.flick,
      iconButton("close", "End comparing", () => this.stop()),
    );
    this.line = h(
      "div",
      {
        id: "swipe",
        role: "slider",
        tabIndex: 0,
        hidden: true,
        "aria-label": "Line between the two layers",
        "aria-valuemin": "0",
        "aria-valuemax": "100",
        onkeydown: (event) => this.press(event),
        onpointerdown: (event) => this.drag(event),
        onpointermove: (event) => this.drag(event),
      },
      h("span", { className: "swipe-grip" }, icon("M9 7l-5 5 5 5M15 7l5 5-5 5")),
    );
    document.querySelector("main").append(this.line, this.bar);
  }

  /** Compare the two layers on top, or those of `ids`. */
  begin(ids = []) {
    const { state } = this.context;
    const [first, second] = this.pair(ids);
    if (!second) {
      this.context.messages.showNote("There is only one layer: nothing to compare it with.");
      return;
    }
    this.isOn = true;
    for (const { id, visible } of [first, second]) if (!visible) state.setVisible(id, true);
    this.fill();
    this.left.value = first.id;
    this.right.value = second.id;
    this.show();
    this.changed();
    this.line.focus({ preventScroll: true });
  }

  pair(ids) {
    const { state } = this.context;
    const named = ids.map((id) => state.find(id)).filter(Boolean);
    const others = [...state.visible, ...state.entries].filter((entry) => !named.includes(entry));
    return [...new Set([...named, ...others])];
  }

  /** End comparing; returns whether it was on. */
  stop() {
    if (!this.isOn) return false;
    this.isOn = false;
    this.only = "";
    this.show();
    this.changed();
    return true;
  }

  changed() {
    document.dispatchEvent(new CustomEvent("toolchange"));
    this.context.permalink.changed();
  }

  choose() {
    const { state } = this.context;
    for (const { value } of [this.left, this.right]) {
      if (state.find(value)?.visible === false) state.setVisible(value, true);
    }
    this.only = "";
    this.show();
    this.changed();
  }

  /** Follow layers that are removed, hidden or called otherwise. */
  follow() {
    if (!this.isOn) return;
    const gone = [this.left, this.right].some(({ value }) => !this.context.state.find(value)?.visible);
    if (gone) return this.stop();
    this.fill();
    return this.show();
  }

  fill() {
    const options = this.context.state.entries.map((entry) => [entry.id, titleOf(entry)]);
    for (const select of [this.left, this.right]) fillOptions(select, options);
  }

  show() {
    const { isOn, only, at } = this;
    this.bar.hidden = !isOn;
    this.line.hidden = !isOn || only !== "";
    this.line.style.left = `${100 * at}%`;
    this.line.setAttribute("aria-valuenow", String(Math.round(100 * at)));
    this.line.setAttribute("aria-valuetext", `${Math.round(100 * at)} % of the width for the left layer`);
    this.flick.setAttribute("aria-pressed", String(only !== ""));
    this.flick.textContent = only === "" ? "Flicker" : `Only the ${only}`;
    this.context.map.setClips(isOn ? this.clips() : new Map());
  }

  clips() {
    const [left, right] = [this.left.value, this.right.value];
    if (left === right) return new Map();
    const end = { "": this.at, left: 1, right: 0 }[this.only];
    return new Map([
      [left, [0, end]],
      [right, [end, 1]],
    ]);
  }

  /** Show the left layer alone, then the right one, then the line again. */
  flicker() {
    if (!this.isOn) this.begin();
    if (!this.isOn) return;
    this.only = { "": "left", left: "right", right: "" }[this.only];
    this.show();
  }

  move(at) {
    this.at = Math.max(0, Math.min(1, at));
    this.only = "";
    this.show();
    this.context.permalink.changed();
  }

  press(event) {
    const to = { Home: 0, End: 1 }[event.key] ?? this.at + (STEPS[event.key] ?? NaN);
    if (Number.isNaN(to)) return;
    event.preventDefault();
    this.move(to);
  }

  drag(event) {
    if (event.type === "pointerdown") this.line.setPointerCapture(event.pointerId);
    else if (!this.line.hasPointerCapture(event.pointerId)) return;
    const { left, width } = document.getElementById("map").getBoundingClientRect();
    this.move((event.clientX - left) / width);
  }

  write() {
    if (!this.isOn) return "";
    return [this.left.value, this.right.value].map(encodeURIComponent).concat(this.at.toFixed(3)).join(",");
  }

  read(text) {
    const [left, right, at] = text.split(",").map(decoded);
    if (!left || !right || !this.context.state.find(left) || !this.context.state.find(right)) return this.stop();
    if (at >= 0 && at <= 1) this.at = Number(at);
    return this.begin([left, right]);
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** The times of the layers that are shown, as a slider that plays. */

import { addressOf, fetchFrom } from "./api.js";
import { h, iconButton } from "./dom.js";
import { fillOptions } from "./forms.js";
import { hasTimes } from "./hastimes.js";
import { titleOf } from "./row.js";
import { formatStep, indexAt, stepAt, union } from "./steps.js";

/** Steps a second. */
const SPEEDS = { "0.5": "½ /s", 1: "1 /s", 2: "2 /s", 5: "5 /s" };
const PLAY = "M7 4l13 8-13 8z";
const PAUSE = "M8 5v14M16 5v14";
const BACK = "M15 5l-7 7 7 7";
const NEXT = "M9 5l7 7-7 7";

/** The bar; hidden while no layer with times is shown. */
export class TimeBar {
  constructor(context) {
    this.context = context;
    /** The steps of each layer by its tiles' address, or null while they are asked. */
    this.lists = new Map();
    this.steps = [];
    this.wanted = "";
    this.playing = false;
    this.showing = 0;
    this.runs = 0;
    /** The place among the steps of the one that is being loaded, or null. */
    this.heading = null;
    this.make();
    document.querySelector("main").append(this.element);
  }

  make() {
    const step = (by) => () => this.move(by);
    this.play = iconButton(PLAY, "Play", () => this.toggle(), { className: "icon-button play" });
    this.slider = h("input", {
      type: "range",
      min: 0,
      step: 1,
      "aria-label": "Time",
      oninput: () => this.go(Number(this.slider.value)),
    });
    this.label = h("output", { className: "time-label" });
    this.target = h("select", { "aria-label": "Layers that the time is for", onchange: () => this.follow() });
    const speeds = Object.entries(SPEEDS).map(([value, text]) => h("option", { value }, text));
    this.speed = h("select", { "aria-label": "Speed, steps a second" }, speeds);
    this.speed.value = "1";
    this.all = h("button", { type: "button", className: "button", onclick: () => this.showAll() }, "All times");
    this.element = h(
      "section",
      { id: "timebar", className: "card", "aria-label": "Time", hidden: true },
      h(
        "div",
        { className: "time-row" },
        iconButton(BACK, "Time before", step(-1)),
        this.play,
        iconButton(NEXT, "Time after", step(1)),
        this.slider,
      ),
      h("div", { className: "time-row more-row" }, this.label, this.target, this.speed, this.all),
    );
  }

  /** The entries with times that are shown. */
  get timed() {
    return this.context.state.visible.filter(({ layer }) => hasTimes(layer));
  }

  /** Those that the time is for. */
  get chosen() {
    const { timed } = this;
    return timed.filter(({ id }) => id === this.target.value).concat(this.target.value ? [] : timed);
  }

  /** The time that is shown: that of the first of the chosen that has one, or "". */
  get time() {
    return this.chosen.find(({ style }) => style.time)?.style.time ?? "";
  }

  get index() {
    return indexAt(this.steps, this.time);
  }

  /** Take a time of a link: for all layers that have none of their own. */
  want(text) {
    this.wanted = text.slice(0, 100);
    this.follow();
  }

  /** Show what the state says now. */
  follow() {
    const { timed } = this;
    for (const entry of timed) this.learn(entry);
    this.fillTarget(timed);
    this.steps = union(this.chosen.map((entry) => this.stepsOf(entry)));
    this.takeWanted();
    this.element.hidden = this.steps.length < 2;
    if (this.element.hidden) this.playing = false;
    this.show();
  }

  async learn({ layer }) {
    const key = keyOf(layer);
    if (this.lists.has(key)) return;
    this.lists.set(key, null);
    try {
      const { times } = await fetchFrom(addressOf("times", layer));
      this.lists.set(key, Array.isArray(times) ? times.map(String) : []);
      this.follow();
    } catch {
      // The next change of the list asks again.
      this.lists.delete(key);
    }
  }

  stepsOf({ layer }) {
    return this.lists.get(keyOf(layer)) ?? [];
  }

  fillTarget(timed) {
    fillOptions(this.target, [["", "All layers with times"], ...timed.map((each) => [each.id, titleOf(each)])]);
    this.target.hidden = timed.length < 2;
  }

  takeWanted() {
    if (!this.wanted || this.timed.some((entry) => !this.lists.get(keyOf(entry.layer)))) return;
    const { wanted } = this;
    this.wanted = "";
    const entries = this.timed.filter(({ style }) => !style.time);
    if (entries.length && !Number.isNaN(Date.parse(wanted))) this.put(entries, wanted);
  }

  show() {
    const { index, time } = this;
    this.slider.max = String(Math.max(this.steps.length - 1, 0));
    this.slider.value = String(index < 0 ? this.steps.length - 1 : index);
    const text = time ? formatStep(time) : "All times";
    this.label.textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
    this.slider.style.setProperty("--filled", `${(100 * Number(this.slider.value)) / (this.slider.max || 1)}%`);
    this.all.ariaDisabled = String(!time);
    // While it plays, a screen reader would do nothing but read times.
    this.label.setAttribute("aria-live", this.playing ? "off" : "polite");
    this.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.play.title = this.playing ? "Pause" : "Play";
    this.play.querySelector("path").setAttribute("d", this.playing ? PAUSE : PLAY);
  }

  /** Show the step at a place, once its tiles are there; places beyond the ends mean the ends. */
  async go(index) {
    if (this.steps.length === 0) return;
    this.playing = false;
    this.heading = Math.max(0, Math.min(this.steps.length - 1, index));
    await this.showStep(this.steps[this.heading]);
  }

  /** Show the step before or after; from all times on the last or the first. */
  move(by) {
    const { steps } = this;
    const index = this.heading ?? this.index;
    return this.go(index >= 0 ? index + by : by < 0 ? steps.length - 1 : 0);
  }

  async showStep(step) {
    this.showing += 1;
    const { showing, chosen } = this;
    await this.context.map.preload(chosen.map((entry) => timedEntry(entry, this.textFor(entry, step))));
    if (showing !== this.showing) return;
    this.heading = null;
    this.put(chosen, step);
  }

  textFor(entry, step) {
    return stepAt(this.stepsOf(entry), step);
  }

  put(entries, step) {
    this.context.state.setTimes(new Map(entries.map((entry) => [entry.id, this.textFor(entry, step)])));
  }

  showAll() {
    this.playing = false;
    this.heading = null;
    this.showing += 1;
    this.context.state.setTimes(new Map(this.chosen.map(({ id }) => [id, null])));
  }

  toggle() {
    if (this.element.hidden) return;
    this.playing = !this.playing;
    this.heading = null;
    this.showing += 1;
    this.show();
    if (this.playing) this.run();
  }

  /** Show one step after another, each when its tiles are there and the last was seen long enough. */
  async run() {
    this.runs += 1;
    const run = this.runs;
    while (this.playing && run === this.runs) {
      const seen = new Promise((resolve) => setTimeout(resolve, 1000 / Number(this.speed.value)));
      const step = this.steps[(this.index + 1) % this.steps.length];
      const next = this.chosen.map((entry) => timedEntry(entry, this.textFor(entry, step)));
      await Promise.all([this.context.map.preload(next), seen]);
      if (document.hidden) this.playing = false;
      if (this.playing && run === this.runs) this.put(this.chosen, step);
    }
  }
}

const keyOf = ({ name, tiles }) => `${name} ${tiles}`;

const timedEntry = (entry, time) => ({ ...entry, style: { ...entry.style, time } });

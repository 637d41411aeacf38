/** The address of the page kept in step with its state, and followed when it changes. */

import { formatHash, parseHash } from "./permalink.js";

const WRITE_DELAY_MS = 150;
/** Changes that *Back* takes back; others, and moves of the map, only correct the address. */
const STEPS = new Set(["add", "remove", "style"]);

/** Writes the permalink, and reads those that the browser goes to. */
export class Address {
  /**
   * @param {() => {view: object, layers: object[], removed: string[]}} describe tells the state.
   * @param {(link: object) => Promise<void>} onlink called with each link that the browser goes to,
   *   parsed; until it is done, nothing is written.
   */
  constructor(describe, onlink) {
    this.describe = describe;
    this.keys = new Map();
    this.timer = null;
    this.isStep = false;
    this.following = 0;
    this.onlink = onlink;
    // Not location.hash, which a write that was under way may have put back.
    window.addEventListener("hashchange", ({ newURL }) => this.go(new URL(newURL).hash));
  }

  async go(hash) {
    const link = parseHash(hash);
    this.following += 1;
    try {
      await this.onlink(link);
      this.read(link);
    } finally {
      this.following -= 1;
      this.isStep = false;
      this.changed();
    }
  }

  /**
   * Keep a feature's state in the link, as text under a key of lower-case letters; "" leaves it out.
   *
   * @param {string} key
   * @param {{read: (text: string) => void, write: () => string}} feature `read` is called with ""
   *   when a link says nothing of it, and must bear any text.
   */
  add(key, feature) {
    this.keys.set(key, feature);
  }

  /** Give the features their part of a link. */
  read({ others }) {
    for (const [key, feature] of this.keys) feature.read(others[key] ?? "");
  }

  /** Write the address soon; with `step`, *Back* returns to how it was before. Cheap to call often. */
  changed({ step = false } = {}) {
    this.isStep ||= step;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(), WRITE_DELAY_MS);
  }

  /** Follow the changes of a state. */
  follow(state) {
    state.addEventListener("change", ({ detail: { kind, merged } }) =>
      this.changed({ step: STEPS.has(kind) && !merged }),
    );
  }

  /** Return the fragment that describes the page now. */
  get fragment() {
    const { view, layers, removed } = this.describe();
    const others = [...this.keys].map(([key, feature]) => [key, feature.write()]);
    return formatHash(view, layers, removed, Object.fromEntries(others));
  }

  write() {
    if (this.following > 0) return;
    const { fragment } = this;
    const push = this.isStep && fragment !== location.hash;
    this.isStep = false;
    try {
      if (push) history.pushState(null, "", fragment);
      else history.replaceState(history.state, "", fragment);
    } catch {
      // Some browsers allow only so many changes a minute; the next one will do.
    }
  }
}

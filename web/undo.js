/** Steps back and forward through values that are never changed, only replaced. */

const MAX_STEPS = 100;
const MERGE_MS = 1000;

/** What was, and what was undone. */
export class Undo {
  /** @param {() => number} now a clock in milliseconds. */
  constructor(now = () => performance.now()) {
    this.now = now;
    this.past = [];
    this.future = [];
    this.subject = null;
    this.notedMs = 0;
  }

  get canUndo() {
    return this.past.length > 0;
  }

  get canRedo() {
    return this.future.length > 0;
  }

  /**
   * Note that `before` is about to be replaced.
   *
   * Changes of one subject in quick succession, such as those of a slider, are one step; null merges
   * with none. Returns whether this one was merged.
   */
  note(before, subject) {
    const merged = subject !== null && subject === this.subject && this.now() - this.notedMs < MERGE_MS;
    if (!merged) this.past.push(before);
    if (this.past.length > MAX_STEPS) this.past.shift();
    this.future = [];
    this.subject = subject;
    this.notedMs = this.now();
    return merged;
  }

  /** Return the value before `current`, or undefined. */
  undo(current) {
    return this.step(this.past, this.future, current);
  }

  /** Return the value that was undone last, or undefined. */
  redo(current) {
    return this.step(this.future, this.past, current);
  }

  step(from, to, current) {
    if (from.length === 0) return undefined;
    this.subject = null;
    to.push(current);
    return from.pop();
  }
}

/** Steps of time: texts such as "2025", "2025-01-05" or "2025-01-05T10:15:00Z", as `time=` takes them. */

/** Return when a step begins, in milliseconds since 1970. */
export const startOf = (step) => Date.parse(step);

/** Return all steps of lists, by time, each once. */
export const union = (lists) =>
  [...new Set(lists.flat())].filter((step) => !Number.isNaN(startOf(step))).sort(byTime);

// Of steps that begin together the longest comes first.
const byTime = (one, other) => startOf(one) - startOf(other) || one.length - other.length;

/**
 * Return the step of a layer to be shown at a time: its own, or else the last one before it.
 *
 * A layer whose steps all come later has none: the time itself then shows nothing of it.
 */
export function stepAt(steps, time) {
  if (steps.includes(time)) return time;
  return steps.findLast((step) => startOf(step) <= startOf(time)) ?? time;
}

/** Return the place of a time among steps: its own, or that of the last step before it; -1 for none. */
export function indexAt(steps, time) {
  const own = steps.indexOf(time);
  return own >= 0 || !time ? own : steps.findLastIndex((step) => startOf(step) <= startOf(time));
}

/** Return a step for people: 2025-01-05 10:15. */
export const formatStep = (step) => step.replace("T", " ").replace(/(:00)?(\.\d+)?Z$/, "");

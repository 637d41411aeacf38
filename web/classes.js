/** The classes that values belong to, as the server finds them. */

/**
 * Return the function from a value to the number of its class, from 1, or 0 for none.
 *
 * Of intervals that overlap the first holds, and a class of one value before any. Numbers are compared as
 * the type of the values has them.
 *
 * @param {[number, number | null, number[]][]} classes values from low to less than high; or low alone.
 * @param {boolean} single whether the values are of single precision.
 */
export function classifier(classes, single) {
  const stored = single ? Math.fround : Number;
  const intervals = classes
    .map(([low, high], i) => ({ low: stored(low), high: high === null ? null : stored(high), number: i + 1 }))
    .filter(({ high }) => high !== null);
  const singles = singleNumbers(classes, stored);
  const ends = [...new Set(intervals.flatMap(({ low, high }) => [low, high]))].sort((a, b) => a - b);
  const numbers = ends.map((end) => intervals.find(({ low, high }) => low <= end && end < high)?.number ?? 0);
  return (value) => singles.get(value) ?? numbers[placeBelow(ends, value)] ?? 0;
}

function singleNumbers(classes, stored) {
  const numbers = new Map();
  classes.forEach(([low, high], i) => {
    if (high === null && !numbers.has(low)) numbers.set(low, i + 1);
  });
  const found = new Map();
  // Of values that are one in single precision the smallest holds.
  for (const low of [...numbers.keys()].sort((a, b) => b - a)) found.set(stored(low), numbers.get(low));
  return found;
}

/** Return the place of the last end that is not above a value, or -1. */
function placeBelow(ends, value) {
  let [low, high] = [-1, ends.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (ends[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}

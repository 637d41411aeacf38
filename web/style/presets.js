/** Ranges from figures of a band: between extremes, between percentiles, about the mean. */

/** Percentiles that the presets need. */
export const PERCENTILES = [1, 2, 5, 95, 98, 99];

/** @type {{name: string, label: string, of: (figures: object) => (number | null | undefined)[]}[]} */
export const PRESETS = [
  { name: "minmax", label: "Min–max", of: ({ min, max }) => [min, max] },
  ...[1, 2, 5].map((tail) => ({
    name: `p${tail}`,
    label: `${tail}–${100 - tail} %`,
    of: ({ percentiles = {} }) => [percentiles[tail], percentiles[100 - tail]],
  })),
  ...[1, 2, 3].map((count) => ({
    name: `s${count}`,
    label: `±${count} σ`,
    of: ({ mean, std }) =>
      Number.isFinite(mean) && Number.isFinite(std) ? [mean - count * std, mean + count * std] : [],
  })),
];

/**
 * Return [low, high] of a preset, the second always the larger; null without any values.
 *
 * @param {object} figures of one band, as GET /statistics has them or `figuresOf` makes them.
 * @param {string} name of a preset.
 */
export function rangeOf(figures, name) {
  const ends = PRESETS.find((preset) => preset.name === name)?.of(figures ?? {}) ?? [];
  if (ends.length !== 2 || !ends.every(Number.isFinite)) return null;
  const [low, high] = ends.map(rounded);
  return low < high ? [low, high] : [low, low + Math.max(1, Math.abs(low) * 1e-6)];
}

/** Return a number rounded to six digits, as the server rounds ranges: short in an address. */
export const rounded = (value) => Number(value.toPrecision(6));

/** Return a number as people write it, to six digits. */
export const shown = (value) => (Number.isFinite(value) ? String(rounded(value)) : "–");

/**
 * Return the figures of valid values: {count, min, max, mean, std, percentiles, histogram}.
 *
 * @param {ArrayLike<number>} values those that are not finite do not count.
 * @param {number} bins of the histogram, equally wide from the least value to the largest.
 */
export function figuresOf(values, bins = 128) {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
  const count = sorted.length;
  if (count === 0) return { count, min: null, max: null, mean: null, std: null, histogram: [[], []] };
  const [min, max] = [sorted[0], sorted[count - 1]];
  const mean = sorted.reduce((sum, value) => sum + value, 0) / count;
  const variance = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count;
  const percentiles = Object.fromEntries(PERCENTILES.map((share) => [share, quantile(sorted, share / 100)]));
  return { count, min, max, mean, std: Math.sqrt(variance), percentiles, histogram: histogram(sorted, bins) };
}

// Linear between the two values next to it, as NumPy has it.
function quantile(sorted, share) {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const [low, high] = [sorted[below], sorted[Math.min(below + 1, sorted.length - 1)]];
  return low + (high - low) * (at - below);
}

function histogram(sorted, bins) {
  const [min, max] = [sorted[0], sorted[sorted.length - 1]];
  if (min === max) return [[sorted.length], [min, max]];
  const counts = new Array(bins).fill(0);
  const edges = Array.from({ length: bins + 1 }, (_, index) => min + ((max - min) * index) / bins);
  for (const value of sorted) counts[Math.min(Math.floor(((value - min) / (max - min)) * bins), bins - 1)] += 1;
  return [counts, edges];
}

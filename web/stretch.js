/** From values to shares of a range, and along the stops of a palette, number for number as NumPy. */

const LOG_FACTOR = 1000;

const clipped = (share) => (share < 0 ? 0 : share > 1 ? 1 : share);

/** Return x ** exponent as NumPy has it, which takes a root or a square where it can. */
function raised(exponent) {
  if (exponent === 0.5) return Math.sqrt;
  if (exponent === 2) return (share) => share * share;
  return (share) => share ** exponent;
}

/**
 * Return the function from a value to its share of a range, 0 to 1, before gamma.
 *
 * @param {[number, number]} range its ends, the first below the other.
 */
export function shareOf([low, high]) {
  const length = high - low;
  if (length !== Infinity) return (value) => clipped((value - low) / length);
  const quarter = high / 4 - low / 4;
  return (value) => clipped((value * 0.25 - low / 4) / quarter);
}

/** Return the function that a gamma applies to shares, or null for none. */
export const gammaOf = (gamma) => (gamma === 1 ? null : raised(1 / gamma));

/** Return the logarithmic curve's shade of a share. */
export const logarithmic = (share) => Math.log1p(LOG_FACTOR * share) / Math.log1p(LOG_FACTOR);

/**
 * Return the function that interpolates between points with straight lines, as `numpy.interp`.
 *
 * @param {ArrayLike<number>} xs rising.
 * @param {ArrayLike<number>} ys as many.
 */
export function interpolator(xs, ys) {
  const last = xs.length - 1;
  const slopes = Float64Array.from({ length: last }, (_, i) => (ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i]));
  return (x) => {
    if (x >= xs[last]) return ys[last];
    if (x < xs[0]) return ys[0];
    let [low, high] = [0, last];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle;
      else high = middle;
    }
    return xs[low] === x ? ys[low] : slopes[low] * (x - xs[low]) + ys[low];
  };
}

/** Return n equally spaced numbers from 0 to 1, as `numpy.linspace`. */
export function spaced(n) {
  const step = 1 / (n - 1);
  const stops = Float64Array.from({ length: n }, (_, i) => i * step);
  stops[0] = 0;
  if (n > 1) stops[n - 1] = 1;
  return stops;
}

/**
 * Return the function from a value to the share of all values below it, 0 to 1.
 *
 * @param {number[]} quantiles of all values, equally spaced from the least to the largest.
 */
export function equalizer(quantiles) {
  const steps = [...new Set(quantiles)].sort((a, b) => a - b);
  const most = Math.max(quantiles.length - 1, 1);
  // A value that many pixels have stands in the middle of its share.
  const shares = steps.map((step) => (quantiles.indexOf(step) + quantiles.lastIndexOf(step)) / 2 / most);
  return interpolator(steps, shares);
}

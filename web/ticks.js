/** Round numbers and round times along an axis. */

const DAY_MS = 86_400_000;
const SPANS_MS = [1000, 5000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 10_800_000, 21_600_000, 43_200_000];
const DAYS = [1, 2, 7, 14];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120, 240];
const MAX_TICKS = 20;

/** Return round numbers from `least` to `most`, about `count` of them. */
export function numberTicks(least, most, count = 4) {
  const rough = (most - least) / count;
  if (!(rough > 0) || !Number.isFinite(rough)) return [least];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
  const first = Math.ceil(least / step - 1e-9);
  const last = Math.floor(most / step + 1e-9);
  return Array.from({ length: Math.min(last - first + 1, MAX_TICKS) }, (_, n) => (first + n) * step);
}

/** Return round times in milliseconds since 1970, in UTC, from `least` to `most`, about `count`. */
export function timeTicks(least, most, count = 4) {
  const rough = (most - least) / count;
  if (!(rough > 0)) return [least];
  const span = [...SPANS_MS, ...DAYS.map((days) => days * DAY_MS)].find((each) => each >= rough);
  if (span) return multiples(span, least, most);
  const months = MONTHS.find((each) => each * 30.4 * DAY_MS >= rough) ?? 600;
  const first = new Date(least);
  const start = first.getUTCFullYear() * 12 + first.getUTCMonth();
  const ticks = [];
  for (let month = Math.ceil(start / months) * months; ticks.length < MAX_TICKS; month += months) {
    const time = Date.UTC(Math.floor(month / 12), month % 12);
    if (time > most) break;
    if (time >= least) ticks.push(time);
  }
  return ticks.length ? ticks : [least];
}

function multiples(step, least, most) {
  const first = Math.ceil(least / step);
  const count = Math.min(Math.floor(most / step) - first + 1, MAX_TICKS);
  return count > 0 ? Array.from({ length: count }, (_, n) => (first + n) * step) : [least];
}

/** Return a number of an axis as text, as precise as `step` between ticks needs. */
export function formatTick(value, step) {
  const size = Math.max(Math.abs(value), Math.abs(step));
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toExponential(1).replace(".0e", "e");
  const decimals = step > 0 ? Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9))) : 2;
  return String(Number(value.toFixed(decimals)));
}

/** Return a time as text, in UTC: as much of it as is not zero. */
export function formatTime(ms) {
  const text = new Date(ms).toISOString();
  if (text.endsWith("T00:00:00.000Z")) return text.slice(0, 10);
  return `${text.slice(0, 10)} ${text.slice(11, text.endsWith(":00.000Z") ? 16 : 19)}`;
}

/** Return a time of an axis whose ticks are `step` milliseconds apart. */
export function formatTimeTick(ms, step) {
  const text = new Date(ms).toISOString();
  if (step >= 360 * DAY_MS) return text.slice(0, 4);
  if (step >= 27 * DAY_MS) return text.slice(0, 7);
  if (step >= DAY_MS) return text.slice(0, 10);
  return text.slice(11, step >= 60_000 ? 16 : 19);
}

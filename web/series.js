/** The values at a place over time, as a chart in the drawer. */

import { addressOf, fetchFrom } from "./api.js";
import { Chart } from "./chart.js";
import { h, icon } from "./dom.js";
import { infoOf } from "./infos.js";
import { titleOf } from "./row.js";
import { fileName, save, toCsv } from "./table.js";
import { formatTime, formatTimeTick, timeTicks } from "./ticks.js";
import { formatPlace, formatValue } from "./values.js";

const MOST_SHOWN = 3;
const SAVE = "M12 4v11M7 10l5 5 5-5M5 20h14";

/** Show it of an entry at a place. */
export function open(entry, place, context, opener) {
  const reading = new AbortController();
  const body = h("div", { className: "series" }, h("p", { className: "quiet" }, "Reading…"));
  const element = h("div", { "aria-live": "polite" }, h("p", { className: "quiet" }, formatPlace(place)), body);
  context.drawer.open({
    title: `${titleOf(entry)} over time`,
    element,
    opener,
    onclose: () => reading.abort(),
  });
  return fill(body, entry, place, context, reading.signal);
}

async function fill(body, entry, place, context, signal) {
  try {
    const known = infoOf(entry.layer).catch(() => null);
    const answer = await fetchSeries(entry, place, signal);
    body.replaceChildren(...shown(entry, place, answer, await known, context));
  } catch (error) {
    if (!signal.aborted) body.replaceChildren(h("p", { className: "wrong" }, error.message));
  }
}

// All times, whichever is shown; stored values, whatever the style makes of them.
function fetchSeries({ layer }, { lon, lat }, signal) {
  const place = { lon: lon.toFixed(7), lat: lat.toFixed(7) };
  return fetchFrom(addressOf("timeseries", layer), place, signal);
}

function shown(entry, place, { bands, series }, info, context) {
  const known = series.filter(({ time }) => time !== null);
  if (known.length === 0) return [h("p", { className: "quiet" }, "No data here at any time.")];
  const first = entry.layer.bands.filter((band) => bands.includes(band));
  const on = new Set((first.length ? first : bands).slice(0, MOST_SHOWN));
  const units = new Set((info?.bands ?? []).map(({ unit }) => unit ?? ""));
  const unit = units.size === 1 ? [...units][0] : "";
  const at = known.map(({ time }) => Date.parse(time));
  const chart = new Chart({
    label: `${titleOf(entry)} over time`,
    x: { title: "Time", format: formatTime, ticks: timeTicks, tick: formatTimeTick },
    y: { title: unit, format: (value) => `${formatValue(value)} ${unit}`.trim() },
    at,
    series: bands.map((name) => ({ name, values: known.map(({ values }) => values[name]), isOn: on.has(name) })),
  });
  const count = known.length === 1 ? "1 time" : `${known.length} times`;
  const rows = [["time", ...bands], ...known.map(({ time, values }) => [time, ...bands.map((band) => values[band])])];
  const saveAll = () => save(`${fileName(entry.id, place.lat.toFixed(5), place.lon.toFixed(5))}.csv`, toCsv(rows));
  const show = () => {
    const { time } = known[chart.index];
    const current = context.state.find(entry.id);
    if (current) context.state.setStyle(entry.id, { ...current.style, time: time.replace(".000000Z", "Z") });
  };
  return [
    h("p", { className: "quiet" }, `${count}, ${formatTime(at[0])} to ${formatTime(at.at(-1))}`),
    chart.element,
    h(
      "div",
      { className: "actions" },
      h("button", { type: "button", className: "button", onclick: saveAll }, icon(SAVE), "CSV"),
      h("button", { type: "button", className: "button", onclick: show }, "Show this time on the map"),
    ),
  ];
}

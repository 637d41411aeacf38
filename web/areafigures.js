/** The statistics of an area as tables: figures a band, and pixels, shares and areas of classes. */

import { h } from "./dom.js";
import { button } from "./forms.js";
import { formatArea } from "./geometry.js";
import { titleOf } from "./row.js";
import { fileName, save, table, toCsv } from "./table.js";
import { formatValue } from "./values.js";

const SAVE = "M12 4v11M7 10l5 5 5-5M5 20h14";
const COLUMNS = ["min", "max", "mean", "std", "count", "valid_percent", "percentile_2", "percentile_98"];
const SHOWN = { min: "Min", max: "Max", mean: "Mean", std: "σ", valid_percent: "Valid" };
const MOST_CLASSES = 40;

/**
 * Return the nodes that show statistics.
 *
 * @param {object} entry whose they are.
 * @param {Record<string, object>} answer of GET /statistics, a member a band.
 * @param {object | null} info of GET /info.
 * @param {number} areaM2 of the whole area.
 */
export function figures(entry, answer, info, areaM2) {
  const bands = Object.entries(answer);
  if (bands.every(([, { count }]) => !count)) return [h("p", { className: "quiet" }, "No data in this area.")];
  const row = ([band, found]) => [band, ...Object.keys(SHOWN).map((name) => shown(name, found[name]))];
  const classes = bands.map((band) => classTable(band, info, areaM2)).filter(Boolean);
  return [
    scrolled(table(`Statistics of ${titleOf(entry)}`, ["Band", ...Object.values(SHOWN)], bands.map(row))),
    ...classes.map(({ band, heads, rows }) => scrolled(table(`Classes of ${band}`, heads, rows))),
    h("div", { className: "actions" }, button(SAVE, "CSV", () => saveAll(entry, bands, classes))),
  ];
}

const scrolled = (content) => h("div", { className: "chart-table", tabIndex: 0, role: "region", "aria-label": "Figures" }, content);

const shown = (name, value) => {
  if (value === null || value === undefined) return "–";
  return name === "valid_percent" ? `${formatValue(Number(value.toPrecision(4)))} %` : formatValue(Number(value.toPrecision(6)));
};

/** Return the table of a band's values, if they are few or classes. */
function classTable([band, { frequencies, count, valid_percent: percent }], info, areaM2) {
  const [counts, values] = frequencies ?? [[], []];
  const names = new Map((info?.classes ?? []).map(({ value, name }) => [value, name]));
  const isClasses = names.size > 0 && info.bands.length === 1;
  if (values.length === 0 || (!isClasses && values.length > MOST_CLASSES / 4) || values.length > MOST_CLASSES) return null;
  const all = percent > 0 ? count / (percent / 100) : count;
  const rows = values.map((value, n) => [
    names.get(value) ?? String(value),
    String(counts[n]),
    `${((100 * counts[n]) / count).toFixed(1)} %`,
    formatArea((areaM2 * counts[n]) / all),
  ]);
  return { band, values, counts, names, heads: [isClasses ? "Class" : "Value", "Pixels", "Share", "Area"], rows };
}

function saveAll(entry, bands, classes) {
  const rows = [["band", ...COLUMNS], ...bands.map(([band, found]) => [band, ...COLUMNS.map((name) => found[name])])];
  for (const { band, values, counts, names } of classes) {
    rows.push([], ["band", "value", "class", "pixels"]);
    values.forEach((value, n) => rows.push([band, value, names.get(value) ?? "", counts[n]]));
  }
  save(`${fileName(entry.id, "statistics")}.csv`, toCsv(rows));
}

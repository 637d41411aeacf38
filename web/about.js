/** What is known of a layer: its grid, bands, dates and properties, in the drawer. */

import { copyText, h, icon } from "./dom.js";
import { infoOf } from "./infos.js";
import { titleOf } from "./row.js";
import { table } from "./table.js";
import { formatPixel, formatValue } from "./values.js";

const SEARCH_FROM = 8;

/** Show it of an entry. */
export async function open(entry, { drawer, messages }, opener) {
  let isOpen = true;
  const element = h("div", { className: "about", "aria-live": "polite" }, h("p", { className: "quiet" }, "Reading…"));
  drawer.open({ title: `About ${titleOf(entry)}`, element, opener, onclose: () => (isOpen = false) });
  try {
    const info = await infoOf(entry.layer);
    if (isOpen) element.replaceChildren(...content(entry, info, messages));
  } catch (error) {
    if (isOpen) element.replaceChildren(h("p", { className: "wrong" }, error.message));
  }
}

function content({ layer }, info, { showNote }) {
  const copy = async () => {
    const copied = await copyText(JSON.stringify(info, null, 2));
    showNote(copied ? "Metadata copied." : "The browser does not let the page copy.");
  };
  return [
    layer.description && h("p", {}, layer.description),
    facts("Image", generalFacts(layer, info)),
    bands(info.bands ?? []),
    (info.classes ?? []).length > 0 && classes(info.classes),
    properties(info.properties ?? {}),
    h("div", { className: "actions" }, h("button", { type: "button", className: "button", onclick: copy }, icon("copy"), "Copy as JSON")),
  ].filter(Boolean);
}

/** Return pairs of a name and a text, without those that are not known. */
export function generalFacts(layer, info) {
  const all = info.bands ?? [];
  const same = (member) => [...new Set(all.map((band) => band[member]))];
  const scales = same("scale_m").map(formatPixel).filter(Boolean);
  const pairs = [
    ["Asset", info.asset],
    ["Attribution", layer.attribution],
    ["CRS", same("crs").join(", ")],
    ["Pixel", scales.join(", ")],
    ["Size", `${info.width} × ${info.height} pixels`],
    ["Types", same("data_type").join(", ")],
    ["No data", same("nodata").map((value) => (value === null ? "none" : formatValue(value))).join(", ")],
    ["Overviews", info.overviews?.length ? info.overviews.map((factor) => `1:${factor}`).join(", ") : "none"],
    ["West, south, east, north", info.bounds?.map((value) => +value.toFixed(6)).join(", ")],
    ["Zooms", `${info.minzoom} to ${info.maxzoom}`],
    ["Taken", dates(info.start_time, info.end_time)],
    ["Updated", info.update_time?.replace(/(T\d\d:\d\d):.*/, "$1 UTC").replace("T", " ")],
    ["Files", info.mosaic && `${info.mosaic.files}, ${info.mosaic.pixel_selection} on top`],
    ["Left out", info.mosaic?.left_out ? `${info.mosaic.left_out} files` : ""],
    ["Place", info.no_place],
    ["Version in caches", info.version],
  ];
  return pairs.filter(([, text]) => text !== undefined && text !== null && text !== "");
}

const dates = (start, end) => (start && end && start !== end ? `${start} to ${end}` : start || end || "");

function facts(title, pairs) {
  const row = ([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(text)));
  return h("section", {}, h("h3", {}, title), h("dl", { className: "facts" }, pairs.map(row)));
}

function bands(all) {
  const known = (member) => all.some((band) => band[member] !== undefined && band[member] !== null);
  const columns = [
    ["Band", (band) => band.id],
    ["Type", (band) => band.data_type],
    known("unit") && ["Unit", (band) => band.unit ?? ""],
    known("wavelength_um") && ["µm", (band) => (band.wavelength_um ? formatValue(band.wavelength_um) : "")],
    known("common_name") && ["Name", (band) => band.common_name ?? ""],
    known("description") && ["Description", (band) => band.description ?? ""],
    all.some(({ scale, offset }) => scale !== 1 || offset !== 0) && ["Scale, offset", (band) => `${band.scale}, ${band.offset}`],
  ].filter(Boolean);
  const rows = all.map((band) => columns.map(([, read]) => read(band)));
  const heads = columns.map(([name]) => name);
  return h(
    "section",
    {},
    h("h3", {}, all.length === 1 ? "1 band" : `${all.length} bands`),
    h("div", { className: "chart-table", tabIndex: 0, role: "region", "aria-label": "Bands" }, table("Bands", heads, rows)),
  );
}

const classes = (all) => facts(`${all.length} classes`, all.map(({ value, name }) => [formatValue(value), name]));

function properties(found) {
  const pairs = Object.entries(found).map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : value]);
  if (pairs.length === 0) return null;
  const list = facts(pairs.length === 1 ? "1 property" : `${pairs.length} properties`, pairs);
  if (pairs.length >= SEARCH_FROM) list.querySelector("h3").after(search(list));
  return list;
}

function search(list) {
  const none = h("p", { className: "quiet", hidden: true }, "No property has this text.");
  const field = h("input", {
    type: "search",
    className: "filter",
    placeholder: "Search properties",
    "aria-label": "Search properties",
    oninput: () => {
      const text = field.value.trim().toLowerCase();
      const rows = [...list.querySelectorAll(".facts > div")];
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(text);
      none.hidden = rows.some((row) => !row.hidden);
    },
  });
  return h("div", {}, field, none);
}

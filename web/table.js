/** Tables as CSV, and files that the page makes and the browser saves. */

import { h } from "./dom.js";

const FORMULA = /^[=+\-@\t\r]/;
const QUOTED = /[",\r\n]/;

/**
 * Return rows as CSV (RFC 4180): numbers as they are, null and undefined empty.
 *
 * Text that a spreadsheet would take for a formula gets an apostrophe before it: names come from files.
 *
 * @param {(string | number | null | undefined)[][]} rows
 */
export const toCsv = (rows) => rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");

function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : String(value);
  return QUOTED.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Save a blob, or a text of a media type, as a file. */
export function save(name, content, type = "text/csv;charset=utf-8") {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  // Not at once: the browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Return a text as part of a file's name. */
export const fileName = (...parts) =>
  parts
    .join("-")
    .replace(/[^\p{L}\p{N}._-]+/gu, "-")
    .slice(0, 120);

/** Return a table of text: heads in the first row, and in the first column with `rowHeads`. */
export function table(caption, heads, rows, { rowHeads = true } = {}) {
  const head = (text) => h("th", { scope: "col" }, text);
  const line = (cells) =>
    cells.map((text, n) => (n === 0 && rowHeads ? h("th", { scope: "row" }, text) : h("td", {}, text)));
  return h(
    "table",
    { className: "figures" },
    h("caption", { className: "visually-hidden" }, caption),
    h("thead", {}, h("tr", {}, heads.map(head))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, line(cells)))),
  );
}

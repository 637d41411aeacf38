/** Texts as literals of the languages that snippets are in. */

const HTML = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Return text for HTML and XML. */
export const escaped = (text) => String(text).replace(/[&<>"']/g, (character) => HTML[character]);

/** Return a literal of JavaScript, also within a script of HTML. */
export const js = (value) =>
  JSON.stringify(value).replace(/[<\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Return a literal of Python: a number, a text, or a list of them. */
export function py(value) {
  if (value === true || value === false) return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(py).join(", ")}]`;
  return JSON.stringify(value);
}

/** Return a word of a POSIX shell. */
export const sh = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

/** Return lines, those that are null or false left out. */
export const lines = (...all) => all.filter((line) => line !== null && line !== false).join("\n");

/** Return degrees with six digits behind the point, a tenth of a metre. */
export const degrees = (numbers) => numbers.map((number) => Number(number.toFixed(6)));

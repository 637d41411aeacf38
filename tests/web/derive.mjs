// Works out drawings of styles from those of others, with the page's own module.
// node derive.mjs WEB CASES: CASES is JSON, a list of [style, drawing]; prints [from, to, drawing] for each that follows.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [web, cases] = process.argv.slice(2);
const { derived } = await import(pathToFileURL(join(web, "drawings.js")));

const known = JSON.parse(await readFile(cases));
const found = [];
for (const [from, [style, drawing]] of known.entries()) {
  if (!drawing) continue;
  for (const [to, [other]] of known.entries()) {
    const follows = derived({ style, drawing }, other);
    if (follows) found.push([from, to, follows]);
  }
}
console.log(JSON.stringify(found));

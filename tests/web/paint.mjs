// Paints tiles with the page's own modules and compares them with the server's pixels.
// node paint.mjs WEB CASES: CASES is a folder of cases.json, N.npz and N.rgba; prints what differs, as JSON.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [web, folder] = process.argv.slice(2);
const { readTile } = await import(pathToFileURL(join(web, "npz.js")));
const { makePainter } = await import(pathToFileURL(join(web, "colors.js")));

const read = async (name) => {
  const bytes = await readFile(join(folder, name));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
};

const differences = [];
for (const [number, drawing] of JSON.parse(await readFile(join(folder, "cases.json"))).entries()) {
  const tile = await readTile(await read(`${number}.npz`));
  const painted = new Uint8Array(makePainter(drawing, tile.planes[0].constructor)(tile).buffer);
  const expected = new Uint8Array(await read(`${number}.rgba`));
  const wrong = [...expected.keys()].filter((i) => expected[i] !== painted[i]);
  const most = Math.max(0, ...wrong.map((i) => Math.abs(expected[i] - painted[i])));
  const first = wrong.length ? Math.floor(wrong[0] / 4) : 0;
  const value = tile.planes.map((plane) => String(plane[first]));
  if (wrong.length || painted.length !== expected.length) differences.push({ number, count: wrong.length, most, first, value });
}
console.log(JSON.stringify(differences));

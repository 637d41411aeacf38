/** Places as people write them: coordinates, tiles, boxes. Only text is read here, nothing is asked. */

const MAX_ZOOM = 30;
const NUMBER = "[+-]?\\d+(?:\\.\\d+)?";
const COORDINATE = new RegExp(`^(${NUMBER})(?:[° ]+(\\d+(?:\\.\\d+)?))?(?:[' ]+(\\d+(?:\\.\\d+)?))?[°'" ]*$`);
const WITH_LETTERS = /[NSEW]/;

/** The forms that are understood, each with an example. */
export const FORMS = [
  ["latitude, longitude", "40.71, -112.1"],
  ["degrees, minutes, seconds", "40°42′36″N 112°6′W"],
  ["z/x/y of a tile", "12/770/1532"],
  ["west, south, east, north", "-113, 40, -112, 41"],
];

/**
 * Read a place.
 *
 * @returns {{lat: number, lon: number, zoom?: number} | {bounds: number[]} |
 *   {tile: {z: number, x: number, y: number}} | {wrong: string} | null} `wrong` says what is wrong
 *   with text that has one of the forms; null has none.
 */
export function parsePlace(text) {
  const plain = text.trim().replace(/^geo:/i, "").replaceAll("−", "-");
  if (plain === "") return null;
  return parseSlashes(plain) ?? parsePair(plain) ?? parseBox(plain);
}

/** Read z/x/y of a tile, or zoom/latitude/longitude as in a link. */
function parseSlashes(text) {
  const found = /^\/?(\d+(?:\.\d+)?)\/(-?\d+(?:\.\d+)?)\/(-?\d+(?:\.\d+)?)(?:@\dx)?(?:\.\w+)?$/.exec(text);
  if (!found) return null;
  const [z, x, y] = found.slice(1).map(Number);
  if (![z, x, y].every(Number.isInteger)) return checked({ lat: x, lon: y, zoom: Math.min(z, MAX_ZOOM) });
  if (z > MAX_ZOOM) return { wrong: `There is no zoom ${z}: 0 to ${MAX_ZOOM}.` };
  const last = 2 ** z - 1;
  if (Math.min(x, y) < 0 || Math.max(x, y) > last) return { wrong: `Zoom ${z} has x and y from 0 to ${last}.` };
  return { tile: { z, x, y } };
}

function parsePair(text) {
  const upper = text.toUpperCase();
  if (WITH_LETTERS.test(upper)) return parseHemispheres(upper);
  const parts = halves(text);
  const values = parts?.map(parseDegrees);
  if (!values || values.some((value) => value === null)) return null;
  const [first, second] = values;
  // No latitude is beyond 90: it was written the other way round.
  if (Math.abs(first) > 90 && Math.abs(second) <= 90) return checked({ lat: second, lon: first });
  return checked({ lat: first, lon: second });
}

/** Split a pair of coordinates, or return null. */
function halves(text) {
  const degrees = text.match(/[+-]?\d+(?:\.\d+)?\s*[°º][^°º]*?(?=$|[,;\s]\s*[+-]?\d+(?:\.\d+)?\s*[°º])/g);
  if (degrees?.length === 2) return degrees;
  const between = text.split(/\s*;\s*|\s+(?=[+-]?\d+,\d+$)/);
  const isCommaDecimal = between.length === 2 && between.every((each) => /^[+-]?\d+,\d+$/.test(each));
  if (isCommaDecimal) return between.map((each) => each.replace(",", "."));
  const parts = text.split(/\s*[,;]\s*|\s+/);
  return parts.length === 2 ? parts : null;
}

/** Read two coordinates with N, S, E, W before or after them, in either order. */
function parseHemispheres(text) {
  const letters = text.match(/[A-Z]/g);
  if (letters.length !== 2 || !letters.every((letter) => WITH_LETTERS.test(letter))) return null;
  const numbers = text.split(/[A-Z]/).map((part) => part.replace(/^[\s,;]+|[\s,;]+$/g, ""));
  const [before, between, after] = numbers;
  const pair = before === "" ? [between, after] : [before, between];
  if (before !== "" && after !== "") return null;
  const place = {};
  for (const [at, letter] of letters.entries()) {
    const degrees = parseDegrees(pair[at]);
    if (degrees === null || degrees < 0) return null;
    place["NS".includes(letter) ? "lat" : "lon"] = "SW".includes(letter) ? -degrees : degrees;
  }
  const isPair = "lat" in place && "lon" in place;
  return isPair ? checked(place) : { wrong: "One coordinate has N or S, the other E or W." };
}

/** Return degrees of "40.7", "40°42′36″" or "40 42 36", or null. */
function parseDegrees(text) {
  const plain = text.trim().replace(/[º]/g, "°").replace(/[′’]/g, "'").replace(/[″”]|''/g, '"').replace(/\s+/g, " ");
  const found = COORDINATE.exec(plain);
  if (!found) return null;
  const [degrees, minutes = 0, seconds = 0] = found.slice(1).map((part) => (part === undefined ? undefined : Number(part)));
  if (minutes >= 60 || seconds >= 60) return null;
  const sign = found[1].startsWith("-") ? -1 : 1;
  return degrees + sign * (minutes / 60 + seconds / 3600);
}

function parseBox(text) {
  const numbers = text.replace(/^[[(]|[\])]$/g, "").split(/\s*[,;]\s*|\s+/);
  if (numbers.length !== 4 || !numbers.every((each) => new RegExp(`^${NUMBER}$`).test(each))) return null;
  const [west, south, east, north] = numbers.map(Number);
  if (south >= north) return { wrong: `The south, ${south}, has to be below the north, ${north}.` };
  for (const lat of [south, north]) if (Math.abs(lat) > 90) return { wrong: `There is no latitude ${lat}.` };
  for (const lon of [west, east]) if (Math.abs(lon) > 180) return { wrong: `There is no longitude ${lon}.` };
  return { bounds: [west, south, east, north] };
}

function checked(place) {
  if (Math.abs(place.lat) > 90) return { wrong: `There is no latitude ${place.lat}: -90 to 90.` };
  if (Math.abs(place.lon) > 360) return { wrong: `There is no longitude ${place.lon}: -180 to 180.` };
  return place;
}

/** Return [west, south, east, north] of a tile. */
export function tileBounds({ z, x, y }) {
  const side = 2 ** z;
  const lat = (row) => (Math.atan(Math.sinh(Math.PI * (1 - (2 * row) / side))) * 180) / Math.PI;
  return [(x / side) * 360 - 180, lat(y + 1), ((x + 1) / side) * 360 - 180, lat(y)];
}

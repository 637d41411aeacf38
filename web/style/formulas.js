/** Indices of vegetation, water and snow, and composites, for the bands of a scene. */

const GREEN = "rdylgn";
const WATER = "rdbu";

/**
 * Return formulas for bands with known meanings: [{name, text, palette}], none where no bands can be told.
 *
 * @param {string[]} bands
 * @param {string[]} colors the red, green and blue band that the layer is drawn with, if there are three.
 */
export function formulas(bands, colors = []) {
  const find = (...names) => bands.find((band) => names.includes(band.toLowerCase()));
  const isColor = colors.length === 3;
  const red = find("red") ?? (isColor ? colors[0] : undefined);
  const green = find("green") ?? (isColor ? colors[1] : undefined);
  const { nir, swir } = infrared(bands, red);
  const list = [];
  if (red && nir) list.push(index("NDVI", nir, red, GREEN));
  if (green && nir) list.push(index("NDWI", green, nir, WATER));
  if (green && swir) list.push(index("NDSI", green, swir, WATER));
  return list;
}

/**
 * Return composites for bands with known meanings: [{name, bands}], none where only one can be told.
 *
 * @param {string[]} bands
 * @param {string[]} colors the red, green and blue band that the layer is drawn with, if there are three.
 */
export function composites(bands, colors = []) {
  if (colors.length !== 3) return [];
  const [red, green] = colors;
  const { nir, swir } = infrared(bands, red);
  if (!nir || colors.includes(nir)) return [];
  const list = [
    { name: "Natural colour", bands: colors },
    { name: "False colour", bands: [nir, red, green] },
  ];
  return swir ? [...list, { name: "Short-wave infrared", bands: [swir, nir, red] }] : list;
}

/** Return the near and the short-wave infrared band, by their names or by the numbers of sensors. */
function infrared(bands, red = "") {
  const lower = new Map(bands.map((band) => [band.toLowerCase(), band]));
  const [, prefix = "", number] = /^(.*?b)(\d+)$/i.exec(red) ?? [];
  const at = (each) => lower.get(`${prefix}${each}`.toLowerCase());
  const named = { nir: lower.get("nir"), swir: lower.get("swir1") ?? lower.get("swir") };
  if (named.nir || !number) return named;
  // Landsat 4 to 7 have red as band 3; Sentinel-2 has bands 8A, 11 and 12; Landsat 8 and 9 are left.
  if (number === "3") return { nir: at(4), swir: at(5) };
  if (number !== "4") return named;
  return at(8) && (at("8a") || at(12) || at(11)) ? { nir: at(8), swir: at(11) } : { nir: at(5), swir: at(6) };
}

function index(name, one, other, palette) {
  const [a, b] = [one, other].map((band) => (/^[A-Za-z_]\w*$/.test(band) ? band : `b(${JSON.stringify(band)})`));
  return { name, text: `(${a} - ${b}) / (${a} + ${b})`, palette };
}

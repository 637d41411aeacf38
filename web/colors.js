/** Colours of values, byte for byte the server's: its formula is told in tileserver/rendering/render.py. */

import { classifier } from "./classes.js";
import { equalizer, gammaOf, interpolator, logarithmic, shareOf, spaced } from "./stretch.js";

const BYTE = 255;
const STEPS = 65535;
const BINS = 16384;
const CLIP = [0, 255];
const NARROW = new Set([Uint8Array, Int8Array, Uint16Array, Int16Array]);

/**
 * @typedef {object} Drawing how values become colours, as `drawing` in GET /info has it.
 * @property {[number, number][]} ranges one for all bands or one each; none clips to 0..255.
 * @property {string[]} palette six hex digits each.
 * @property {number | null} gamma
 * @property {number | null} opacity
 * @property {"log" | "equalize" | null} curve
 * @property {number[][]} quantiles of each band, for "equalize".
 * @property {[number, number | null, number[]][]} classes instead of a range.
 */

/**
 * Return the function that paints tiles of values of one type: it returns their pixels, RGBA, row after row.
 *
 * What takes long is computed here, once for all tiles: tables of all values of narrow types, and for wide
 * ones of parts of the range that have one colour.
 *
 * @param {Drawing} drawing
 * @param {Function} Type the typed array of the values.
 * @returns {(tile: import("./npz.js").ValueTile) => Uint32Array}
 */
export function makePainter(drawing, Type) {
  const opacity = drawing.opacity ?? 1;
  if (drawing.classes.length) return classPainter(drawing, Type, opacity);
  const alpha = Math.floor(opacity * BYTE + 0.5);
  const fills = new Map();
  return (tile) => {
    const { planes } = tile;
    const count = planes.length;
    if (!fills.has(count)) fills.set(count, filler(drawing, Type, count));
    const pixels = new Uint32Array(tile.width * tile.height);
    fills.get(count)(planes, pixels);
    return tile.alpha ? sheer(pixels, tile, opacity) : masked(pixels, tile.shown, alpha);
  };
}

/** Make all that shows as opaque as a byte says. */
function masked(pixels, shown, alpha) {
  if (!alpha) return pixels.fill(0);
  const whole = alpha << 24;
  // A mask of 1 leaves all bits, one of 0 none.
  if (shown) for (let i = 0; i < pixels.length; i += 1) pixels[i] = (pixels[i] | whole) & -shown[i];
  else for (let i = 0; i < pixels.length; i += 1) pixels[i] |= whole;
  return pixels;
}

/** Make each pixel as opaque as it is. */
function sheer(pixels, { shown, alpha }, opacity) {
  for (let i = 0; i < pixels.length; i += 1) {
    const some = shown && !shown[i] ? 0 : Math.floor(alpha[i] * opacity + 0.5);
    pixels[i] = some ? pixels[i] | (some << 24) : 0;
  }
  return pixels;
}

/** Return the function that sets the colours of pixels, without alpha, from the planes of `count` bands. */
function filler(drawing, Type, count) {
  const colors = drawing.palette.length ? paletteColors(drawing.palette) : null;
  const packed = Array.from({ length: count }, (_, band) => packer(count, band, colors));
  if (NARROW.has(Type)) {
    return narrowFiller(Type, packed.map((each, band) => narrowColor(drawing, band, colors, each)));
  }
  const fills = packed.map((each, band) => wideFiller(drawing, band, colors, each));
  return (planes, pixels) => planes.forEach((plane, band) => fills[band](plane, pixels));
}

/** Return the function from a byte, or a share if there is a palette, to its part of a pixel. */
function packer(count, band, colors) {
  if (colors) return colors;
  if (count === 1) return (byte) => byte * 0x010101;
  return (byte) => byte << (8 * band);
}

/** Return the function from a share to its colour along a palette, packed. */
function paletteColors(palette) {
  const stops = spaced(palette.length);
  const channels = [0, 2, 4].map((at) =>
    interpolator(stops, palette.map((hex) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)),
  );
  return (share) =>
    channels.reduce((color, channel, i) => color | (Math.floor(channel(share) * BYTE + 0.5) << (8 * i)), 0);
}

/** Return [from value to share, from share to shade]; the second is null if they are the same. */
function curves({ ranges, gamma, curve, quantiles }, band) {
  const range = ranges.length ? ranges[band % ranges.length] : CLIP;
  const after = gammaOf(gamma ?? 1);
  if (curve === "equalize") return [equalizer(quantiles[band % quantiles.length]), after];
  if (curve !== "log") return [shareOf(range), after];
  return [shareOf(range), after ? (share) => after(logarithmic(share)) : logarithmic];
}

/** Return the function from a value to its part of a pixel, exactly as the server computes it. */
function narrowColor(drawing, band, colors, packed) {
  const [share, shade] = curves(drawing, band);
  const exact = shade ? (value) => shade(share(value)) : share;
  if (!colors) return (value) => packed(Math.floor(exact(value) * BYTE + 0.5));
  if (!drawing.curve) return (value) => colors(exact(value));
  return (value) => colors(Math.floor(exact(value) * STEPS + 0.5) / STEPS);
}

/** Look up every value of a type of 8 or 16 bits, of one band or three. */
function narrowFiller(Type, colors) {
  const Unsigned = Type.BYTES_PER_ELEMENT === 1 ? Uint8Array : Uint16Array;
  const every = new Type(Unsigned.from({ length: 2 ** (8 * Type.BYTES_PER_ELEMENT) }, (_, i) => i).buffer);
  const [first, second, third] = colors.map((color) => tableOf(every, color));
  return (planes, pixels) => {
    const [a, b, c] = planes.map((plane) => new Unsigned(plane.buffer, plane.byteOffset, plane.length));
    if (!third) for (let i = 0; i < pixels.length; i += 1) pixels[i] = first[a[i]];
    else for (let i = 0; i < pixels.length; i += 1) pixels[i] = first[a[i]] | second[b[i]] | third[c[i]];
  };
}

function tableOf(every, color) {
  const table = new Uint32Array(every.length);
  for (let i = 0; i < every.length; i += 1) table[i] = color(every[i]);
  return table;
}

/** Compute the share of every value; its colour comes out of a table where a part of the range has one. */
function wideFiller(drawing, band, colors, packed) {
  const [share, shade] = curves(drawing, band);
  const levels = colors ? STEPS : BYTE;
  const table = Uint32Array.from({ length: levels + 1 }, (_, i) => packed(colors ? i / STEPS : i));
  const bins = shade ? binned(shade, levels, table) : null;
  return (plane, pixels) => {
    const shares = sharesOf(plane, share, drawing, band);
    for (let i = 0; i < pixels.length; i += 1) {
      const part = shares[i];
      const level = bins ? bins[(part * BINS) | 0] : (part * levels + 0.5) | 0;
      pixels[i] |= table[level >= 0 ? level : (shade(part) * levels + 0.5) | 0];
    }
  };
}

let spare = new Float64Array(0);

/** Return the share of each value; in one array for all, which the next call overwrites. */
function sharesOf(plane, share, { ranges, curve }, band) {
  if (spare.length < plane.length) spare = new Float64Array(plane.length);
  const [low, high] = ranges.length ? ranges[band % ranges.length] : CLIP;
  const length = high - low;
  if (curve === "equalize" || length === Infinity) {
    for (let i = 0; i < plane.length; i += 1) spare[i] = share(plane[i]);
    return spare;
  }
  // What `shareOf` computes, written out: a call for each value takes twice as long.
  for (let i = 0; i < plane.length; i += 1) {
    const part = (plane[i] - low) / length;
    spare[i] = part < 0 ? 0 : part > 1 ? 1 : part;
  }
  return spare;
}

/** Return the level of each of equal parts of the range, or -1 for a part with more than one colour. */
function binned(shade, levels, table) {
  const runs = new Uint32Array(levels + 1);
  for (let i = 1; i <= levels; i += 1) runs[i] = runs[i - 1] + (table[i] !== table[i - 1] ? 1 : 0);
  const ends = Int32Array.from({ length: BINS + 1 }, (_, i) => (shade(i / BINS) * levels + 0.5) | 0);
  return ends.map((level, i) => (i === BINS || runs[level] === runs[ends[i + 1]] ? level : -1));
}

function classPainter({ classes }, Type, opacity) {
  const numberOf = classifier(classes, Type === Float32Array);
  const table = Uint32Array.from([[0, 0, [0, 0, 0, 0]], ...classes], ([, , [red, green, blue, alpha]]) => {
    const some = Math.floor(alpha * opacity + 0.5);
    return some ? red | (green << 8) | (blue << 16) | (some << 24) : 0;
  });
  const look = NARROW.has(Type) ? narrowFiller(Type, [(value) => table[numberOf(value)]]) : null;
  return ({ width, height, planes: [plane], shown }) => {
    const pixels = new Uint32Array(width * height);
    if (look) look([plane], pixels);
    else for (let i = 0; i < pixels.length; i += 1) pixels[i] = table[numberOf(plane[i])];
    if (shown) for (let i = 0; i < pixels.length; i += 1) if (!shown[i]) pixels[i] = 0;
    return pixels;
  };
}

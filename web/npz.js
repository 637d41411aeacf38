/** NPZ tiles as the server writes them: values, where they are valid, and how opaque they are. */

const LOCAL_HEADER = 0x04034b50;
const DEFLATED = 8;
const MAX_BYTES = 64_000_000;

/** The typed array of each NumPy type; of 64 bit integers numbers are made. */
const TYPES = {
  "|b1": Uint8Array, "|u1": Uint8Array, "|i1": Int8Array, "<u2": Uint16Array, "<i2": Int16Array,
  "<u4": Uint32Array, "<i4": Int32Array, "<f4": Float32Array, "<f8": Float64Array,
  "<u8": BigUint64Array, "<i8": BigInt64Array,
};

/**
 * @typedef {object} ValueTile the pixels of a tile, row after row.
 * @property {number} width
 * @property {number} height
 * @property {string[]} bands their ids.
 * @property {ArrayLike<number>[]} planes the values of each band.
 * @property {(Uint8Array | null)[]} valid of each band, 1 where it has a finite value; null everywhere.
 * @property {Uint8Array | null} shown 1 where all bands have; null everywhere.
 * @property {Uint8Array | null} alpha 255 is opaque; null if nothing is in between.
 * @property {number} bytes of memory.
 */

/**
 * Return the tile in an NPZ.
 *
 * @param {ArrayBuffer} buffer
 * @returns {Promise<ValueTile>}
 * @throws {Error} it is not an NPZ of values.
 */
export async function readTile(buffer) {
  const members = await readMembers(buffer);
  const { values, valid, alpha } = members;
  if (values?.shape.length !== 3 || valid?.data.length !== values.data.length) throw new Error("not a tile of values");
  const [count, height, width] = values.shape;
  const size = width * height;
  const part = (data, band) => data.subarray(band * size, (band + 1) * size);
  const bands = Array.from({ length: count }, (_, band) => band);
  const planes = bands.map((band) => asNumbers(part(values.data, band)));
  const finite = bands.map((band) => unlessAll(finiteWithin(planes[band], part(valid.data, band))));
  const tile = { width, height, bands: members.bands?.data ?? [], planes, valid: finite, shown: both(finite, size) };
  const masks = new Set([...tile.valid, tile.shown].filter(Boolean)).size;
  const bytes = planes.reduce((sum, plane) => sum + plane.byteLength, 0) + masks * size;
  return { ...tile, alpha: alpha?.data.length === size ? alpha.data : null, bytes };
}

/** Return the arrays of an NPZ by their names: {shape, data}, text as strings. */
async function readMembers(buffer) {
  const view = new DataView(buffer);
  const members = [];
  let start = 0;
  let total = 0;
  while (start + 30 <= buffer.byteLength && view.getUint32(start, true) === LOCAL_HEADER) {
    const packed = view.getUint32(start + 18, true);
    total += view.getUint32(start + 22, true);
    const nameStart = start + 30;
    const nameEnd = nameStart + view.getUint16(start + 26, true);
    const dataStart = nameEnd + view.getUint16(start + 28, true);
    const name = new TextDecoder().decode(buffer.slice(nameStart, nameEnd)).replace(/\.npy$/, "");
    if (view.getUint16(start + 8, true) !== DEFLATED || total > MAX_BYTES) throw new Error("not an NPZ of the server");
    members.push([name, new Uint8Array(buffer, dataStart, packed), view.getUint32(start + 22, true)]);
    start = dataStart + packed;
  }
  const read = members.map(async ([name, data, size]) => [name, parseNpy(await inflate(data, size))]);
  return Object.fromEntries(await Promise.all(read));
}

async function inflate(data, size) {
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const whole = new Uint8Array(size);
  let at = 0;
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > size) throw new Error("an NPZ longer than it says");
    whole.set(value, at);
    at += value.length;
  }
  if (at !== size) throw new Error("an NPZ cut short");
  return whole.buffer;
}

function parseNpy(buffer) {
  const start = 10 + new DataView(buffer).getUint16(8, true);
  const header = new TextDecoder("latin1").decode(new Uint8Array(buffer, 10, start - 10));
  const descr = /'descr': '([^']+)'/.exec(header)?.[1] ?? "";
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? "").match(/\d+/g)?.map(Number) ?? [];
  if (descr.startsWith("<U")) return { shape, data: texts(buffer, start, Number(descr.slice(2))) };
  const Type = TYPES[descr];
  if (!Type) throw new Error(`values of the type ${descr}`);
  return { shape, data: new Type(buffer, start) };
}

function texts(buffer, start, length) {
  const codes = new Uint32Array(buffer, start);
  const text = (i) => String.fromCodePoint(...codes.subarray(i * length, (i + 1) * length)).replace(/\0+$/, "");
  return length ? Array.from({ length: codes.length / length }, (_, i) => text(i)) : [];
}

const asNumbers = (data) =>
  data instanceof BigInt64Array || data instanceof BigUint64Array ? Float64Array.from(data, Number) : data;

/** Return where a band has a finite value, as `valid` itself if its type has no others. */
function finiteWithin(plane, valid) {
  if (!(plane instanceof Float32Array || plane instanceof Float64Array)) return valid;
  return valid.map((flag, i) => flag & (plane[i] - plane[i] === 0));
}

const unlessAll = (mask) => (mask.includes(0) ? mask : null);

function both(masks, size) {
  const some = masks.filter(Boolean);
  if (some.length < 2) return some[0] ?? null;
  const shown = new Uint8Array(size).fill(1);
  for (const mask of some) for (let i = 0; i < size; i += 1) shown[i] &= mask[i];
  return shown;
}

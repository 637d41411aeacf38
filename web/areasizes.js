/** How large an area of a layer is, and what of it a download has: said before it is asked for. */

import { boundsOf, groundPixel, ringArea } from "./geometry.js";

const MAX_BYTES = 48 * 2 ** 20;
const MAX_COUNTED = 4_000_000;
const MAX_PNG = 2048;
const LEAST_PNG = 256;
const BYTES = { int8: 1, uint8: 1, int16: 2, uint16: 2, int32: 4, uint32: 4, int64: 8, uint64: 8, float32: 4, float64: 8 };
const MARGIN = 1.05;

/**
 * Return what is to be expected of an area, by what GET /info says of the layer.
 *
 * Returns {pixels, pngWidth, cropSize, texts}: the native pixels, about; the width of the picture; the
 * size to ask for where all native pixels would be too many, {} else; and the same for people.
 */
export function sizesOf(ring, info) {
  const [west, south, east, north] = boundsOf(ring);
  const scale = Math.min(...info.bands.map(({ scale_m: metres }) => metres ?? Infinity));
  if (!Number.isFinite(scale)) return { pixels: null, pngWidth: 1024, cropSize: {}, texts: ["Pixels of no known size."] };
  const metres = (lat) => ((east - west) / 360) * 256 * groundPixel(lat, 0);
  const widest = Math.abs(south) < Math.abs(north) ? south : north;
  const width = Math.max(1, Math.round(metres(south < 0 && north > 0 ? 0 : widest) / scale));
  const height = Math.max(1, Math.round(((north - south) * 111_320) / scale));
  const pixels = Math.max(1, Math.round(ringArea(ring) / scale ** 2));
  const samples = info.bands.reduce((sum, { data_type: type }) => sum + (BYTES[type] ?? 8) + 1, 0);
  const times = Math.ceil(Math.sqrt((width * height * samples * MARGIN) / MAX_BYTES));
  const pngWidth = Math.max(LEAST_PNG, Math.min(MAX_PNG, width));
  const cropSize = times > 1 ? { width: String(Math.max(1, Math.floor(width / times))) } : {};
  return { pixels, pngWidth, cropSize, texts: texts(pixels, width, height, samples, times, pngWidth) };
}

function texts(pixels, width, height, samples, times, pngWidth) {
  const count = pixels.toLocaleString("en", { maximumSignificantDigits: 3 });
  const counted = pixels > MAX_COUNTED ? "; statistics read an overview" : "";
  const size = formatBytes((width * height * (samples - 1)) / times ** 2);
  const crop =
    times > 1
      ? `GeoTIFF: every ${ordinal(times)} pixel each way, as all would be more than 48 MiB; about ${size}`
      : `GeoTIFF: all pixels and bands, about ${size} at most`;
  return [`About ${count} pixels${counted}`, crop, `PNG: ${pngWidth} pixels wide, in the style shown`];
}

const ordinal = (count) => `${count}${["th", "st", "nd", "rd"][count % 100 > 10 && count % 100 < 14 ? 0 : count % 10] ?? "th"}`;

const formatBytes = (bytes) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** Bounds as [west, south, east, north] in degrees; west > east crosses the antimeridian. */

const MAX_LAT = 85.0511;
const WORLD_SPAN = 350;

/** Return the bounds with east made larger than west, beyond 180 where they cross. */
export function unrolled([west, south, east, north]) {
  return [west, Math.max(south, -MAX_LAT), west > east ? east + 360 : east, Math.min(north, MAX_LAT)];
}

/** Return one box, or the two on either side of the antimeridian, all within -180 .. 180. */
export function extentParts([west, south, east, north]) {
  if (west <= east) return [[west, south, east, north]];
  return [
    [west, south, 180, north],
    [-180, south, east, north],
  ];
}

/** Return whether a place, longitude within -180 .. 180, lies in the bounds. */
export const contains = (bounds, lon, lat) =>
  extentParts(bounds).some(
    ([west, south, east, north]) => west <= lon && lon <= east && south <= lat && lat <= north,
  );

const span = (bounds) => {
  const [west, , east] = unrolled(bounds);
  return east - west;
};

/** Return whether the bounds go around the whole Earth, or nearly. */
export const isWorld = (bounds) => span(bounds) >= WORLD_SPAN;

/**
 * Return what the map should first show of these bounds, given from the top layer down.
 *
 * All of them, unless one is the whole world behind smaller ones: then the top one.
 */
export function firstExtent(list) {
  if (list.length === 0) return [-180, -60, 180, 75];
  if (list.some(isWorld)) return unrolled(list[0]);
  return list.map(unrolled).reduce(union);
}

function union(one, other) {
  const shift = 360 * Math.round((one[0] + one[2] - other[0] - other[2]) / 720);
  return [
    Math.min(one[0], other[0] + shift),
    Math.min(one[1], other[1]),
    Math.max(one[2], other[2] + shift),
    Math.max(one[3], other[3]),
  ];
}

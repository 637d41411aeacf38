/** Bounds as [west, south, east, north] in degrees; west > east crosses the antimeridian. */

const MAX_LAT = 85.0511;
const WORLD_SPAN = 350;
const LEAST_FILLED = 0.25;

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

/** Return whether a value is bounds: four numbers. */
export const isBounds = (bounds) =>
  Array.isArray(bounds) && bounds.length === 4 && bounds.every(Number.isFinite);

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
 * The top one, and those that lie around it, as long as there is more to see than emptiness
 * between them; a layer of the whole world is a backdrop, unless it is on top.
 */
export function firstExtent(list) {
  if (list.length === 0) return [-180, -60, 180, 75];
  if (isWorld(list[0])) return unrolled(list[0]);
  const group = around(unrolled(list[0]), list.slice(1).filter((bounds) => !isWorld(bounds)).map(unrolled));
  const all = group.reduce(union);
  return isFilled(all, group) ? all : group[0];
}

/** Return the first box and all that lie within a box's size of it, or of one that does. */
function around(first, others) {
  const group = [first];
  let rest = others;
  for (const box of group) {
    group.push(...rest.filter((other) => areNear(box, other)));
    rest = rest.filter((other) => !group.includes(other));
  }
  return group;
}

function areNear(one, other) {
  const shift = turns(one, other);
  const gap = (low, high, by) =>
    Math.max(other[low] + by - one[high], one[low] - other[high] - by) <=
    Math.max(one[high] - one[low], other[high] - other[low]);
  return gap(0, 2, shift) && gap(1, 3, 0);
}

/** Return whether boxes fill a good part of the one around them, or its middle. */
function isFilled(all, boxes) {
  const area = ([west, south, east, north]) => (east - west) * (north - south);
  const filled = boxes.reduce((sum, box) => sum + area(box), 0);
  const [lon, lat] = [(all[0] + all[2]) / 2, (all[1] + all[3]) / 2];
  const inMiddle = boxes.some((box) => {
    const by = turns(all, box);
    return box[0] + by <= lon && lon <= box[2] + by && box[1] <= lat && lat <= box[3];
  });
  return inMiddle || filled >= LEAST_FILLED * area(all);
}

/** Return whether bounds have a part within a view, whose longitudes may lie beyond 180. */
export function overlaps(bounds, [west, south, east, north]) {
  const box = unrolled(bounds);
  if (isWorld(bounds) || east - west >= 360) return box[1] <= north && south <= box[3];
  const by = turns([west, south, east, north], box);
  return box[0] + by <= east && west <= box[2] + by && box[1] <= north && south <= box[3];
}

/** Return by how many degrees, whole turns, a box has to move to lie closest to another. */
const turns = (one, other) => 360 * Math.round((one[0] + one[2] - other[0] - other[2]) / 720);

function union(one, other) {
  const shift = turns(one, other);
  return [
    Math.min(one[0], other[0] + shift),
    Math.min(one[1], other[1]),
    Math.max(one[2], other[2] + shift),
    Math.max(one[3], other[3]),
  ];
}

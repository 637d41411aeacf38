/** Land and borders under the layers: where one is when nothing else is drawn. */

import L from "./leaflet.js";

const TILE_PX = 256;
const MARGIN_PX = 2;
// Natural Earth's lines at 1:110 million are ten kilometres from the shore in places.
const FINEST_ZOOM = 10;
const MAX_LAT = 85.0511287798066;

/**
 * Return the lines of `vendor/world-atlas/outlines.json` (see hatch_build.py) as plane figures.
 *
 * Coordinates are those of Web Mercator, 0 .. 1 from west to east and from north to south; lines
 * across the antimeridian go beyond.
 *
 * @returns {{land: Line[], coasts: Line[], borders: Line[]}} rings to fill, lines to draw; a line
 *   is {points: Float64Array of x, y, x, y, …, box: [left, top, right, bottom]}.
 */
export function decodeOutlines({ step, arcs, land, borders }) {
  const lines = arcs.map((moves) => decodeArc(moves, step));
  const shared = new Set(borders);
  const coasts = new Set(land.flat().map((arc) => Math.max(arc, ~arc)).filter((arc) => !shared.has(arc)));
  return {
    land: land.map((ring) => boxed(closed(unwrapped(joined(ring, lines))))),
    coasts: [...coasts].map((arc) => boxed(unwrapped(lines[arc]))),
    borders: borders.map((arc) => boxed(unwrapped(lines[arc]))),
  };
}

/** Return a line that goes on beyond 0 or 1 where it would jump to the other side of the world. */
function unwrapped(points) {
  const found = Float64Array.from(points);
  for (let at = 2; at < found.length; at += 2) {
    found[at] -= Math.round(found[at] - found[at - 2]);
  }
  return found;
}

/** Return a ring; one around the pole is led there along the edge of the map, and back. */
function closed(points) {
  const [first, last] = [points[0], points.at(-2)];
  return Math.abs(last - first) < 0.5 ? points : Float64Array.from([...points, last, 1, first, 1]);
}

function decodeArc(moves, step) {
  const points = new Float64Array(moves.length);
  let [x, y] = [0, 0];
  for (let at = 0; at < moves.length; at += 2) {
    x += moves[at];
    y += moves[at + 1];
    const lat = (Math.max(-MAX_LAT, Math.min(MAX_LAT, y * step)) * Math.PI) / 180;
    points[at] = (x * step) / 360 + 0.5;
    points[at + 1] = 0.5 - Math.log(Math.tan(Math.PI / 4 + lat / 2)) / (2 * Math.PI);
  }
  return points;
}

/** Return arcs end to end; ~i is arc i backwards. */
function joined(ring, lines) {
  const points = [];
  for (const arc of ring) {
    const line = lines[Math.max(arc, ~arc)];
    for (let at = 0; at < line.length; at += 2) {
      const from = arc < 0 ? line.length - 2 - at : at;
      points.push(line[from], line[from + 1]);
    }
  }
  return Float64Array.from(points);
}

function boxed(points) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let at = 0; at < points.length; at += 2) {
    box[0] = Math.min(box[0], points[at]);
    box[1] = Math.min(box[1], points[at + 1]);
    box[2] = Math.max(box[2], points[at]);
    box[3] = Math.max(box[3], points[at + 1]);
  }
  return { points, box };
}

const Coastline = L.GridLayer.extend({
  createTile({ x, y, z }) {
    const density = window.devicePixelRatio || 1;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = TILE_PX * density;
    const context = canvas.getContext("2d");
    context.scale(density, density);
    const worldPx = TILE_PX * 2 ** z;
    const style = getComputedStyle(document.documentElement);
    paint(context, this.options.outlines, x * TILE_PX, y * TILE_PX, worldPx, (name) =>
      style.getPropertyValue(name).trim(),
    );
    return canvas;
  },
});

/** Paint the tile whose north-west corner is at pixel `left`, `top` of a world of `worldPx`. */
function paint(context, { land, coasts, borders }, left, top, worldPx, colour) {
  const add = (lines, stroke) => {
    context.beginPath();
    for (const turn of [-1, 0, 1]) {
      const at = { left: left - turn * worldPx, top, worldPx };
      for (const { points, box } of lines) if (isNear(box, at)) trace(context, points, at, stroke);
    }
  };
  context.fillStyle = colour("--water");
  context.fillRect(0, 0, TILE_PX, TILE_PX);
  add(land, false);
  context.fillStyle = colour("--land");
  context.fill("evenodd");
  for (const [lines, name] of [
    [borders, "--border"],
    [coasts, "--coast"],
  ]) {
    add(lines, true);
    context.strokeStyle = colour(name);
    context.stroke();
  }
}

const isNear = (box, { left, top, worldPx }) =>
  box[0] * worldPx <= left + TILE_PX + MARGIN_PX &&
  box[2] * worldPx >= left - MARGIN_PX &&
  box[1] * worldPx <= top + TILE_PX + MARGIN_PX &&
  box[3] * worldPx >= top - MARGIN_PX;

/** Add a line to the path; as a stroke without its parts along the antimeridian. */
function trace(context, points, { left, top, worldPx }, stroke) {
  for (let at = 0; at < points.length; at += 2) {
    const x = points[at] * worldPx - left;
    const y = points[at + 1] * worldPx - top;
    const isCut = stroke && at > 0 && isSeam(points[at]) && isSeam(points[at - 2]);
    if (at === 0 || isCut) context.moveTo(x, y);
    else context.lineTo(x, y);
  }
}

/** Return whether x is where shapes are cut in two, at 180°. */
const isSeam = (x) => Math.abs(x - Math.round(x)) < 1e-6;

/** Return the outlines of an address as a map layer under all others, in the page's colours. */
export async function coastline(url, signal) {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`No outlines of land: status ${response.status}.`);
  const outlines = decodeOutlines(await response.json());
  const layer = new Coastline({
    outlines,
    tileSize: TILE_PX,
    zIndex: -1,
    maxZoom: FINEST_ZOOM,
    keepBuffer: 1,
    className: "coastline",
  });
  document.addEventListener("themechange", () => layer._map && layer.redraw());
  return layer;
}

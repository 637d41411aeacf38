/** A quiet grid of meridians and parallels under the layers: a place to be when nothing is drawn. */

import L from "./leaflet.js";

const STEPS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 45];
const LEAST_GAP_PX = 110;
const TILE_PX = 256;

const Graticule = L.GridLayer.extend({
  createTile({ x, y, z }) {
    const density = window.devicePixelRatio || 1;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = TILE_PX * density;
    const context = canvas.getContext("2d");
    context.scale(density, density);
    context.strokeStyle = getComputedStyle(canvas.ownerDocument.documentElement)
      .getPropertyValue("--graticule")
      .trim();
    draw(context, x * TILE_PX, y * TILE_PX, z);
    return canvas;
  },
});

/** Draw the lines of the tile whose north-west corner is at world pixel `left`, `top`. */
function draw(context, left, top, zoom) {
  const worldPx = TILE_PX * 2 ** zoom;
  const step = STEPS.find((degrees) => (degrees * worldPx) / 360 >= LEAST_GAP_PX) ?? 45;
  const lonAt = (x) => (x / worldPx) * 360 - 180;
  const corner = (x, y) => L.CRS.EPSG3857.pointToLatLng(L.point(x, y), zoom);
  const { lat: north } = corner(left, top);
  const { lat: south } = corner(left, top + TILE_PX);
  context.beginPath();
  for (const lon of multiples(step, lonAt(left), lonAt(left + TILE_PX))) {
    const x = Math.round(((lon + 180) / 360) * worldPx - left) + 0.5;
    line(context, x, 0, x, TILE_PX);
  }
  for (const lat of multiples(step, south, north)) {
    const y = Math.round(L.CRS.EPSG3857.latLngToPoint(L.latLng(lat, 0), zoom).y - top) + 0.5;
    line(context, 0, y, TILE_PX, y);
  }
  context.stroke();
}

function line(context, x1, y1, x2, y2) {
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
}

function* multiples(step, from, to) {
  for (let n = Math.ceil(from / step); n * step < to; n += 1) yield n * step;
}

/** Return the grid as a layer that lies under all others and follows the colour scheme. */
export function graticule() {
  const grid = new Graticule({ tileSize: TILE_PX, zIndex: 0, keepBuffer: 1, className: "graticule" });
  document.addEventListener("themechange", () => grid.redraw());
  return grid;
}

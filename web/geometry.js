/** Places, lines and areas on the Earth, in degrees: [lon, lat] as in GeoJSON. */

const RADIUS_M = 6371008.8;
const AUTHALIC_M = 6371007.181;
const ECCENTRICITY = 0.0818191908426215;
const MAX_LAT = 85.0511287798066;

const radians = (degrees) => (degrees * Math.PI) / 180;

/** Return the longitude within -180 .. 180. */
export const wrapped = (lon) => (lon >= -180 && lon <= 180 ? lon : ((((lon + 180) % 360) + 360) % 360) - 180);

/** Return the length of a line in metres, on a sphere: right to half a percent. */
export function lineLength(positions) {
  let length = 0;
  for (let n = 1; n < positions.length; n += 1) length += distance(positions[n - 1], positions[n]);
  return length;
}

function distance([lon1, lat1], [lon2, lat2]) {
  const half = (one, other) => Math.sin(radians(other - one) / 2) ** 2;
  const across = Math.cos(radians(lat1)) * Math.cos(radians(lat2)) * half(lon1, lon2);
  return 2 * RADIUS_M * Math.asin(Math.min(1, Math.sqrt(half(lat1, lat2) + across)));
}

/** Return the area of a ring in square metres; its sides are straight in longitude and latitude. */
export function ringArea(ring) {
  // On the sphere as large as the ellipsoid, with latitudes that keep areas (Snyder 1987, p. 16).
  const closed = [...ring, ring[0]];
  let twice = 0;
  for (let n = 1; n < closed.length; n += 1) {
    const [lon1, lat1] = closed[n - 1];
    const [lon2, lat2] = closed[n];
    twice += radians(lon2 - lon1) * (meanSine(lat1, lat2));
  }
  return Math.abs(twice) * AUTHALIC_M ** 2;
}

// The mean of the sine of the authalic latitude along a side, by Simpson's rule.
const meanSine = (one, other) =>
  (authalicSine(one) + 4 * authalicSine((one + other) / 2) + authalicSine(other)) / 6;

function authalicSine(lat) {
  const part = (sine) => {
    const e = ECCENTRICITY * sine;
    return (1 - ECCENTRICITY ** 2) * (sine / (1 - e * e) - Math.log((1 - e) / (1 + e)) / (2 * ECCENTRICITY));
  };
  return part(Math.sin(radians(lat))) / part(1);
}

/** Return [west, south, east, north] around positions. */
export function boundsOf(positions) {
  const lons = positions.map(([lon]) => lon);
  const lats = positions.map(([, lat]) => lat);
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

/** Return the corners of a box, open: four positions. */
export const boxRing = ([west, south, east, north]) => [
  [west, south],
  [east, south],
  [east, north],
  [west, north],
];

/** Return a ring as a GeoJSON polygon. */
export const polygon = (ring) => ({ type: "Polygon", coordinates: [[...ring, ring[0]]] });

/** Return metres for people: 840 m, 12.3 km. */
export function formatLength(metres) {
  if (metres < 1000) return `${round(metres, 3)} m`;
  return `${round(metres / 1000, 4).toLocaleString("en", { maximumFractionDigits: 3 })} km`;
}

/** Return square metres for people: 840 m², 3.2 ha, 12.3 km². */
export function formatArea(squareMetres) {
  if (squareMetres < 10_000) return `${round(squareMetres, 3)} m²`;
  if (squareMetres < 1e6) return `${round(squareMetres / 1e4, 3)} ha`;
  return `${round(squareMetres / 1e6, 4).toLocaleString("en", { maximumFractionDigits: 3 })} km²`;
}

const round = (value, digits) => Number(value.toPrecision(digits));

/**
 * Read "40.71, -112.1", "40.71 N 112.1 W" or "-112.1 W"-like pairs: latitude first.
 *
 * Returns [lon, lat], or null when it is no place.
 */
export function parsePlace(text) {
  const found = text
    .trim()
    .match(/^([+-]?\d+(?:\.\d+)?)\s*°?\s*([NS])?[\s,;/]+([+-]?\d+(?:\.\d+)?)\s*°?\s*([EW])?$/i);
  if (!found) return null;
  const lat = signed(found[1], found[2], "S");
  const lon = signed(found[3], found[4], "W");
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? [lon, lat] : null;
}

const signed = (digits, letter, negative) =>
  Number(digits) * (letter?.toUpperCase() === negative ? -1 : 1);

/** Return a place as `parsePlace` reads it. */
export const formatPosition = ([lon, lat]) => `${+lat.toFixed(6)}, ${+lon.toFixed(6)}`;

/** Return the tile of a zoom that holds a place: {z, x, y}. */
export function tileAt(lon, lat, zoom) {
  const z = Math.max(0, Math.round(zoom));
  const side = 2 ** z;
  const sine = Math.sin(radians(Math.max(-MAX_LAT, Math.min(MAX_LAT, lat))));
  const limit = (value) => Math.max(0, Math.min(side - 1, Math.floor(value)));
  const x = limit(((wrapped(lon) + 180) / 360) * side);
  return { z, x, y: limit((0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)) * side) };
}

/** Return metres on the ground of a pixel of the map, 256 of which make a tile. */
export const groundPixel = (lat, zoom) =>
  (2 * Math.PI * 6378137 * Math.cos(radians(lat))) / (256 * 2 ** zoom);

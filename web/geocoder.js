/** Places by their names, from a server of place names, if the configuration names one. */

import { fetchJson } from "./api.js";
import { isBounds } from "./extent.js";

const MAX_PLACES = 6;
const MAX_NAME = 300;

/**
 * Return the places of a name that a geocoder knows: [{name, lat, lon, bounds or null}].
 *
 * @param {string} geocoder the address of a server with Nominatim's /search.
 */
export async function fetchPlaces(geocoder, text) {
  const query = new URLSearchParams({ q: text, format: "jsonv2", limit: String(MAX_PLACES) });
  const answer = await fetchJson(`${geocoder}/search?${query}`, null, "default", { credentials: "omit" });
  return (Array.isArray(answer) ? answer : []).map(cleanPlace).filter(Boolean).slice(0, MAX_PLACES);
}

function cleanPlace(place) {
  const [lat, lon] = [Number(place?.lat), Number(place?.lon)];
  if (!Number.isFinite(lat) || !Number.isFinite(lon) || typeof place.display_name !== "string") return null;
  const [south, north, west, east] = Array.isArray(place.boundingbox) ? place.boundingbox.map(Number) : [];
  const bounds = [west, south, east, north];
  return { name: place.display_name.slice(0, MAX_NAME), lat, lon, bounds: isBounds(bounds) ? bounds : null };
}

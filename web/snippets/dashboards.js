/** What dashboards take: Grafana, Superset, Power BI, Tableau. */

import { degrees, escaped, lines, py } from "./quoting.js";

/** The layer of a geomap panel of Grafana, as its JSON has it. */
export function grafana(subject) {
  const { title, attribution, minzoom, maxzoom, opacity } = subject;
  const config = { url: subject.xyz(), attribution: escaped(attribution), minZoom: minzoom, maxZoom: maxzoom };
  return JSON.stringify({ type: "xyz", name: title, config, opacity, tooltip: false }, null, 2);
}

/** Lines of superset_config.py: the layer as a base map of deck.gl charts. */
export function superset(subject) {
  const url = subject.xyz({ faded: true });
  const { origin } = new URL(url);
  return lines(
    `DECKGL_BASE_MAP = [`,
    `    [${py(`tile://${url}`)}, ${py(subject.title)}],`,
    `]`,
    `CORS_OPTIONS = {"origins": [${py(origin)}]}`,
    `TALISMAN_CONFIG = {`,
    `    "content_security_policy": {`,
    `        "default-src": ["'self'"],`,
    `        "img-src": ["'self'", "blob:", "data:", ${py(origin)}],`,
    `        "connect-src": ["'self'", ${py(origin)}],`,
    `        "worker-src": ["'self'", "blob:"],`,
    `        "style-src": ["'self'", "'unsafe-inline'"],`,
    `        "script-src": ["'self'", "'strict-dynamic'"],`,
    `    },`,
    `    "content_security_policy_nonce_in": ["script-src"],`,
    `}`,
  );
}

/** The fields of a tile layer in Power BI's visual Azure Maps, one a line. */
export function powerBi(subject) {
  const [west, south, east, north] = degrees(subject.bounds);
  return lines(
    `Tile URL: ${subject.xyz({ faded: true })}`,
    `Tile size: 256`,
    `North bound: ${north}`,
    `South bound: ${south}`,
    `East bound: ${east}`,
    `West bound: ${west}`,
    `Is TMS: Off`,
    `Minimum zoom: ${subject.minzoom}`,
    `Maximum zoom: ${subject.maxzoom}`,
  );
}

/** A map source of Tableau: a file NAME.tms in *My Tableau Repository/Mapsources*. */
export function tableau(subject) {
  const url = new URL(subject.xyz({ faded: true }).replaceAll("{", "%7B").replaceAll("}", "%7D"));
  const path = subject.xyz({ faded: true }).slice(url.origin.length);
  const format = path.replace("{z}", "{Z}").replace("{x}", "{X}").replace("{y}", "{Y}");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return lines(
    `<?xml version="1.0" encoding="utf-8"?>`,
    `<mapsource inline="true" version="8.1">`,
    `  <connection class="OpenStreetMap" port="${port}" server="${escaped(`${url.protocol}//${url.hostname}`)}"`,
    `    url-format="${escaped(format)}"/>`,
    `  <layers>`,
    `    <layer display-name="${escaped(subject.title)}" name="base" show-ui="false" type="features" request-string="/"/>`,
    `  </layers>`,
    `</mapsource>`,
  );
}

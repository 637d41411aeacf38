/** All snippets, in groups, as the drawer lists them. */

import { curl, gdal } from "./commands.js";
import { grafana, powerBi, superset, tableau } from "./dashboards.js";
import { leaflet, maplibre, maplibreTerrain, openlayers } from "./javascript.js";
import { dashLeaflet, folium, ipyleaflet, streamlit } from "./python.js";

/**
 * @typedef {object} Snippet
 * @property {string} name
 * @property {string} label
 * @property {(subject: import("./subject.js").Subject) => string} write
 * @property {string} [hint] where it goes.
 * @property {string} [file] ending of the file that it is, if it is one.
 * @property {boolean} [ofValues] whether it is for layers of one band alone.
 */

/** @type {{label: string, snippets: Snippet[]}[]} */
export const GROUPS = [
  {
    label: "Web maps",
    snippets: [
      { name: "leaflet", label: "Leaflet", write: leaflet, hint: "On a Leaflet map called map." },
      { name: "maplibre", label: "MapLibre", write: maplibre, hint: "Once the map has loaded." },
      {
        name: "maplibre-terrain",
        label: "MapLibre terrain",
        write: maplibreTerrain,
        hint: "The values as heights in metres, once the map has loaded.",
        ofValues: true,
      },
      { name: "openlayers", label: "OpenLayers", write: openlayers, hint: "On an OpenLayers map called map." },
    ],
  },
  {
    label: "Python",
    snippets: [
      { name: "folium", label: "folium", write: folium },
      { name: "ipyleaflet", label: "ipyleaflet", write: ipyleaflet },
      { name: "dash-leaflet", label: "dash-leaflet", write: dashLeaflet, hint: "pip install dash-leaflet" },
      { name: "streamlit", label: "Streamlit", write: streamlit, hint: "pip install streamlit folium" },
    ],
  },
  {
    label: "Dashboards",
    snippets: [
      { name: "grafana", label: "Grafana", write: grafana, hint: "A layer of a geomap panel, in its JSON." },
      { name: "superset", label: "Superset", write: superset, hint: "In superset_config.py." },
      { name: "power-bi", label: "Power BI", write: powerBi, hint: "Azure Maps → Tile layer. It wants https." },
      { name: "tableau", label: "Tableau", write: tableau, file: "tms", hint: "In My Tableau Repository/Mapsources." },
    ],
  },
  {
    label: "Command line",
    snippets: [
      { name: "curl", label: "curl", write: curl },
      { name: "gdal", label: "GDAL", write: gdal, file: "xml", hint: "gdalinfo, rasterio and others open this file." },
    ],
  },
];

/** Return the groups with the snippets that fit a subject. */
export const fitting = (subject) =>
  GROUPS.map(({ label, snippets }) => ({
    label,
    snippets: snippets.filter(({ ofValues }) => !ofValues || subject.hasValues),
  }));

/** Return the snippet of a name. */
export const snippetOf = (name) => GROUPS.flatMap(({ snippets }) => snippets).find((each) => each.name === name);

/** Snippets for maps in web pages: Leaflet, MapLibre, OpenLayers. */

import { degrees, escaped, js, lines } from "./quoting.js";

const corners = ([west, south, east, north]) => [
  [south, west],
  [north, east],
];

/** A layer of Leaflet, on a `map`. */
export function leaflet(subject) {
  const { bounds, isWorld, minzoom, maxzoom, opacity, attribution } = subject;
  return lines(
    `L.tileLayer(${js(subject.xyz({ r: "{r}" }))}, {`,
    `  minZoom: ${minzoom},`,
    `  maxNativeZoom: ${maxzoom},`,
    `  maxZoom: 24,`,
    !isWorld && `  bounds: ${js(corners(degrees(bounds)))},`,
    opacity !== 1 && `  opacity: ${opacity},`,
    attribution && `  attribution: ${js(escaped(attribution))},`,
    `}).addTo(map);`,
  );
}

const source = (subject, type, more = {}) => ({
  type,
  tiles: [subject.xyz({ r: "@2x", more })],
  tileSize: 256,
  minzoom: subject.minzoom,
  maxzoom: subject.maxzoom,
  ...(!subject.isWorld && { bounds: degrees(subject.bounds) }),
  ...(subject.attribution && { attribution: escaped(subject.attribution) }),
});

const literal = (value) =>
  `{\n${Object.entries(value)
    .map(([name, each]) => `  ${name}: ${js(each)},\n`)
    .join("")}}`;

/** A raster source and layer of MapLibre, on a `map` that is loaded. */
export function maplibre(subject) {
  const paint = { "raster-opacity": subject.opacity };
  return lines(
    `map.addSource(${js(subject.id)}, ${literal(source(subject, "raster"))});`,
    `map.addLayer(${literal({ id: subject.id, type: "raster", source: subject.id, paint })});`,
  );
}

/** The values of one band as a terrain of MapLibre, with a hillshade. */
export function maplibreTerrain(subject) {
  const id = `${subject.id}-dem`;
  const dem = { ...source(subject, "raster-dem", { encoding: "terrarium" }), encoding: "terrarium" };
  return lines(
    `map.addSource(${js(id)}, ${literal(dem)});`,
    `map.addLayer(${literal({ id: `${subject.id}-hillshade`, type: "hillshade", source: id })});`,
    `map.setTerrain({ source: ${js(id)}, exaggeration: 1 });`,
  );
}

/** A layer of OpenLayers, on a `map`. */
export function openlayers(subject) {
  const { bounds, isWorld, minzoom, maxzoom, opacity, attribution } = subject;
  return lines(
    `map.addLayer(`,
    `  new ol.layer.Tile({`,
    !isWorld && `    extent: ol.proj.transformExtent(${js(degrees(bounds))}, "EPSG:4326", "EPSG:3857"),`,
    opacity !== 1 && `    opacity: ${opacity},`,
    `    source: new ol.source.XYZ({`,
    `      url: ${js(subject.xyz({ r: "@2x" }))},`,
    `      tilePixelRatio: 2,`,
    `      minZoom: ${minzoom},`,
    `      maxZoom: ${maxzoom},`,
    `      crossOrigin: "anonymous",`,
    attribution && `      attributions: ${js(escaped(attribution))},`,
    `    }),`,
    `  }),`,
    `);`,
  );
}

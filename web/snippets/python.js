/** Snippets for Python: folium, ipyleaflet, dash-leaflet, Streamlit. */

import { degrees, escaped, lines, py } from "./quoting.js";

const corners = ({ bounds }) => {
  const [west, south, east, north] = degrees(bounds);
  return [
    [south, west],
    [north, east],
  ];
};

/** A map of folium. */
export function folium(subject) {
  const { title, minzoom, maxzoom, opacity, attribution } = subject;
  return lines(
    `import folium`,
    ``,
    `m = folium.Map()`,
    `folium.TileLayer(`,
    `    ${py(subject.xyz({ r: "{r}" }))},`,
    `    attr=${py(escaped(attribution || title))},`,
    `    name=${py(title)},`,
    `    overlay=True,`,
    `    opacity=${opacity},`,
    `    min_zoom=${minzoom},`,
    `    max_native_zoom=${maxzoom},`,
    `    max_zoom=24,`,
    !subject.isWorld && `    bounds=${py(corners(subject))},`,
    `).add_to(m)`,
    `m.fit_bounds(${py(corners(subject))})`,
    `m`,
  );
}

/** A map of ipyleaflet. */
export function ipyleaflet(subject) {
  const { title, minzoom, maxzoom, opacity, attribution } = subject;
  return lines(
    `from ipyleaflet import Map, TileLayer`,
    ``,
    `m = Map()`,
    `m.add(`,
    `    TileLayer(`,
    `        url=${py(subject.xyz({ r: "{r}" }))},`,
    `        name=${py(title)},`,
    `        attribution=${py(escaped(attribution))},`,
    `        opacity=${opacity},`,
    `        min_zoom=${minzoom},`,
    `        max_native_zoom=${maxzoom},`,
    `        max_zoom=24,`,
    !subject.isWorld && `        bounds=${py(corners(subject))},`,
    `    )`,
    `)`,
    `m.fit_bounds(${py(corners(subject))})`,
    `m`,
  );
}

/** An application of Dash, which `python app.py` serves. */
export function dashLeaflet(subject) {
  const { minzoom, maxzoom, opacity, attribution } = subject;
  return lines(
    `import dash_leaflet as dl`,
    `from dash import Dash`,
    ``,
    `layer = dl.TileLayer(`,
    `    url=${py(subject.xyz({ r: "{r}" }))},`,
    `    attribution=${py(escaped(attribution))},`,
    `    opacity=${opacity},`,
    `    minZoom=${minzoom},`,
    `    maxNativeZoom=${maxzoom},`,
    `    maxZoom=24,`,
    !subject.isWorld && `    bounds=${py(corners(subject))},`,
    `)`,
    `app = Dash()`,
    `app.layout = dl.Map([layer], bounds=${py(corners(subject))}, style={"height": "80vh"})`,
    `if __name__ == "__main__":`,
    `    app.run()`,
  );
}

/** A page of Streamlit, with folium's map in it. */
export function streamlit(subject) {
  const map = folium(subject).split("\n").slice(2, -1);
  return lines(
    `import folium`,
    `import streamlit as st`,
    `import streamlit.components.v1 as components`,
    ``,
    ...map,
    `st.title(${py(subject.title)})`,
    `components.html(m.get_root().render(), height=600)`,
  );
}

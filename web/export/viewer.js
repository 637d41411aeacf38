/* The map in one file: its tiles, values and legend are in the page, and nothing is asked of anybody. */

(() => {
  "use strict";
  const about = JSON.parse(document.getElementById("about").textContent);
  const tiles = JSON.parse(document.getElementById("tiles").textContent);
  const stored = JSON.parse(document.getElementById("stored").textContent);
  const EMPTY = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
  const SIDE = 256;
  const TYPES = {
    int8: Int8Array,
    uint8: Uint8Array,
    int16: Int16Array,
    uint16: Uint16Array,
    int32: Int32Array,
    uint32: Uint32Array,
    float32: Float32Array,
    float64: Float64Array,
  };
  const panel = document.getElementById("values");
  const decoded = new Map();

  const [west, south, east, north] = about.box;
  const map = L.map("map", { maxZoom: 24, worldCopyJump: true });
  map.attributionControl.setPrefix(false);

  const Pictures = L.TileLayer.extend({
    getTileUrl({ x, y, z }) {
      const picture = tiles[`${z}/${x}/${y}`];
      return picture ? `data:image/png;base64,${picture}` : EMPTY;
    },
  });
  const layer = new Pictures("", {
    minNativeZoom: about.minzoom,
    maxNativeZoom: about.maxzoom,
    maxZoom: 24,
    attribution: textOnly(about.attribution),
  });

  showView();
  layer.addTo(map);
  L.control.scale().addTo(map);
  map.on("click", ({ latlng }) => inspect(latlng));
  map.getContainer().addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === map.getContainer()) inspect(map.getCenter());
  });

  /** Show the view of the address, #map=zoom/latitude/longitude, or all of the area. */
  function showView() {
    const [zoom, lat, lon] = location.hash.replace("#map=", "").split("/").map(Number);
    if ([zoom, lat, lon].every(Number.isFinite)) map.setView([lat, lon], zoom);
    else map.fitBounds([[south, west], [north, east]]);
  }

  function textOnly(text) {
    const element = document.createElement("span");
    element.textContent = text;
    return element.innerHTML;
  }

  /** Read the values at a place and show them. */
  async function inspect(place) {
    const { lat, lng } = place.wrap();
    // Clicks fall on the edges of pixels, up to rounding: the pixel that is painted there is meant.
    const point = map.project([lat, lng], about.maxzoom).add([1e-6, 1e-6]).floor();
    const [x, y] = [Math.floor(point.x / SIDE), Math.floor(point.y / SIDE)];
    const bands = await valuesOf(`${about.maxzoom}/${x}/${y}`);
    const at = (point.y - y * SIDE) * SIDE + (point.x - x * SIDE);
    const rows = about.bands.map(({ id, unit }, band) => [id, bands?.[band](at) ?? null, unit]);
    showValues(lat, lng, rows);
  }

  /** Return a function of each band, from the number of a pixel to its value or null; null outside. */
  async function valuesOf(name) {
    if (!decoded.has(name)) decoded.set(name, stored[name] ? decode(stored[name]) : null);
    return decoded.get(name);
  }

  async function decode(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const buffer = await new Response(stream).arrayBuffer();
    let start = 0;
    return about.bands.map(({ dtype }) => {
      const Type = TYPES[dtype];
      const valid = new Uint8Array(buffer, start, (SIDE * SIDE) / 8);
      start += valid.length;
      const values = new Type(buffer.slice(start, start + SIDE * SIDE * Type.BYTES_PER_ELEMENT));
      start += values.byteLength;
      return (at) => (valid[at >> 3] & (128 >> (at & 7)) ? values[at] : null);
    });
  }

  function showValues(lat, lng, rows) {
    const place = document.createElement("p");
    place.textContent = `${lat.toFixed(5)}, ${lng.toFixed(5)}`;
    const list = document.createElement("dl");
    for (const [id, value, unit] of rows) {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = id;
      text.textContent = value === null ? "no data" : [format(value), unit, labelOf(value)].filter(Boolean).join(" ");
      list.append(term, text);
    }
    const note = document.createElement("p");
    note.textContent = about.maxzoom < about.fullzoom ? "Values of an overview, as the file has no more." : "";
    note.hidden = note.textContent === "";
    panel.replaceChildren(place, list, note);
    panel.hidden = false;
  }

  const format = (value) => (Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(7))));

  function labelOf(value) {
    const found = (about.classes ?? []).find((each) => each.value === value);
    return found && found.label !== String(value) ? `(${found.label})` : "";
  }
})();

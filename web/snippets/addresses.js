/** Addresses and files of a layer, each with what it is called. */

/** Return [label, address] pairs of what programs ask again and again. */
export function addressesOf(subject) {
  return [
    ["XYZ", subject.xyz({ faded: true })],
    ["XYZ, 512 pixels (@2x)", subject.xyz({ r: "@2x", faded: true })],
    ["TileJSON", subject.tilejson],
    ["WMTS", subject.wmts],
    ...(subject.hasValues ? [["Values (terrarium)", subject.xyz({ more: { encoding: "terrarium" } })]] : []),
  ];
}

/** Return [label, address] pairs of files to be saved. */
export function filesOf(subject) {
  return [
    ["QGIS layer (.qlr)", subject.definition],
    ["QGIS connections (.xml)", subject.connections],
    ["Legend (.svg)", subject.legend],
  ];
}

/** Return [label, address] pairs of files that work offline; `box` is the part that they have, or null for all. */
export function exportsOf(subject, box = null) {
  const part = box ? `&bbox=${within(box).join(",")}` : "";
  return [
    ["Map in one file (.html)", subject.html + part],
    ["Tiles in one file (.pmtiles)", subject.pmtiles + part],
  ];
}

/** Return a box in degrees with its longitudes within -180 .. 180, as the server takes it. */
export function within([west, south, east, north]) {
  const turn = (lon) => Number((((((lon + 180) % 360) + 360) % 360) - 180).toFixed(6));
  const sides = east - west >= 360 ? [-180, 180] : [turn(west), turn(east)];
  return [sides[0], Math.max(south, -90).toFixed(6), sides[1], Math.min(north, 90).toFixed(6)].map(Number);
}

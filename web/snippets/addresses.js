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

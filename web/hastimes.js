/** Which layers have times. */

/** Return whether a layer has times to choose from, as GET /layers or GET /info say. */
export const hasTimes = (layer) => layer.has_times === true || Boolean(layer.mosaic && layer.start_time);

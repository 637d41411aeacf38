/** What lies under the layers, once it has come; until then, and without, the grid is there. */

import { fetchPageSettings } from "./api.js";
import { BaseMaps, registerBaseMaps } from "./basemaps.js";
import { coastline } from "./coastline.js";

const NO_SETTINGS = { world: null, geocoder: null, baseMaps: [] };

/** Draw land and borders, or the base map that was chosen before, and register the choice. */
export function start({ map }) {
  registerBaseMaps(prepared(map));
}

async function prepared(map) {
  const settings = await orElse(fetchPageSettings(), NO_SETTINGS);
  const outlines = settings.world ? await orElse(coastline(settings.world), null) : null;
  return new BaseMaps(map, settings, outlines);
}

async function orElse(promise, fallback) {
  try {
    return await promise;
  } catch (error) {
    console.debug(error);
    return fallback;
  }
}

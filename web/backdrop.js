/** What lies under the layers: land and borders. */

import { fetchPageSettings } from "./api.js";
import { coastline } from "./coastline.js";

/** Put land and borders under the layers once they have come; until then the grid is there. */
export async function start({ map }) {
  try {
    const settings = await fetchPageSettings();
    if (settings.world) map.addBackdrop(await coastline(settings.world));
  } catch (error) {
    console.debug(error);
  }
}

/** "Use elsewhere": a layer's tool, whose drawer is fetched when it is first opened. */

import { layerTools } from "./tools.js";

const SHARE = "M14 5h5v5M19 5l-8 8M17 14v5H5V7h5";

/** Register the tool. */
export function start() {
  layerTools.push({
    name: "use",
    label: "Use elsewhere",
    icon: SHARE,
    open: async (entry, context, opener) => {
      const { openUse } = await import("./snippets/drawer.js");
      openUse(entry, context, opener);
    },
  });
}

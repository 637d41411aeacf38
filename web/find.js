/** The button of the go-to box, whose module comes when it is first pressed. */

import { mapTools } from "./tools.js";

/** Register the tool. */
export function start() {
  const toggle = async (context) => (await import("./goto.js")).open(context);
  mapTools.push({ name: "go-to", label: "Go to a place or layer", icon: "search", key: "g", toggle });
}

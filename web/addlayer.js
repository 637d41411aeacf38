/** The button that opens "Add a layer", whose module comes when it is first pressed. */

import { h, icon } from "./dom.js";

/** Register the button above the list, and its key. */
export function start(context) {
  const open = async () => (await import("./adding.js")).openAdding(context);
  context.listTools.push(
    h("button", { type: "button", className: "button add", onclick: open }, icon("plus"), "Add a layer"),
  );
  context.keys.add("a", "Add a layer", open);
}

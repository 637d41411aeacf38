/** What one does with layers as a whole: hide, duplicate, remove, undo. */

import { layerTools } from "./tools.js";

/** Register the tools and shortcuts. */
export function start({ state, keys }) {
  layerTools.push(
    { name: "only", label: "Only this", icon: "only", open: ({ id }) => state.showOnly(id) },
    { name: "duplicate", label: "Duplicate", icon: "duplicate", open: ({ id }) => state.duplicate(id) },
    { name: "remove", label: "Remove", icon: "remove", open: ({ id }) => state.remove(id) },
  );
  keys.add("Ctrl+Z", "Undo", () => state.undo());
  keys.add("Ctrl+Shift+Z", "Redo", () => state.redo());
  keys.add("Ctrl+Y", "Redo", () => state.redo());
}

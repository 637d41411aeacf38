/** The style editor's button and key; the editor itself comes when it is opened first. */

import { showNote } from "./messages.js";
import { layerTools } from "./tools.js";

const BRUSH = "M14 4l6 6-8.500 8.500a4 4 0 0 1-2 1.100L4 21l1.400-5.500a4 4 0 0 1 1.100-2zM12.500 5.500l6 6";

/** Register them. */
export function start(context) {
  layerTools.push({ name: "style", label: "Style", icon: BRUSH, primary: true, applies: hasStyle, open });
  context.keys.add("s", "Style of the focused layer", () => {
    const entry = context.focused() ?? context.state.visible[0];
    if (entry && hasStyle(entry)) open(entry, context, document.activeElement);
  });
}

const hasStyle = ({ layer }) => !layer.pending && !layer.table;

async function open(entry, context, opener) {
  try {
    const { openEditor } = await import("./style/editor.js");
    await openEditor(entry, context, opener);
  } catch (error) {
    showNote(`The style of ${entry.layer.title} could not be read. ${error.message}`);
  }
}

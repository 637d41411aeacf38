/** The tools that read values: over time, along lines, in areas, side by side. Most come when used. */

import { start as startCompare } from "./compare.js";
import { pointTools } from "./inspector.js";
import { showNote } from "./messages.js";
import { hasTimes } from "./steps.js";
import { start as startTimeBar } from "./timebar.js";
import { layerTools, mapTools } from "./tools.js";

/** Tools of the map that are a `Tool` of a module: fetched when one is used first. */
const MAP_TOOLS = [
  {
    name: "profile",
    label: "Profile along a line",
    icon: "M3 19l5-9 4 5 4-10 5 14zM3 22h18",
    key: "l",
    load: () => import("./profile.js"),
  },
  {
    name: "area",
    label: "Statistics and download of an area",
    icon: "M4 4h16v16H4zM4 4h.01M20 4h.01M4 20h.01M20 20h.01",
    key: "d",
    load: () => import("./area.js"),
  },
];

/** What features.js starts. */
export const ANALYSIS = [startTimeBar, startCompare, startOthers];

function startOthers(context) {
  for (const each of MAP_TOOLS) mapTools.push(lateTool(each, context));
  layerTools.push({
    name: "about",
    label: "About",
    icon: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v6M12 7.500h.01",
    open: (...told) => late(() => import("./about.js"), ({ open }) => open(...told)),
  });
  pointTools.push({
    name: "series",
    label: "Over time",
    icon: "M4 4v16h16M7 15l4-5 3 3 5-7",
    applies: ({ layer }) => hasTimes(layer),
    open: (...told) => late(() => import("./series.js"), ({ open }) => open(...told)),
  });
}

function lateTool({ load, ...shown }, context) {
  let tool = null;
  const toggle = (_, opener) =>
    late(load, ({ Tool }) => {
      tool ??= new Tool(context);
      if (tool.isOpen) context.drawer.close();
      else tool.open(opener);
    });
  return { ...shown, isOn: () => tool?.isOpen ?? false, toggle };
}

/** Fetch a module and use it; say so where it cannot be fetched. */
async function late(load, use) {
  let module;
  try {
    module = await load();
  } catch {
    showNote("This tool cannot be fetched: the server does not answer. Try again.");
    return;
  }
  use(module);
}

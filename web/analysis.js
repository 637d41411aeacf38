/** The tools that read values: over time, along lines, in areas, side by side. Most come when used. */

import { pointTools } from "./inspector.js";
import { showNote } from "./messages.js";
import { hasTimes } from "./hastimes.js";
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
export const ANALYSIS = [startTimes, startCompare, startOthers];

/** The bar of times comes with the first layer that has some. */
function startTimes(context) {
  const { keys, permalink, state } = context;
  let bar = null;
  let asked = false;
  let wanted = "";
  const look = () => {
    if (asked || !state.visible.some(({ layer }) => hasTimes(layer))) return;
    asked = true;
    late(
      () => import("./timebar.js"),
      ({ TimeBar }) => {
        bar = new TimeBar(context);
        bar.want(wanted);
      },
    ).then((here) => (asked = here));
  };
  keys.add("p", "Play or pause the times", () => bar?.toggle());
  keys.add(",", "Show the time before", () => bar?.move(-1));
  keys.add(".", "Show the time after", () => bar?.move(1));
  permalink.add("t", {
    read: (text) => {
      wanted = text;
      bar?.want(text);
      look();
    },
    write: () => (bar ? bar.time : wanted),
  });
  state.addEventListener("change", () => (bar ? bar.follow() : look()));
}

/** Comparing comes when it is asked for, by its button, a key or a link. */
function startCompare(context) {
  let compare = null;
  let wanted = "";
  const use = (act) =>
    late(
      () => import("./compare.js"),
      ({ Compare }) => {
        compare ??= new Compare(context);
        act(compare);
      },
    );
  mapTools.push({
    name: "compare",
    label: "Compare two layers",
    icon: "M12 3v18M5 6h4v12H5zM15 6h4v12h-4",
    key: "c",
    isOn: () => compare?.isOn ?? false,
    toggle: () => use((one) => one.stop() || one.begin()),
  });
  context.keys.add("x", "Show one of two layers, then the other", () => use((one) => one.flicker()));
  context.keys.addCloser(() => compare?.stop());
  context.permalink.add("cmp", {
    read: (text) => {
      wanted = text;
      if (text || compare) use((one) => one.read(text));
    },
    write: () => (compare ? compare.write() : wanted),
  });
  context.state.addEventListener("change", () => compare?.follow());
}

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

/** Fetch a module and use it, or say so where it cannot be fetched; returns whether it could. */
async function late(load, use) {
  let module;
  try {
    module = await load();
  } catch {
    showNote("This tool cannot be fetched: the server does not answer. Try again.");
    return false;
  }
  use(module);
  return true;
}

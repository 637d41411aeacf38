/** The features of the page: each registers its tools when it is imported, or here with the page. */

import { ANALYSIS } from "./analysis.js";
import { start as startLayerActions } from "./actions.js";
import { start as startAdding } from "./addlayer.js";
import { start as startBackdrop } from "./backdrop.js";
import { start as startEmbedding } from "./embed.js";
import { start as startElsewhere } from "./elsewhere.js";
import { start as startGoTo } from "./find.js";
import { start as startHelp } from "./keys.js";
import { start as startStyleEditor } from "./style_editor.js";
import { start as startTileGrid } from "./tilegrid.js";
import { start as startTheme } from "./theme.js";
import { start as startUse } from "./use.js";

/**
 * Functions called once, in this order, before the toolbar, the list and the link are read.
 *
 * @type {((context: {state: object, map: object, drawer: object, messages: object, keys: object,
 *   panel: object, permalink: object, listTools: HTMLElement[], focused: () => object | undefined}) => void)[]}
 */
export const FEATURES = [
  startStyleEditor,
  startEmbedding,
  ...ANALYSIS,
  startElsewhere,
  startGoTo,
  startBackdrop,
  startUse,
  startAdding,
  startLayerActions,
  startTileGrid,
  startTheme,
  startHelp,
];

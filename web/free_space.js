/** The part of the map that no panel covers. */

const MARGIN_PX = 24;
const WIDE = matchMedia("(min-width: 720px)");

/** Return Leaflet's paddings for what lies over the map: a column on the left, or a sheet below. */
export function freeSpace() {
  const panel = document.getElementById("panel").getBoundingClientRect();
  const left = WIDE.matches ? panel.right : 0;
  // Of a page in another there is no panel.
  const bottom = WIDE.matches || panel.height === 0 ? 0 : window.innerHeight - panel.top;
  return {
    paddingTopLeft: [left + MARGIN_PX, MARGIN_PX],
    paddingBottomRight: [MARGIN_PX, Math.min(bottom, window.innerHeight / 2) + MARGIN_PX],
  };
}

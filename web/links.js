/** A layer's addresses for use elsewhere: in full, as the page shows it, without the page's API key. */

import { tileJsonUrl, tileTemplate } from "./api.js";

/** Return the full address of a relative one; braces of templates stay as they are. */
export const absolute = (relative) => new URL(".", document.baseURI).href + relative;

/** Return an address without its parameter `key`; braces stay as they are. */
export function withoutKey(url) {
  const [path, query] = url.split("?");
  const kept = (query ?? "").split("&").filter((pair) => pair && !pair.startsWith("key="));
  return kept.length ? `${path}?${kept.join("&")}` : path;
}

/** Return the style of an entry with the opacity that the page gives it. */
export function fadedStyle({ layer, style = {}, opacity }) {
  const own = Number(style.opacity ?? layer.style?.opacity ?? 1);
  return opacity === 1 ? style : { ...style, opacity: String(+(own * opacity).toFixed(3)) };
}

/** Return the address of an entry's tiles, of 512 pixels on a dense screen as the page has them. */
export function xyzAddress(entry) {
  const template = withoutKey(absolute(tileTemplate(entry.layer, fadedStyle(entry), { retina: true })));
  return template.replace("{r}", devicePixelRatio > 1 ? "@2x" : "");
}

/** Return the address of an entry's TileJSON. */
export const tileJsonAddress = (entry) => withoutKey(absolute(tileJsonUrl(entry.layer, fadedStyle(entry))));

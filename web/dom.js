/** Elements and icons, made as DOM nodes: text stays text, whatever it holds. */

/**
 * Make an element.
 *
 * `on…` properties are listeners, names with a dash and `role`, `for` are attributes, the rest are
 * properties. Children are nodes or text; null, undefined and false are left out.
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) setProp(element, name, value);
  element.append(...children.flat().filter((child) => (child ?? false) !== false));
  return element;
}

function setProp(element, name, value) {
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
  else element[name] = value;
}

const PATHS = {
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5M12 12h.01",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  grip: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  close: "M6 6l12 12M18 6L6 18",
  chevron: "M6 9l6 6 6-6",
  layers: "M12 4l9 5-9 5-9-5zM4 14l8 4.500 8-4.500",
  plus: "M12 5v14M5 12h14",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6",
  redo: "M15 7l5 5-5 5M20 12H10a6 6 0 0 0-6 6",
  hide: "M4 4l16 16M10 6.200A9 9 0 0 1 21 12a12 12 0 0 1-2.500 3.300M6.500 8A12 12 0 0 0 3 12a9 9 0 0 0 12 5.400",
  only: "M3 12a9.500 9.500 0 0 1 18 0 9.500 9.500 0 0 1-18 0zM12 12h.01",
  duplicate: "M9 9h11v11H9zM5 15H4V4h11v1M14.500 12v5M12 14.500h5",
  remove: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  help: "M9 9a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.200-1.500 2.400M12 18h.01",
  theme: "M12 4a8 8 0 1 0 8 8 6 6 0 0 1-8-8z",
  tools: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
  heights: "M8 10l4-4 4 4M8 14l4 4 4-4",
  check: "M5 13l4.500 4.500L19 7",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.500 9h.01",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  map: "M9 4L3 6v14l6-2 6 2 6-2V4l-6 2zM9 4v14M15 6v14",
  folder: "M3 6h6l2 2h10v11H3z",
};
const DOTTED = new Set(["more", "grip"]);
const SVG = "http://www.w3.org/2000/svg";

/** Return a decorative line icon: of the table above, or of the path data of one 24 wide and high. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  svg.classList.toggle("dotted", DOTTED.has(name));
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name] ?? name);
  svg.append(path);
  return svg;
}

/** Return a button that shows an icon and is called `label`. */
export function iconButton(name, label, onclick, props = {}) {
  return h(
    "button",
    { type: "button", className: "icon-button", title: label, "aria-label": label, onclick, ...props },
    icon(name),
  );
}

/** Put `text` on the clipboard; resolve to false where the browser does not let us. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

// The clipboard API exists in secure contexts alone; a server on a LAN is plain http.
function copyBySelection(text) {
  const focused = document.activeElement;
  const area = h("textarea", { value: text, className: "visually-hidden", readOnly: true });
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return copied;
}

/** Add a style sheet that only a part of the page needs; resolves when it applies, or cannot come. */
export function styleSheet(href) {
  if (!document.head || document.head.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve) => {
    document.head.append(h("link", { rel: "stylesheet", href, onload: resolve, onerror: resolve }));
  });
}

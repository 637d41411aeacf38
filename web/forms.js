/** Fields and buttons of the tools in the drawer. */

import { h, icon } from "./dom.js";
import { titleOf } from "./row.js";

/** Return a labelled field: an input, a select or a textarea. */
export const field = (label, control) => h("label", {}, h("span", {}, label), control);

/** Return a button with an icon, a name or path data. */
export const button = (image, text, onclick, props = {}) =>
  h("button", { type: "button", className: "button", onclick, ...props }, icon(image), text);

/** Put options, [value, text] each, into a select, unless it has them; keep what is chosen. */
export function fillOptions(select, options) {
  const told = JSON.stringify(options);
  if (select.dataset.told === told) return;
  const { value } = select;
  select.dataset.told = told;
  select.replaceChildren(...options.map(([key, text]) => h("option", { value: key }, text)));
  if (options.some(([key]) => key === value)) select.value = value;
}

/** Return a select of the layers that are shown, all others after them. */
export function layerSelect(state, onchange) {
  const select = h("select", { onchange });
  const fill = () => {
    const every = [...state.visible, ...state.entries.filter(({ visible }) => !visible)];
    // Features have no values of pixels.
    const entries = every.filter(({ layer }) => !layer.table);
    fillOptions(select, entries.map((entry) => [entry.id, titleOf(entry)]));
  };
  fill();
  return { select, fill, entry: () => state.find(select.value) };
}

/** Mark a field as right or wrong; returns whether it is right. */
export function check(control, isRight) {
  control.setAttribute("aria-invalid", String(!isRight));
  return isRight;
}

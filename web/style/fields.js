/** Controls with a name, a place for what is wrong with them, and values set without moving the caret. */

import { h } from "../dom.js";

let made = 0;

/**
 * Return a control under its label, with a place for the mistake of a parameter.
 *
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} parameter of the server's query, whose mistakes are shown here.
 */
export function field(label, control, parameter, { className = "" } = {}) {
  control.id ||= `style-${++made}`;
  const name = h("label", { for: control.id }, label);
  return h("div", { className: `field ${className}` }, name, control, mistakeOf(parameter, control));
}

/** Return the place for the mistake of a parameter; `controls` are marked as wrong with it. */
export function mistakeOf(parameter, ...controls) {
  const place = h("p", { className: "mistake wrong", id: `style-${++made}`, hidden: true });
  place.dataset.parameter = parameter;
  for (const control of controls) control.setAttribute("aria-describedby", place.id);
  place.controls = controls;
  return place;
}

/** Show {parameter: mistake} beside the controls below `root`; return those that have no place there. */
export function showMistakes(root, mistakes) {
  const left = { ...mistakes };
  for (const place of root.querySelectorAll(".mistake")) {
    const { parameter } = place.dataset;
    const isSeen = place.offsetParent !== null || place.parentElement.offsetParent !== null;
    const text = (isSeen && left[parameter]) || "";
    if (text) delete left[parameter];
    if (place.textContent !== text) place.textContent = text;
    place.hidden = text === "";
    for (const control of place.controls) control.ariaInvalid = text ? "true" : null;
  }
  return Object.values(left);
}

/** Return {parameter: mistake} of what the server said; "" stands for a mistake of no parameter. */
export function mistakesIn(message) {
  const [, parameter = "", text = message] = /^([a-z_]+): (.+)$/s.exec(message) ?? [];
  return { [parameter]: text };
}

/** Put a value into a control, unless somebody is typing it there. */
export function put(control, value) {
  const text = String(value);
  const isTyped = control === document.activeElement && control.matches("input:not([type=range]), textarea");
  if (!isTyped && control.value !== text) control.value = text;
}

/** Return a list to choose from; `options` are texts, or pairs of value and text. */
export function choice(options, onchange) {
  const select = h("select", { onchange: () => onchange(select.value) });
  setOptions(select, options);
  return select;
}

/** Replace the options of a list, if they are others. */
export function setOptions(select, options) {
  const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const told = JSON.stringify(pairs);
  if (select.told === told) return;
  select.told = told;
  select.replaceChildren(...pairs.map(([value, text]) => h("option", { value }, text)));
}

/** Return a slider with its number; `show(value)` sets both. */
export function slider(label, { low, high, step, parameter }, oninput) {
  const range = h("input", { type: "range", min: low, max: high, step, "aria-label": label });
  const number = h("input", { type: "number", min: low, max: high, step: "any", "aria-label": `${label}, number` });
  const place = mistakeOf(parameter, number);
  const fill = () => range.style.setProperty("--filled", `${((range.value - low) / (high - low)) * 100}%`);
  range.addEventListener("input", () => {
    fill();
    number.value = range.value;
    oninput(Number(range.value));
  });
  number.addEventListener("input", () => oninput(number.value === "" ? Number.NaN : number.valueAsNumber));
  const element = h("div", { className: "field slider" }, h("span", {}, label), range, number, place);
  const show = (value) => {
    put(range, value);
    put(number, value);
    fill();
  };
  return { element, show };
}

/** Return radio buttons in a row; `show(value, values)` checks one, and hides those not in `values`. */
export function segments(legend, options, onchange) {
  const name = `style-${++made}`;
  const inputs = options.map(([value]) =>
    h("input", { type: "radio", name, value, className: "visually-hidden", onchange: () => onchange(value) }),
  );
  const labels = options.map(([, text], index) => h("label", { className: "segment" }, inputs[index], text));
  const element = h(
    "fieldset",
    { className: "segments" },
    h("legend", { className: "visually-hidden" }, legend),
    labels,
  );
  const show = (value, values = options.map(([each]) => each)) => {
    inputs.forEach((input, index) => {
      input.checked = input.value === value;
      labels[index].hidden = !values.includes(input.value);
    });
  };
  return { element, show };
}

/** Return a switch with its text. */
export function toggle(text, onchange) {
  const input = h("input", { type: "checkbox", role: "switch", className: "switch", onchange: () => onchange(input.checked) });
  return { element: h("label", { className: "toggle" }, input, h("span", {}, text)), input };
}

/** Return a button with text. */
export const textButton = (text, onclick, props = {}) =>
  h("button", { type: "button", className: "button", onclick, ...props }, text);

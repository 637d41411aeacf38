/** Messages over the map: what went wrong in the server's words, what was copied. */

import { h, iconButton } from "./dom.js";

const NOTE_MS = 4000;
const ACTION_MS = 10_000;
const shown = new Map();

/**
 * Show a message, or replace the one with the same key.
 *
 * @param {string} key names the subject, such as a layer; one message each.
 * @param {{title?: string, text: string, action?: {label: string, run: () => void},
 *   ondismiss?: () => void, tone?: "error" | "note", passing?: boolean}} message `passing` ones go by
 *   themselves, and when their action is taken.
 */
export function showMessage(key, { title = "", text, action, ondismiss, tone = "error", passing = false }) {
  const act = () => {
    if (passing) hideMessage(key);
    action.run();
  };
  const node = h(
    "div",
    { className: `message card ${tone}` },
    h("p", {}, title && h("strong", {}, title), title && " ", h("span", {}, text)),
    action
      ? h("button", { type: "button", className: "button", onclick: act }, action.label)
      : "",
    iconButton("close", "Dismiss", () => {
      hideMessage(key);
      ondismiss?.();
    }),
  );
  const previous = shown.get(key);
  if (previous) previous.replaceWith(node);
  else document.getElementById("messages").append(node);
  shown.set(key, node);
  if (passing) {
    const ms = action ? ACTION_MS : NOTE_MS;
    setTimeout(() => shown.get(key) === node && hideMessage(key), ms);
  }
}

export function hideMessage(key) {
  shown.get(key)?.remove();
  shown.delete(key);
}

/** Show a short note that goes by itself. */
export function showNote(text) {
  showMessage("note", { text, tone: "note", passing: true });
}

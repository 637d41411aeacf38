/** Dialogs over the page. */

import { h, iconButton } from "./dom.js";

/**
 * Open a modal dialog; Escape, its cross and a press outside close it.
 *
 * @param {{title: string, element: HTMLElement, className?: string, onclose?: () => void}} content
 * @returns {HTMLDialogElement}
 */
export function openDialog({ title, element, className = "", onclose = () => {} }) {
  const dialog = h(
    "dialog",
    { className: `dialog card ${className}`, "aria-label": title },
    h(
      "header",
      { className: "card-head" },
      h("h2", { className: "dialog-title" }, title),
      iconButton("close", "Close", () => dialog.close()),
    ),
    h("div", { className: "card-body" }, element),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

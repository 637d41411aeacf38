/** The colour scheme: that of the system, or the one chosen here. */

import { recall, remember } from "./memory.js";
import { showNote } from "./messages.js";
import { mapTools } from "./tools.js";

const THEMES = ["auto", "light", "dark"];
const NOTES = { auto: "The theme follows the system.", light: "Light theme.", dark: "Dark theme." };
const SYSTEM_DARK = matchMedia("(prefers-color-scheme: dark)");

let chosen = "auto";

/** Return whether the page is dark now. */
export const isDark = () => (chosen === "auto" ? SYSTEM_DARK.matches : chosen === "dark");

/** Choose "auto", "light" or "dark". Event "themechange" on `document` tells of a change. */
export function setTheme(theme) {
  chosen = THEMES.includes(theme) ? theme : "auto";
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  document.dispatchEvent(new CustomEvent("themechange"));
}

setTheme(recall("theme"));
SYSTEM_DARK.addEventListener("change", () => setTheme(chosen));

/** Register the switch. */
export function start() {
  mapTools.push({
    name: "theme",
    label: "Theme",
    icon: "theme",
    toggle: () => {
      setTheme(THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length]);
      remember("theme", chosen);
      showNote(NOTES[chosen]);
    },
  });
}

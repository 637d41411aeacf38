/** The quiet line in the corner of the map: where the mouse is, and whose data it shows. */

import { h } from "./dom.js";

const OPENSTREETMAP = "https://www.openstreetmap.org/copyright";
let baseCredit = "";

/** Name the source of the base map, or "" for none. */
export function setBaseCredit(text) {
  baseCredit = text;
  document.dispatchEvent(new CustomEvent("creditchange"));
}

/** Return the credit as text, that of OpenStreetMap with the link it asks for. */
function credit(text) {
  if (!text.includes("OpenStreetMap")) return text;
  return h("a", { href: OPENSTREETMAP, rel: "noreferrer", target: "_blank" }, text);
}

/** Coordinates and credits. */
export class Corner {
  constructor() {
    this.place = h("span", { className: "coordinates", "aria-hidden": "true" });
    this.credits = h("span", { className: "credits" });
    this.element = h("div", { className: "corner" }, this.place, this.credits);
    this.entries = [];
    document.addEventListener("creditchange", () => this.setCredits(this.entries));
  }

  setPlace(place) {
    this.place.textContent = place ? `${place.lat.toFixed(4)}, ${place.lon.toFixed(4)}` : "";
  }

  /** Name the sources of these entries. */
  setCredits(entries) {
    this.entries = entries;
    const texts = new Set([...entries.map(({ layer }) => layer.attribution), baseCredit].filter(Boolean));
    const leaflet = h("a", { href: "https://leafletjs.com", rel: "noreferrer" }, "Leaflet");
    this.credits.replaceChildren(...[...texts].flatMap((text) => [credit(text), " · "]), leaflet);
  }
}

/** The quiet line in the corner of the map: where the mouse is, and whose data it shows. */

import { h } from "./dom.js";

/** Coordinates and credits. */
export class Corner {
  constructor() {
    this.place = h("span", { className: "coordinates", "aria-hidden": "true" });
    this.credits = h("span", { className: "credits" });
    this.element = h("div", { className: "corner" }, this.place, this.credits);
  }

  setPlace(place) {
    this.place.textContent = place ? `${place.lat.toFixed(4)}, ${place.lon.toFixed(4)}` : "";
  }

  /** Name the sources of these entries. */
  setCredits(entries) {
    const texts = new Set(entries.map(({ layer }) => layer.attribution).filter(Boolean));
    const leaflet = h("a", { href: "https://leafletjs.com", rel: "noreferrer" }, "Leaflet");
    this.credits.replaceChildren(...[...texts].flatMap((text) => [text, " · "]), leaflet);
  }
}

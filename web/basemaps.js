/** The map beneath the layers: land and borders, nothing, or a map of another server, if one chooses it. */

import { setBaseCredit } from "./corner.js";
import { h } from "./dom.js";
import L from "./leaflet.js";
import { recall, remember } from "./memory.js";
import { hideMessage, showMessage } from "./messages.js";
import { isDark } from "./theme.js";
import { mapTools } from "./tools.js";

const SETTING = "base-map";
const OUTLINES = "land";
const NOTHING = "none";
const MESSAGE = "base map";

/** Offers the base maps of `settings` (see fetchPageSettings); `outlines` is that of land, or null. */
export class BaseMaps {
  constructor(map, settings, outlines) {
    this.map = map;
    this.outlines = outlines;
    this.online = new Map(settings.baseMaps.map((each) => [each.name, each]));
    this.layer = null;
    const saved = recall(SETTING);
    this.chosen = saved === NOTHING || this.online.has(saved) ? saved : OUTLINES;
    document.addEventListener("themechange", () => this.online.has(this.chosen) && this.draw());
    this.draw();
  }

  choose(name) {
    this.chosen = name;
    remember(SETTING, name);
    this.draw();
  }

  draw() {
    this.layer?.remove();
    this.layer = null;
    hideMessage(MESSAGE);
    // Outlines stay beneath a map of another server: they show where that does not come.
    if (this.outlines && this.chosen !== NOTHING) this.map.addBackdrop(this.outlines);
    else this.outlines?.remove();
    const online = this.online.get(this.chosen);
    if (online) this.map.addBackdrop((this.layer = this.tiles(online)));
    setBaseCredit(online?.attribution ?? "");
  }

  tiles({ title, url, dark_url: darkUrl, max_zoom: maxNativeZoom = 19 }) {
    const isInverted = isDark() && !darkUrl;
    const tiles = L.tileLayer(isDark() && darkUrl ? darkUrl : url, {
      zIndex: 0,
      maxNativeZoom,
      maxZoom: 22,
      className: isInverted ? "base-map inverted" : "base-map",
      referrerPolicy: "strict-origin-when-cross-origin",
    });
    const tell = () =>
      showMessage(MESSAGE, {
        title: `${title} does not come.`,
        text: `${new URL(url).host} cannot be reached. Your layers are not concerned.`,
        action: { label: "Do without", run: () => this.choose(OUTLINES) },
        tone: "note",
      });
    tiles.on({ tileerror: tell, tileload: () => hideMessage(MESSAGE) });
    return tiles;
  }

  /** Return the choice as radio buttons. */
  form() {
    const choices = [
      [OUTLINES, "Land and borders", "Bundled; nothing is asked of others."],
      ...[...this.online.values()].map(({ name, title, url }) => [name, title, `From ${new URL(url).host}.`]),
      [NOTHING, "Nothing", "Only the grid."],
    ];
    const radios = choices.map(([name, title, hint]) => {
      const radio = h("input", { type: "radio", name: "base-map", value: name, onchange: () => this.choose(name) });
      radio.checked = name === this.chosen;
      return h("label", { className: "base-map-choice" }, radio, h("span", {}, title, h("small", {}, hint)));
    });
    return h("fieldset", { className: "base-maps" }, h("legend", { className: "visually-hidden" }, "Base map"), radios);
  }
}

/** Register the tool; `maps` resolves to the base maps, once it is known what is offered. */
export function registerBaseMaps(maps) {
  mapTools.push({
    name: "base-map",
    label: "Base map",
    icon: "map",
    key: "b",
    toggle: async ({ drawer }, opener) => {
      const element = (await maps).form();
      drawer.open({ title: "Base map", element, opener });
    },
  });
}

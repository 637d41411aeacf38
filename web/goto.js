/** The go-to box: coordinates, a tile, a box, a layer or asset, and places where a geocoder is set. */

import { fetchLayer, fetchPageSettings } from "./api.js";
import { openDialog } from "./dialog.js";
import { h, iconButton } from "./dom.js";
import { fetchPlaces } from "./geocoder.js";
import { FORMS, parsePlace, tileBounds } from "./places.js";
import { titleOf } from "./row.js";

const LEAST_ZOOM = 10;
const MAX_LISTED = 6;

/** Open the box. */
export function open(context) {
  const box = new GoTo(context, () => dialog.close());
  const dialog = openDialog({ title: "Go to", element: box.element, className: "go-to" });
  box.input.focus();
}

/** The form in the dialog. */
class GoTo {
  constructor(context, close) {
    this.context = context;
    this.close = close;
    this.geocoder = null;
    this.input = h("input", {
      type: "text",
      className: "filter",
      "aria-label": "Place, tile, box, layer or asset",
      "aria-describedby": "go-to-said",
      placeholder: "40.71, -112.1",
      autocomplete: "off",
      spellcheck: false,
      oninput: () => this.list(),
    });
    this.found = h("ul", { className: "found" });
    this.said = h("div", { id: "go-to-said", className: "quiet", role: "status" });
    this.element = h(
      "form",
      { onsubmit: (event) => this.submit(event) },
      h("div", { className: "go-to-line" }, this.input, iconButton("fit", "Go", () => {}, { type: "submit" })),
      this.found,
      this.said,
    );
    this.say(null);
    fetchPageSettings().then((settings) => {
      this.geocoder = settings.geocoder;
      if (this.input.value === "") this.say(null);
    }, console.debug);
  }

  submit(event) {
    event.preventDefault();
    this.go();
  }

  /** Say what is wrong, or null, and which forms are understood. */
  say(wrong) {
    const names = this.geocoder ? ["the name of a place", "a layer or an asset"] : ["a layer or an asset"];
    const forms = FORMS.map(([form, example]) => h("li", {}, h("code", {}, example), ` ${form}`));
    this.said.replaceChildren(
      ...(wrong ? [h("p", { className: "wrong" }, wrong)] : []),
      h("p", {}, "Understood are:"),
      h("ul", { className: "forms" }, forms, names.map((name) => h("li", {}, name))),
    );
  }

  /** List the layers that have the text in their names. */
  list() {
    const layers = this.layersLike(this.input.value).slice(0, MAX_LISTED);
    this.show(layers.map((entry) => [titleOf(entry), () => this.showEntry(entry)]));
  }

  show(choices) {
    const rows = choices.map(([label, run]) =>
      h("li", {}, h("button", { type: "button", className: "button", onclick: run }, label)),
    );
    this.found.replaceChildren(...rows);
  }

  layersLike(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    const told = ({ layer }) => `${layer.name} ${layer.title} ${layer.asset}`.toLowerCase();
    return this.context.state.entries.filter((entry) => words.every((word) => told(entry).includes(word)));
  }

  async go() {
    const text = this.input.value.trim();
    if (text === "") return this.say(null);
    const named = this.entryNamed(text);
    const place = named ? null : parsePlace(text);
    if (named) return this.showEntry(named);
    if (place?.wrong) return this.say(place.wrong);
    if (place) return this.showPlace(place);
    return this.search(text);
  }

  entryNamed(text) {
    const lower = text.toLowerCase();
    const names = (entry) => [entry.id, entry.layer.title, entry.layer.asset, titleOf(entry)];
    return this.context.state.entries.find((entry) => names(entry).some((name) => name.toLowerCase() === lower));
  }

  showEntry({ id, layer }) {
    this.context.state.setVisible(id, true);
    this.context.map.fit(layer.bounds);
    this.close();
  }

  showPlace({ bounds, tile, lat, lon, zoom }) {
    const { map } = this.context;
    if (bounds) map.fit(bounds);
    else if (tile) {
      const [west, south, east, north] = tileBounds(tile);
      const middle = tileBounds({ z: tile.z + 1, x: 2 * tile.x, y: 2 * tile.y })[1];
      map.setView({ zoom: tile.z, lat: tile.z === 0 ? 0 : middle, lon: (west + east) / 2 });
      map.highlight({ bounds: [west, south, east, north] });
    } else {
      map.setView({ zoom: zoom ?? Math.max(map.view.zoom, LEAST_ZOOM), lat, lon });
      map.mark({ lat, lon });
    }
    this.close();
  }

  /** Look for a layer with the text in its name, an asset, and a place of that name. */
  async search(text) {
    const like = this.layersLike(text);
    if (like.length === 1) return this.showEntry(like[0]);
    this.element.setAttribute("aria-busy", "true");
    const [asset, places] = await Promise.all([
      fetchLayer(text).catch(() => null),
      this.geocoder ? fetchPlaces(this.geocoder, text).catch((error) => error) : [],
    ]);
    this.element.setAttribute("aria-busy", "false");
    if (text !== this.input.value.trim() || !this.element.isConnected) return undefined;
    if (asset) return this.showAsset(asset);
    if (places instanceof Error) return this.say(places.message);
    const choices = [
      ...like.slice(0, MAX_LISTED).map((entry) => [titleOf(entry), () => this.showEntry(entry)]),
      ...places.map((place) => [place.name, () => this.showPlace(place)]),
    ];
    this.show(choices);
    const count = choices.length === 1 ? "1 is found." : `${choices.length} are found.`;
    return choices.length ? this.said.replaceChildren(h("p", {}, count)) : this.say(`Nothing here is “${text.slice(0, 80)}”.`);
  }

  showAsset(layer) {
    this.context.state.add([layer], { visible: true, onTop: true });
    this.context.map.fit(layer.bounds);
    this.close();
  }
}

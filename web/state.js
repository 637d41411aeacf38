/** Which layers are shown, in which style, how strongly, and in which order. The first is on top. */

import { Undo } from "./undo.js";

/**
 * @typedef {object} Entry one layer as it is shown; never changed, but replaced by another.
 * @property {string} id the layer's name, or "name~2", "name~3" … of its duplicates.
 * @property {object} layer as the server lists it, cleaned by api.js; entries may share it.
 * @property {Record<string, string>} style parameters of the server's query, over the layer's own.
 * @property {boolean} visible
 * @property {number} opacity 0 to 1, on top of the opacity in the layer's own style.
 */

/**
 * The entries, with undo.
 *
 * Event "change", with detail {kind, id, merged}: kind is one of "visible", "opacity", "style", "time", "order",
 * "add", "remove", "layers" (the server's list changed), "all" (a permalink) and "undo"; id is that of
 * the entry or null; merged is true if the change continues the one before, as a slider does.
 */
export class LayerState extends EventTarget {
  /** @param {object[]} layers as the server lists them; their order is the default one. */
  constructor(layers) {
    super();
    /** @type {readonly Entry[]} */
    this.entries = layers.map((layer) => makeEntry(layer, layer.name, layer.visible));
    this.defaultNames = layers.map((layer) => layer.name);
    this.known = new Map(layers.map((layer) => [layer.name, layer]));
    this.history = new Undo();
  }

  /** Return the entry with an id, or undefined. */
  find(id) {
    return this.entries.find((entry) => entry.id === id);
  }

  /** The visible entries, the top one first. */
  get visible() {
    return this.entries.filter((entry) => entry.visible);
  }

  /** The names of the server's layers that were taken out of the list here. */
  get removed() {
    const names = new Set(this.entries.map(({ layer }) => layer.name));
    return new Set(this.defaultNames.filter((name) => !names.has(name)));
  }

  get canUndo() {
    return this.history.canUndo;
  }

  get canRedo() {
    return this.history.canRedo;
  }

  /**
   * Draw a layer in a style: parameters of the query over its own; {} is its own style.
   *
   * With `slides`, it may be one step of undo with the change before, as those of a slider are.
   */
  setStyle(id, style, { slides = true } = {}) {
    this.replace(id, { style: Object.freeze({ ...style }) }, "style", slides);
  }

  /** Show entries at times: a map of ids to texts for `time`, null for all times. No step of undo. */
  setTimes(times) {
    const entries = this.entries.map((entry) => (times.has(entry.id) ? withTime(entry, times.get(entry.id)) : entry));
    if (entries.some((entry, index) => entry !== this.entries[index])) this.put(entries, "time", null);
  }

  setVisible(id, visible) {
    this.replace(id, { visible }, "visible");
  }

  setOpacity(id, opacity) {
    this.replace(id, { opacity }, "opacity");
  }

  /** Show this entry alone. */
  showOnly(id) {
    this.commit(this.entries.map((entry) => withVisible(entry, entry.id === id)), "visible", id);
  }

  hideAll() {
    this.commit(this.entries.map((entry) => withVisible(entry, false)), "visible", null);
  }

  /** Put an entry at a place in the order; places beyond the ends mean the ends. */
  move(id, index) {
    const entry = this.find(id);
    if (!entry) return;
    const others = this.entries.filter((other) => other !== entry);
    others.splice(Math.max(0, index), 0, entry);
    this.commit(others, "order", id);
  }

  /**
   * Add layers that somebody chose; return the entries of all, also of those that were there already.
   */
  add(layers, { visible = true, onTop = true } = {}) {
    const news = this.unlisted(layers);
    this.learn(news);
    const added = news.map((layer) => makeEntry(layer, this.freeId(layer.name), visible));
    const entries = onTop ? [...added, ...this.entries] : [...this.entries, ...added];
    if (added.length) this.commit(entries, "add", added[0].id);
    return layers.map(({ name }) => this.entries.find((entry) => entry.layer.name === name));
  }

  /** Put one more layer on top, in a style; one that is there already comes again. Return its entry. */
  insert(layer, style = {}) {
    this.learn([layer]);
    const id = this.freeId(layer.name);
    const entry = Object.freeze({ ...makeEntry(layer, id, true), style: Object.freeze({ ...style }) });
    this.commit([entry, ...this.entries], "add", id);
    return entry;
  }

  /** Take over more of a long list of the server: below the others, hidden, and no step of undo. */
  extend(layers) {
    const news = this.unlisted(layers).filter(({ name }) => !this.removed.has(name));
    if (news.length === 0) return;
    this.learn(news);
    this.defaultNames.push(...news.map(({ name }) => name));
    const more = news.map((layer) => makeEntry(layer, this.freeId(layer.name), false));
    this.put([...this.entries, ...more], "layers", null);
  }

  remove(id) {
    const entry = this.find(id);
    if (!entry) return;
    this.commit(this.entries.filter((other) => other !== entry), "remove", id);
  }

  /** Put a copy of an entry above it; return the copy. */
  duplicate(id) {
    const index = this.entries.findIndex((entry) => entry.id === id);
    if (index < 0) return undefined;
    const entry = this.entries[index];
    const copy = Object.freeze({ ...entry, id: this.freeId(entry.layer.name) });
    this.commit(this.entries.toSpliced(index, 0, copy), "add", copy.id);
    return copy;
  }

  undo() {
    this.travel(this.history.undo(this.entries));
  }

  redo() {
    this.travel(this.history.redo(this.entries));
  }

  travel(entries) {
    if (!entries) return;
    // The server's list may have changed since: its newest layers, and none that is gone.
    const newest = entries.filter(({ layer }) => this.known.has(layer.name));
    this.put(newest.map((entry) => withLayer(entry, this.known.get(entry.layer.name))), "undo", null);
  }

  /**
   * Take over a newer list: layers that changed, new ones beside their neighbours in it, and, of a
   * complete list, no others but those added by hand. Those that stay keep all else.
   */
  refresh(layers, complete) {
    const newest = new Map(layers.map((layer) => [layer.name, layer]));
    const listed = new Set(this.defaultNames);
    const { removed } = this;
    const isGone = (name) => complete && listed.has(name) && !newest.has(name);
    for (const name of [...this.known.keys()]) if (isGone(name)) this.known.delete(name);
    for (const layer of layers) this.known.set(layer.name, unlessSame(this.known.get(layer.name), layer));
    const entries = this.entries
      .filter(({ layer }) => !isGone(layer.name))
      .map((entry) => withLayer(entry, this.known.get(entry.layer.name) ?? entry.layer));
    layers.forEach((layer, index) => {
      if (removed.has(layer.name) || entries.some((entry) => entry.layer.name === layer.name)) return;
      const above = entries.findIndex((entry) => entry.layer.name === layers[index - 1]?.name);
      const visible = complete && layer.visible;
      entries.splice(above + 1, 0, makeEntry(this.known.get(layer.name), layer.name, visible));
    });
    const others = this.defaultNames.filter((name) => !complete && !newest.has(name));
    this.defaultNames = [...newest.keys(), ...others];
    const same = entries.every((entry, index) => entry === this.entries[index]);
    if (same && entries.length === this.entries.length) return;
    this.put(entries, "layers", null);
  }

  /**
   * Take over what a permalink says: [{name, copy, style, visible, opacity}], first on top, `copy` being
   * the number of a duplicate; and the names of layers that were removed from the list.
   *
   * Layers that are not named are hidden and keep their place in the server's order; the named ones
   * share out their own places among themselves. Returns the names no layer has.
   */
  restore(saved, removed = []) {
    const known = saved.filter(({ name }) => this.known.has(name));
    const named = new Set(known.map(({ name }) => name));
    const absent = new Set(removed.filter((name) => !named.has(name)));
    const queue = [...known];
    const slots = this.defaultNames.filter((name) => !absent.has(name));
    const extra = queue.length - slots.filter((name) => named.has(name)).length;
    // Added layers and duplicates have no place in the server's order: they go on top.
    const order = [...queue.splice(0, extra), ...slots.map((name) => (named.has(name) ? queue.shift() : { name }))];
    const entries = [];
    for (const { name, copy, visible = false, opacity = 1, style = {} } of order) {
      const id = freeId(name, entries, copy);
      const layer = this.known.get(name);
      entries.push(Object.freeze({ id, layer, style: Object.freeze({ ...style }), visible, opacity }));
    }
    this.commit(entries, "all", null);
    return saved.filter(({ name }) => !this.known.has(name)).map(({ name }) => name);
  }

  /** Return the shortest list from which `restore` makes this state again. */
  snapshot() {
    const { removed } = this;
    const slots = this.defaultNames.filter((name) => !removed.has(name));
    const extra = this.entries.length - slots.length;
    const names = this.entries.map(({ layer }) => layer.name);
    const isPlain = (entry, index) =>
      !entry.visible &&
      entry.opacity === 1 &&
      Object.keys(entry.style).length === 0 &&
      entry.id === slots[index - extra] &&
      names.indexOf(entry.id) === names.lastIndexOf(entry.id);
    return this.entries
      .filter((entry, index) => !isPlain(entry, index))
      .map(({ id, layer, style, visible, opacity }) => {
        const copy = id === layer.name ? 1 : Number(id.slice(layer.name.length + 1));
        return { name: layer.name, copy, style, visible, opacity };
      });
  }

  /** Remember layers that are not in the list: assets found by their names, for `restore`. */
  learn(layers) {
    for (const layer of layers) if (!this.known.has(layer.name)) this.known.set(layer.name, layer);
  }

  /** Forget the steps of undo, as after the start. */
  forget() {
    this.history = new Undo();
    this.put(this.entries, "layers", null);
  }

  unlisted(layers) {
    const names = new Set(this.entries.map(({ layer }) => layer.name));
    return layers.filter(({ name }) => !names.has(name));
  }

  freeId(name) {
    return freeId(name, this.entries);
  }

  replace(id, members, kind, slides = true) {
    const index = this.entries.findIndex((entry) => entry.id === id);
    if (index < 0) return;
    const entry = Object.freeze({ ...this.entries[index], ...members });
    this.commit(this.entries.with(index, entry), kind, id, slides);
  }

  // A change that can be undone.
  commit(entries, kind, id, slides = true) {
    const isSlide = slides && ["opacity", "style"].includes(kind);
    const merged = this.history.note(this.entries, isSlide ? `${kind} ${id}` : null);
    this.put(entries, kind, id, merged);
  }

  put(entries, kind, id, merged = false) {
    this.entries = entries;
    this.dispatchEvent(new CustomEvent("change", { detail: { kind, id, merged } }));
  }
}

const makeEntry = (layer, id, visible) =>
  Object.freeze({ id, layer, style: Object.freeze({}), visible, opacity: 1 });

const withVisible = (entry, visible) =>
  entry.visible === visible ? entry : Object.freeze({ ...entry, visible });

function withTime(entry, time) {
  const { time: before = null, ...rest } = entry.style;
  if (before === time) return entry;
  return Object.freeze({ ...entry, style: Object.freeze(time === null ? rest : { ...rest, time }) });
}

const withLayer = (entry, layer) => (entry.layer === layer ? entry : Object.freeze({ ...entry, layer }));

/** Return the id of an entry of this name that no other has, with this number or the next. */
function freeId(name, entries, first = 1) {
  const taken = new Set(entries.map(({ id }) => id));
  for (let number = first; ; number += 1) {
    const id = number === 1 ? name : `${name}~${number}`;
    if (!taken.has(id)) return id;
  }
}

/** Return a layer, or what it is now if that is another. */
function unlessSame(layer, newest) {
  const told = ({ visible, ...rest }) => JSON.stringify(rest);
  return layer && told(newest) === told(layer) ? layer : newest;
}

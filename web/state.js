/** Which layers are shown, how strongly, and in which order. The first is on top. */

export class LayerState extends EventTarget {
  /** @param {object[]} layers as the server lists them; their order is the default one. */
  constructor(layers) {
    super();
    this.entries = layers.map((layer) => ({ layer, visible: layer.visible, opacity: 1 }));
    this.defaultNames = layers.map((layer) => layer.name);
  }

  /** Add layers below the others, hidden; those that are there already stay as they are. */
  add(layers) {
    const news = layers.filter((layer) => !this.find(layer.name));
    if (news.length === 0) return;
    this.entries = [...this.entries, ...news.map((layer) => ({ layer, visible: false, opacity: 1 }))];
    this.defaultNames.push(...news.map((layer) => layer.name));
    this.changed("layers");
  }

  /**
   * Take over a newer list: layers that changed, new ones beside their neighbours in it, and, of a
   * complete list, no others. Those that stay keep their place, visibility and opacity.
   */
  refresh(layers, complete) {
    const newest = new Map(layers.map((layer) => [layer.name, layer]));
    const entries = this.entries
      .filter(({ layer }) => !complete || newest.has(layer.name))
      .map((entry) => ({ ...entry, layer: unlessSame(entry.layer, newest.get(entry.layer.name)) }));
    layers.forEach((layer, index) => {
      if (this.find(layer.name)) return;
      const above = entries.findIndex((entry) => entry.layer.name === layers[index - 1]?.name);
      entries.splice(above + 1, 0, { layer, visible: complete && layer.visible, opacity: 1 });
    });
    const same = entries.every(({ layer }, index) => layer === this.entries[index]?.layer);
    if (same && entries.length === this.entries.length) return;
    const others = this.defaultNames.filter((name) => !complete && !newest.has(name));
    this.defaultNames = [...newest.keys(), ...others];
    this.entries = entries;
    this.changed("layers");
  }

  find(name) {
    return this.entries.find((entry) => entry.layer.name === name);
  }

  get visible() {
    return this.entries.filter((entry) => entry.visible).map((entry) => entry.layer);
  }

  setVisible(name, visible) {
    this.find(name).visible = visible;
    this.changed("visible");
  }

  setOpacity(name, opacity) {
    this.find(name).opacity = opacity;
    this.changed("opacity");
  }

  /** Put a layer at a place in the order; places beyond the ends mean the ends. */
  move(name, index) {
    const entry = this.find(name);
    const others = this.entries.filter((other) => other !== entry);
    others.splice(Math.max(0, index), 0, entry);
    this.entries = others;
    this.changed("order");
  }

  /**
   * Take over what a permalink says: [{name, visible, opacity}], first on top.
   *
   * Layers that are not named are hidden and keep their place in the server's order; the named
   * ones share out their own places among themselves. Returns the names no layer has.
   */
  restore(saved) {
    const byName = new Map(this.entries.map((entry) => [entry.layer.name, entry]));
    const known = saved.filter(({ name }) => byName.has(name));
    const named = new Set(known.map(({ name }) => name));
    const queue = known.map(({ name }) => name);
    const order = this.defaultNames.map((name) => (named.has(name) ? queue.shift() : name));
    const settings = new Map(known.map((one) => [one.name, one]));
    this.entries = order.map((name) => {
      const { visible = false, opacity = 1 } = settings.get(name) ?? {};
      return { layer: byName.get(name).layer, visible, opacity };
    });
    this.changed("all");
    return saved.filter(({ name }) => !byName.has(name)).map(({ name }) => name);
  }

  /** Return the shortest list from which `restore` makes this state again. */
  snapshot() {
    return this.entries
      .filter(
        (entry, index) =>
          entry.visible || entry.opacity !== 1 || entry.layer.name !== this.defaultNames[index],
      )
      .map(({ layer, visible, opacity }) => ({ name: layer.name, visible, opacity }));
  }

  changed(what) {
    this.dispatchEvent(new CustomEvent("change", { detail: what }));
  }
}

/** Return a layer, or what it is now if that is another. */
function unlessSame(layer, newest) {
  const told = ({ visible, ...rest }) => JSON.stringify(rest);
  return newest && told(newest) !== told(layer) ? newest : layer;
}

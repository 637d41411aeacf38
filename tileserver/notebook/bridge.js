/**
 * The browser's half of bridge.py: finds a way to the kernel's server, and says so if there is none.
 *
 * It sits in a control of an ipyleaflet map. Of the map's tile layers it takes those whose URL
 * begins with `base`, and has them ask for their tiles by the way it found.
 */

const PROBE_MS = 5000;
const COMM_MS = 20000;
const MOST_AT_ONCE = 8;
const RETRY_MS = 3000;
const LOAD_MS = 60000;
const MAX_TRIES = 3;
const BUSY = new Set([429, 503, 504]);
const MAP_MS = 20000;
const MAP_STEP_MS = 50;
const TAKEN = Symbol("taken");

export default { render };

async function render({ model, el }) {
  const note = new Note(el);
  const comm = new Comm(model, note);
  const route = new Route(model, comm, note);
  let stop = () => {};
  // Not awaited: the map that this belongs to may wait for it to be drawn.
  mapOf(model, el)
    .then((map) => {
      stop = follow(map, model, route);
      return route.find();
    })
    .catch((error) => note.say("route", error.message));
  return () => {
    stop();
    comm.close();
  };
}

/** Return the Leaflet map of the view that an element is in; a map may be shown several times. */
async function mapOf(model, el) {
  const map = await model.widget_manager.get_model(model.get("map_id"));
  for (let waited = 0; waited < MAP_MS; waited += MAP_STEP_MS) {
    const views = await Promise.all(Object.values(map.views ?? {}));
    const view = views.find((each) => each.el.contains(el));
    if (typeof view?.obj?.eachLayer === "function") return view.obj;
    await new Promise((resolve) => setTimeout(resolve, MAP_STEP_MS));
  }
  throw new Error("This front end does not let the map ask for tiles.");
}

/** Take the layers that a map has and those that are added; return how to end that. */
function follow(map, model, route) {
  const [west, south, east, north] = model.get("fit");
  const size = map.getSize();
  if (north !== undefined && size.x > 0 && size.y > 0) {
    map.fitBounds([[south, west], [north, east]], { animate: false });
    // A view that is drawn later is at the place that the reader has moved to.
    model.set("fit", []);
    model.save_changes();
  }
  const take = (layer) => takeLayer(layer, model.get("base"), route);
  const onadd = (event) => take(event.layer);
  map.eachLayer(take);
  map.on("layeradd", onadd);
  return () => map.off("layeradd", onadd);
}

/** Have a tile layer of ours ask for its tiles by the route. */
function takeLayer(layer, base, route) {
  if (layer[TAKEN] || typeof layer._url !== "string" || !layer._url.startsWith(base)) return;
  layer[TAKEN] = true;
  const waiting = new Map();
  layer.createTile = (coords, done) => {
    const image = document.createElement("img");
    image.alt = "";
    // Beyond the raster's own resolution its pixels are seen as they are.
    const isEnlarged = layer._map.getZoom() > (layer.options.maxNativeZoom ?? Infinity);
    image.style.imageRendering = isEnlarged ? "pixelated" : "";
    const stop = new AbortController();
    waiting.set(image, stop);
    route
      .load(image, layer.getTileUrl(coords).slice(base.length), stop.signal)
      .then(() => done(null, image))
      .catch((error) => done(error, image))
      .finally(() => waiting.delete(image));
    return image;
  };
  layer.on("tileunload", (event) => waiting.get(event.tile)?.abort());
  route.redraws.add(() => layer._map && layer.redraw());
  if (layer._map) layer.redraw();
}

/** The way to the server, found by trying. */
class Route {
  constructor(model, comm, note) {
    this.model = model;
    this.comm = comm;
    this.note = note;
    this.redraws = new Set();
    this.found = new Promise((resolve) => (this.settle = resolve));
    this.retrying = null;
  }

  /** Try one way after the other. */
  async find() {
    const tried = [];
    for (const way of this.model.get("ways")) {
      if (way.kind === "comm") {
        this.use({ kind: "comm" });
        return;
      }
      const url = await urlOf(way);
      if (url === null) continue;
      tried.push(url);
      if (await answers(url + this.model.get("probe"))) {
        this.use({ kind: way.kind, url });
        return;
      }
    }
    this.note.say(
      "route",
      `The server of the kernel cannot be reached from here${tried.length ? ": no answer at " : ""}` +
        `${tried.join(" and ")}. connection="comm" fetches tiles through the kernel.`,
    );
    this.again();
  }

  use(way) {
    this.note.clear("route");
    this.way = way;
    this.settle(way);
    this.model.set("way", way.kind);
    this.model.save_changes();
  }

  again() {
    this.retrying ??= setTimeout(() => {
      this.retrying = null;
      this.find().catch(() => {});
    }, RETRY_MS);
  }

  /** Load a tile into an image; rejects with the reason. */
  async load(image, target, signal) {
    const way = await this.found;
    const source = target.split("/")[0];
    for (let tries = 0; !signal.aborted; tries += 1) {
      try {
        await (way.kind === "comm" ? this.byComm(image, target, signal) : this.byUrl(image, target));
        this.note.clear(source);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (error.status === 0) this.recover();
        if (!BUSY.has(error.status) || tries >= MAX_TRIES) {
          this.note.say(source, error.message);
          throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, 1000 * 2 ** tries));
      }
    }
  }

  async byComm(image, target, signal) {
    await showBlob(image, await this.comm.get(target, signal));
  }

  async byUrl(image, target) {
    const url = this.way.url + target;
    // As an image first: a front end may show images from places that its scripts may not read.
    await showUrl(image, url).catch(async () => {
      let answer;
      try {
        answer = await fetch(url, { signal: AbortSignal.timeout(LOAD_MS) });
      } catch {
        throw new Failure(0, `The kernel's server does not answer at ${this.way.url}: has it ended?`);
      }
      if (!answer.ok) throw new Failure(answer.status, firstLine(await answer.text()));
      await showBlob(image, await answer.blob());
    });
  }

  /** Draw again once the server answers. */
  recover() {
    this.recovering ??= setTimeout(async () => {
      this.recovering = null;
      if (await answers(this.way.url + this.model.get("probe"))) {
        for (const redraw of this.redraws) redraw();
      } else this.recover();
    }, RETRY_MS);
  }
}

/** A tile that did not come, with the status of the response; 0 if there was none. */
class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Return where a way leads to, or null if this front end has no such way. */
async function urlOf(way) {
  const isPage = location.protocol === "http:" || location.protocol === "https:";
  if (way.kind === "port") {
    // On a page from another machine, the port would be one of the reader's own machine.
    return isPage && !isLoopback(location.hostname) && !isApp() ? null : way.url;
  }
  if (way.kind === "colab") {
    const url = await globalThis.google?.colab?.kernel?.proxyPort?.(way.port, { cache: true });
    return url ? url.replace(/\/?$/, "/") : null;
  }
  const path = way.url ?? pathOfPage(way.port);
  return isPage && path ? new URL(path, location.origin).href : null;
}

function isLoopback(name) {
  return name === "localhost" || name.endsWith(".localhost") || /^127\.|^\[::1\]$/.test(name);
}

/** Tell whether the page is shown by a program on the reader's machine, as VS Code does. */
function isApp() {
  return /vscode/.test(location.hostname);
}

/** Return the path of the proxy, by what the page of Jupyter says of itself. */
function pathOfPage(port) {
  const config = document.getElementById("jupyter-config-data")?.textContent;
  let base = document.body.dataset.baseUrl;
  try {
    base = config ? JSON.parse(config).baseUrl : base;
  } catch {
    return null;
  }
  return base ? `${base.replace(/\/$/, "")}/proxy/${port}/` : null;
}

/** Tell whether our server answers at a URL: another one would not know the key. */
async function answers(url) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PROBE_MS), cache: "no-store" });
    return answer.ok && Array.isArray((await answer.json()).layers);
  } catch {
    return false;
  }
}

function firstLine(text) {
  return text.split("\n")[0].slice(0, 300);
}

function showUrl(image, url) {
  return new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () => reject(new Failure(200, "A tile is no image."));
    image.src = url;
  });
}

async function showBlob(image, blob) {
  const url = URL.createObjectURL(blob);
  try {
    await showUrl(image, url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Tiles over the kernel's comm, a few at a time. */
class Comm {
  constructor(model, note) {
    this.model = model;
    this.note = note;
    // Views of one model hear each other's answers.
    this.next = Math.floor(Math.random() * 1e9) * 1e6;
    this.queue = [];
    this.asked = new Map();
    this.onmessage = (content, buffers) => this.take(content, buffers);
    model.on("msg:custom", this.onmessage);
  }

  close() {
    this.model.off("msg:custom", this.onmessage);
    clearTimeout(this.timer);
  }

  /** Return the bytes of a tile as a Blob. */
  get(target, signal) {
    return new Promise((resolve, reject) => {
      const one = { target, resolve, reject };
      this.queue.push(one);
      signal.addEventListener("abort", () => {
        this.queue = this.queue.filter((each) => each !== one);
        reject(new Failure(0, "not needed any more"));
      });
      this.more();
    });
  }

  more() {
    while (this.asked.size < MOST_AT_ONCE && this.queue.length) {
      const one = this.queue.shift();
      const id = (this.next += 1);
      this.asked.set(id, one);
      this.model.send({ id, target: one.target });
    }
    clearTimeout(this.timer);
    if (this.asked.size) this.timer = setTimeout(() => this.late(), COMM_MS);
  }

  take({ id, status, type }, buffers) {
    const one = this.asked.get(id);
    if (!one) return;
    this.asked.delete(id);
    this.note.clear("comm");
    const blob = new Blob([buffers[0]], { type });
    if (status === 200) one.resolve(blob);
    else blob.text().then((text) => one.reject(new Failure(status, firstLine(text))));
    this.more();
  }

  late() {
    this.note.say(
      "comm",
      "The kernel does not answer: it is busy, or has ended. Tiles come once it does.",
    );
  }
}

/** One line in the corner of the map: the oldest reason why something is missing. */
class Note {
  constructor(el) {
    // The element of a widget has the styles of its layout.
    this.line = el.appendChild(document.createElement("div"));
    this.line.setAttribute("role", "status");
    this.line.className = "tileserver-note";
    Object.assign(this.line.style, {
      maxWidth: "32em",
      padding: "4px 8px",
      font: "13px/1.4 sans-serif",
      color: "#1a1a1a",
      background: "#fff4ce",
      border: "1px solid #b58900",
      borderRadius: "4px",
    });
    this.reasons = new Map();
    this.tell();
  }

  say(about, text) {
    this.reasons.set(about, text);
    this.tell();
  }

  clear(about) {
    if (this.reasons.delete(about)) this.tell();
  }

  tell() {
    const [text = ""] = this.reasons.values();
    this.line.textContent = text;
    this.line.style.display = text ? "" : "none";
  }
}

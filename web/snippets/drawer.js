/** The drawer "Use elsewhere": addresses, files and code for a layer as it is shown now. */

import { fetchWithoutKeys } from "../api.js";
import { copyText, h, icon, styleSheet } from "../dom.js";
import { showNote } from "../messages.js";
import { titleOf } from "../row.js";
import { save } from "../table.js";
import { addressesOf, exportsOf, filesOf } from "./addresses.js";
import { fitting, snippetOf } from "./all.js";
import { subjectOf } from "./subject.js";

await styleSheet("css/use.css");

const hasKey = () => new URLSearchParams(location.search).has("key");
let chosen = "leaflet";

/** Open the drawer for an entry; it follows its style and opacity until it is closed. */
export function openUse(entry, { state, drawer, map }, opener) {
  const view = new UseView(entry, map);
  const follow = () => {
    const current = state.find(entry.id);
    if (current) view.show(current);
    else drawer.close();
  };
  state.addEventListener("change", follow);
  const onclose = () => state.removeEventListener("change", follow);
  drawer.open({ title: `Use elsewhere: ${titleOf(entry)}`, element: view.element, opener, onclose });
}

class UseView {
  constructor(entry, map) {
    this.map = map;
    this.partly = h("input", { type: "checkbox" });
    this.exports = h("div", { className: "actions" });
    this.withKey = h("input", { type: "checkbox", onchange: () => this.show(this.entry) });
    this.addresses = h("div", { className: "use-addresses" });
    this.files = h("div", { className: "actions" });
    this.choice = h("select", { id: "use-choice", onchange: () => this.choose(this.choice.value) });
    this.code = h("pre", { className: "use-code", tabIndex: 0, role: "region", "aria-label": "Code" });
    this.hint = h("p", { className: "use-hint" });
    this.save = h("a", { className: "button", download: "" }, icon("down"), "Save as a file");
    this.element = h(
      "div",
      { className: "use" },
      h("p", { className: "use-intro" }, "The layer as it is shown now, with its style and opacity."),
      hasKey() && h("label", { className: "use-key" }, this.withKey, "Put this page's API key into them"),
      h("h3", {}, "Addresses"),
      this.addresses,
      h("h3", {}, "Files"),
      this.files,
      h("h3", {}, "Offline"),
      h("label", { className: "use-key" }, this.partly, "Only the part in view"),
      this.exports,
      h("h3", {}, h("label", { for: "use-choice" }, "Code")),
      this.choice,
      this.hint,
      this.code,
      h("div", { className: "actions" }, button("copy", "Copy code", () => copy("Code", this.text)), this.save),
    );
    this.show(entry);
  }

  show(entry) {
    this.entry = entry;
    this.subject = subjectOf(entry, { withKey: this.withKey.checked });
    this.addresses.replaceChildren(...addressesOf(this.subject).map(addressRow));
    this.files.replaceChildren(...filesOf(this.subject).map((each) => this.fileLink(each)));
    this.exports.replaceChildren(...exportsOf(this.subject).map((each, index) => this.exportLink(each, index)));
    this.choice.replaceChildren(
      ...fitting(this.subject).map(({ label, snippets }) =>
        h("optgroup", { label }, snippets.map((each) => h("option", { value: each.name }, each.label))),
      ),
    );
    const names = [...this.choice.options].map(({ value }) => value);
    this.choose(names.includes(chosen) ? chosen : names[0]);
  }

  // The part in view is that of the moment at which one asks for the file.
  exportLink(each, index) {
    return this.fileLink(each, () => exportsOf(this.subject, this.partly.checked ? this.map.bounds : null)[index][1]);
  }

  fileLink([label, address], current = () => address) {
    const link = h("a", { className: "button", href: address, download: "" }, icon("down"), label);
    link.addEventListener("click", (event) => {
      link.href = current();
      if (!hasKey() || this.withKey.checked) return;
      event.preventDefault();
      saveWithoutKey(label, link.href);
    });
    return link;
  }

  choose(name) {
    chosen = name;
    const { write, hint, file } = snippetOf(name);
    this.choice.value = name;
    this.text = write(this.subject);
    this.code.textContent = this.text;
    this.hint.textContent = hint ?? "";
    this.hint.hidden = !hint;
    this.save.hidden = !file;
    if (!file) return;
    this.save.href = `data:text/plain;charset=utf-8,${encodeURIComponent(this.text)}`;
    this.save.download = `${this.subject.id}.${file}`;
  }
}

function addressRow([label, address]) {
  const field = h("input", {
    type: "text",
    readOnly: true,
    value: address,
    "aria-label": label,
    onfocus: () => field.select(),
  });
  const copyIt = button("copy", "Copy", () => copy(label, address));
  copyIt.ariaLabel = `Copy ${label}`;
  return h("div", { className: "use-address" }, h("span", { "aria-hidden": "true" }, label), field, copyIt);
}

// The server wants the key, and writes that of an address into links of the file.
async function saveWithoutKey(label, address) {
  try {
    save(decodeURIComponent(new URL(address).pathname.split("/").at(-1)), await fetchWithoutKeys(address));
  } catch (error) {
    showNote(`${label}: ${error.message}`);
  }
}

const button = (name, text, onclick) =>
  h("button", { type: "button", className: "button", onclick }, icon(name), text);

async function copy(what, text) {
  const copied = await copyText(text);
  showNote(copied ? `${what} copied.` : "The browser does not let the page copy; select the text instead.");
}

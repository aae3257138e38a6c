// What this browser keeps of files: those that came in part, and those that are
// complete until they were saved. Each can be discarded.

import { byId, make } from "./elements.js";
import { bytesText, savedName, visible } from "./format.js";
import { notice } from "./notices.js";
import { store } from "./store.js";

export class Kept {
  constructor() {
    this.drawn = Promise.resolve();
    store.addEventListener("changed", () => this.later());
    byId("kept").addEventListener("toggle", () => this.later());
    // What another tab has kept meanwhile.
    document.addEventListener("visibilitychange", () => !document.hidden && this.later());
  }

  // One after the other: the last one is right.
  later() {
    this.drawn = this.drawn.then(() => this.draw()).catch(() => {});
  }

  async draw() {
    const kept = (await store.list()).sort((a, b) => b.changedAt - a.changedAt);
    byId("kept").hidden = kept.length === 0;
    byId("kept-size").textContent = bytesText(kept.reduce((sum, { bytes }) => sum + bytes, 0));
    // Who is at a button of an entry that stays, stays there.
    const at = document.activeElement?.closest?.("[data-kept]")?.dataset.kept;
    const place = document.activeElement?.dataset?.testid;
    byId("kept-list").replaceChildren(...kept.map((entry) => this.row(entry)));
    if (at) [...byId("kept-list").children].find((row) => row.dataset.kept === at)?.querySelector(`[data-testid=${place}]`)?.focus();
  }

  row(entry) {
    const { id, name, size, bytes, complete } = entry;
    const button = (text, testid, onclick) =>
      make("button", { class: "plain", type: "button", testid, text, "aria-label": `${text} ${visible(name)}`, onclick });
    return make(
      "li",
      { testid: "kept-file", "data-kept": id, "data-name": name },
      make(
        "div",
        { class: "person-name" },
        make("b", { title: visible(name) }, make("bdi", { text: visible(name) })),
        make("small", { testid: "kept-bytes", "data-bytes": bytes, text: complete ? `${bytesText(size)}, complete` : `${bytesText(bytes)} of ${bytesText(size)}` }),
      ),
      complete && button("Save", "kept-save", () => this.save(entry)),
      button("Discard", "kept-discard", () => this.discard(entry)),
    );
  }

  async save({ id, name }) {
    const file = await store.file(id);
    if (!file) {
      this.later();
      return;
    }
    const url = URL.createObjectURL(file.slice(0, file.size, "application/octet-stream"));
    make("a", { href: url, download: savedName(name) }).click();
    store.saved(id);
    setTimeout(() => URL.revokeObjectURL(url), 60_000); // The browser has begun to copy it.
  }

  async discard({ id, name }) {
    if (!(await store.discard(id))) notice(`${visible(name)} is in use, perhaps in another tab.`);
    byId("kept").querySelector("summary").focus(); // The button that was pressed goes.
  }
}

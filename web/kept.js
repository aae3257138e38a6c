// What this browser keeps of files: those that came in part, and those that are
// complete until they were saved. Each can be discarded.

import { byId, make } from "./elements.js";
import { mayWrite } from "./folder_choice.js";
import { bytesText, savedName, visible } from "./format.js";
import { notice } from "./notices.js";
import { store } from "./store.js";
import { Name, put, text } from "./texts.js";

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
    const all = kept.reduce((sum, { bytes }) => sum + bytes, 0);
    put(byId("kept-size"), text("kept_size", { size: () => bytesText(all) }));
    // Who is at a button of an entry that stays, stays there.
    const at = document.activeElement?.closest?.("[data-kept]")?.dataset.kept;
    const place = document.activeElement?.dataset?.testid;
    byId("kept-list").replaceChildren(...kept.map((entry) => this.row(entry)));
    if (at) [...byId("kept-list").children].find((row) => row.dataset.kept === at)?.querySelector(`[data-testid=${place}]`)?.focus();
  }

  row(entry) {
    const { id, name, size, bytes, complete, folder } = entry;
    const button = (what, label, testid, onclick) =>
      make("button", { class: "plain", type: "button", testid, text: text(what), "aria-label": text(label, { name: new Name(visible(name)) }), onclick });
    const sizes = { bytes: () => bytesText(bytes), size: () => bytesText(size), folder: folder && new Name(visible(folder.name)) };
    const what = complete ? "kept_complete" : folder ? "kept_part_in" : "kept_part";
    return make(
      "li",
      { testid: "kept-file", "data-kept": id, "data-name": name },
      make(
        "div",
        { class: "person-name" },
        make("b", { title: visible(name) }, make("bdi", { text: visible(name) })),
        make("small", { testid: "kept-bytes", "data-bytes": bytes, text: text(what, sizes) }),
      ),
      complete && button("save", "kept_save", "kept-save", () => this.save(entry)),
      button("discard", "kept_discard", "kept-discard", () => this.discard(entry)),
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

  async discard({ id, name, folder }) {
    if (folder) await mayWrite(folder); // If not, the outcome says so.
    const { done, left } = await store.discard(id);
    if (!done) notice(text("kept_in_use", { name: new Name(visible(name)) }));
    if (left) notice(text("kept_left", { name: new Name(visible(name)), folder: new Name(visible(folder.name)) }));
    // The button that was pressed goes.
    await this.drawn;
    if (byId("kept").hidden) byId("leave").focus();
    else byId("kept").querySelector("summary").focus();
  }
}

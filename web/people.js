// Who is here: the list, and the radar above it.

import { byId, make } from "./elements.js";
import { hashOf, initialsOf } from "./format.js";

// An avatar's look follows from its name (style.css has twelve hues).
export function paintAvatar(element, name) {
  element.textContent = initialsOf(name);
  element.dataset.hue = hashOf(name) % 12;
}

const kindText = (meta) => (meta?.kind === "cli" ? "on a terminal" : meta?.kind === "web" ? "in a browser" : "");

// Event "call" ({detail}: a name).
export class People extends EventTarget {
  constructor() {
    super();
    this.peers = new Map(); // name -> meta
    this.busyWith = undefined;
  }

  reset(peers) {
    this.peers = new Map(peers.map(({ name, meta }) => [name, meta ?? {}]));
    this.draw();
  }

  apply({ change, peer }) {
    if (change === "left") this.peers.delete(peer.name);
    else this.peers.set(peer.name, peer.meta ?? {});
    this.draw();
  }

  // The one with whom there is a call; others cannot be called meanwhile.
  setBusy(name) {
    this.busyWith = name;
    this.draw();
  }

  draw() {
    const names = [...this.peers.keys()].sort((a, b) => a.localeCompare(b));
    byId("people-count").textContent = names.length;
    byId("empty").hidden = names.length > 0;
    const list = byId("people");
    const focused = document.activeElement?.closest?.("[data-testid=person]")?.dataset.name;
    list.replaceChildren(...names.map((name) => this.row(name)));
    if (focused !== undefined) list.querySelector(`[data-name="${CSS.escape(focused)}"] button`)?.focus();
    const radar = byId("radar");
    for (const old of radar.querySelectorAll(".blip")) old.remove();
    names.slice(0, 16).forEach((name, i) => radar.append(this.blip(name, i, Math.min(names.length, 16))));
    radar.hidden = false;
  }

  row(name) {
    const avatar = make("span", { class: "avatar", "aria-hidden": "true" });
    paintAvatar(avatar, name);
    const kind = kindText(this.peers.get(name));
    const here = this.busyWith === name;
    const row = make(
      "li",
      { testid: "person", "data-name": name, class: here ? "current" : "" },
      avatar,
      make("span", { class: "person-name" }, make("b", { text: name }), kind && make("small", { text: kind })),
      make("button", {
        class: "plain",
        type: "button",
        testid: "call",
        text: here ? "In call" : "Call",
        "aria-label": `Call ${name}`,
        disabled: this.busyWith !== undefined,
        onclick: () => this.dispatchEvent(new CustomEvent("call", { detail: name })),
      }),
    );
    return row;
  }

  // Two rings; where on them follows from the order, with a turn by name so
  // that it does not look like a clock.
  blip(name, i, count) {
    const blip = make("span", { class: "avatar blip", title: name });
    paintAvatar(blip, name);
    const angle = (i / count) * 2 * Math.PI + 0.6 + (hashOf(name) % 100) / 400;
    const radius = i % 2 === 0 ? 39 : 24;
    blip.style.setProperty("left", `${50 + radius * Math.cos(angle)}%`);
    blip.style.setProperty("top", `${50 + radius * Math.sin(angle)}%`);
    return blip;
  }
}

// Who is here: the list, and the radar above it. News come faster than anybody
// reads: they are drawn once a frame, and only what has changed.

import { byId, icon, ICONS, make } from "./elements.js";
import { hashOf, initialsOf, visible } from "./format.js";
import { language, languages, Name, put, putAttribute, removeAttribute, text } from "./texts.js";

// An avatar's look follows from its name (style.css has twelve hues).
export function paintAvatar(element, name) {
  element.textContent = initialsOf(name);
  element.dataset.hue = hashOf(name) % 12;
}

const RADAR = 16; // Blips on it.
const FILTER_FROM = 8; // People from whom on a filter helps.

const KINDS = { cli: "on_terminal", web: "in_browser" };
const kindOf = (meta) => {
  if (meta?.busy === true) return text("person_busy");
  if (meta?.away === true) return text("person_away");
  return Object.hasOwn(KINDS, meta?.kind) ? text(KINDS[meta.kind]) : "";
};
let collator = new Intl.Collator(language(), { numeric: true });
const compare = (a, b) => collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);

// What the button says, and of whom.
const LABELS = { call: "call_person", call_calling: "call_calling_person", call_running: "call_running_person" };

// The ways to call somebody: what is sent from the beginning.
const WITH = [
  { testid: "call-audio", sources: ["microphone"], picture: ICONS.phone, text: "call_person_audio" },
  { testid: "call-video", sources: ["microphone", "camera"], picture: ICONS.camera, text: "call_person_video" },
];

// Events "call" ({detail}: {name, sources}) and "block" ({detail}: {name, type}).
export class People extends EventTarget {
  constructor() {
    super();
    this.peers = new Map(); // name -> meta
    this.names = []; // Sorted, as they are shown.
    this.rows = new Map(); // name -> what is shown of it
    this.changed = new Set(); // Names whose rows are not what they should be.
    this.all = false; // Every button may have changed.
    this.talk = undefined; // {name, phase} of the call there is.
    this.blocked = new Set(); // Names of whom we do not want to hear.
    this.away = false; // The server is, so that nobody can be called.
    byId("people-filter").addEventListener("input", () => this.later({ all: true }));
    languages.addEventListener("change", () => {
      collator = new Intl.Collator(language(), { numeric: true });
      this.later({ all: true });
    });
  }

  reset(peers) {
    const before = new Set(this.peers.keys());
    this.peers = new Map(peers.map(({ name, meta }) => [name, meta ?? {}]));
    for (const name of [...before, ...this.peers.keys()]) this.changed.add(name);
    this.later({});
  }

  has(name) {
    return this.peers.has(name);
  }

  apply({ change, peer }) {
    if (change === "left") this.peers.delete(peer.name);
    else this.peers.set(peer.name, peer.meta ?? {});
    this.changed.add(peer.name);
    this.later({});
  }

  // The one with whom there is a call; others cannot be called meanwhile.
  setBusy(name, phase) {
    if (this.talk?.name === name && this.talk?.phase === phase) return;
    this.talk = name === undefined ? undefined : { name, phase };
    this.later({ all: true });
  }

  setBlocked(name, blocked) {
    if (blocked) this.blocked.add(name);
    else this.blocked.delete(name);
    this.changed.add(name);
    this.later({});
  }

  setAway(away) {
    if (this.away === away) return;
    this.away = away;
    this.later({ all: true });
  }

  later({ all = false }) {
    this.all ||= all;
    if (this.frame) return;
    // A page that is not seen has no frames; the list shall be right all the same.
    const draw = () => {
      this.frame = undefined;
      this.draw();
    };
    this.frame = document.hidden ? setTimeout(draw, 250) : requestAnimationFrame(draw);
  }

  draw() {
    const list = byId("people");
    let moved = false;
    for (const name of this.changed) {
      const here = this.peers.has(name);
      const row = this.rows.get(name);
      if (row && !here) {
        row.element.remove();
        this.rows.delete(name);
        moved = true;
      } else if (!row && here) {
        this.rows.set(name, this.row(name));
        moved = true;
      }
    }
    if (moved) {
      this.names = [...this.rows.keys()].sort(compare);
      // Each row to its place; those that stand right are not touched.
      let next = list.firstElementChild;
      for (const name of this.names) {
        const { element } = this.rows.get(name);
        if (element === next) next = next.nextElementSibling;
        else list.insertBefore(element, next);
      }
      this.drawRadar();
    }
    const refresh = this.all ? this.names : this.changed;
    for (const name of refresh) {
      const row = this.rows.get(name);
      if (row) this.refresh(name, row);
    }
    this.filter(moved || this.all);
    this.changed.clear();
    this.all = false;
    byId("people-count").textContent = new Intl.NumberFormat(language()).format(this.names.length);
    byId("empty").hidden = this.names.length > 0;
  }

  filter(due) {
    const box = byId("people-filter");
    box.hidden = this.names.length < FILTER_FROM && box.value === "";
    if (!due) return;
    const wanted = box.value.trim().toLowerCase();
    if (wanted === "" && !this.filtered) return;
    this.filtered = wanted !== "";
    for (const [name, { element }] of this.rows) element.hidden = !name.toLowerCase().includes(wanted);
  }

  row(name) {
    const avatar = make("span", { class: "avatar", "aria-hidden": "true" });
    paintAvatar(avatar, name);
    const kind = make("small");
    const call = (sources) => this.dispatchEvent(new CustomEvent("call", { detail: { name, sources } }));
    const button = make("button", { class: "plain", type: "button", testid: "call", onclick: () => call([]) });
    const withMedia = WITH.map(({ testid, sources, picture, text: key }) => {
      const label = text(key, { name: new Name(visible(name)) });
      return make("button", { class: "quiet round", type: "button", testid, title: label, "aria-label": label, onclick: () => call(sources) }, icon(picture));
    });
    const type = () => (this.blocked.has(name) ? "unblock" : "block");
    const block = make("button", {
      class: "quiet round", type: "button", testid: "block",
      onclick: () => this.dispatchEvent(new CustomEvent("block", { detail: { name, type: type() } })),
    }, icon(ICONS.ban));
    const element = make(
      "li",
      { testid: "person", "data-name": name },
      avatar,
      make("span", { class: "person-name" }, make("b", {}, make("bdi", { text: visible(name) })), kind),
      block,
      ...withMedia,
      button,
    );
    return { element, kind, block, button, withMedia };
  }

  refresh(name, { element, kind, block, button, withMedia }) {
    const set = (target, key, value) => target[key] !== value && (target[key] = value);
    const say = (target, what) => target.textContent !== String(what) && put(target, what);
    const here = this.talk?.name === name;
    set(element, "className", here ? "current" : "");
    const blocked = this.blocked.has(name);
    say(kind, blocked ? text("blocked") : kindOf(this.peers.get(name)));
    const blocks = text(blocked ? "unblock_person" : "block_person", { name: new Name(visible(name)) });
    set(block, "disabled", this.away);
    for (const attribute of ["title", "aria-label"]) {
      if (block.getAttribute(attribute) !== String(blocks)) putAttribute(block, attribute, blocks);
    }
    const what = !here ? "call" : this.talk.phase === "calling" ? "call_calling" : "call_running";
    say(button, text(what));
    set(button, "disabled", this.talk !== undefined || this.away);
    if (this.away !== button.hasAttribute("title")) {
      if (this.away) putAttribute(button, "title", text("server_away"));
      else removeAttribute(button, "title");
    }
    const label = text(LABELS[what], { name: new Name(visible(name)) });
    if (button.getAttribute("aria-label") !== String(label)) putAttribute(button, "aria-label", label);
    for (const other of withMedia) {
      // Terminals have neither audio nor video.
      set(other, "hidden", this.talk !== undefined || this.peers.get(name)?.kind === "cli");
      set(other, "disabled", this.away);
    }
  }

  drawRadar() {
    const radar = byId("radar");
    radar.hidden = false;
    const shown = this.names.slice(0, RADAR);
    const key = JSON.stringify(shown);
    if (this.radar === key) return;
    this.radar = key;
    for (const old of radar.querySelectorAll(".blip")) old.remove();
    shown.forEach((name, i) => radar.append(this.blip(name, i, shown.length)));
  }

  // Two rings; where on them follows from the order, with a turn by name so
  // that it does not look like a clock.
  blip(name, i, count) {
    const blip = make("span", { class: "avatar blip", title: visible(name) });
    paintAvatar(blip, name);
    const angle = (i / count) * 2 * Math.PI + 0.6 + (hashOf(name) % 100) / 400;
    const radius = i % 2 === 0 ? 39 : 24;
    blip.style.setProperty("left", `${50 + radius * Math.cos(angle)}%`);
    blip.style.setProperty("top", `${50 + radius * Math.sin(angle)}%`);
    return blip;
  }
}

// Who we are: joining the room under a name, coming back under it, leaving.

import { byId } from "./elements.js";
import { nextName, suggestName, visible } from "./format.js";
import { clearNotice, notice, stored, title, view } from "./notices.js";
import { paintAvatar } from "./people.js";
import { TabNames } from "./tabs.js";
import { Name, put, text } from "./texts.js";

// An old connection of ours may hold the name until the server notices.
const NAME_HELD = 40_000;
// Who has not looked at the page for so long is shown as away.
const AWAY_AFTER = 5 * 60_000;
// The server takes an update a second in the long run.
const UPDATE_PAUSE = 1000;

const tooLong = (text) => new TextEncoder().encode(text ?? "").length > 64;

// Events "joined" (we are in the room, again perhaps), "leaving" (a person
// wants to leave; preventDefault() keeps us there) and "left".
export class Membership extends EventTarget {
  // `room` may be undefined: the server's default.
  constructor({ signaling, people, room, name }) {
    super();
    this.signaling = signaling;
    this.people = people;
    this.room = room;
    this.name = undefined; // Under which we are here, or want to be again.
    this.whenUp = undefined; // That could not be joined: the server was away.
    this.tabs = new TabNames();
    this.meta = { app: "kyuu", kind: "web" }; // What others know of us.
    // The default room has none.
    byId("secret-row").hidden = room === undefined;
    byId("secret").value = stored(sessionStorage, "kyuu-secret") ?? "";
    byId("name").value = name ?? stored(localStorage, "kyuu-name") ?? suggestName();
    byId("join-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(byId("name").value.trim());
    });
    byId("suggest").addEventListener("click", () => {
      byId("name").value = suggestName();
      byId("name").focus();
    });
    byId("leave").addEventListener("click", () => this.leave());
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.leaving);
      if (document.hidden) this.leaving = setTimeout(() => this.show({ away: true }), AWAY_AFTER);
      else this.show({ away: false });
    });
    byId("name").focus();
  }

  failed(name, error) {
    const names = { name: new Name(visible(name)), other: new Name(visible(nextName(name))) };
    const texts = {
      name_taken: text("name_taken", names),
      other_tab: text("name_other_tab", names),
      invalid_name: text(tooLong(this.room) ? "room_invalid" : "name_invalid"),
      no_name: text("name_missing"),
      wrong_secret: text(byId("secret").value === "" ? "secret_needed" : "secret_wrong"),
      room_full: text("room_full"),
      server_full: text("server_full"),
      lost: text("server_unreachable"),
      timeout: text("server_unreachable"),
    };
    put(byId("join-error"), texts[error.code] ?? text("server_says", { message: error.message }));
    byId("join-error").hidden = false;
    if (error.code === "name_taken" || error.code === "other_tab") byId("name").value = nextName(name);
    this.whenUp = error.code === "lost" || error.code === "timeout" ? name : undefined;
    const field = byId(error.code === "wrong_secret" ? "secret" : "name");
    field.focus();
    field.select();
  }

  async join(name) {
    const secret = byId("secret").value;
    const joined = await this.signaling.request({
      type: "join", name, room: this.room, meta: this.meta, secret: secret || undefined,
    });
    // For this tab when it is loaded anew; in no address.
    stored(sessionStorage, "kyuu-secret", secret || null);
    this.name = name;
    this.whenUp = undefined;
    this.tabs.hold(name, this.room);
    stored(localStorage, "kyuu-name", name);
    stored(sessionStorage, "kyuu-joined", name);
    byId("my-name").textContent = visible(name);
    byId("leave").hidden = false;
    byId("join-error").hidden = true;
    paintAvatar(byId("radar-me"), name);
    title(visible(name));
    let { peers, more } = joined;
    this.people.reset(peers);
    if (document.body.dataset.view === "join") view("lobby");
    while (more && peers.length > 0) {
      ({ peers, more } = await this.signaling.request({ type: "list", after: peers[peers.length - 1].name }));
      for (const peer of peers) this.people.apply({ change: "joined", peer });
    }
    this.dispatchEvent(new CustomEvent("joined"));
  }

  // `busy` and `away`, as others shall see us.
  show(changed) {
    const meta = { ...this.meta };
    for (const [key, value] of Object.entries(changed)) {
      if (value) meta[key] = true;
      else delete meta[key];
    }
    if (JSON.stringify(meta) === JSON.stringify(this.meta)) return;
    this.meta = meta;
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      // Who is not here yet, or not now, says it when he joins.
      if (this.name && this.signaling.up) this.signaling.send({ type: "update", meta: this.meta });
    }, UPDATE_PAUSE);
  }

  async submit(name) {
    if (!name) {
      this.failed(name, { code: "no_name" });
      return;
    }
    byId("join-button").disabled = true;
    try {
      await this.join(name);
    } catch (error) {
      this.failed(name, error);
    }
    byId("join-button").disabled = false;
  }

  async leave() {
    if (!this.dispatchEvent(new CustomEvent("leaving", { cancelable: true }))) return;
    this.name = undefined;
    this.tabs.release();
    stored(sessionStorage, "kyuu-joined", null);
    stored(sessionStorage, "kyuu-secret", null);
    byId("leave").hidden = true;
    title();
    view("join");
    byId("name").focus();
    this.dispatchEvent(new CustomEvent("left"));
    try {
      await this.signaling.request({ type: "leave" });
    } catch {
      // The server forgets us when the connection ends, too.
    }
  }

  // A session has begun that knows nothing of us yet.
  async begin() {
    const before = stored(sessionStorage, "kyuu-joined");
    if (!this.name && before && document.body.dataset.view === "join") {
      // A tab that was duplicated remembers the name of the first one.
      if (await this.tabs.heldElsewhere(before, this.room)) {
        stored(sessionStorage, "kyuu-joined", null);
        byId("name").value = before;
        this.failed(before, { code: "other_tab" });
        return;
      }
      this.name = before;
    }
    if (!this.name && this.whenUp) {
      this.name = this.whenUp;
      byId("join-error").hidden = true;
    }
    this.rejoin();
  }

  // Back under the same name, though an old connection may still hold it for a
  // while.
  async rejoin(since = Date.now()) {
    const { name } = this;
    if (!name || !this.signaling.up) return;
    try {
      await this.join(name);
      clearNotice("server");
    } catch (error) {
      if (this.name !== name || error.code === "lost") return;
      if (error.code === "name_taken" && Date.now() - since < NAME_HELD) {
        notice(text("name_held"), { kind: "server" });
        setTimeout(() => this.rejoin(since), 3000);
        return;
      }
      this.name = undefined;
      clearNotice("server");
      byId("name").value = name;
      view("join");
      this.failed(name, error);
    }
  }
}

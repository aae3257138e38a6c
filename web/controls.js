// The buttons for microphone, camera and screen of the call there is, the choice
// of devices, and what is said about both sides' media.

import { canShareScreen, choices, choose, chosen, DeviceError, open, openScreen } from "./devices.js";
import { byId, make } from "./elements.js";
import { visible } from "./format.js";
import { Media } from "./media.js";
import { notice } from "./notices.js";
import { Stage } from "./stage.js";

const CHOSEN = ["microphone", "camera"]; // Of which there may be several.
const LOST = {
  microphone: "The microphone is gone or was taken away from this page; it is off.",
  camera: "The camera is gone or was taken away from this page; it is off.",
  screen: "You stopped sharing your screen.",
};
const SHOWN = ["microphone", "camera", "screen"];

// "a, b and c"
const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

export class Controls {
  // `serverAway()`: whether the call's signaling has to wait. `note(text)` puts a
  // line into the conversation.
  constructor({ serverAway, note }) {
    this.serverAway = serverAway;
    this.note = note;
    this.stage = new Stage();
    this.media = undefined; // While there is a call.
    this.opening = new Set(); // Sources that the person is asked for.
    for (const source of SHOWN) byId(source).addEventListener("click", () => this.press(source));
    byId("screen").hidden = globalThis.isSecureContext && !canShareScreen();
    byId("devices-toggle").addEventListener("click", () => this.showDevices(byId("devices").hidden));
    byId("release").addEventListener("click", () => {
      byId("microphone").focus(); // This button goes.
      this.media?.stop("microphone");
    });
    for (const source of CHOSEN) byId(`${source}-choice`).addEventListener("change", () => this.chose(source));
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.listDevices());
  }

  // ---------------------------------------------------------------- the call

  begin(name) {
    const media = (this.media = new Media());
    this.name = name;
    const on = (type, handle) => media.addEventListener(type, ({ detail }) => this.media === media && handle(detail));
    on("change", () => this.draw());
    on("refused", () => {
      this.note(`${visible(this.name)} cannot take audio or video.`);
    });
    on("lost", ({ source }) => {
      if (source === "screen") media.stop("sound");
      if (LOST[source]) this.note(LOST[source]);
    });
    this.stage.begin(name);
    byId("media").hidden = false;
    this.showDevices(false);
    this.draw();
  }

  end() {
    this.media?.end();
    this.media = undefined;
    this.opening.clear();
    this.stage.draw(new Map(), new Map());
    this.showDevices(false);
    byId("media").hidden = true;
    byId("media-status").textContent = "";
  }

  // ------------------------------------------------------------- the devices

  press(source) {
    const { media } = this;
    if (!media || this.opening.has(source)) return;
    if (media.refused) {
      notice(`${visible(this.name)} cannot take audio or video.`);
      return;
    }
    const off = media.state(source) === "off";
    if (off) this.switchOn([source]);
    else if (source === "microphone") media.mute(source, media.state(source) !== "muted");
    else media.stop(source);
    if (source === "screen" && !off) media.stop("sound");
  }

  // Asks for `sources` and sends what comes. True if all of them came; else the
  // reason is said.
  async switchOn(sources) {
    const { media } = this;
    for (const source of sources) this.opening.add(source);
    this.draw();
    let problem;
    try {
      const opened = sources[0] === "screen" ? { tracks: await openScreen() } : await open(sources);
      for (const [source, track] of opened.tracks) media.use(source, track);
      problem = opened.problem;
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      problem = error.cancelled ? undefined : error.message;
    }
    if (this.media !== media) return false;
    for (const source of sources) this.opening.delete(source);
    if (problem) notice(problem, { kind: "error" });
    this.draw();
    this.listDevices();
    return sources.every((source) => media.track(source));
  }

  showDevices(wanted) {
    byId("devices").hidden = !wanted;
    byId("devices-toggle").setAttribute("aria-expanded", String(wanted));
    if (wanted) this.listDevices();
  }

  async listDevices() {
    for (const source of CHOSEN) {
      const devices = await choices(source);
      const used = this.media?.track(source)?.getSettings().deviceId ?? chosen(source);
      const select = byId(`${source}-choice`);
      const options = devices.map(({ id, label }) => make("option", { value: id, text: label, selected: id === used }));
      if (options.length === 0) options.push(make("option", { value: "", text: `Any ${source}; to choose, switch it on first` }));
      select.replaceChildren(...options);
      select.disabled = devices.length === 0;
    }
  }

  // Another device is used at once if one of its kind is on; without a
  // negotiation, and muted if it was muted.
  async chose(source) {
    const { media } = this;
    choose(source, byId(`${source}-choice`).value);
    if (media && media.state(source) !== "off") await this.switchOn([source]);
  }

  // --------------------------------------------------------------- the look

  draw() {
    const { media } = this;
    if (!media) return;
    for (const source of SHOWN) {
      const button = byId(source);
      const state = this.opening.has(source) ? "opening" : media.state(source);
      button.dataset.state = state;
      button.setAttribute("aria-pressed", String(state === "on" || state === "waiting"));
      button.setAttribute("aria-disabled", String(media.refused));
    }
    byId("release").hidden = media.state("microphone") === "off";
    const own = new Map(["camera", "screen"].map((source) => [source, media.track(source)]));
    const incoming = media.incoming();
    this.stage.draw(incoming, own);
    this.say(incoming);
  }

  // One line for what cannot be seen: what comes from there, what is under way
  // here.
  say(incoming) {
    const { media } = this;
    const parts = [];
    const name = visible(this.name);
    const on = SHOWN.filter((source) => incoming.get(source)?.on);
    const theirs = on.length > 0 ? [`${list(on)} on`] : [];
    if (incoming.has("microphone") && !on.includes("microphone")) theirs.push("muted");
    if (media.refused) parts.push(`${name} cannot take audio or video.`);
    if (theirs.length > 0) parts.push(`${name}: ${theirs.join(", ")}.`);
    if (this.opening.size > 0) parts.push("Waiting for your permission…");
    if (media.state("microphone") === "muted") parts.push("You are muted.");
    const waiting = SHOWN.filter((source) => media.state(source) === "waiting");
    if (waiting.length > 0 && this.serverAway()) {
      parts.push(`The server is away: your ${list(waiting)} will be sent when it is back.`);
    }
    const status = byId("media-status");
    const text = parts.join(" ");
    if (status.textContent !== text) status.textContent = text;
  }
}

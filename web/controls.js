// The buttons for microphone, camera and screen of the call there is, the choice
// of devices, and what is said about both sides' media.

import { canShareScreen, choices, choose, chosen, DeviceError, open, openScreen } from "./devices.js";
import { byId, make } from "./elements.js";
import { visible } from "./format.js";
import { Media } from "./media.js";
import { notice } from "./notices.js";
import { Stage } from "./stage.js";
import { list, Name, put, text } from "./texts.js";

const CHOSEN = ["microphone", "camera"]; // Of which there may be several.
const LOST = {
  microphone: text("microphone_lost"),
  camera: text("camera_lost"),
  screen: text("screen_lost"),
};
const SHOWN = ["microphone", "camera", "screen"];

const devicesText = (sources) => list(sources.map((source) => text(`device_${source}`)));

export class Controls {
  // `serverAway()`: whether the call's signaling has to wait. `note(what)` puts a
  // Text into the conversation.
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
      this.note(text("no_media", { name: new Name(visible(this.name)) }));
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
    put(byId("media-status"), "");
  }

  // ------------------------------------------------------------- the devices

  press(source) {
    const { media } = this;
    if (!media || this.opening.has(source)) return;
    if (media.refused) {
      notice(text("no_media", { name: new Name(visible(this.name)) }));
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
      problem = error.cancelled ? undefined : error.told;
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
      if (options.length === 0) options.push(make("option", { value: "", text: text(`any_${source}`) }));
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
    const name = new Name(visible(this.name));
    const on = SHOWN.filter((source) => incoming.get(source)?.on);
    const muted = incoming.has("microphone") && !on.includes("microphone");
    const waiting = SHOWN.filter((source) => media.state(source) === "waiting");
    const theirs = on.length > 0 ? text(muted ? "theirs_on_muted" : "theirs_on", { devices: devicesText(on) }) : muted && text("theirs_muted");
    const parts = [
      media.refused && text("no_media", { name }),
      theirs && text("theirs", { name, what: theirs }),
      this.opening.size > 0 && text("waiting_for_permission"),
      media.state("microphone") === "muted" && text("you_are_muted"),
      waiting.length > 0 && this.serverAway() && text("sent_when_back", { devices: devicesText(waiting) }),
    ].filter(Boolean);
    const status = byId("media-status");
    const said = parts.length > 1 ? parts.reduce((before, next) => text("both", { before, next })) : (parts[0] ?? "");
    if (status.textContent !== String(said)) put(status, said);
  }
}

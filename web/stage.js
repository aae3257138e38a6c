// What is seen and heard of a call: the other side's screen or camera large, the
// rest small on it, and sound.

import { byId, make } from "./elements.js";
import { hashOf, initialsOf, visible } from "./format.js";
import { Name, put, text } from "./texts.js";

// Of the other side the first of these that is there is large.
const LARGE = ["screen", "camera"];
const SOUNDS = ["microphone", "sound"];

export class Stage {
  constructor() {
    this.tiles = new Map(); // "peer camera" -> its element and track
    this.sounds = new Map(); // source -> {audio, track}
    byId("fullscreen").addEventListener("click", () => this.toggleFullscreen());
    document.addEventListener("fullscreenchange", () => this.showFullscreen());
    byId("play-sound").addEventListener("click", () => {
      byId("play-sound").hidden = true;
      for (const { audio } of this.sounds.values()) this.play(audio);
    });
    byId("fullscreen").hidden = !document.fullscreenEnabled;
  }

  begin(name) {
    this.name = name;
    byId("stage-avatar").textContent = initialsOf(name);
    byId("stage-avatar").dataset.hue = hashOf(name) % 12;
    this.draw(new Map(), new Map());
  }

  // `incoming`: Map of source to {track, on}; `own`: Map of source to a track.
  draw(incoming, own) {
    const name = new Name(visible(this.name));
    const wanted = new Map();
    for (const source of LARGE) {
      const { track, on } = incoming.get(source) ?? {};
      if (on) wanted.set(`peer ${source}`, { track, label: source === "screen" ? text("their_screen", { name }) : visible(this.name) });
    }
    for (const source of LARGE) {
      if (own.get(source)) wanted.set(`me ${source}`, { track: own.get(source), label: text(source === "screen" ? "your_screen" : "you") });
    }
    for (const [key, tile] of this.tiles) {
      if (wanted.has(key)) continue;
      tile.video.srcObject = null;
      tile.element.remove();
      this.tiles.delete(key);
    }
    const large = LARGE.map((source) => `peer ${source}`).find((key) => wanted.has(key));
    let place = 0;
    for (const [key, { track, label }] of wanted) {
      const tile = this.tiles.get(key) ?? this.tile(key);
      this.show(tile, track);
      put(tile.label, label);
      tile.element.dataset.place = key === large ? "large" : "small";
      if (key !== large) tile.element.style.setProperty("--place", place++);
    }
    byId("stage-avatar").hidden = large !== undefined;
    byId("stage").hidden = wanted.size === 0;
    if (wanted.size === 0 && document.fullscreenElement) document.exitFullscreen();
    this.hear(incoming);
  }

  // A video is made once and stays where it is: one that is moved stops.
  tile(key) {
    const [from, source] = key.split(" ");
    const video = make("video", { playsinline: true, testid: "video", "data-from": from, "data-source": source });
    video.muted = true; // Sound is heard by elements of its own.
    video.autoplay = true;
    const label = make("figcaption", { dir: "auto" });
    const element = make("figure", { class: "tile", "data-from": from, "data-source": source }, video, label);
    byId("stage").prepend(element);
    const tile = { element, video, label };
    this.tiles.set(key, tile);
    return tile;
  }

  show(tile, track) {
    if (tile.track === track) return;
    tile.track = track;
    tile.video.srcObject = new MediaStream([track]);
  }

  hear(incoming) {
    for (const source of SOUNDS) {
      const { track } = incoming.get(source) ?? {};
      const heard = this.sounds.get(source);
      if (heard?.track === track) continue;
      if (heard) {
        heard.audio.srcObject = null;
        heard.audio.remove();
        this.sounds.delete(source);
      }
      if (!track) continue;
      const audio = make("audio", { testid: "audio", "data-source": source });
      audio.srcObject = new MediaStream([track]);
      byId("talk").append(audio);
      this.sounds.set(source, { audio, track });
      this.play(audio);
    }
    if (this.sounds.size === 0) byId("play-sound").hidden = true;
  }

  // Browsers play sound where the person has clicked, and may refuse elsewhere.
  async play(audio) {
    try {
      await audio.play();
    } catch (error) {
      if (error.name === "NotAllowedError") byId("play-sound").hidden = false;
    }
  }

  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else byId("stage").requestFullscreen().catch(() => {}); // The browser says why itself.
  }

  showFullscreen() {
    const full = document.fullscreenElement === byId("stage");
    byId("fullscreen").setAttribute("aria-pressed", String(full));
  }
}

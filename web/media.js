// What a call carries besides its data: microphone, camera, screen and the
// screen's sound, each in a media section of its own that only its owner sends by
// (docs/application_protocol.md, "Audio and video"). A source that was sent once
// is stopped and started without another negotiation.

export const KINDS = { microphone: "audio", camera: "video", screen: "video", sound: "audio" };
export const SOURCES = Object.keys(KINDS);
const MID_MAX = 32; // Characters; browsers use numbers.

// Events: "change" (something of it), "refused" (the other side takes neither
// audio nor video), "lost" ({source}: a device or a shared window ended by
// itself).
export class Media extends EventTarget {
  constructor() {
    super();
    // {track, transceiver, muted}; a source without `track` is off.
    this.slots = new Map(SOURCES.map((source) => [source, { source, muted: false }]));
    this.told = undefined; // What the other side says of its own: Map of mid to {source, on}.
    this.peer = undefined;
    this.refused = false;
    this.over = false;
  }

  // ------------------------------------------------------------ what we send

  // "off", "on", "muted" or, while the other side does not take it yet, "waiting".
  state(source) {
    const { track, transceiver, muted } = this.slots.get(source);
    if (!track) return "off";
    if (muted) return "muted";
    return this.peer && transceiver?.currentDirection !== "sendonly" ? "waiting" : "on";
  }

  track(source) {
    return this.slots.get(source).track;
  }

  // Sends `track`, in the place of another one of that source if there is one.
  // The track is ours from here on, and stopped when it is not sent any more.
  use(source, track) {
    if (this.over || this.refused) {
      track.stop();
      return;
    }
    const slot = this.slots.get(source);
    slot.track?.stop();
    slot.track = track;
    track.enabled = !slot.muted;
    track.addEventListener("ended", () => {
      if (slot.track !== track) return;
      this.stop(source);
      this.emit("lost", { source });
    });
    this.send(slot);
    this.changed();
  }

  // Mutes or not; the device goes on and sends silence or black.
  mute(source, muted) {
    const slot = this.slots.get(source);
    slot.muted = muted;
    if (slot.track) slot.track.enabled = !muted;
    this.changed();
  }

  // Lets go of the device, whose light goes out.
  stop(source) {
    const slot = this.slots.get(source);
    slot.muted = false;
    if (!slot.track) return;
    slot.track.stop();
    slot.track = undefined;
    this.send(slot);
    this.changed();
  }

  send(slot) {
    if (!this.ready) return;
    if (slot.transceiver) {
      slot.transceiver.sender.replaceTrack(slot.track ?? null).catch((error) => console.warn("track", error));
    } else if (slot.track) {
      slot.transceiver = this.peer.pc.addTransceiver(slot.track, { direction: "sendonly" });
    }
  }

  // --------------------------------------------------------------- its peer

  // The caller's first offer has what is on; who was called adds its own once the
  // other side has said something of itself.
  attach(peer) {
    this.peer = peer;
    this.ready = peer.caller;
    const on = (type, handle) => peer.addEventListener(type, ({ detail }) => !this.over && handle(detail));
    on("track", (track) => {
      for (const type of ["mute", "unmute", "ended"]) track.addEventListener(type, () => this.changed());
      this.changed();
    });
    on("negotiated", () => this.negotiated());
    on("control", () => this.changed());
    on("control-message", () => {
      if (this.ready) return;
      this.ready = true;
      this.sendAll();
    });
    if (this.ready) this.sendAll();
  }

  sendAll() {
    for (const slot of this.slots.values()) if (slot.track) this.send(slot);
  }

  negotiated() {
    const refused = (transceiver) => transceiver?.currentDirection === "inactive" || transceiver?.currentDirection === "stopped";
    if (!this.refused && [...this.slots.values()].some((slot) => refused(slot.transceiver))) {
      this.refused = true;
      for (const source of SOURCES) this.stop(source);
      this.emit("refused");
    }
    this.changed();
  }

  changed() {
    if (this.over) return;
    this.tell();
    this.emit("change");
  }

  // What we send is told when it is another than before.
  tell() {
    const sources = {};
    for (const { source, track, transceiver, muted } of this.slots.values()) {
      const mid = transceiver?.mid;
      if (mid) sources[source] = { mid, on: Boolean(track) && !muted };
    }
    const text = JSON.stringify(sources);
    if (text === (this.lastTold ?? "{}") || !this.peer?.send({ type: "media", sources })) return;
    this.lastTold = text;
  }

  // ------------------------------------------------------ what comes from there

  // Takes a message of the control channel; false if it is another's.
  handle({ type, sources }) {
    if (type !== "media") return false;
    if (typeof sources !== "object" || sources === null) return true;
    this.told = new Map();
    for (const source of SOURCES) {
      const { mid, on } = sources[source] ?? {};
      if (typeof mid === "string" && mid.length <= MID_MAX) this.told.set(mid, { source, on: on === true });
    }
    this.changed();
    return true;
  }

  // What the other side sends, by source: Map of source to {track, on}. Who
  // tells nothing of it is no kyuu; then sound is a microphone's and a picture a
  // camera's.
  incoming() {
    const found = new Map();
    for (const { mid, currentDirection, receiver } of this.peer?.pc.getTransceivers() ?? []) {
      if (!currentDirection?.includes("recv")) continue;
      const { track } = receiver;
      const told = this.told ? this.told.get(mid) : { source: track.kind === "audio" ? "microphone" : "camera", on: !track.muted };
      if (told && KINDS[told.source] === track.kind && track.readyState === "live") found.set(told.source, { track, on: told.on });
    }
    return found;
  }

  // All devices are let go.
  end() {
    this.over = true;
    for (const slot of this.slots.values()) {
      slot.track?.stop();
      slot.track = undefined;
    }
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

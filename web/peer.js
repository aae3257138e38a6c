// One peer connection: its data channels, its life, and what the connection panel
// tells about the way it found.

import { Negotiation } from "./negotiation.js";

// How long a way that was lost may take to be mended by ICE restarts.
const MEND_WITHIN = 60_000;

// Events: "state" ({state}: connecting, connected, unsteady, failed, closed),
// "control" (the control channel is open), "control-message" (an object),
// "file-channel" (an RTCDataChannel), "track" (a MediaStreamTrack of the other
// side), "negotiated" (both descriptions are in force).
export class Peer extends EventTarget {
  // `caller` makes the first offer and the control channel. `signal` and
  // `reachable` as for Negotiation.
  constructor({ iceServers, relayOnly, polite, caller, signal, reachable }) {
    super();
    this.caller = caller;
    this.closed = false;
    this.servers = JSON.stringify(iceServers);
    // All goes the one way that data has found, audio and video too.
    this.pc = new RTCPeerConnection({
      iceServers,
      iceTransportPolicy: relayOnly ? "relay" : "all",
      bundlePolicy: "max-bundle",
    });
    this.negotiation = new Negotiation(this.pc, { polite, signal, reachable, tell: (message) => this.send(message) });
    this.pc.onsignalingstatechange = () => {
      if (this.pc.signalingState === "stable" && this.pc.remoteDescription) this.emit("negotiated");
    };
    this.pc.ontrack = ({ track }) => this.emit("track", track);
    this.pc.onconnectionstatechange = () => this.connectionChanged();
    this.pc.ondatachannel = ({ channel }) => this.incoming(channel);
    if (caller) {
      this.useControl(this.pc.createDataChannel("kyuu", { ordered: true, protocol: "kyuu.app.v1" }));
    }
  }

  // New servers, or new credentials for them. What is gathered from now on uses
  // them; a path through the relay is made anew by them before the old one ends.
  async useServers(iceServers) {
    if (!this.configure(iceServers)) return;
    if (this.caller && (await this.relayed())) this.pc.restartIce();
  }

  // True if they are other ones.
  configure(iceServers) {
    if (this.closed || JSON.stringify(iceServers) === this.servers) return false;
    this.servers = JSON.stringify(iceServers);
    try {
      this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers });
    } catch (error) {
      console.warn("servers", error);
    }
    return true;
  }

  async relayed() {
    return (await this.path().catch(() => undefined))?.relayed ?? false;
  }

  // Signaling works again. The caller restarts ICE if there is need for it.
  async signalingBack(iceServers) {
    this.configure(iceServers);
    if (this.closed) return;
    const pending = this.pc.signalingState === "have-local-offer";
    await this.negotiation.resume();
    if (!this.caller || this.closed) return;
    if (pending || this.pc.connectionState !== "connected" || (await this.relayed())) this.pc.restartIce();
  }

  receive(message) {
    this.negotiation.receive(message);
  }

  connectionChanged() {
    const state = this.pc.connectionState;
    if (state === "connected") {
      clearTimeout(this.failTimer);
      this.failTimer = undefined;
      this.emit("state", { state: "connected" });
    } else if (state === "disconnected") {
      this.emit("state", { state: "unsteady" });
    } else if (state === "failed") {
      // The caller restarts; an offer that is under way does that already.
      this.failTimer ??= setTimeout(() => this.emit("state", { state: "failed" }), MEND_WITHIN);
      this.emit("state", { state: "unsteady" });
      if (this.caller && this.pc.signalingState === "stable") this.pc.restartIce();
    } else if (state === "connecting") {
      this.emit("state", { state: "connecting" });
    }
  }

  incoming(channel) {
    if (channel.label === "kyuu" && !this.caller && !this.control) {
      this.useControl(channel);
    } else if (channel.label.startsWith("file:")) {
      channel.binaryType = "arraybuffer";
      this.emit("file-channel", channel);
    }
  }

  useControl(channel) {
    this.control = channel;
    const opened = () => this.emit("control");
    channel.onclose = () => this.close();
    channel.onmessage = ({ data }) => {
      if (typeof data !== "string" || data.length > 16384) return;
      let message;
      try {
        message = JSON.parse(data);
      } catch {
        return;
      }
      if (!message || typeof message.type !== "string") return;
      if (message.type === "turn") {
        this.negotiation.heard(message);
        return;
      }
      if (message.type === "hello") this.negotiation.turns = message.turns === true;
      this.emit("control-message", message);
    };
    if (channel.readyState === "open") queueMicrotask(opened);
    else channel.onopen = opened;
  }

  // Sends an object on the control channel; false if it is not open.
  send(message) {
    if (this.control?.readyState !== "open") return false;
    this.control.send(JSON.stringify(message));
    return true;
  }

  // The way is lost, and looked for anew.
  get lost() {
    return this.failTimer !== undefined;
  }

  get usable() {
    return this.control?.readyState === "open";
  }

  fileChannel(id) {
    const channel = this.pc.createDataChannel(`file:${id}`, { ordered: true, protocol: "kyuu.file.v1" });
    channel.binaryType = "arraybuffer";
    return channel;
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.failTimer);
    this.pc.onconnectionstatechange = null;
    // What was sent last ("bye") shall still go out.
    setTimeout(() => this.pc.close(), 200);
    this.emit("state", { state: "closed" });
  }

  // How the two are connected, or undefined before they are:
  // {relayed, local, remote, rtt, sent, received, dtls}; local and remote are
  // {type, address, protocol}, the address undefined if the browser hides it.
  async path() {
    if (this.pc.connectionState === "closed") return undefined;
    const stats = await this.pc.getStats();
    let transport;
    for (const report of stats.values()) if (report.type === "transport") transport = report;
    let pair = transport?.selectedCandidatePairId && stats.get(transport.selectedCandidatePairId);
    if (!pair) {
      for (const report of stats.values()) {
        // Firefox marks the pair; it has no transport report.
        if (report.type === "candidate-pair" && (report.selected || (report.nominated && report.state === "succeeded"))) {
          pair = report;
        }
      }
    }
    if (!pair) return undefined;
    const end = (id) => {
      const candidate = stats.get(id) ?? {};
      return {
        type: candidate.candidateType ?? "unknown",
        address: candidate.address ? `${candidate.address.includes(":") ? `[${candidate.address}]` : candidate.address}:${candidate.port}` : undefined,
        protocol: candidate.protocol ?? "",
        relayProtocol: candidate.relayProtocol,
      };
    };
    const local = end(pair.localCandidateId);
    const remote = end(pair.remoteCandidateId);
    return {
      relayed: local.type === "relay" || remote.type === "relay",
      local,
      remote,
      rtt: pair.currentRoundTripTime,
      sent: pair.bytesSent,
      received: pair.bytesReceived,
      dtls: transport?.dtlsCipher,
    };
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

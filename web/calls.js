// The call: at most one at a time. It does not hang on the connection to the
// server (docs/application_protocol.md, "A call that outlives its signaling").

import { Controls } from "./controls.js";
import { byId } from "./elements.js";
import { rttText, visible } from "./format.js";
import { notice, view } from "./notices.js";
import { ShortNumber } from "./number.js";
import { paintAvatar } from "./people.js";
import { Peer } from "./peer.js";
import { Ringing } from "./ringing.js";
import { Name, put, text } from "./texts.js";
import { Transfers } from "./transfers.js";

const CONNECT_WITHIN = 45_000;

// A text about somebody: names of others reach the page only like this.
const about = (name, key) => text(key, { name: new Name(visible(name)) });

function showState(state, what) {
  byId("state").dataset.state = state;
  put(byId("state"), what);
}

function showPanel(open) {
  byId("panel").hidden = !open;
  byId("panel-toggle").setAttribute("aria-expanded", String(open));
}

export class Calls {
  constructor({ signaling, membership, people, conversation, relayOnly }) {
    this.signaling = signaling;
    this.membership = membership;
    this.people = people;
    this.conversation = conversation;
    this.relayOnly = relayOnly;
    // {id, name, polite, outgoing, phase, peer, transfers}. While the server
    // knows nothing of a call that goes on it has, instead of `id`, `lostId`, by
    // which both sides know it, and `nextId` of the one that is to continue it.
    this.current = undefined;
    this.ringing = new Ringing({ signaling, idle: () => !this.current, me: () => membership.name });
    this.controls = new Controls({
      serverAway: () => !this.current?.id || !signaling.up,
      note: (text) => conversation.note(text),
    });
    this.ringing.addEventListener("accepted", ({ detail }) => this.accept(detail));
    this.ringing.addEventListener("missed", ({ detail }) => this.missed(detail));
    people.addEventListener("call", ({ detail }) => this.start(detail));
    byId("hangup").addEventListener("click", () => this.hangUp());
    byId("panel-toggle").addEventListener("click", () => showPanel(byId("panel").hidden));
    addEventListener("pagehide", () => {
      const call = this.current;
      call?.peer?.send({ type: "bye", reason: "page" });
      // Whichever comes first says the same.
      if (call?.id) signaling.send({ type: "hangup", call: call.id, reason: "page" });
    });
    this.listen();
  }

  listen() {
    const on = (type, handle) => this.signaling.addEventListener(type, ({ detail }) => handle(detail));
    on("up", ({ resume }) => {
      if (resume?.resumed) this.current?.peer?.useServers(this.signaling.iceServers);
      this.controls.draw();
    });
    on("down", () => this.controls.draw());
    on("gone", () => this.forgetServer());
    on("presence", () => this.continueCall());
    on("incoming", (message) => this.onIncoming(message));
    on("accepted", ({ call }) => this.onAccepted(call));
    on("rejected", ({ call: id, reason }) => {
      const call = this.current;
      if (!call) return;
      if (call.nextId === id) call.nextId = undefined; // It goes on all the same.
      else if (call.id === id) this.end(about(call.name, reason === "busy" ? "busy" : "declined"));
    });
    on("ice_servers", () => this.current?.peer?.useServers(this.signaling.iceServers));
    on("hangup", (message) => this.onHangup(message));
    on("signal", (message) => {
      if (this.current?.id === message.call) this.current.peer?.receive(message);
    });
    on("error", ({ code, message, call: id }) => {
      if (code === "unknown_call" || (code === "bad_state" && id !== this.current?.id)) return; // Crossed with an ending.
      notice(text("server_says", { message }), { kind: "error" });
    });
    this.membership.addEventListener("joined", () => this.continueCall());
  }

  // What the server knew of us is gone.
  forgetServer() {
    this.ringing.clear();
    const call = this.current;
    if (!call) return;
    call.crossing = undefined;
    if (call.peer?.usable) this.suspend();
    else this.end(text("server_gone"));
  }

  // The two go on without the server.
  suspend() {
    const call = this.current;
    call.lostId = call.id ?? call.lostId;
    call.id = call.nextId = undefined;
    call.peerLost = false;
  }

  // Both ways to them have been silent for as long as one may be, as if their
  // program had been killed.
  endAsGone() {
    this.end(about(this.current.name, "connection_ended"), "failed");
  }

  // Has the server know again of a call that goes on.
  async continueCall() {
    const call = this.current;
    if (!call?.lostId || call.id || call.nextId || call.continuing || call.polite) return;
    if (!this.signaling.up || !this.membership.name || !this.people.has(call.name)) return;
    call.continuing = true;
    try {
      const answer = await this.signaling.request({ type: "call", to: call.name, meta: { continues: call.lostId } });
      if (this.current === call && call.lostId) call.nextId = answer.call;
      else this.signaling.send({ type: "hangup", call: answer.call });
    } catch {
      // They are not back yet, or it is not for them to be called.
    }
    call.continuing = false;
  }

  onIncoming(message) {
    const call = this.current;
    const continues = message.meta?.continues;
    if (call?.lostId && !call.id && call.polite && call.name === message.from && call.lostId === continues) {
      call.nextId = message.call;
      this.signaling.send({ type: "accept", call: message.call });
      return;
    }
    if (call?.name === message.from && call.outgoing && !call.id && !call.lostId) {
      call.crossing = message; // Ours is under way, and becomes the same one.
      return;
    }
    this.ringing.add(message);
  }

  missed(name) {
    const missed = about(name, "missed_call");
    notice(missed);
    if (this.current) this.conversation.note(missed);
  }

  // ------------------------------------------------------------- beginning

  setPhase(phase) {
    const call = this.current;
    call.phase = phase;
    showState(phase, text(phase));
    this.people.setBusy(call.name, phase);
    this.membership.show({ busy: true });
    const usable = phase === "connected" || phase === "unsteady";
    for (const id of ["attach", "message", "send"]) byId(id).disabled = !usable;
    put(byId("hangup-text"), text(phase === "calling" ? "cancel" : "hang_up"));
  }

  openTalk(name) {
    this.conversation.clear();
    byId("idle").hidden = true;
    byId("talk").hidden = false;
    byId("peer-name").textContent = visible(name);
    paintAvatar(byId("peer-avatar"), name);
    view("talk");
    this.controls.begin(name);
  }

  closeTalk() {
    byId("idle").hidden = false;
    byId("talk").hidden = true;
    if (this.membership.name) view("lobby");
  }

  // `sources`: what is sent from the beginning ("microphone", "camera").
  async start({ name, sources }) {
    if (this.current) return;
    this.closeTalk();
    const call = (this.current = { name, outgoing: true });
    this.openTalk(name);
    this.setPhase("calling");
    byId("log").focus(); // The button that was pressed goes.
    if (sources.length > 0 && !(await this.prepare(call, sources))) return;
    try {
      const meta = sources.length > 0 ? { media: sources } : undefined;
      const answer = await this.signaling.request({ type: "call", to: name, meta });
      if (this.current !== call) {
        this.signaling.send({ type: "hangup", call: answer.call });
        return;
      }
      call.id = answer.call;
      call.polite = answer.polite;
      // They called us in the same moment: one call, already accepted.
      if (this.ringing.current?.call === answer.call) this.ringing.stop();
    } catch (error) {
      if (this.current !== call) return;
      const keys = { not_found: "not_here", too_many_calls: "called_by_many", bad_state: "call_exists", lost: "server_gone", timeout: "server_gone" };
      const why = Object.hasOwn(keys, error.code) ? about(name, keys[error.code]) : text("server_says", { message: error.message });
      this.end(why);
      notice(why, { kind: "error" });
    }
  }

  // Nobody is rung up for a call with video before there is some. False if the
  // call ends here.
  async prepare(call, sources) {
    showState("calling", text("waiting_for_permission"));
    call.preparing = true;
    const ready = await this.controls.switchOn(sources);
    if (this.current !== call) return false;
    if (!ready) {
      this.end(about(call.name, "not_called"));
      return false;
    }
    call.preparing = false;
    showState("calling", text("calling"));
    return true;
  }

  accept({ call: id, from, polite, sources }) {
    this.current = { id, name: from, polite, outgoing: false };
    this.openTalk(from);
    this.setPhase("connecting");
    this.signaling.send({ type: "accept", call: id });
    if (sources.length > 0) this.controls.switchOn(sources);
    byId("hangup").focus();
  }

  onAccepted(id) {
    const call = this.current;
    if (call && call.nextId === id) {
      call.id = id;
      call.lostId = call.nextId = undefined;
      call.peerLost = false;
      call.peer.signalingBack(this.signaling.iceServers);
      this.controls.draw();
      return;
    }
    if (call?.id !== id || call.peer) return;
    this.setPhase("connecting");
    const peer = new Peer({
      iceServers: this.signaling.iceServers,
      relayOnly: this.relayOnly,
      polite: call.polite,
      caller: !call.polite,
      signal: (message) => call.id && this.signaling.send({ type: "signal", call: call.id, ...message }),
      reachable: () => Boolean(call.id),
    });
    call.peer = peer;
    this.controls.media.attach(peer);
    call.transfers = new Transfers(peer);
    call.timer = setTimeout(() => this.current === call && call.phase === "connecting" && this.failed(), CONNECT_WITHIN);
    const on = (target, type, handle) => target.addEventListener(type, ({ detail }) => this.current === call && handle(detail));
    on(peer, "state", ({ state }) => this.onPeerState(state));
    on(peer, "control", () => {
      peer.send({ type: "hello", name: this.membership.name ?? "", agent: "kyuu-web/1", turns: true });
      call.number = new ShortNumber(peer.pc, peer.caller, (message) => peer.send(message));
      this.setPhase("connected");
      this.watchPath(call);
      // Who is at another button stays there.
      if ([document.body, byId("log"), byId("hangup")].includes(document.activeElement)) byId("message").focus();
    });
    on(peer, "control-message", (message) => this.onControl(message));
    on(call.transfers, "transfer", (transfer) =>
      this.conversation.file(transfer, {
        accept: () => call.transfers.accept(transfer),
        acceptAll: () => call.transfers.acceptAll(transfer),
        acceptInto: (which) => call.transfers.acceptInto(transfer, which),
        decline: () => call.transfers.decline(transfer),
        declineAll: () => call.transfers.declineAll(transfer),
        cancel: () => call.transfers.cancel(transfer),
      }),
    );
  }

  // -------------------------------------------------------------- its life

  onPeerState(state) {
    const call = this.current;
    const gone = call.peerLost && call.peer?.lost && this.signaling.up && !this.people.has(call.name);
    if (state === "connected" && call.peer.usable) this.setPhase("connected");
    else if (state === "unsteady" && gone) this.endAsGone();
    else if (state === "unsteady" && call.phase === "connected") this.setPhase("unsteady");
    else if (state === "failed") this.failed();
    else if (state === "closed") this.end(about(call.name, "connection_ended"), "failed");
  }

  failed() {
    this.report(this.current, "failed");
    this.end(about(this.current.name, this.relayOnly ? "no_connection_relay" : "no_connection"), "failed");
  }

  async watchPath(call) {
    while (this.current === call) {
      const path = await call.peer.path().catch(() => undefined);
      if (this.current !== call) return;
      if (path) {
        this.conversation.showPath(path, call.number?.value);
        byId("state").dataset.way = path.relayed ? "relayed" : "direct";
        this.report(call, path.relayed ? "relayed" : "direct", path.rtt);
        if (call.phase === "connected") {
          const key = `${path.relayed ? "connected_relayed" : "connected_directly"}${path.rtt === undefined ? "" : "_rtt"}`;
          const connected = text(key, { rtt: () => rttText(path.rtt) });
          if (byId("state").textContent !== String(connected)) showState("connected", connected);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  // For the server's metrics, once for each call.
  report(call, outcome, rtt) {
    if (!call.id || call.reported === call.id || !this.signaling.up) return;
    call.reported = call.id;
    this.signaling.send({ type: "report", call: call.id, outcome, ...(rtt !== undefined && { round_trip_ms: Math.round(rtt * 1000) }) });
  }

  onControl(message) {
    const call = this.current;
    if (call.transfers.handle(message) || this.controls.media.handle(message) || call.number?.handle(message)) return;
    if (message.type === "chat" && typeof message.text === "string") {
      this.conversation.message("peer", message.text, Number.isFinite(message.time) ? message.time : Date.now());
    } else if (message.type === "bye") {
      this.end(about(call.name, message.reason === "page" ? "page_closed" : "hung_up"), "done");
    }
  }

  // ---------------------------------------------------------------- its end

  onHangup({ call: id, reason }) {
    if (this.ringing.end(id)) return;
    const call = this.current;
    if (!call) return;
    if (call.crossing?.call === id) call.crossing = undefined;
    if (call.nextId === id) call.nextId = undefined;
    if (call.id !== id) return;
    if (reason === "peer_lost" && call.peer?.usable) {
      this.suspend(); // They lost the server, not us.
      call.peerLost = true;
      if (call.peer.lost) this.endAsGone();
      else this.continueCall();
      return;
    }
    const keys = { page: "page_closed", timeout: "no_answer", peer_left: "left", peer_lost: "lost_server", failed: "no_connection" };
    call.id = undefined;
    this.end(about(call.name, Object.hasOwn(keys, reason) ? keys[reason] : "hung_up"));
  }

  // `reason` is told to the other side, if there is one to tell.
  end(why, reason) {
    const ended = this.current;
    this.current = undefined;
    clearTimeout(ended.timer);
    const id = ended.id ?? ended.nextId;
    if (id && reason) this.signaling.send({ type: "hangup", call: id, reason });
    this.controls.end();
    ended.transfers?.fail();
    ended.peer?.close();
    this.people.setBusy(undefined);
    this.membership.show({ busy: false });
    this.conversation.note(why);
    showState("over", why);
    delete byId("state").dataset.way;
    this.conversation.showPath(undefined);
    showPanel(false);
    for (const button of ["attach", "message", "send"]) byId(button).disabled = true;
    put(byId("hangup-text"), text("close"));
    // They have called us meanwhile, and we them not after all.
    if (ended.preparing && ended.crossing) this.ringing.add(ended.crossing);
    this.ringing.next();
  }

  hangUp() {
    const call = this.current;
    if (!call) {
      this.closeTalk();
      return;
    }
    call.peer?.send({ type: "bye" });
    this.end(text("you_hung_up"), "hangup");
    if (call.phase === "calling") this.closeTalk();
  }

  // The person leaves the room; false if they think better of it.
  leave() {
    const call = this.current;
    if (call?.transfers?.active && !confirm(text("leave_files"))) return false;
    if (call) this.end(text("you_left"), "hangup");
    this.closeTalk();
    return true;
  }
}

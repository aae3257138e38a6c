// The page: joins, shows who is here, and carries one call at a time.

import { Conversation } from "./conversation.js";
import { byId } from "./elements.js";
import { bytesText, nextName, suggestName, visible } from "./format.js";
import { clearNotice, notice, serverStatus, stored } from "./notices.js";
import { paintAvatar, People } from "./people.js";
import { Peer } from "./peer.js";
import { Signaling } from "./signaling.js";
import { TabNames } from "./tabs.js";
import { Transfers } from "./transfer.js";

const parameters = new URLSearchParams(location.search);
const relayOnly = parameters.get("relay") === "1";
const room = parameters.get("room") ?? undefined;
const CONNECT_WITHIN = 45_000;
// An old connection of ours may hold the name until the server notices.
const NAME_HELD = 40_000;
const CHAT_BYTES = 8000;
const RINGING = 16; // Calls that wait behind the one that rings.

const people = new People();
const conversation = new Conversation();
let signaling;
let wanted; // The name under which we are, or want to be again.
let call; // {id, name, polite, outgoing, phase, peer, transfers}
let incoming; // {call, from, polite}: rings, in the dialog
const ringing = []; // Calls that came while it did.
let joinWhenUp; // The name that could not be joined because the server was away.
const tabs = new TabNames();
// Names of others reach the page's text only like this.
const shown = visible;
const tooLong = (text) => new TextEncoder().encode(text ?? "").length > 64;

// ------------------------------------------------------------------- join

function view(name) {
  document.body.dataset.view = name;
}

function joinFailed(name, error) {
  const texts = {
    name_taken: `The name “${name}” is taken. How about “${nextName(name)}”?`,
    other_tab: `Another tab of this browser is “${name}” already. How about “${nextName(name)}” here?`,
    invalid_name: tooLong(room)
      ? "The room's name in the address (?room=) cannot be used: at most 64 bytes."
      : "This name cannot be used: at most 64 bytes, and no blank at either end.",
    no_name: "A name is needed, so that others can call you.",
    room_full: "This room is full. Try again later.",
    server_full: "The server is full. Try again later.",
    lost: "The server cannot be reached at the moment. Trying again…",
    timeout: "The server cannot be reached at the moment. Trying again…",
  };
  byId("join-error").textContent = texts[error.code] ?? `The server says: ${error.message}`;
  byId("join-error").hidden = false;
  if (error.code === "name_taken" || error.code === "other_tab") byId("name").value = nextName(name);
  joinWhenUp = error.code === "lost" || error.code === "timeout" ? name : undefined;
  byId("name").focus();
  byId("name").select();
}

async function join(name) {
  const joined = await signaling.request({ type: "join", name, room, meta: { app: "kyuu", kind: "web" } });
  wanted = name;
  joinWhenUp = undefined;
  tabs.hold(name, room);
  stored(localStorage, "kyuu-name", name);
  stored(sessionStorage, "kyuu-joined", name);
  byId("my-name").textContent = visible(name);
  byId("leave").hidden = false;
  byId("join-error").hidden = true;
  paintAvatar(byId("radar-me"), name);
  document.title = `${visible(name)} · kyuu`;
  let { peers, more } = joined;
  people.reset(peers);
  if (document.body.dataset.view === "join") view("lobby");
  while (more && peers.length > 0) {
    ({ peers, more } = await signaling.request({ type: "list", after: peers[peers.length - 1].name }));
    for (const peer of peers) people.apply({ change: "joined", peer });
  }
}

byId("join-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = byId("name").value.trim();
  if (!name) {
    joinFailed(name, { code: "no_name" });
    return;
  }
  byId("join-button").disabled = true;
  try {
    await join(name);
  } catch (error) {
    joinFailed(name, error);
  }
  byId("join-button").disabled = false;
});

byId("suggest").addEventListener("click", () => {
  byId("name").value = suggestName();
  byId("name").focus();
});

byId("leave").addEventListener("click", async () => {
  if (call?.transfers?.active && !confirm("Files are under way. Leave all the same?")) return;
  if (call) endCall("You left", "hangup");
  closeTalk();
  wanted = undefined;
  tabs.release();
  stored(sessionStorage, "kyuu-joined", null);
  byId("leave").hidden = true;
  document.title = "kyuu";
  view("join");
  byId("name").focus();
  try {
    await signaling.request({ type: "leave" });
  } catch {
    // The server forgets us when the connection ends, too.
  }
});

// -------------------------------------------------------------- signaling

// After the server was lost: back under the same name, though an old
// connection may still hold it for a while.
async function rejoin(since = Date.now()) {
  const name = wanted;
  if (!name || !signaling.up) return;
  try {
    await join(name);
    clearNotice("server");
  } catch (error) {
    if (wanted !== name || error.code === "lost") return;
    if (error.code === "name_taken" && Date.now() - since < NAME_HELD) {
      notice("Your old connection still holds your name. Trying again…", { kind: "server" });
      setTimeout(() => rejoin(since), 3000);
      return;
    }
    wanted = undefined;
    clearNotice("server");
    byId("name").value = name;
    view("join");
    joinFailed(name, error);
  }
}

// What the server knew of us is gone.
function forgetServer() {
  ringing.length = 0;
  if (incoming) closeIncoming();
  if (call && call.phase !== "connected") endCall("The connection to the server is lost");
  else if (call) call.id = undefined; // The two go on without the server.
}

function lostServer(retryAt, kept) {
  serverStatus("offline", "Offline");
  people.setAway(true);
  if (!kept) forgetServer();
  const tell = () => {
    if (signaling.up) return;
    const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    notice(`The connection to the server is lost. ${seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again…"}`, {
      kind: "server",
      action: "Try now",
      onaction: () => signaling.retryNow(),
    });
    clearTimeout(lostServer.timer);
    lostServer.timer = setTimeout(tell, 1000);
  };
  tell();
}

function startSignaling() {
  const url = new URL("/v1/ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  signaling = new Signaling(url.href);
  const on = (type, handle) => signaling.addEventListener(type, ({ detail }) => handle(detail));
  on("up", ({ resume }) => {
    clearTimeout(lostServer.timer);
    clearNotice("server");
    serverStatus("online", "Online");
    people.setAway(false);
    if (!resume?.resumed) onUp();
  });
  on("down", ({ retryAt, kept }) => lostServer(retryAt, kept));
  on("gone", forgetServer);
  on("presence", (message) => people.apply(message));
  on("incoming", onIncoming);
  on("accepted", (message) => onAccepted(message.call));
  on("rejected", ({ call: id, reason }) => {
    if (call?.id === id) endCall(reason === "busy" ? `${shown(call.name)} is in another call` : `${shown(call.name)} declined`);
  });
  on("ice_servers", () => call?.peer?.useServers(signaling.iceServers));
  on("hangup", onHangup);
  on("signal", (message) => {
    if (call?.id === message.call) call.peer?.receive(message);
  });
  on("error", ({ code, message, call: id }) => {
    if (code === "unknown_call" || (code === "bad_state" && id !== call?.id)) return; // Crossed with an ending.
    notice(`The server says: ${message}`, { kind: "error" });
  });
}

async function onUp() {
  // A relay's credentials may be new; a call that goes on needs them before it
  // looks for another way.
  call?.peer?.useServers(signaling.iceServers);
  const before = stored(sessionStorage, "kyuu-joined");
  if (!wanted && before && document.body.dataset.view === "join") {
    // A tab that was duplicated remembers the name of the first one.
    if (await tabs.heldElsewhere(before, room)) {
      stored(sessionStorage, "kyuu-joined", null);
      byId("name").value = before;
      joinFailed(before, { code: "other_tab" });
      return;
    }
    wanted = before;
  }
  if (!wanted && joinWhenUp) {
    wanted = joinWhenUp;
    byId("join-error").hidden = true;
  }
  rejoin();
}

// ------------------------------------------------------------------ calls

const STATE_TEXT = {
  calling: "Calling…",
  connecting: "Connecting…",
  unsteady: "Connection is unsteady, trying to mend it…",
  connected: "Connected",
};

function setPhase(phase, text) {
  call.phase = phase;
  showState(phase, text ?? STATE_TEXT[phase]);
  people.setBusy(call.name, phase);
  const usable = phase === "connected" || phase === "unsteady";
  for (const id of ["attach", "message", "send"]) byId(id).disabled = !usable;
  byId("hangup-text").textContent = phase === "calling" ? "Cancel" : "Hang up";
}

function showState(state, text) {
  byId("state").dataset.state = state;
  byId("state").textContent = text;
}

function openTalk(name) {
  conversation.clear();
  byId("idle").hidden = true;
  byId("talk").hidden = false;
  byId("peer-name").textContent = visible(name);
  paintAvatar(byId("peer-avatar"), name);
  view("talk");
}

function closeTalk() {
  byId("idle").hidden = false;
  byId("talk").hidden = true;
  if (wanted) view("lobby");
}

people.addEventListener("call", async ({ detail: name }) => {
  if (call) return;
  closeTalk();
  call = { name, outgoing: true };
  const mine = call;
  openTalk(name);
  setPhase("calling");
  try {
    const answer = await signaling.request({ type: "call", to: name });
    if (call !== mine) {
      signaling.send({ type: "hangup", call: answer.call });
      return;
    }
    call.id = answer.call;
    call.polite = answer.polite;
    // They called us in the same moment: one call, already accepted.
    if (incoming?.call === answer.call) closeIncoming();
  } catch (error) {
    if (call !== mine) return;
    const texts = {
      not_found: `${shown(name)} is not here any more.`,
      too_many_calls: `${shown(name)} is called by too many others at the moment.`,
      bad_state: `There is a call with ${shown(name)} already, perhaps in another window.`,
    };
    endCall(texts[error.code] ?? error.message);
    notice(texts[error.code] ?? error.message, { kind: "error" });
  }
});

function onIncoming(message) {
  if (call?.name === message.from && call.outgoing && !call.id) return; // Glare: our answer is under way.
  if (call) {
    missed(message.from);
    signaling.send({ type: "reject", call: message.call, reason: "busy" });
    return;
  }
  // One rings at a time; the others wait for their turn, and so do their callers.
  if (incoming) {
    if (ringing.length < RINGING) ringing.push(message);
    else signaling.send({ type: "reject", call: message.call, reason: "busy" });
    return;
  }
  ring(message);
}

function ring(message) {
  incoming = message;
  byId("incoming-name").textContent = visible(message.from);
  paintAvatar(byId("incoming-avatar"), message.from);
  byId("incoming").showModal();
  document.title = `${visible(message.from)} is calling · kyuu`;
}

function missed(name) {
  people.dispatchEvent(new CustomEvent("missed", { detail: name }));
  const text = `You missed a call from ${shown(name)}.`;
  notice(text);
  if (call) conversation.note(text);
}

function closeIncoming() {
  incoming = undefined;
  if (byId("incoming").open) byId("incoming").close();
  document.title = wanted ? `${visible(wanted)} · kyuu` : "kyuu";
}

// The next of those that wait; who called while another call was taken learns
// that.
function ringNext() {
  if (incoming) return;
  if (call) {
    for (const { call: id, from } of ringing.splice(0)) {
      missed(from);
      signaling.send({ type: "reject", call: id, reason: "busy" });
    }
    return;
  }
  const next = ringing.shift();
  if (next) ring(next);
}

function answer(accepted) {
  if (!incoming) return;
  const { call: id, from, polite } = incoming;
  closeIncoming();
  if (!accepted) {
    signaling.send({ type: "reject", call: id, reason: "declined" });
    ringNext();
    return;
  }
  call = { id, name: from, polite, outgoing: false };
  openTalk(from);
  setPhase("connecting");
  signaling.send({ type: "accept", call: id });
  ringNext();
  byId("hangup").focus();
}

byId("accept").addEventListener("click", () => answer(true));
byId("decline").addEventListener("click", () => answer(false));
byId("incoming").addEventListener("cancel", (event) => {
  event.preventDefault();
  answer(false);
});

function onHangup({ call: id, reason }) {
  const waiting = ringing.findIndex((other) => other.call === id);
  if (waiting >= 0) {
    missed(ringing.splice(waiting, 1)[0].from);
    return;
  }
  if (incoming?.call === id) {
    const { from } = incoming;
    closeIncoming();
    missed(from);
    ringNext();
    return;
  }
  if (call?.id !== id) return;
  if (reason === "peer_lost" && call.peer?.usable) {
    call.id = undefined; // They lost the server, not us.
    return;
  }
  const texts = {
    timeout: `${shown(call.name)} did not answer`,
    peer_left: `${shown(call.name)} left`,
    peer_lost: `${shown(call.name)} lost the connection to the server`,
    failed: `No connection to ${shown(call.name)} could be made`,
  };
  call.id = undefined;
  endCall(texts[reason] ?? `${shown(call.name)} hung up`);
}

function onAccepted(id) {
  if (call?.id !== id || call.peer) return;
  setPhase("connecting");
  const mine = call;
  const peer = new Peer({
    iceServers: signaling.iceServers,
    relayOnly,
    polite: call.polite,
    caller: !call.polite,
    signal: (message) => mine.id && signaling.send({ type: "signal", call: mine.id, ...message }),
  });
  call.peer = peer;
  call.transfers = new Transfers(peer);
  call.timer = setTimeout(() => call === mine && mine.phase === "connecting" && failed(), CONNECT_WITHIN);
  const on = (target, type, handle) => target.addEventListener(type, ({ detail }) => call === mine && handle(detail));
  on(peer, "state", ({ state }) => onPeerState(state));
  on(peer, "control", () => {
    peer.send({ type: "hello", name: wanted ?? "", agent: "kyuu-web/1" });
    setPhase("connected");
    watchPath(mine);
    byId("message").focus();
  });
  on(peer, "control-message", (message) => onControl(message));
  on(call.transfers, "transfer", (transfer) =>
    conversation.file(transfer, {
      accept: () => mine.transfers.accept(transfer),
      acceptAll: () => mine.transfers.acceptAll(transfer),
      decline: () => mine.transfers.decline(transfer),
      declineAll: () => mine.transfers.declineAll(transfer),
      cancel: () => mine.transfers.cancel(transfer),
    }),
  );
}

function onPeerState(state) {
  if (state === "connected" && call.peer.usable) setPhase("connected");
  else if (state === "unsteady" && call.phase === "connected") setPhase("unsteady");
  else if (state === "failed") failed();
  else if (state === "closed") endCall(call.saidBye ? `${shown(call.name)} hung up` : `The connection to ${shown(call.name)} ended`, call.saidBye ? "done" : "failed");
}

function failed() {
  endCall(`No connection to ${shown(call.name)} could be made${relayOnly ? " through the relay" : ""}.`, "failed");
}

async function watchPath(mine) {
  while (call === mine) {
    const path = await mine.peer.path().catch(() => undefined);
    if (call !== mine) return;
    if (path) {
      conversation.showPath(path);
      byId("state").dataset.way = path.relayed ? "relayed" : "direct";
      if (mine.phase === "connected") {
        const rtt = path.rtt === undefined ? "" : ` · ${(path.rtt * 1000).toFixed(path.rtt < 0.01 ? 1 : 0)} ms`;
        const text = `${path.relayed ? "Connected through the relay" : "Connected directly"}${rtt}`;
        if (byId("state").textContent !== text) showState("connected", text);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

function onControl(message) {
  if (call.transfers.handle(message)) return;
  if (message.type === "chat" && typeof message.text === "string") {
    conversation.message("peer", message.text, Number.isFinite(message.time) ? message.time : Date.now());
  } else if (message.type === "bye") {
    call.saidBye = true;
    endCall(`${shown(call.name)} ${message.reason === "page" ? "closed or reloaded the page" : "hung up"}`, "done");
  }
}

// Ends the call; `reason` is told to the other side, if there is one to tell.
function endCall(text, reason) {
  const ended = call;
  call = undefined;
  clearTimeout(ended.timer);
  if (ended.id && reason) signaling.send({ type: "hangup", call: ended.id, reason });
  ended.transfers?.fail();
  ended.peer?.close();
  people.setBusy(undefined);
  conversation.note(text);
  showState("over", text);
  delete byId("state").dataset.way;
  conversation.showPath(undefined);
  showPanel(false);
  for (const id of ["attach", "message", "send"]) byId(id).disabled = true;
  byId("hangup-text").textContent = "Close";
  ringNext();
}

byId("hangup").addEventListener("click", () => {
  if (!call) {
    closeTalk();
    return;
  }
  call.peer?.send({ type: "bye" });
  const ringing = call.phase === "calling";
  endCall("You hung up", "hangup");
  if (ringing) closeTalk();
});

function showPanel(open) {
  byId("panel").hidden = !open;
  byId("panel-toggle").setAttribute("aria-expanded", String(open));
}
byId("panel-toggle").addEventListener("click", () => showPanel(byId("panel").hidden));

// --------------------------------------------------------- chat and files

// Cuts a text into pieces that the protocol allows.
function* pieces(text) {
  const size = (piece) => new TextEncoder().encode(piece).length;
  let rest = Array.from(text);
  while (rest.length > 0) {
    let take = Math.min(rest.length, CHAT_BYTES);
    while (size(rest.slice(0, take).join("")) > CHAT_BYTES) take = Math.floor(take / 2);
    yield rest.slice(0, take).join("");
    rest = rest.slice(take);
  }
}

byId("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("message").value.trim();
  if (!text || !call?.peer) return;
  for (const piece of pieces(text)) {
    const time = Date.now();
    if (!call.peer.send({ type: "chat", text: piece, time })) return;
    conversation.message("me", piece, time);
  }
  byId("message").value = "";
});

function sendFiles(files) {
  if (!call?.peer?.usable) return;
  if (files.length > 0) call.transfers.offerAll(files);
}

byId("attach").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", () => {
  sendFiles([...byId("files").files]);
  byId("files").value = "";
});
addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length > 0) sendFiles([...event.clipboardData.files]);
});

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
let dragging = 0;
const showDrop = (show) => (byId("drop").hidden = !(show && call?.peer?.usable));
addEventListener("dragenter", (event) => carriesFiles(event) && showDrop(++dragging > 0));
addEventListener("dragleave", (event) => carriesFiles(event) && showDrop(--dragging > 0));
addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  dragging = 0;
  showDrop(false);
  sendFiles([...event.dataTransfer.files]);
});

addEventListener("beforeunload", (event) => {
  if (call?.transfers?.active) event.preventDefault();
});
addEventListener("pagehide", () => {
  call?.peer?.send({ type: "bye", reason: "page" });
  if (call?.id) signaling.send({ type: "hangup", call: call.id, reason: "hangup" });
});

byId("notice-close").addEventListener("click", () => clearNotice());
byId("relay-only").hidden = !relayOnly;
// "localhost" is another machine for everybody else.
if (/^(localhost|127\.|\[::1\])/.test(location.hostname)) {
  byId("empty").textContent = "Nobody else yet. Open this page in another window: who is there appears here at once. (At this address only this machine can open it.)";
}
byId("name").value = parameters.get("name") ?? stored(localStorage, "kyuu-name") ?? suggestName();
if (!globalThis.RTCPeerConnection) notice("This browser cannot make peer connections.", { kind: "error" });
byId("attach").title = `Send files (also by dropping them here; of any size, ${bytesText(1e9)} and more)`;
byId("name").focus();
startSignaling();

// The page: joins, shows who is here, and carries one call at a time. Here its
// parts are put together, and the state of the server is told.

import { Calls } from "./calls.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { byId } from "./elements.js";
import { durationText } from "./format.js";
import { keepPage, maybeKept } from "./installation.js";
import { Invitation } from "./invitation.js";
import { Kept } from "./kept.js";
import { Membership } from "./join.js";
import { NetworkCheck } from "./network_check.js";
import { clearNotice, notice, serverStatus, stored } from "./notices.js";
import { People } from "./people.js";
import { Signaling, whyRefused } from "./signaling.js";
import { showSnippets } from "./snippets.js";
import { offerLanguages, put, text } from "./texts.js";

offerLanguages(byId("language"));
const parameters = new URLSearchParams(location.search);
const relayOnly = parameters.get("relay") === "1";

const people = new People();
const conversation = new Conversation();
// Behind "#", which browsers send to no server.
const signaling = new Signaling({ token: new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined });
signaling.addEventListener("presence", ({ detail }) => people.apply(detail));
const membership = new Membership({ signaling, people, room: parameters.get("room") ?? undefined, name: parameters.get("name") ?? undefined });
const calls = new Calls({ signaling, membership, people, conversation, relayOnly });
new Composer(calls, conversation);
new Kept();
new NetworkCheck(signaling);
new Invitation();
showSnippets();

// For this tab when it is loaded anew; in another room the names are others'.
const BLOCKED = `kyuu-blocked ${JSON.stringify([location.pathname, parameters.get("room") ?? ""])}`;

function setBlocked(name, blocked) {
  people.setBlocked(name, blocked);
  stored(sessionStorage, BLOCKED, people.blocked.size > 0 ? JSON.stringify([...people.blocked]) : null);
}

try {
  for (const name of JSON.parse(stored(sessionStorage, BLOCKED) ?? "[]")) people.setBlocked(String(name), true);
} catch {
  stored(sessionStorage, BLOCKED, null); // Not by us.
}

people.addEventListener("block", async ({ detail: { name, type } }) => {
  try {
    await signaling.request({ type, name });
    setBlocked(name, type === "block");
  } catch (error) {
    notice(text("server_says", { message: error.message }), { kind: "error" });
  }
});
// A session that has begun anew knows of none.
membership.addEventListener("joined", () => {
  for (const name of people.blocked) signaling.request({ type: "block", name }).catch(() => setBlocked(name, false));
});
membership.addEventListener("left", () => {
  for (const name of people.blocked) setBlocked(name, false);
});
membership.addEventListener("leaving", (event) => {
  if (!calls.leave()) event.preventDefault();
});

// ------------------------------------------------------ the server's state

let countdown;
let known = false; // It was up once.
let toldOfWay = false; // That there are no WebSockets.

async function tellLost(retryAt, refused) {
  const action = { kind: "server", action: text("try_now"), onaction: () => signaling.retryNow() };
  // A server that was never reached may be there and refuse us.
  const refusal = refused ? text("server_refuses_you", { reason: refused }) : known ? undefined : await whyRefused();
  const tell = () => {
    if (signaling.up) return;
    const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    const key = known || !maybeKept() ? "server_lost" : "server_never";
    const lost = seconds > 0 ? text(`${key}_again`, { time: () => durationText(seconds) }) : text(key);
    notice(refusal ?? lost, action);
    clearTimeout(countdown);
    countdown = setTimeout(tell, 1000);
  };
  tell();
}

signaling.addEventListener("up", ({ detail: { resume } }) => {
  if (!known) keepPage(); // A page that was opened without the server learns of a new one.
  known = true;
  clearTimeout(countdown);
  clearNotice("server");
  serverStatus("online", text(signaling.withoutSockets ? "online_without_sockets" : "online"));
  if (signaling.withoutSockets && !toldOfWay) notice(text("server_without_sockets"));
  toldOfWay = signaling.withoutSockets;
  people.setAway(false);
  if (!resume?.resumed) membership.begin();
});
signaling.addEventListener("down", ({ detail: { retryAt, refusal } }) => {
  serverStatus("offline", text("offline"));
  people.setAway(true);
  tellLost(retryAt, refusal);
});

byId("notice-close").addEventListener("click", () => clearNotice());
byId("relay-only").hidden = !relayOnly;
// "localhost" is another machine for everybody else.
if (/^(localhost|127\.|\[::1\])/.test(location.hostname)) {
  put(byId("empty"), text("people_none_local"));
}
stored(sessionStorage, "kyuu-loads", null); // All scripts have come (index.html).
if (!globalThis.RTCPeerConnection) notice(text("no_peer_connections"), { kind: "error" });
signaling.open();

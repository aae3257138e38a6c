// kyuu's signaling protocol (docs/signaling_protocol.md) over a WebSocket, or
// what stands for one, that comes back by itself.

import { EventStream } from "./event_stream.js";
import { text as textOf } from "./texts.js";

const PING_EVERY = 15_000; // Browsers cannot send WebSocket pings.
const ANSWER_WITHIN = 10_000;
const RETRY_MAX = 30_000;
const RETURN_MAX = 3_600_000; // Nobody is sent away for longer.
const ACKNOWLEDGE_EVERY = 16;
const KEPT_MAX = 1000; // Messages that the server has not acknowledged.
const SUBPROTOCOL = "kyuu.v1";
const CLOSE_RETURNING = 4000; // Not a goodbye: the session is to wait for us.
const TRIES_OF_A_WAY = 2;
const UPGRADE_REQUIRED = 426; // What it says where it would take a WebSocket.

// Beside the page, wherever a proxy has put it.
const ENDPOINT = new URL("v1/ws", document.baseURI);

export class RequestError extends Error {
  constructor(code, message, call) {
    super(message);
    this.code = code;
    this.call = call;
  }
}

// open() once begins; then it goes on by itself. `token` lets in where the
// server asks who comes. Where no WebSocket gets through it goes on without
// (`withoutSockets`), until the page is opened anew.
//
// Events: "up" (welcome has come, `detail` is it; if its resume.resumed, all
// goes on as it was), "down" ({retryAt, kept, refusal}: whether the session may
// go on, and why the server does not let us in, if it does not),
// "gone" (a session that was kept does not go on: the room is left, and calls
// are over for the server), and each message of the server that answers
// nothing, by its type.
export class Signaling extends EventTarget {
  constructor({ token } = {}) {
    super();
    this.token = token;
    this.url = new URL(ENDPOINT);
    this.url.protocol = ENDPOINT.protocol === "https:" ? "wss:" : "ws:";
    this.iceServers = [];
    this.pending = new Map();
    this.nextId = 1;
    this.failures = 0;
    this.unopened = 0; // Tries in a row of the way of now that were in vain.
    this.withoutSockets = false;
    this.up = false;
    this.begin({});
    // A phone that wakes up, or a network that is back: try at once.
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retryNow();
    });
  }

  // A session as `welcome` tells it; what either side says is numbered.
  begin({ session, resume }) {
    clearTimeout(this.graceTimer);
    this.session = session;
    this.secret = resume?.secret; // None if the server cannot resume.
    this.grace = (resume?.grace_s ?? 0) * 1000;
    this.received = 0;
    this.acknowledged = 0;
    this.kept = []; // Sent, and not acknowledged.
    this.forgotten = 0; // Messages sent before those.
  }

  // Goes on with the session, or begins a new one.
  welcome(message) {
    this.failures = 0;
    this.refusal = undefined;
    clearTimeout(this.graceTimer);
    if (message.resume?.resumed) {
      this.acknowledged = this.received;
      this.delivered(message.resume.received);
      for (const text of this.kept) this.socket.send(text);
    } else {
      if (this.secret) this.gone();
      this.begin(message);
    }
    this.up = true;
    this.iceServers = message.ice_servers;
    this.schedulePing();
    this.emit("up", message);
  }

  // All messages up to that number have arrived.
  delivered(number) {
    this.kept.splice(0, number - this.forgotten);
    this.forgotten = Math.max(this.forgotten, number);
  }

  gone() {
    this.secret = undefined;
    this.rejectAll();
    this.emit("gone");
  }

  rejectAll() {
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(new RequestError("lost", "The connection to the server is lost."));
    }
    this.pending.clear();
  }

  open() {
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
    const socket = this.withoutSockets ? new EventStream(document.baseURI) : new WebSocket(this.url.href, SUBPROTOCOL);
    this.socket = socket;
    let opened = false;
    const giveUp = setTimeout(() => socket.close(CLOSE_RETURNING), ANSWER_WITHIN);
    socket.onopen = () => {
      opened = true;
      this.unopened = 0;
      const resume = this.secret ? { session: this.session, secret: this.secret, received: this.received } : {};
      socket.send(JSON.stringify({ type: "hello", version: 1, client: "kyuu-web/1", token: this.token, resume }));
    };
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      const message = parsed(event.data);
      if (this.up) {
        this.count();
        if (message) this.receive(message);
      } else if (message?.type === "welcome") {
        clearTimeout(giveUp);
        this.welcome(message);
      } else {
        // As a person is told why his token does not let him in.
        if (message?.type === "error") this.refusal = message.message;
        socket.close(CLOSE_RETURNING);
      }
    };
    socket.onclose = () => {
      clearTimeout(giveUp);
      if (this.socket !== socket) return;
      this.lost();
      if (!opened) this.tryOtherWay();
    };
  }

  // Two tries were in vain, and the server itself says that it would take them:
  // something between lets them not through. There is one other way.
  async tryOtherWay() {
    if (++this.unopened < TRIES_OF_A_WAY || (await answerOfServer())?.status !== UPGRADE_REQUIRED) return;
    this.unopened = 0;
    this.withoutSockets = !this.withoutSockets;
    this.retryNow();
  }

  lost() {
    clearTimeout(this.pingTimer);
    clearTimeout(this.leaveTimer);
    this.socket = undefined;
    const wasUp = this.up;
    this.up = false;
    const kept = this.secret !== undefined;
    if (!kept) this.rejectAll();
    else if (wasUp) this.graceTimer = setTimeout(() => this.gone(), this.grace);
    const delay = this.returnAt === undefined
      ? Math.min(RETRY_MAX, 1000 * 2 ** this.failures++) * (0.75 + Math.random() / 2)
      : Math.max(0, this.returnAt - Date.now());
    this.returnAt = undefined;
    this.retryTimer = setTimeout(() => this.open(), delay);
    this.emit("down", { retryAt: Date.now() + delay, kept, refusal: this.refusal });
  }

  // The server goes away: from then on we are at another one, or at it again.
  leaveIn(ms) {
    const delay = Math.min(Math.max(0, Number(ms) || 0), RETURN_MAX);
    this.returnAt = Date.now() + delay;
    clearTimeout(this.leaveTimer);
    this.leaveTimer = setTimeout(() => this.giveUp(), delay);
  }

  // A socket that is not there any more may take minutes to close.
  giveUp() {
    const socket = this.socket;
    if (!socket) return;
    socket.onclose = null;
    socket.close(CLOSE_RETURNING);
    this.lost();
  }

  retryNow() {
    if (this.retryTimer !== undefined) this.open();
  }

  schedulePing() {
    clearTimeout(this.pingTimer);
    this.pingTimer = setTimeout(async () => {
      const socket = this.socket;
      try {
        await this.request({ type: "ping" });
        this.schedulePing();
      } catch {
        if (this.socket === socket) this.giveUp();
      }
    }, PING_EVERY);
  }

  // One more message behind `welcome` has come.
  count() {
    this.received += 1;
    if (!this.secret || this.received < this.acknowledged + ACKNOWLEDGE_EVERY) return;
    this.acknowledged = this.received;
    this.send({ type: "ack", received: this.received });
  }

  receive(message) {
    if (message.type === "ack") {
      this.delivered(message.received);
      return;
    }
    if (message.type === "ice_servers") this.iceServers = message.ice_servers;
    if (message.type === "drain") {
      this.leaveIn(message.retry_after_ms);
      return;
    }
    const waiting = this.pending.get(message.id);
    if (!waiting) {
      this.emit(message.type, message);
      return;
    }
    this.pending.delete(message.id);
    clearTimeout(waiting.timer);
    if (message.type === "error") {
      waiting.reject(new RequestError(message.code, message.message, message.call));
    } else {
      waiting.resolve(message);
    }
  }

  // Sends a message that has an answer; rejects with a RequestError.
  request(message) {
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new RequestError("timeout", "The server does not answer."));
      }, ANSWER_WITHIN);
      this.pending.set(id, { resolve, reject, timer });
      if (!this.send({ ...message, id })) {
        clearTimeout(timer);
        this.pending.delete(id);
        reject(new RequestError("lost", "The connection to the server is lost."));
      }
    });
  }

  // Sends a message that has none, at once or when the session goes on; false
  // if there is neither.
  send(message) {
    const text = JSON.stringify(message);
    if (this.secret) {
      if (this.kept.length >= KEPT_MAX) return false;
      this.kept.push(text);
    }
    const open = this.up && this.socket?.readyState === WebSocket.OPEN;
    if (open) this.socket.send(text);
    return open || this.secret !== undefined;
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// The message of the server; undefined for what is none.
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// A browser does not tell a page what its WebSocket was answered; another
// request, with the same Origin, can be read. undefined if nobody answers.
async function answerOfServer() {
  try {
    return await fetch(ENDPOINT, { method: "POST", signal: AbortSignal.timeout(ANSWER_WITHIN) });
  } catch {
    return undefined;
  }
}

// Why no WebSocket can be opened here, for a person; undefined if nobody
// answers at all.
export async function whyRefused() {
  const answer = await answerOfServer();
  if (!answer) return undefined;
  const reason = (await answer.text().catch(() => "")).trim().slice(0, 300);
  switch (answer.status) {
    case 403:
    case 421:
      return textOf("server_refuses_page", { reason });
    case UPGRADE_REQUIRED:
      return textOf("server_no_upgrade");
    case 404:
      return textOf("server_not_found", { path: ENDPOINT.pathname });
    default:
      return textOf(reason ? "server_unusable_why" : "server_unusable", { status: String(answer.status), reason });
  }
}

// kyuu's signaling protocol (docs/signaling_protocol.md) over a WebSocket that
// comes back by itself.

const PING_EVERY = 15_000; // Browsers cannot send WebSocket pings.
const ANSWER_WITHIN = 10_000;
const RETRY_MAX = 30_000;

export class RequestError extends Error {
  constructor(code, message, call) {
    super(message);
    this.code = code;
    this.call = call;
  }
}

// Events: "up" (welcome has come, `detail` is it), "down" ({retryAt}), and
// each message of the server that answers nothing, by its type.
export class Signaling extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.iceServers = [];
    this.pending = new Map();
    this.nextId = 1;
    this.failures = 0;
    this.up = false;
    this.open();
    // A phone that wakes up, or a network that is back: try at once.
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retryNow();
    });
  }

  open() {
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
    const socket = new WebSocket(this.url, "kyuu.v1");
    this.socket = socket;
    const giveUp = setTimeout(() => socket.close(), ANSWER_WITHIN);
    socket.onopen = async () => {
      try {
        const welcome = await this.request({ type: "hello", version: 1, client: "kyuu-web/1" });
        clearTimeout(giveUp);
        this.failures = 0;
        this.up = true;
        this.iceServers = welcome.ice_servers;
        this.schedulePing();
        this.emit("up", welcome);
      } catch {
        socket.close();
      }
    };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => {
      clearTimeout(giveUp);
      if (this.socket === socket) this.lost();
    };
  }

  lost() {
    clearTimeout(this.pingTimer);
    this.socket = undefined;
    this.up = false;
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(new RequestError("lost", "The connection to the server is lost."));
    }
    this.pending.clear();
    const delay = Math.min(RETRY_MAX, 1000 * 2 ** this.failures++) * (0.75 + Math.random() / 2);
    this.retryTimer = setTimeout(() => this.open(), delay);
    this.emit("down", { retryAt: Date.now() + delay });
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
        // A socket that is not there any more may take minutes to close.
        if (socket && this.socket === socket) {
          socket.onclose = null;
          socket.close();
          this.lost();
        }
      }
    }, PING_EVERY);
  }

  receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.type === "ice_servers") this.iceServers = message.ice_servers;
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

  // Sends a message that has none; false if there is no connection.
  send(message) {
    if (!this.socket || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// What a WebSocket is to the signaling protocol, by ordinary requests, for
// networks that let no WebSocket through (docs/signaling_protocol.md, "Without
// WebSockets"): the server's messages are an endless answer, ours are posts. It
// has the part of WebSocket's interface that signaling.js uses.

const BODY_MAX = 60_000; // Bytes; the server takes 65536.
const MESSAGES_MAX = 200;
const KEEPALIVE_MAX = 16_000; // Browsers let 64 KiB in all outlive a page.
const ANSWER_WITHIN = 10_000;
const TRIES = 4; // Of a post, with pauses of 0.5, 1 and 2 s.
const CLOSE_GOING_AWAY = 1001;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const bytesOf = (text) => new TextEncoder().encode(text).length;

export class EventStream {
  // `base` is the folder of the page.
  constructor(base) {
    this.address = new URL("v1/messages", base);
    this.readyState = WebSocket.CONNECTING;
    this.waiting = [];
    this.posts = 0;
    this.source = new EventSource(new URL("v1/events", base));
    this.source.addEventListener("stream", ({ data }) => {
      this.name = data;
      this.readyState = WebSocket.OPEN;
      this.onopen?.();
    });
    this.source.onmessage = (event) => this.onmessage?.(event);
    // Timers of a page that nobody sees are late; events are not.
    this.source.addEventListener("ping", () => this.send());
    this.source.addEventListener("close", () => this.end());
    // Otherwise it would open another one by itself, which has another name.
    this.source.onerror = () => this.end();
    this.goodbye = () => this.close(CLOSE_GOING_AWAY);
    addEventListener("pagehide", this.goodbye);
  }

  // Without a text: a sign of life.
  send(text) {
    if (text !== undefined) this.waiting.push(text);
    this.due = true;
    if (!this.posting) this.post();
  }

  // The page may be gone before a post that is under way has arrived, and the
  // goodbye behind it would come too early: it is said in that one's place, too.
  close(code) {
    if (this.readyState === WebSocket.OPEN) {
      const rest = this.batch();
      if (this.underWay) {
        const { number, body, abort } = this.underWay;
        abort.abort();
        this.ask(number, [body, rest].filter(Boolean).join("\n"), code).catch(() => {});
      }
      this.ask(this.posts + 1, rest, code).catch(() => {});
    }
    this.end();
  }

  end() {
    if (this.readyState === WebSocket.CLOSED) return;
    this.readyState = WebSocket.CLOSED;
    removeEventListener("pagehide", this.goodbye);
    this.source.close();
    // As with a WebSocket, not while somebody is in the middle of a call of ours.
    setTimeout(() => this.onclose?.());
  }

  // One after the other: what comes by two connections may overtake.
  async post() {
    this.posting = true;
    while (this.due && this.readyState === WebSocket.OPEN) {
      this.due = false;
      const body = this.batch();
      this.due = this.waiting.length > 0;
      if (!(await this.insist(++this.posts, body))) this.end();
    }
    this.posting = false;
  }

  batch() {
    let bytes = 0;
    let count = 0;
    while (count < this.waiting.length && count < MESSAGES_MAX) {
      bytes += bytesOf(this.waiting[count]) + 1;
      if (count > 0 && bytes > BODY_MAX) break;
      count += 1;
    }
    return this.waiting.splice(0, count).join("\n");
  }

  // A post that was not answered may have arrived: the server knows it by its
  // number. False if the stream is of no more use.
  async insist(number, body) {
    for (let i = 0; i < TRIES && this.readyState === WebSocket.OPEN; i++) {
      if (i > 0) await sleep(250 * 2 ** i);
      try {
        this.underWay = { number, body, abort: new AbortController() };
        const { status } = await this.ask(number, body, undefined, this.underWay.abort);
        if (status < 500) return status < 300;
      } catch {
        // Nobody answers.
      } finally {
        this.underWay = undefined;
      }
    }
    return false;
  }

  async ask(number, body, close, abort = new AbortController()) {
    const headers = { "Content-Type": "application/x-ndjson", "Kyuu-Stream": this.name, "Kyuu-Post": String(number) };
    if (close) headers["Kyuu-Close"] = String(close);
    const timer = setTimeout(() => abort.abort(), ANSWER_WITHIN);
    try {
      return await fetch(this.address, { method: "POST", headers, body, keepalive: body.length < KEEPALIVE_MAX, signal: abort.signal });
    } finally {
      clearTimeout(timer);
    }
  }
}

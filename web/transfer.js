// Files over data channels, by docs/application_protocol.md.

import { Rate } from "./format.js";
import { Sha256 } from "./sha256.js";

const CHUNK = 65536; // The most that the protocol allows...
const READ = 1024 * 1024; // ...cut from pieces of the file of this size.
const QUEUE_HIGH = 1024 * 1024;
const QUEUE_LOW = 256 * 1024;
const MAX_OFFERS = 64;
const SPOOL = 8 * 1024 * 1024; // Received bytes held before they become a Blob.

// One file, either direction. `state`: "offered", "queued", "active",
// "checking", "done", "declined", "cancelled", "failed". "change" tells of
// every change; `text` says why it failed.
class Transfer extends EventTarget {
  constructor(direction, id, name, size, mime) {
    super();
    Object.assign(this, { direction, id, name, size, mime: mime ?? "" });
    this.state = "offered";
    this.text = "";
    this.moved = 0;
    this.rate = new Rate();
    this.sha256 = "";
  }
  get over() {
    return ["done", "declined", "cancelled", "failed"].includes(this.state);
  }
  get secondsLeft() {
    return this.rate.perSecond > 0 ? (this.size - this.moved) / this.rate.perSecond : Infinity;
  }
  set(state, text = "") {
    if (this.over) return;
    this.state = state;
    this.text = text;
    this.changed();
  }
  moveTo(bytes) {
    this.moved = Math.max(this.moved, bytes);
    this.rate.add(this.moved);
    // Redrawing more often than ten times a second only costs.
    const now = performance.now();
    if (now - (this.drawn ?? 0) < 100) return;
    this.drawn = now;
    this.changed();
  }
  changed() {
    this.dispatchEvent(new Event("change"));
  }
}

const newId = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
};

const validName = (name) =>
  // eslint-disable-next-line no-control-regex
  typeof name === "string" && name.length > 0 && new TextEncoder().encode(name).length <= 255 && !/[/\\\u0000-\u001f\u007f]/.test(name) && name !== "." && name !== "..";

// What the protocol allows as a name, from what a file system gives.
const cleanName = (name) => {
  // eslint-disable-next-line no-control-regex
  let clean = name.replace(/[/\\\u0000-\u001f\u007f]/g, "_");
  while (new TextEncoder().encode(clean).length > 255) clean = clean.slice(1);
  return clean === "" || clean === "." || clean === ".." ? "file" : clean;
};

// All transfers of one call. Event "transfer" ({detail}: a Transfer) for each
// new one.
export class Transfers extends EventTarget {
  constructor(peer) {
    super();
    this.peer = peer;
    this.outgoing = new Map();
    this.incoming = new Map();
    this.sending = Promise.resolve();
    peer.addEventListener("file-channel", ({ detail }) => this.receiveOn(detail));
  }

  get active() {
    return [...this.outgoing.values(), ...this.incoming.values()].some((t) => !t.over);
  }

  offer(file) {
    const transfer = new Transfer("out", newId(), cleanName(file.name), file.size, file.type);
    transfer.file = file;
    this.outgoing.set(transfer.id, transfer);
    this.announce(transfer);
    const offer = { type: "file-offer", id: transfer.id, name: transfer.name, size: file.size };
    if (file.type) offer.mime = file.type;
    if (!this.peer.send(offer)) transfer.set("failed", "not connected");
    return transfer;
  }

  accept(transfer) {
    if (transfer.state !== "offered") return;
    transfer.hash = new Sha256();
    transfer.parts = [];
    transfer.partBytes = 0;
    transfer.blobs = [];
    transfer.stored = 0;
    transfer.set("queued");
    this.peer.send({ type: "file-accept", id: transfer.id });
  }

  decline(transfer) {
    if (transfer.state !== "offered") return;
    this.peer.send({ type: "file-reject", id: transfer.id, reason: "declined" });
    transfer.set("declined");
  }

  cancel(transfer, reason = "user", text = "") {
    if (transfer.over) return;
    this.peer.send({ type: "file-cancel", id: transfer.id, reason });
    transfer.set(reason === "user" ? "cancelled" : "failed", text);
    this.release(transfer);
  }

  // A message of the control channel; false if it is none of ours.
  handle(message) {
    const { type, id } = message;
    if (typeof id !== "string") return false;
    if (type === "file-offer") {
      this.offered(message);
      return true;
    }
    const out = this.outgoing.get(id);
    const any = message.type === "file-cancel" ? [out, this.incoming.get(id)] : [];
    switch (type) {
      case "file-accept":
        if (out?.state === "offered") {
          out.set("queued");
          // One after the other: each gets the whole rate.
          this.sending = this.sending.then(() => this.send(out));
        }
        return true;
      case "file-reject":
        if (out && !out.over) {
          const why = { declined: "", exists: "a file of this name is there already", too_large: "too large", busy: "too many files at once", bad_name: "its name cannot be used" };
          out.set("declined", why[message.reason] ?? "");
        }
        return true;
      case "file-progress":
        if (out?.state === "active" && Number.isInteger(message.received)) {
          out.told = true;
          out.moveTo(Math.min(message.received, out.size));
        }
        return true;
      case "file-result":
        if (out && !out.over) {
          if (message.ok) out.moved = out.size;
          out.set(message.ok ? "done" : "failed", message.ok ? "" : "it arrived damaged");
          this.release(out);
        }
        return true;
      case "file-cancel":
        for (const transfer of any) {
          if (transfer && !transfer.over) {
            transfer.set("cancelled", message.reason === "user" ? "by the other side" : "the other side had a problem");
            this.release(transfer);
          }
        }
        return true;
      default:
        return false;
    }
  }

  offered({ id, name, size, mime }) {
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(id) || !Number.isSafeInteger(size) || size < 0 || this.incoming.has(id)) return;
    const waiting = [...this.incoming.values()].filter((t) => t.state === "offered").length;
    if (!validName(name) || waiting >= MAX_OFFERS) {
      this.peer.send({ type: "file-reject", id, reason: validName(name) ? "busy" : "bad_name" });
      return;
    }
    const transfer = new Transfer("in", id, name, size, typeof mime === "string" ? mime : "");
    this.incoming.set(id, transfer);
    this.announce(transfer);
  }

  async send(transfer) {
    if (transfer.state !== "queued") return;
    const channel = this.peer.fileChannel(transfer.id);
    transfer.channel = channel;
    channel.bufferedAmountLowThreshold = QUEUE_LOW;
    try {
      await once(channel, "open");
      transfer.set("active");
      const hash = new Sha256();
      const chunk = Math.min(CHUNK, this.peer.pc.sctp?.maxMessageSize || CHUNK);
      for (let at = 0; at < transfer.size; at += READ) {
        const piece = new Uint8Array(await transfer.file.slice(at, Math.min(at + READ, transfer.size)).arrayBuffer());
        if (transfer.over) return;
        hash.update(piece);
        for (let i = 0; i < piece.length; i += chunk) {
          if (channel.bufferedAmount > QUEUE_HIGH - CHUNK) await once(channel, "bufferedamountlow");
          if (transfer.over) return;
          channel.send(piece.subarray(i, Math.min(i + chunk, piece.length)));
          if (!transfer.told) transfer.moveTo(Math.max(0, at + i - channel.bufferedAmount));
        }
      }
      transfer.sha256 = hash.hex();
      channel.send(JSON.stringify({ type: "end", size: transfer.size, sha256: transfer.sha256 }));
      // The next file starts when this one has arrived.
      await new Promise((resolve) => {
        transfer.addEventListener("change", () => transfer.over && resolve());
        if (transfer.over) resolve();
      });
    } catch (error) {
      if (transfer.over) return;
      if (error instanceof ChannelClosed) transfer.set("failed", "the connection broke");
      else this.cancel(transfer, "io_error", "the file cannot be read");
    }
  }

  receiveOn(channel) {
    const id = channel.label.slice("file:".length);
    const transfer = this.incoming.get(id);
    if (transfer?.state !== "queued") {
      channel.close();
      return;
    }
    transfer.channel = channel;
    transfer.set("active");
    channel.onmessage = ({ data }) => {
      if (transfer.over) return;
      if (typeof data === "string") this.finish(transfer, data);
      else this.store(transfer, new Uint8Array(data));
    };
    channel.onclose = () => {
      if (!transfer.over) this.cancel(transfer, "io_error", "the connection broke");
    };
  }

  store(transfer, bytes) {
    if (transfer.stored + bytes.length > transfer.size || bytes.length > CHUNK) {
      this.cancel(transfer, "protocol_error", "the sender sends more than it said");
      return;
    }
    transfer.hash.update(bytes);
    transfer.stored += bytes.length;
    transfer.parts.push(bytes);
    transfer.partBytes += bytes.length;
    // A Blob may live on disk; an array of chunks may not.
    if (transfer.partBytes >= SPOOL) this.spool(transfer);
    transfer.moveTo(transfer.stored);
    const now = performance.now();
    if (now - (transfer.toldAt ?? 0) > 250) {
      transfer.toldAt = now;
      this.peer.send({ type: "file-progress", id: transfer.id, received: transfer.stored });
    }
  }

  spool(transfer) {
    transfer.blobs.push(new Blob(transfer.parts));
    transfer.parts = [];
    transfer.partBytes = 0;
  }

  finish(transfer, text) {
    let end;
    try {
      end = JSON.parse(text);
    } catch {
      end = {};
    }
    if (end?.type !== "end") {
      this.cancel(transfer, "protocol_error", "the sender does not keep to the protocol");
      return;
    }
    transfer.sha256 = transfer.hash.hex();
    const ok = end.size === transfer.stored && transfer.stored === transfer.size && end.sha256 === transfer.sha256;
    this.peer.send({ type: "file-result", id: transfer.id, ok, sha256: transfer.sha256 });
    if (ok) {
      this.spool(transfer);
      transfer.blob = new Blob(transfer.blobs, { type: safeType(transfer.mime) });
      transfer.moved = transfer.size;
      transfer.set("done");
    } else {
      transfer.set("failed", "it arrived damaged");
    }
    transfer.blobs = [];
    transfer.parts = [];
  }

  // The call is over.
  fail() {
    for (const transfer of [...this.outgoing.values(), ...this.incoming.values()]) {
      transfer.set("failed", "the connection ended");
    }
  }

  release(transfer) {
    transfer.channel?.close();
    transfer.parts = [];
    transfer.blobs = [];
  }

  announce(transfer) {
    this.dispatchEvent(new CustomEvent("transfer", { detail: transfer }));
  }
}

class ChannelClosed extends Error {}

// Waits for `type` on the channel, or its end.
function once(channel, type) {
  return new Promise((resolve, reject) => {
    if (type === "open" && channel.readyState === "open") return resolve();
    const done = (then) => () => {
      channel.removeEventListener(type, good);
      channel.removeEventListener("close", bad);
      then();
    };
    const good = done(resolve);
    const bad = done(() => reject(new ChannelClosed()));
    channel.addEventListener(type, good);
    channel.addEventListener("close", bad);
    if (channel.readyState === "closing" || channel.readyState === "closed") bad();
  });
}

// A type under which the browser may show a file that somebody sent: images,
// sound and film, never anything that runs as a page of ours.
function safeType(mime) {
  return /^(image\/(png|jpeg|gif|webp|avif)|audio\/[\w.+-]+|video\/[\w.+-]+)$/.test(mime) ? mime : "application/octet-stream";
}

// Files over data channels, by docs/application_protocol.md.

import { Rate } from "./format.js";
import { checkpointsOf, commonPart, versionOf } from "./resume.js";
import { Sha256 } from "./sha256.js";

const CHUNK = 65536; // The most that the protocol allows...
const READ = 1024 * 1024; // ...cut from pieces of the file of this size.
const QUEUE_HIGH = 1024 * 1024;
const QUEUE_LOW = 256 * 1024;
const MAX_OFFERS = 64; // Of the other side, without an answer...
const MAX_FILES = 65536; // ...and in all.
const WINDOW = 16; // Files of ours that the other side has heard of.
const BUSY_PAUSE = 1000; // Then a receiver that was busy is asked again,
const BUSY_MAX = 5 * 60_000; // for so long.
const SPOOL = 8 * 1024 * 1024; // Received bytes held before they become a Blob.

const OFFER_REASONS = {
  declined: "",
  exists: "something of this name is there already",
  too_large: "too large",
  busy: "too many files at once",
  bad_name: "its name cannot be used",
  no_space: "no room for it there",
  cannot_store: "the other side cannot store files",
};
const RESULT_REASONS = {
  no_space: "no room for it there",
  cannot_store: "it arrived intact, but could not be stored there",
};

// One file, either direction. `state`: "waiting", "offered", "queued", "active",
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
  // `bytes` of it were there before.
  begin(bytes) {
    this.resumedAt = bytes;
    this.moved = bytes;
    this.comparing = false;
    this.rate.add(bytes);
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
    this.waiting = []; // Of ours, not offered yet, or again.
    this.batches = new Map(); // Of the other side: id -> {answer, files, bytes}.
    this.nextBatch = 1;
    this.sending = Promise.resolve();
    peer.addEventListener("file-channel", ({ detail }) => this.receiveOn(detail));
  }

  get active() {
    return [...this.outgoing.values(), ...this.incoming.values()].some((t) => !t.over);
  }

  // Offers files, a few at once and the others as those are through; several
  // are a batch, for one answer.
  offerAll(files) {
    const batch = files.length > 1 ? { id: `b${this.nextBatch++}`, files: files.length, bytes: files.reduce((sum, file) => sum + file.size, 0) } : undefined;
    for (const file of files) {
      const transfer = new Transfer("out", newId(), cleanName(file.name), file.size, file.type);
      transfer.file = file;
      transfer.batch = batch;
      transfer.state = "waiting";
      this.outgoing.set(transfer.id, transfer);
      transfer.addEventListener("change", () => transfer.over && this.offerMore());
      this.waiting.push(transfer);
      this.announce(transfer);
    }
    this.offerMore();
  }

  offerMore() {
    let open = [...this.outgoing.values()].filter((t) => !t.over && t.state !== "waiting").length;
    while (open < WINDOW && this.waiting.length > 0) {
      const transfer = this.waiting.shift();
      if (transfer.over) continue;
      const { id, name, size, mime, batch } = transfer;
      const offer = { type: "file-offer", id, name, size, mime: mime || undefined, batch, resume: versionOf(transfer.file) };
      transfer.set("offered");
      if (!this.peer.send(offer)) transfer.set("failed", "not connected");
      open++;
    }
  }

  // "busy" means later, by another id: none is used twice.
  postpone(transfer) {
    this.busySince ??= Date.now();
    if (Date.now() - this.busySince > BUSY_MAX) {
      transfer.set("declined", OFFER_REASONS.busy);
      return;
    }
    this.outgoing.delete(transfer.id);
    transfer.id = newId();
    this.outgoing.set(transfer.id, transfer);
    transfer.set("waiting");
    this.waiting.unshift(transfer);
    setTimeout(() => this.offerMore(), BUSY_PAUSE);
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

  // Takes this one and all that come with it, as far as they are what the
  // other side has announced.
  acceptAll(transfer) {
    const batch = this.batches.get(transfer.batch?.id);
    if (batch) batch.answer = "accept";
    for (const other of this.incoming.values()) {
      if (other.batch && other.batch.id === transfer.batch?.id) this.accept(other);
    }
    this.accept(transfer);
  }

  declineAll(transfer) {
    const batch = this.batches.get(transfer.batch?.id);
    if (batch) batch.answer = "decline";
    for (const other of this.incoming.values()) {
      if (other.batch && other.batch.id === transfer.batch?.id) this.decline(other);
    }
    this.decline(transfer);
  }

  decline(transfer) {
    if (transfer.state !== "offered") return;
    this.peer.send({ type: "file-reject", id: transfer.id, reason: "declined" });
    transfer.set("declined");
  }

  cancel(transfer, reason = "user", text = "") {
    if (transfer.over) return;
    if (transfer.state !== "waiting") this.peer.send({ type: "file-cancel", id: transfer.id, reason });
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
          this.busySince = undefined;
          out.checkpoints = checkpointsOf(message, out.size);
          out.set("queued");
          // One after the other: each gets the whole rate.
          this.sending = this.sending.then(() => this.send(out));
        }
        return true;
      case "file-reject":
        if (out?.state === "offered" && message.reason === "busy") this.postpone(out);
        else if (out && !out.over) out.set("declined", OFFER_REASONS[message.reason] ?? "");
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
          out.set(message.ok ? "done" : "failed", message.ok ? "" : (RESULT_REASONS[message.reason] ?? "it arrived damaged"));
          this.release(out);
        }
        return true;
      case "file-cancel":
        for (const transfer of any) {
          if (transfer && !transfer.over) {
            transfer.set("cancelled", message.reason === "user" ? "by the other side" : message.reason === "no_space" ? "no room for it there" : "the other side had a problem");
            this.release(transfer);
          }
        }
        return true;
      default:
        return false;
    }
  }

  offered({ id, name, size, mime, batch }) {
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(id) || !Number.isSafeInteger(size) || size < 0 || this.incoming.has(id)) return;
    const waiting = [...this.incoming.values()].filter((t) => t.state === "offered").length;
    if (!validName(name) || waiting >= MAX_OFFERS || this.incoming.size >= MAX_FILES) {
      this.peer.send({ type: "file-reject", id, reason: validName(name) ? "busy" : "bad_name" });
      return;
    }
    const transfer = new Transfer("in", id, name, size, typeof mime === "string" ? mime : "");
    this.incoming.set(id, transfer);
    const known = this.joinBatch(transfer, batch);
    this.announce(transfer);
    if (known?.answer === "accept") this.accept(transfer);
    else if (known?.answer === "decline") this.decline(transfer);
  }

  // The batch of an offer, if it has one whose announcement it keeps to.
  joinBatch(transfer, announced) {
    const count = (value) => Number.isSafeInteger(value) && value >= 0;
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(announced?.id ?? "") || !count(announced.files) || !count(announced.bytes)) return undefined;
    let batch = this.batches.get(announced.id);
    const first = !batch;
    if (first) {
      batch = { files: announced.files, bytes: announced.bytes };
      this.batches.set(announced.id, batch);
    }
    if (batch.files < 1 || transfer.size > batch.bytes) return undefined;
    batch.files--;
    batch.bytes -= transfer.size;
    transfer.batch = { id: announced.id, files: announced.files, bytes: announced.bytes };
    if (first && announced.files > 1) transfer.heads = transfer.batch;
    return batch;
  }

  async send(transfer) {
    if (transfer.state !== "queued") return;
    const channel = this.peer.fileChannel(transfer.id);
    transfer.channel = channel;
    channel.bufferedAmountLowThreshold = QUEUE_LOW;
    try {
      await once(channel, "open");
      transfer.comparing = transfer.checkpoints?.length > 0;
      transfer.set("active");
      const chunk = Math.min(CHUNK, this.peer.pc.sctp?.maxMessageSize || CHUNK);
      // Where the receiver, if it knows of this, has the same already.
      const { offset, hash } = await commonPart(transfer.file, transfer.checkpoints ?? [], () => transfer.over);
      if (transfer.over) return;
      if (transfer.checkpoints) channel.send(JSON.stringify({ type: "start", offset }));
      transfer.begin(offset);
      for (let at = offset; at < transfer.size; at += READ) {
        const piece = new Uint8Array(await transfer.file.slice(at, Math.min(at + READ, transfer.size)).arrayBuffer());
        if (transfer.over) return;
        hash.update(piece);
        for (let i = 0; i < piece.length; i += chunk) {
          if (channel.bufferedAmount > QUEUE_HIGH - CHUNK) await once(channel, "bufferedamountlow");
          if (transfer.over) return;
          channel.send(piece.subarray(i, Math.min(i + chunk, piece.length)));
          if (!transfer.told) transfer.moveTo(Math.max(offset, at + i - channel.bufferedAmount));
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
    this.waiting = [];
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

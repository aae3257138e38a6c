// The files of a call that this side sends (docs/application_protocol.md).

import { checkpointsOf, versionOf } from "./resume.js";
import { store } from "./store.js";
import { text } from "./texts.js";
import { CHUNK, Transfer } from "./transfer.js";

const QUEUE_HIGH = 1024 * 1024;
const QUEUE_LOW = 256 * 1024;
const WINDOW = 16; // Files of ours that the other side has heard of.
const BUSY_PAUSE = 1000; // Then a receiver that was busy is asked again,
const BUSY_MAX = 5 * 60_000; // for so long.

// By what the other side gives as its reason, why a file is not sent.
const OFFER_REASONS = {
  exists: text("why_exists"),
  too_large: text("why_too_large"),
  busy: text("why_busy"),
  bad_name: text("why_bad_name"),
  no_space: text("why_no_space"),
  cannot_store: text("why_cannot_store"),
};
export const CANCEL_REASONS = {
  user: text("why_other_side"),
  no_space: text("why_no_space"),
  io_error: text("why_problem"),
};
const RESULT_REASONS = {
  no_space: text("why_no_space"),
  cannot_store: text("why_not_stored"),
};
const why = (reasons, reason) => (Object.hasOwn(reasons, reason) ? reasons[reason] : undefined);

const newId = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
};

// What the protocol allows as a name, from what a file system gives.
const cleanName = (name) => {
  // eslint-disable-next-line no-control-regex
  let clean = name.replace(/[/\\\u0000-\u001f\u007f]/g, "_");
  while (new TextEncoder().encode(clean).length > 255) clean = clean.slice(1);
  return clean === "" || clean === "." || clean === ".." ? "file" : clean;
};

export class Sending {
  // `announce(transfer)` is told of each new Transfer.
  constructor(peer, announce) {
    this.peer = peer;
    this.announce = announce;
    this.transfers = new Map(); // By id.
    this.waiting = []; // Not offered yet, or again.
    this.nextBatch = 1;
    this.sending = Promise.resolve();
  }

  get active() {
    return [...this.transfers.values()].some((t) => !t.over);
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
      this.transfers.set(transfer.id, transfer);
      transfer.addEventListener("change", () => transfer.over && this.offerMore());
      this.waiting.push(transfer);
      this.announce(transfer);
    }
    this.offerMore();
  }

  offerMore() {
    let open = [...this.transfers.values()].filter((t) => !t.over && t.state !== "waiting").length;
    while (open < WINDOW && this.waiting.length > 0) {
      const transfer = this.waiting.shift();
      if (transfer.over) continue;
      const { id, name, size, mime, batch } = transfer;
      const offer = { type: "file-offer", id, name, size, mime: mime || undefined, batch, resume: versionOf(transfer.file) };
      transfer.set("offered");
      if (!this.peer.send(offer)) transfer.set("failed", text("why_not_connected"));
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
    this.transfers.delete(transfer.id);
    transfer.id = newId();
    this.transfers.set(transfer.id, transfer);
    transfer.set("waiting");
    this.waiting.unshift(transfer);
    setTimeout(() => this.offerMore(), BUSY_PAUSE);
  }

  cancel(transfer, reason = "user", why = undefined) {
    if (transfer.over) return;
    if (transfer.state !== "waiting") this.peer.send({ type: "file-cancel", id: transfer.id, reason });
    transfer.set(reason === "user" ? "cancelled" : "failed", why);
    this.release(transfer);
  }

  // A message of the control channel about a file of ours.
  handle(message) {
    const transfer = this.transfers.get(message.id);
    if (!transfer) return;
    switch (message.type) {
      case "file-accept":
        if (transfer.state !== "offered") return;
        this.busySince = undefined;
        transfer.checkpoints = checkpointsOf(message, transfer.size);
        transfer.set("queued");
        // One after the other: each gets the whole rate.
        this.sending = this.sending.then(() => this.send(transfer));
        return;
      case "file-reject":
        if (transfer.state === "offered" && message.reason === "busy") this.postpone(transfer);
        else transfer.set("declined", why(OFFER_REASONS, message.reason));
        return;
      case "file-progress":
        if (transfer.state !== "active" || !Number.isInteger(message.received)) return;
        transfer.told = true;
        transfer.moveTo(Math.min(message.received, transfer.size));
        return;
      case "file-result":
        if (transfer.over) return;
        if (message.ok) transfer.moved = transfer.size;
        transfer.set(message.ok ? "done" : "failed", message.ok ? undefined : (why(RESULT_REASONS, message.reason) ?? text("why_damaged")));
        this.release(transfer);
        return;
      case "file-cancel":
        transfer.set("cancelled", why(CANCEL_REASONS, message.reason) ?? CANCEL_REASONS.io_error);
        this.release(transfer);
    }
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
      const { offset } = await store.source(transfer.id, transfer.file, transfer.checkpoints ?? []);
      if (transfer.over) return;
      if (transfer.checkpoints) channel.send(JSON.stringify({ type: "start", offset }));
      transfer.begin(offset);
      transfer.sha256 = await this.pump(transfer, offset, chunk);
      if (transfer.over) return;
      channel.send(JSON.stringify({ type: "end", size: transfer.size, sha256: transfer.sha256 }));
      // The next file starts when this one has arrived.
      await new Promise((resolve) => {
        transfer.addEventListener("change", () => transfer.over && resolve());
        if (transfer.over) resolve();
      });
    } catch (error) {
      if (transfer.over) return;
      if (error instanceof ChannelClosed) transfer.set("failed", text("why_broke"));
      else this.cancel(transfer, "io_error", text("why_unreadable"));
    } finally {
      store.drop(transfer.id);
    }
  }

  // Sends the file from `offset` on. Returns the hash of all of it, or undefined
  // if it was ended meanwhile.
  async pump(transfer, offset, chunk) {
    const { channel } = transfer;
    let next = store.read(transfer.id);
    for (let at = offset; ; ) {
      const { piece, sha256 } = await next;
      if (transfer.over || sha256) return sha256;
      next = store.read(transfer.id); // While this one is sent.
      next.catch(() => {}); // It is awaited above.
      for (let i = 0; i < piece.byteLength; i += chunk) {
        if (channel.bufferedAmount > QUEUE_HIGH - CHUNK) await once(channel, "bufferedamountlow");
        if (transfer.over) return undefined;
        channel.send(new Uint8Array(piece, i, Math.min(chunk, piece.byteLength - i)));
        if (!transfer.told) transfer.moveTo(Math.max(offset, at + i - channel.bufferedAmount));
      }
      at += piece.byteLength;
    }
  }

  // The call is over.
  fail() {
    this.waiting = [];
    for (const transfer of this.transfers.values()) transfer.set("failed", text("why_ended"));
  }

  release(transfer) {
    transfer.channel?.close();
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

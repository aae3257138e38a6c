// The files of a call that the other side sends (docs/application_protocol.md).
// What comes is stored by the worker; what is broken off is kept there, and goes
// on when the same file is offered again.

import { chooseFolder, folderBefore } from "./folder_choice.js";
import { savedName } from "./format.js";
import { notice } from "./notices.js";
import { versionIn } from "./parts.js";
import { CANCEL_REASONS } from "./sending.js";
import { store } from "./store.js";
import { text } from "./texts.js";
import { CHUNK, Transfer } from "./transfer.js";

const MAX_OFFERS = 64; // Without an answer...
const MAX_FILES = 65536; // ...and in all.
const MIME_MAX = 100; // Characters; a longer one is no use to anybody.
const BACKLOG_MAX = 256 * 1024 * 1024; // Bytes that have come and are not stored.
const TELL_EVERY = 250; // Milliseconds between two file-progress.

let nextKey = 1; // Under which the store knows a transfer: ids may be those of an earlier call.

const validId = (id) => typeof id === "string" && /^[A-Za-z0-9_-]{1,32}$/.test(id);
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const validName = (name) =>
  // eslint-disable-next-line no-control-regex
  typeof name === "string" && name.length > 0 && new TextEncoder().encode(name).length <= 255 && !/[/\\\u0000-\u001f\u007f]/.test(name) && name !== "." && name !== "..";

export class Receiving {
  // `announce(transfer)` is told of each new Transfer.
  constructor(peer, announce) {
    this.peer = peer;
    this.announce = announce;
    this.transfers = new Map(); // By id.
    this.batches = new Map(); // id -> {answer, files, bytes}.
    store.sweep();
  }

  get active() {
    return [...this.transfers.values()].some((t) => !t.over);
  }

  // A message of the control channel about a file of the other side.
  handle(message) {
    if (message.type === "file-offer") {
      this.offered(message);
    } else if (message.type === "file-cancel") {
      const transfer = this.transfers.get(message.id);
      if (!transfer || transfer.over) return;
      const { reason } = message;
      transfer.set("cancelled", reason === "user" ? CANCEL_REASONS.user : CANCEL_REASONS.io_error);
      this.release(transfer);
    }
  }

  offered({ id, name, size, mime, batch, resume }) {
    if (!validId(id) || !isCount(size) || this.transfers.has(id)) return;
    const waiting = [...this.transfers.values()].filter((t) => t.state === "offered").length;
    if (!validName(name) || waiting >= MAX_OFFERS || this.transfers.size >= MAX_FILES) {
      this.peer.send({ type: "file-reject", id, reason: validName(name) ? "busy" : "bad_name" });
      return;
    }
    const transfer = new Transfer("in", id, name, size, typeof mime === "string" && mime.length <= MIME_MAX ? mime : "");
    transfer.version = versionIn(resume);
    this.transfers.set(id, transfer);
    const known = this.joinBatch(transfer, batch);
    this.announce(transfer);
    if (known?.answer === "accept") this.accept(transfer, known.folder);
    else if (known?.answer === "decline") this.decline(transfer);
  }

  // The batch of an offer, if it has one whose announcement it keeps to.
  joinBatch(transfer, announced) {
    if (!validId(announced?.id) || !isCount(announced.files) || !isCount(announced.bytes)) return undefined;
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

  // Into `folder`, if one was chosen; what is in one already goes on there, if the
  // page may write to it.
  async accept(transfer, chosen) {
    if (transfer.state !== "offered") return;
    transfer.key = nextKey++;
    transfer.posted = 0;
    transfer.comparing = true;
    transfer.set("queued");
    try {
      const { id, name, size, mime, version: file } = transfer;
      const folder = chosen ?? (await folderBefore(file));
      const place = folder && { folder, savedName: savedName(name) };
      const { lasts, places } = await store.receive(transfer.key, { name, size, mime, file, ...place }, {
        stored: (bytes) => this.stored(transfer, bytes),
        failed: (reason) => this.cancel(transfer, reason),
      });
      transfer.open = true;
      transfer.comparing = false;
      if (transfer.over) {
        this.release(transfer); // It was ended meanwhile.
        return;
      }
      transfer.changed();
      // Where the sender may begin, if it is to say so.
      transfer.places = lasts ? places.map(([offset]) => offset) : undefined;
      if (!lasts) store.begin(transfer.key, 0);
      this.peer.send({ type: "file-accept", id, resume: lasts ? places : undefined });
    } catch (error) {
      if (transfer.over) return;
      const reason = error.reason === "no_space" ? "no_space" : "cannot_store";
      this.peer.send({ type: "file-reject", id: transfer.id, reason });
      transfer.set("failed", STORE_REASONS[reason]);
    }
  }

  // The same answer for this one and all that come with it, as far as they are
  // what the other side has announced.
  answerAll(transfer, answer, folder) {
    const batch = this.batches.get(transfer.batch?.id);
    if (batch) Object.assign(batch, { answer, folder });
    for (const other of this.transfers.values()) {
      if (other.batch && other.batch.id === transfer.batch?.id) this[answer](other, folder);
    }
    this[answer](transfer, folder);
  }

  // Into the folder where it was, or else into one that is chosen: this one alone,
  // or all that come with it. A browser asks one question at a time.
  async acceptInto(transfer, { all }) {
    if (this.choosing) return;
    this.choosing = true;
    try {
      const folder = (await folderBefore(transfer.version)) ?? (await chooseFolder());
      if (!folder) return;
      if (all) this.answerAll(transfer, "accept", folder);
      else this.accept(transfer, folder);
    } catch (error) {
      console.info("choosing a folder", error);
      notice(text("folder_refused"));
    } finally {
      this.choosing = false;
    }
  }

  decline(transfer) {
    if (transfer.state !== "offered") return;
    this.peer.send({ type: "file-reject", id: transfer.id, reason: "declined" });
    transfer.set("declined");
  }

  // What came is kept, unless the sender broke the rules.
  cancel(transfer, reason = "user", why = STORE_REASONS[reason]) {
    if (transfer.over) return;
    this.peer.send({ type: "file-cancel", id: transfer.id, reason });
    transfer.set(reason === "user" ? "cancelled" : "failed", why);
    this.release(transfer);
  }

  takeChannel(channel) {
    const id = channel.label.slice("file:".length);
    const transfer = this.transfers.get(id);
    if (transfer?.state !== "queued" || !transfer.open) {
      channel.close();
      return;
    }
    transfer.channel = channel;
    transfer.started = !transfer.places;
    transfer.set("active");
    channel.onmessage = ({ data }) => {
      if (transfer.over || transfer.ended) return;
      if (typeof data !== "string") this.take(transfer, data);
      else if (transfer.started) this.finish(transfer, data);
      else this.start(transfer, data);
    };
    channel.onclose = () => {
      if (!transfer.over && !transfer.ended) this.cancel(transfer, "io_error", text("why_broke"));
    };
  }

  // The sender says where it goes on.
  start(transfer, message) {
    const { type, offset } = parsed(message);
    if (type !== "start" || (offset !== 0 && !transfer.places.includes(offset))) {
      this.cancel(transfer, "protocol_error", text("why_protocol"));
      return;
    }
    transfer.started = true;
    transfer.posted = transfer.begun = offset;
    store.begin(transfer.key, offset);
    transfer.begin(offset);
  }

  take(transfer, bytes) {
    const size = bytes.byteLength;
    if (!transfer.started || size > CHUNK) {
      this.cancel(transfer, "protocol_error", text("why_protocol"));
    } else if (transfer.posted + size > transfer.size) {
      transfer.unwanted = true;
      this.cancel(transfer, "protocol_error", text("why_too_much"));
    } else if (transfer.posted + size - (transfer.storedBytes ?? transfer.begun ?? 0) > BACKLOG_MAX) {
      this.cancel(transfer, "io_error", text("why_too_fast"));
    } else {
      transfer.posted += size;
      store.chunk(transfer.key, bytes);
    }
  }

  stored(transfer, bytes) {
    transfer.storedBytes = bytes;
    if (transfer.over) return;
    transfer.moveTo(bytes);
    const now = performance.now();
    if (now - (transfer.toldAt ?? 0) < TELL_EVERY) return;
    transfer.toldAt = now;
    this.peer.send({ type: "file-progress", id: transfer.id, received: bytes });
  }

  async finish(transfer, message) {
    const { type, size, sha256 } = parsed(message);
    if (type !== "end") {
      this.cancel(transfer, "protocol_error", text("why_protocol"));
      return;
    }
    transfer.ended = true; // Nothing can be cancelled from here on.
    try {
      const { ok, sha256: own, file, id, saved } = await store.end(transfer.key, { size, sha256 });
      transfer.sha256 = own;
      this.peer.send({ type: "file-result", id: transfer.id, ok, sha256: own });
      if (ok) {
        transfer.blob = file.slice(0, file.size, safeType(transfer.mime));
        transfer.storedAs = id;
        transfer.saved = saved;
        transfer.moved = transfer.size;
        transfer.set("done");
      } else {
        transfer.set("failed", text("why_damaged"));
      }
    } catch (error) {
      const reason = error.reason === "no_space" ? "no_space" : "cannot_store";
      this.peer.send({ type: "file-result", id: transfer.id, ok: false, reason });
      transfer.set("failed", STORE_REASONS[reason]);
    }
  }

  // The call is over.
  fail() {
    for (const transfer of this.transfers.values()) {
      if (transfer.over || transfer.ended) continue;
      transfer.set("failed", text("why_ended"));
      this.release(transfer);
    }
  }

  async release(transfer) {
    transfer.channel?.close();
    if (!transfer.open || transfer.ended) return;
    transfer.open = false;
    const kept = await store.leave(transfer.key, { discard: transfer.unwanted === true }).catch(() => 0);
    transfer.kept = kept;
    transfer.changed();
  }
}

const STORE_REASONS = {
  no_space: text("why_no_space_here"),
  cannot_store: text("why_cannot_store_here"),
  io_error: text("why_cannot_store_here"),
};

function parsed(message) {
  try {
    return JSON.parse(message) ?? {};
  } catch {
    return {};
  }
}

// A type under which the browser may show a file that somebody sent: images,
// sound and film, never anything that runs as a page of ours.
function safeType(mime) {
  return /^(image\/(png|jpeg|gif|webp|avif)|audio\/[\w.+-]+|video\/[\w.+-]+)$/.test(mime) ? mime : "application/octet-stream";
}

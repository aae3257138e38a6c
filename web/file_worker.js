// A worker that reads, hashes and stores the files of the page, so that its main
// thread never waits for them. store.js is the page's side.

import { Disk, NoSpace } from "./disk.js";
import { Folders } from "./folders.js";
import { checkPart, chunkBytes } from "./parts.js";
import { commonPart } from "./resume.js";
import { Sha256 } from "./sha256.js";

const READ = 1024 * 1024; // Bytes of a file that is sent, in one piece.
const KEEP_FROM = 1024 * 1024; // Smaller files are not worth a file on the disk.
const SPOOL = 8 * 1024 * 1024; // Bytes held before they become a Blob.
const TOLD_BYTES = 256 * 1024; // The page hears of what is stored after so much,
const TOLD_EVERY = 50; // or so many milliseconds.

const disk = Disk.open();
const folders = Folders.open();
const coming = new Map(); // id -> Sink
const going = new Map(); // id -> Source

// A pause in which other messages are taken.
const turn = new MessageChannel();
const turns = [];
turn.port1.onmessage = () => turns.shift()();
const pause = () =>
  new Promise((resolve) => {
    turns.push(resolve);
    turn.port2.postMessage(0);
  });

// ------------------------------------------------------------- what comes in

// Keeps in memory what the disk need not, or cannot; a Blob may live on the disk
// all the same.
class Memory {
  constructor() {
    this.have = 0;
    this.lasts = false;
    this.expected = [];
    this.blobs = [];
    this.rest = [];
    this.restBytes = 0;
  }
  begin() {}
  write(bytes) {
    this.rest.push(bytes);
    this.restBytes += bytes.length;
    if (this.restBytes >= SPOOL) this.spool();
  }
  spool() {
    this.blobs.push(new Blob(this.rest));
    this.rest = [];
    this.restBytes = 0;
  }
  line() {}
  complete() {
    this.spool();
    return { file: new Blob(this.blobs) };
  }
  close() {}
  discard() {}
}

// A file that comes in: hashed on its way into its place.
class Sink {
  constructor(id, size, place) {
    Object.assign(this, { id, size, place, told: 0, toldAt: 0, places: [], prefixes: [] });
    this.work = Promise.resolve();
  }

  // What is ordered is done one after the other: some places take their time.
  later(action) {
    this.work = this.work.then(action).catch((error) => {
      if (this.failure) return;
      this.failure = error; // What is on its way is dropped.
      if (!(error instanceof NoSpace)) console.warn("storing", error);
      postMessage({ failed: this.id, reason: reasonOf(error) });
    });
  }

  // Compares what is there with what the journal says of it.
  async check() {
    const { place, size } = this;
    const read = (offset, bytes) => place.read(offset, Math.min(bytes, READ));
    const checked = await checkPart({ have: place.have, size, expected: place.expected, read, pause });
    Object.assign(this, checked);
  }

  async begin(offset) {
    const at = this.places.find((place) => place.offset === offset);
    this.hash = at ? at.hash : new Sha256();
    this.prefixes.length = Math.floor(offset / chunkBytes(this.size));
    this.told = offset;
    this.places = [];
    await this.place.begin(offset, this.prefixes);
  }

  async chunk(bytes) {
    if (this.failure) return;
    await this.place.write(bytes);
    // Each end of a chunk has its line.
    const chunk = chunkBytes(this.size);
    const end = (Math.floor(this.hash.size / chunk) + 1) * chunk - this.hash.size;
    this.hash.update(bytes.subarray(0, end));
    if (bytes.length >= end) {
      await this.place.line(this.hash.clone().hex());
      this.hash.update(bytes.subarray(end));
    }
    const now = performance.now();
    if (this.hash.size - this.told < TOLD_BYTES && now - this.toldAt < TOLD_EVERY) return;
    this.tell(now);
  }

  tell(now) {
    this.told = this.hash.size;
    this.toldAt = now;
    postMessage({ stored: this.id, bytes: this.told });
  }

  async end({ size, sha256 }) {
    await this.work;
    if (this.failure) throw this.failure;
    const stored = this.hash.size;
    const own = this.hash.hex();
    if (size !== stored || stored !== this.size || sha256 !== own) {
      await this.place.discard();
      return { ok: false, sha256: own };
    }
    return { ok: true, sha256: own, ...(await this.place.complete(own)) };
  }
}

async function placeFor(offer) {
  if (offer.folder) return (await folders).part(offer);
  const there = await disk;
  if (!there || offer.size < KEEP_FROM) return new Memory();
  try {
    return await there.part(offer);
  } catch (error) {
    if (error instanceof NoSpace) throw error;
    console.warn("storing", error); // It comes all the same, but is not kept.
    return new Memory();
  }
}

// --------------------------------------------------------------- what goes out

// A file that is sent: hashed on its way from the disk.
class Source {
  constructor(file) {
    Object.assign(this, { file, at: 0, hash: new Sha256(), over: false });
  }

  async begin(checkpoints) {
    const { offset, hash } = await commonPart(this.file, checkpoints, () => this.over);
    Object.assign(this, { at: offset, hash });
    return { offset };
  }

  async read() {
    if (this.at >= this.file.size) return { sha256: this.hash.hex() };
    const piece = await this.file.slice(this.at, this.at + READ).arrayBuffer();
    this.at += piece.byteLength;
    this.hash.update(new Uint8Array(piece));
    return { piece };
  }
}

// ------------------------------------------------------------------- messages

// What store.js may ask; each returns its answer.
const answers = {
  async receive({ id, offer }) {
    const sink = new Sink(id, offer.size, await placeFor(offer));
    coming.set(id, sink);
    await sink.check();
    return { found: sink.place.have, lasts: sink.place.lasts, places: sink.places.map(({ offset, sha256 }) => [offset, sha256]) };
  },
  async end({ id, size, sha256 }) {
    const sink = coming.get(id);
    coming.delete(id);
    try {
      return await sink.end({ size, sha256 });
    } catch (error) {
      await sink.place.close(); // What is there stays.
      throw error;
    }
  },
  // Ends it before its time. Returns how many bytes stay for another time.
  async leave({ id, discard }) {
    const sink = coming.get(id);
    coming.delete(id);
    await sink.work;
    const { place } = sink;
    const there = sink.hash?.size ?? place.have;
    if (discard || !place.lasts || there === 0) {
      await place.discard();
      return { kept: 0 };
    }
    await place.close();
    return { kept: place.kept ?? there };
  },
  async source({ id, file, checkpoints }) {
    const source = new Source(file);
    going.set(id, source);
    return source.begin(checkpoints);
  },
  async read({ id }) {
    return going.get(id)?.read() ?? {};
  },
  async list() {
    return [...((await (await disk)?.list()) ?? []), ...((await (await folders)?.list()) ?? [])];
  },
  async folderOf({ version }) {
    return (await folders)?.folderOf(version);
  },
  async file({ id }) {
    const there = await disk;
    const entry = await there?.entry(id);
    return entry && { file: await there.file(entry.data) };
  },
  async discard({ id }) {
    const chosen = await folders;
    if (chosen?.has(id)) return chosen.discard(id);
    return { done: (await (await disk)?.discard(id)) ?? true };
  },
  async saved({ id }) {
    return (await disk)?.saved(id, Date.now());
  },
  async sweep() {
    await (await folders)?.sweep();
    return (await disk)?.sweep(Date.now());
  },
};

// What needs no answer, and is done in the order in which it comes.
const orders = {
  begin({ id, offset }) {
    const sink = coming.get(id);
    sink?.later(() => sink.begin(offset));
  },
  chunk({ id, bytes }) {
    const sink = coming.get(id);
    sink?.later(() => sink.chunk(new Uint8Array(bytes)));
  },
  drop({ id }) {
    const source = going.get(id);
    if (source) source.over = true;
    going.delete(id);
  },
};

const reasonOf = (error) => (error instanceof NoSpace ? "no_space" : "io_error");

onmessage = async ({ data }) => {
  if (data.order) {
    orders[data.order](data);
    return;
  }
  const { request, ask } = data;
  try {
    const answer = await answers[ask](data);
    postMessage({ request, answer }, answer?.piece ? [answer.piece] : []);
  } catch (error) {
    if (!(error instanceof NoSpace)) console.warn(ask, error);
    postMessage({ request, reason: reasonOf(error) });
  }
};

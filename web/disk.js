// The files that the page keeps, in the browser's own file system (W3C File
// System, "origin private file system"), for the worker, which alone may write
// there at once. In a folder of ours:
//
//   KEY.journal    of a part that is found again; KEY follows from its source
//   ID.done        of a file that is complete
//   ID.part        the bytes of either
//
// A part in use is locked by the browser, so that no two tabs write to it.

import { JOURNAL_MAX, outlived, readComplete, readJournal, writeComplete, writeJournal } from "./parts.js";
import { Sha256 } from "./sha256.js";

const FOLDER = "kyuu";
const HELD_FOR = 2000; // Milliseconds that a page which was closed may hold its files.
const HELD_PAUSE = 50;

export class NoSpace extends Error {}

export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
export const keyOf = (source) => new Sha256().update(new TextEncoder().encode(source)).hex().slice(0, 32);
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Does what writes; a full disk or quota is a NoSpace.
function writing(action) {
  try {
    return action();
  } catch (error) {
    throw error.name === "QuotaExceededError" ? new NoSpace() : error;
  }
}

function readAll(access, most) {
  const bytes = new Uint8Array(Math.min(access.getSize(), most));
  return new TextDecoder().decode(bytes.subarray(0, access.read(bytes, { at: 0 })));
}

function writeAll(access, bytes, at) {
  if (writing(() => access.write(bytes, { at })) < bytes.length) throw new NoSpace();
}

// A file that comes in. `part` as for writeJournal(); `have` bytes of it were
// there when it was opened.
class Part {
  constructor(disk, part, access, journal, found) {
    Object.assign(this, { disk, part, access, journal, found });
    this.have = Math.min(access.getSize(), part.size);
    this.journalEnd = 0;
  }

  // Whether it is found again.
  get lasts() {
    return this.journal !== undefined;
  }

  // The hashes of its beginnings, as once written; none if its chunks are others.
  get expected() {
    return this.found ?? [];
  }

  read(offset, bytes) {
    const piece = new Uint8Array(bytes);
    return piece.subarray(0, this.access.read(piece, { at: offset }));
  }

  // What is behind `offset` goes, and what is written goes there.
  begin(offset, prefixes) {
    this.access.truncate(offset);
    this.end = offset;
    this.access.flush();
    if (!this.journal) return;
    const text = new TextEncoder().encode(writeJournal(this.part, prefixes));
    this.journal.truncate(0);
    writeAll(this.journal, text, 0);
    this.journal.flush();
    this.journalEnd = text.length;
  }

  write(bytes) {
    writeAll(this.access, bytes, this.end);
    this.end += bytes.length;
  }

  // One more chunk is there.
  line(sha256) {
    if (!this.journal) return;
    this.access.flush();
    const text = new TextEncoder().encode(`${sha256}\n`);
    writeAll(this.journal, text, this.journalEnd);
    this.journal.flush();
    this.journalEnd += text.length;
  }

  // It is complete, and kept as such. Returns {id, file}: under which id, and
  // the File.
  async complete(sha256) {
    this.access.flush();
    const id = `${this.part.data}.done`;
    await this.disk.writeText(id, writeComplete({ ...this.part, sha256, savedAt: 0 }));
    this.close();
    if (this.lasts) await this.disk.remove(`${keyOf(this.part.source)}.journal`);
    return { id, file: await this.disk.file(this.part.data) };
  }

  close() {
    this.access.close();
    this.journal?.close();
    for (const name of this.names) this.disk.inUse.delete(name);
  }

  get names() {
    const data = `${this.part.data}.part`;
    return this.lasts ? [data, `${keyOf(this.part.source)}.journal`] : [data];
  }

  async discard() {
    this.close();
    for (const name of this.names) await this.disk.remove(name);
  }
}

export class Disk {
  // `folder`: a FileSystemDirectoryHandle. `estimate()` resolves to {usage, quota}.
  constructor(folder, estimate) {
    this.folder = folder;
    this.estimate = estimate;
    this.inUse = new Set(); // Names of files that are open here.
  }

  // undefined where the browser has none for this page: over plain http, when it
  // is set to keep nothing, or when it is too old.
  static async open() {
    if (!globalThis.FileSystemFileHandle?.prototype.createSyncAccessHandle) return undefined;
    try {
      const root = await navigator.storage.getDirectory();
      return new Disk(await root.getDirectoryHandle(FOLDER, { create: true }), () => navigator.storage.estimate());
    } catch {
      return undefined;
    }
  }

  // Opens the file `name` for itself alone; undefined if another has it, or,
  // unless it is to be created, it is not there.
  async lock(name, { create = true, patience = 0 } = {}) {
    for (const start = Date.now(); ; await sleep(HELD_PAUSE)) {
      try {
        const handle = await this.folder.getFileHandle(name, { create });
        return await handle.createSyncAccessHandle();
      } catch (error) {
        if (error.name === "NotFoundError") return undefined;
        if (error.name === "QuotaExceededError") throw new NoSpace();
        if (error.name !== "NoModificationAllowedError") throw error;
        if (Date.now() - start >= patience) return undefined;
      }
    }
  }

  // Opens the part of a file that is offered, or creates it; one that another tab
  // is at stays, and this one is not found again. Throws a NoSpace if the rest has
  // no room.
  async part({ name, size, mime, file }) {
    const key = file && `${keyOf(file.source)}.journal`;
    const mine = key && !this.inUse.has(key);
    if (mine) this.inUse.add(key);
    const journal = mine ? await this.lock(key, { patience: HELD_FOR }) : undefined;
    if (mine && !journal) this.inUse.delete(key);
    const known = journal && readJournal(readAll(journal, JOURNAL_MAX + 1));
    let data = known?.part.source === file?.source && known?.part.data;
    let access = data && (await this.lock(`${data}.part`, { create: false, patience: HELD_FOR }));
    const found = access ? known.prefixes : undefined;
    if (!access) {
      data = newId();
      this.inUse.add(`${data}.part`); // Else it would belong to nothing, for sweep().
      access = await this.lock(`${data}.part`);
    }
    const part = new Part(this, { name, size, mime, ...file, data }, access, journal, found);
    for (const each of part.names) this.inUse.add(each);
    if (await this.hasRoom(part)) return part;
    if (part.have > 0) part.close();
    else await part.discard();
    throw new NoSpace();
  }

  // Whether the rest of a part fits, as far as that can be known: some browsers
  // tell every page the same quota. So the file is tried in its whole length.
  async hasRoom({ access, part, have }) {
    const { usage, quota } = await this.estimate();
    if (part.size - have > quota - usage) return false;
    try {
      writing(() => access.truncate(part.size));
      return true;
    } catch (error) {
      if (error instanceof NoSpace) return false;
      throw error;
    } finally {
      access.truncate(have);
    }
  }

  async file(data) {
    return (await this.folder.getFileHandle(`${data}.part`)).getFile();
  }

  async remove(name) {
    try {
      await this.folder.removeEntry(name);
      return true;
    } catch {
      return false; // Not there, or another tab is at it.
    }
  }

  async text(name) {
    const file = await (await this.folder.getFileHandle(name)).getFile();
    return file.size > JOURNAL_MAX ? "" : file.text();
  }

  async writeText(name, text) {
    const access = await this.lock(name, { patience: HELD_FOR });
    if (!access) return;
    const bytes = new TextEncoder().encode(text);
    access.truncate(0);
    writeAll(access, bytes, 0);
    access.flush();
    access.close();
  }

  // What is kept: [{id, name, size, bytes, complete, savedAt, changedAt}], and
  // the names of files that belong to nothing.
  async survey() {
    const names = new Set();
    for await (const name of this.folder.keys()) names.add(name);
    const kept = [];
    const orphans = new Set([...names].filter((name) => name.endsWith(".part")));
    // What is complete first: a crash may have left the journal beside it.
    const ends = [".done", ".journal"].flatMap((end) => [...names].filter((name) => name.endsWith(end)));
    for (const id of ends) {
      const complete = id.endsWith(".done");
      const text = await this.text(id).catch(() => "");
      const entry = complete ? readComplete(text) : readJournal(text)?.part;
      const file = entry && (await this.file(entry.data).catch(() => undefined));
      if (!file || !orphans.has(`${entry.data}.part`)) {
        orphans.add(id);
        continue;
      }
      orphans.delete(`${entry.data}.part`);
      const { name, size, mime, data, savedAt } = entry;
      kept.push({ id, data, name, size, mime, bytes: file.size, complete, savedAt: savedAt ?? 0, changedAt: file.lastModified });
    }
    return { kept, orphans };
  }

  async list() {
    return (await this.survey()).kept;
  }

  // Removes what is beyond the bounds, and what belongs to nothing. What another
  // tab is at cannot be removed.
  async sweep(now) {
    const { kept, orphans } = await this.survey();
    const { quota } = await this.estimate();
    const idle = kept.filter(({ data }) => !this.inUse.has(`${data}.part`));
    for (const id of outlived(idle, { quota, now })) await this.discard(id);
    for (const name of orphans) if (!this.inUse.has(name)) await this.remove(name);
  }

  async entry(id) {
    return (await this.list()).find((entry) => entry.id === id);
  }

  // False if a tab is at it.
  async discard(id) {
    const entry = await this.entry(id);
    if (!entry) return true;
    return (await this.remove(`${entry.data}.part`)) && this.remove(id);
  }

  // The complete file `id` was saved elsewhere.
  async saved(id, savedAt) {
    const complete = readComplete(await this.text(id).catch(() => ""));
    if (complete) await this.writeText(id, writeComplete({ ...complete, savedAt }));
  }
}

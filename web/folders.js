// Files that go straight into a folder which a person has chosen (File System
// Access), for the worker. What came of one lies there as kyuu-ID.part, and gets its
// name when it is complete. Whose it is stands in a database (IndexedDB), with the
// folder itself: browsers ask again whether the page may write there.
//
// A browser writes beside the file, and puts that in its place at the end. So the
// end is made now and then, at twice as many bytes each time: what is copied for it
// is no more than the file, and a page that crashes loses half at most.

import { keyOf, newId, NoSpace } from "./disk.js";
import { PARTS_MAX } from "./parts.js";

const DATABASE = "kyuu-folders";
const PARTS = "parts";
const PREFIX = "folder:"; // Of the ids in list().
const COMMIT_MIN = 16 * 1024 * 1024; // Bytes.
const HELD_FOR = 2000; // Milliseconds that a page which was closed may hold a part.
const NAMES_MAX = 1000; // Tries to find a name that is free.

const promised = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

// What writes; a full disk is a NoSpace.
async function writing(action) {
  try {
    return await action();
  } catch (error) {
    throw error.name === "QuotaExceededError" ? new NoSpace() : error;
  }
}

// A file that comes in; what Part of disk.js is, but that it takes its time.
class FolderPart {
  // `record`: what the database has of it. `release()` lets others have it;
  // undefined if it is not found again.
  constructor(folders, record, handle, file, release) {
    Object.assign(this, { folders, record, handle, file, release });
    this.have = Math.min(file.size, record.size);
    this.kept = this.have;
  }

  get lasts() {
    return this.release !== undefined;
  }
  get expected() {
    return this.record.prefixes;
  }

  async read(offset, bytes) {
    return new Uint8Array(await this.file.slice(offset, offset + bytes).arrayBuffer());
  }

  async begin(offset, prefixes) {
    this.record.prefixes = [...prefixes];
    await this.open(offset);
    this.kept = offset;
    await this.save();
  }

  async open(offset) {
    this.writable = await this.handle.createWritable({ keepExistingData: true });
    await this.writable.truncate(offset);
    await this.writable.seek(offset);
    this.end = offset;
  }

  async write(bytes) {
    await writing(() => this.writable.write(bytes));
    this.end += bytes.length;
  }

  async line(sha256) {
    this.record.prefixes.push(sha256);
    if (!this.lasts || this.end - this.kept < Math.max(COMMIT_MIN, this.kept)) return;
    await this.commit();
    await this.open(this.end);
  }

  // What was written is there from here on.
  async commit() {
    const { writable } = this;
    this.writable = undefined;
    if (!writable) return;
    await writing(() => writable.close());
    this.kept = this.end;
    await this.save();
  }

  async save() {
    if (!this.lasts) return;
    Object.assign(this.record, { bytes: this.kept, changedAt: Date.now() });
    await this.folders.put(this.record);
  }

  // Returns {file, saved}: the File, and where it is, {folder, name}.
  async complete() {
    await this.commit();
    const { folder } = this.record;
    const name = await freeName(folder, this.record.savedName);
    const handle = await writing(() => this.rename(name));
    if (this.lasts) await this.folders.forget(this.record.key);
    this.release?.();
    return { file: await handle.getFile(), saved: { folder: folder.name, name } };
  }

  async rename(name) {
    const { folder, data } = this.record;
    try {
      await this.handle.move(name);
      return await folder.getFileHandle(name);
    } catch {
      // A browser that cannot, or not in this folder.
    }
    const target = await folder.getFileHandle(name, { create: true });
    await (await this.handle.getFile()).stream().pipeTo(await target.createWritable());
    await folder.removeEntry(data);
    return target;
  }

  async close() {
    try {
      await this.commit();
    } catch (error) {
      if (!(error instanceof NoSpace)) console.warn("storing", error);
    }
    this.release?.();
  }

  async discard() {
    await this.writable?.abort().catch(() => {}); // Nobody wants it.
    this.writable = undefined;
    await this.folders.remove(this.record);
    this.release?.();
  }
}

// "name", or else "name (1)" and so on, as far as they are taken.
async function freeName(folder, name) {
  const dot = name.lastIndexOf(".");
  const stem = dot > 0 ? name.slice(0, dot) : name;
  for (let i = 0; i < NAMES_MAX; i++) {
    const tried = i === 0 ? name : `${stem} (${i})${name.slice(stem.length)}`;
    try {
      await folder.getFileHandle(tried);
    } catch (error) {
      if (error.name === "NotFoundError") return tried;
      if (error.name !== "TypeMismatchError") throw error; // That is a folder.
    }
  }
  throw new Error("no name is free");
}

// A name that this browser takes for a file: it refuses some that its system, or
// another, does not have. It is tried at once, not when all has come.
async function usableName(folder, name) {
  const plain = name.replace(/[<>:"|?*~]/g, "_").replace(/[. ]+$/, "_");
  for (const tried of [name, plain]) {
    try {
      await folder.getFileHandle(tried);
      return tried;
    } catch (error) {
      if (!(error instanceof TypeError)) return tried; // It is free, or a folder has it.
    }
  }
  return "received.bin";
}

export class Folders {
  constructor(database) {
    this.database = database;
  }

  // undefined where the browser has no database for this page.
  static async open() {
    try {
      const opening = indexedDB.open(DATABASE, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(PARTS, { keyPath: "key" });
      return new Folders(await promised(opening));
    } catch {
      return undefined;
    }
  }

  records(mode) {
    return this.database.transaction(PARTS, mode).objectStore(PARTS);
  }
  get(key) {
    return promised(this.records("readonly").get(key));
  }
  put(record) {
    return promised(this.records("readwrite").put(record));
  }
  forget(key) {
    return promised(this.records("readwrite").delete(key));
  }

  // The folder in which a part of this file lies; `file` as versionIn() has it.
  async folderOf(file) {
    return file && (await this.get(keyOf(file.source)))?.folder;
  }

  // Opens the part of a file that is offered, or creates it, in `folder`; one that
  // another tab is at stays, and this one is not found again.
  async part({ name, size, mime, file, folder, savedName }) {
    const key = file && keyOf(file.source);
    const release = key && (await this.hold(key));
    try {
      const known = release && (await this.get(key));
      if (known && (await known.folder.isSameEntry(folder))) {
        const handle = await folder.getFileHandle(known.data).catch(() => undefined);
        if (handle) return new FolderPart(this, { ...known, name, size, mime, ...file }, handle, await handle.getFile(), release);
      }
      const data = `kyuu-${newId()}.part`;
      const own = await usableName(folder, savedName);
      const handle = await writing(() => folder.getFileHandle(data, { create: true }));
      const record = { key: release && key, folder, data, name, size, mime, ...file, savedName: own, prefixes: [] };
      return new FolderPart(this, record, handle, await handle.getFile(), release);
    } catch (error) {
      release?.();
      throw error;
    }
  }

  // Returns what lets it go; undefined if another tab does not.
  async hold(key) {
    let release;
    const held = new Promise((resolve) => (release = resolve));
    try {
      await new Promise((resolve, reject) => {
        navigator.locks
          .request(`${DATABASE} ${key}`, { signal: AbortSignal.timeout(HELD_FOR) }, () => {
            resolve();
            return held;
          })
          .catch(reject);
      });
      return release;
    } catch {
      return undefined;
    }
  }

  // As Disk.list(), and `folder`, in which each lies.
  async list() {
    const records = await promised(this.records("readonly").getAll());
    return records.map(({ key, name, size, mime, bytes, changedAt, folder }) => ({ id: PREFIX + key, name, size, mime, bytes, complete: false, savedAt: 0, changedAt, folder }));
  }

  // Whether `id` is one of ours.
  has(id) {
    return id.startsWith(PREFIX);
  }

  // {done, left}: false if a tab is at it; whether the part stays in its folder, as
  // the page may not write there.
  async discard(id) {
    const key = id.slice(PREFIX.length);
    const release = await this.hold(key);
    if (!release) return { done: false };
    const record = await this.get(key);
    const left = record !== undefined && !(await this.remove(record));
    release();
    return { done: true, left };
  }

  // Forgets a part; false if it stays in its folder.
  async remove({ key, folder, data }) {
    if (key) await this.forget(key);
    try {
      await folder.removeEntry(data);
      return true;
    } catch (error) {
      return error.name === "NotFoundError";
    }
  }

  // The oldest that are too many are forgotten.
  async sweep() {
    const kept = (await this.list()).sort((a, b) => b.changedAt - a.changedAt);
    for (const { id } of kept.slice(PARTS_MAX)) await this.discard(id);
  }
}

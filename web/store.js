// The page's side of file_worker.js: files that are read, hashed and stored
// beside the main thread.

// Why a file cannot be read or stored: `reason` is "no_space" or "io_error".
export class StoreError extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

// One for the page. Event "changed": what is kept is another.
class Store extends EventTarget {
  constructor() {
    super();
    this.worker = new Worker(new URL("file_worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = () => this.broke();
    this.requests = new Map();
    this.nextRequest = 1;
    this.coming = new Map(); // key -> {stored, failed}
    this.broken = false;
    this.sweep();
  }

  hear(message) {
    if (message.stored) this.coming.get(message.stored)?.stored(message.bytes);
    if (message.failed) this.coming.get(message.failed)?.failed(message.reason);
    const waiting = this.requests.get(message.request);
    if (!waiting) return;
    this.requests.delete(message.request);
    if (message.reason) waiting.reject(new StoreError(message.reason));
    else waiting.resolve(message.answer);
  }

  // The worker could not be loaded, or a fault of ours ended it.
  broke() {
    this.broken = true;
    for (const { reject } of this.requests.values()) reject(new StoreError("io_error"));
    this.requests.clear();
    for (const { failed } of this.coming.values()) failed("io_error");
  }

  ask(ask, fields = {}) {
    if (this.broken) return Promise.reject(new StoreError("io_error"));
    return new Promise((resolve, reject) => {
      const request = this.nextRequest++;
      this.requests.set(request, { resolve, reject });
      this.worker.postMessage({ ask, request, ...fields });
    });
  }

  order(order, fields, transfer = []) {
    this.worker.postMessage({ order, ...fields }, transfer);
  }

  changed() {
    this.dispatchEvent(new Event("changed"));
  }

  // A file that comes in. `offer`: {name, size, mime, file}, the last one as
  // versionIn() has it; and {folder, savedName} if it goes into a folder that was
  // chosen, under that name if it is free. `stored(bytes)` is called as it is stored, `failed(reason)`
  // if it cannot be. Resolves to {found, lasts, places}: bytes that were there,
  // whether what comes is kept for another time, and [[offset, sha256], ...] from
  // where it may go on. Rejects with a StoreError.
  async receive(id, offer, { stored, failed }) {
    this.coming.set(id, { stored, failed });
    return this.ask("receive", { id, offer });
  }
  begin(id, offset) {
    this.order("begin", { id, offset });
  }
  // `bytes`, an ArrayBuffer, is the store's from here on.
  chunk(id, bytes) {
    this.order("chunk", { id, bytes }, [bytes]);
  }
  // Resolves to {ok, sha256, id, file, saved}: whether it is what the sender has;
  // if so, `file` is it, and `id` the name of what stays, if something does, or
  // `saved` where it is in the folder that was chosen, {folder, name}.
  async end(id, { size, sha256 }) {
    try {
      return await this.ask("end", { id, size, sha256 });
    } finally {
      this.coming.delete(id);
      this.changed();
    }
  }
  // Resolves to the bytes that are kept for when it is sent again.
  async leave(id, { discard }) {
    this.coming.delete(id);
    const { kept } = await this.ask("leave", { id, discard });
    this.changed();
    return kept;
  }

  // A file that is sent. Resolves to {offset}: up to where it is what the receiver
  // has by `checkpoints`.
  source(id, file, checkpoints) {
    return this.ask("source", { id, file, checkpoints });
  }
  // Resolves to {piece}, an ArrayBuffer, or {sha256} behind the last one.
  read(id) {
    return this.ask("read", { id });
  }
  drop(id) {
    this.order("drop", { id });
  }

  // What is kept, as Disk.list().
  list() {
    return this.ask("list");
  }
  // The File of one that is complete; undefined if it is gone.
  async file(id) {
    return (await this.ask("file", { id }))?.file;
  }
  // Resolves to {done, left}: false if another tab is at it; whether a part stays
  // in the folder where it lies.
  async discard(id) {
    const outcome = await this.ask("discard", { id });
    this.changed();
    return outcome;
  }
  // The folder in which a part of this version of a file lies, or undefined.
  folderOf(version) {
    return this.ask("folderOf", { version });
  }
  // Removes what is beyond the bounds.
  async sweep() {
    await this.ask("sweep").catch(() => {}); // There is nothing that it takes away from anybody.
    this.changed();
  }
  saved(id) {
    return this.ask("saved", { id });
  }
}

export const store = new Store();

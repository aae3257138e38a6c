// One file over a data channel (docs/application_protocol.md), either direction.
// sending.js and receiving.js have the two halves of it.

import { Rate } from "./format.js";

export const CHUNK = 65536; // Bytes; the most that the protocol allows.

const DRAW_EVERY = 100; // Milliseconds.

// One file, either direction. `state`: "waiting", "offered", "queued", "active",
// "checking", "done", "declined", "cancelled", "failed". "change" tells of
// every change.
export class Transfer extends EventTarget {
  constructor(direction, id, name, size, mime) {
    super();
    Object.assign(this, { direction, id, name, size, mime: mime ?? "" });
    this.state = "offered";
    this.text = undefined; // A Text that says why.
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
  set(state, text = undefined) {
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
    // Redrawing more often than ten times a second only costs. What is the last for
    // a while is drawn all the same.
    const now = performance.now();
    if (now - (this.drawn ?? 0) >= DRAW_EVERY) this.changed();
    else this.timer ??= setTimeout(() => this.changed(), DRAW_EVERY);
  }
  changed() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.drawn = performance.now();
    this.dispatchEvent(new Event("change"));
  }
}

// Calls that come in: one rings, in the dialog; others wait for their turn, and
// so do their callers.

import { byId } from "./elements.js";
import { visible } from "./format.js";
import { title } from "./notices.js";
import { paintAvatar } from "./people.js";
import { Name, put, text } from "./texts.js";

const WAITING_MAX = 16;

// What a call's metadata says of it (docs/application_protocol.md, "In
// signaling"): sources that we know.
function mediaOf({ meta }) {
  const media = Array.isArray(meta?.media) ? meta.media : [];
  return ["microphone", "camera"].filter((source) => media.includes(source));
}

// Events "accepted" ({detail}: the message `incoming`, with `sources` that the
// person wants to send) and "missed" ({detail}: a
// name).
export class Ringing extends EventTarget {
  // `idle()`: whether another call may ring now. `me()`: our own name.
  constructor({ signaling, idle, me }) {
    super();
    this.signaling = signaling;
    this.idle = idle;
    this.me = me;
    this.current = undefined; // {call, from, polite}
    this.waiting = [];
    byId("accept").addEventListener("click", () => this.answer([]));
    byId("accept-microphone").addEventListener("click", () => this.answer(["microphone"]));
    byId("accept-camera").addEventListener("click", () => this.answer(["microphone", "camera"]));
    byId("decline").addEventListener("click", () => this.answer());
    byId("incoming").addEventListener("cancel", (event) => {
      event.preventDefault();
      this.answer();
    });
  }

  reject(message, reason) {
    this.signaling.send({ type: "reject", call: message.call, reason });
  }

  missed({ from }) {
    this.dispatchEvent(new CustomEvent("missed", { detail: from }));
  }

  add(message) {
    // Of `kyuu pipe`, which nobody here could read.
    if (message.meta?.pipe === true) return this.reject(message, "unsupported");
    if (!this.idle()) {
      this.missed(message);
      this.reject(message, "busy");
    } else if (!this.current) {
      this.ring(message);
    } else if (this.waiting.length < WAITING_MAX) {
      this.waiting.push(message);
    } else {
      this.reject(message, "busy");
    }
  }

  ring(message) {
    this.current = message;
    paintAvatar(byId("incoming-avatar"), message.from);
    const media = mediaOf(message);
    const key = media.includes("camera") ? "is_calling_video" : media.length > 0 ? "is_calling_audio" : "is_calling";
    const said = text(key, { name: new Name(visible(message.from), "incoming-name") });
    put(byId("incoming-title"), said);
    byId("accept-media").hidden = media.length === 0;
    byId("accept-camera").hidden = !media.includes("camera");
    byId("incoming").showModal();
    title(said);
  }

  stop() {
    this.current = undefined;
    if (byId("incoming").open) byId("incoming").close();
    title(this.me() && visible(this.me()));
  }

  // The next of those that wait; who called while another call was taken learns
  // that.
  next() {
    if (this.current) return;
    if (!this.idle()) {
      for (const message of this.waiting.splice(0)) {
        this.missed(message);
        this.reject(message, "busy");
      }
      return;
    }
    const message = this.waiting.shift();
    if (message) this.ring(message);
  }

  // Accepts the call and sends `sources`; declines it without any.
  answer(sources) {
    const message = this.current;
    if (!message) return;
    this.stop();
    if (sources) this.dispatchEvent(new CustomEvent("accepted", { detail: { ...message, sources } }));
    else this.reject(message, "declined");
    this.next();
  }

  // The call does not ring any more. True if it did.
  end(id) {
    const waiting = this.waiting.findIndex(({ call }) => call === id);
    if (waiting >= 0) {
      this.missed(this.waiting.splice(waiting, 1)[0]);
      return true;
    }
    if (this.current?.call !== id) return false;
    const message = this.current;
    this.stop();
    this.missed(message);
    this.next();
    return true;
  }

  // What the server knew of them is gone.
  clear() {
    this.waiting.length = 0;
    if (this.current) this.stop();
  }
}

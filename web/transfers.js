// All files of one call, by docs/application_protocol.md.

import { Receiving } from "./receiving.js";
import { Sending } from "./sending.js";

// Event "transfer" ({detail}: a Transfer) for each new one.
export class Transfers extends EventTarget {
  constructor(peer) {
    super();
    const announce = (transfer) => this.dispatchEvent(new CustomEvent("transfer", { detail: transfer }));
    this.sending = new Sending(peer, announce);
    this.receiving = new Receiving(peer, announce);
    peer.addEventListener("file-channel", ({ detail }) => this.receiving.takeChannel(detail));
  }

  get active() {
    return this.sending.active || this.receiving.active;
  }

  // A message of the control channel; false if it is none of ours. The two
  // directions do not share ids: a cancel may be about either.
  handle(message) {
    if (typeof message.id !== "string" || !/^file-[a-z]+$/.test(message.type)) return false;
    this.sending.handle(message);
    this.receiving.handle(message);
    return true;
  }

  offerAll(files) {
    this.sending.offerAll(files);
  }
  accept(transfer) {
    this.receiving.accept(transfer);
  }
  acceptAll(transfer) {
    this.receiving.answerAll(transfer, "accept");
  }
  acceptInto(transfer, which) {
    this.receiving.acceptInto(transfer, which);
  }
  decline(transfer) {
    this.receiving.decline(transfer);
  }
  declineAll(transfer) {
    this.receiving.answerAll(transfer, "decline");
  }
  cancel(transfer) {
    (transfer.direction === "out" ? this.sending : this.receiving).cancel(transfer);
  }

  // The call is over.
  fail() {
    this.sending.fail();
    this.receiving.fail();
  }
}

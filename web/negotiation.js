// Perfect negotiation (W3C WebRTC 1.0, section "Perfect negotiation example"):
// who offers when, and what becomes of two offers that meet.

export class Negotiation {
  // `signal(message)` sends a message of type "signal" without its call.
  // `reachable()`: whether there is somebody to pass it on; while there is not,
  // an offer waits for resume().
  constructor(pc, { polite, signal, reachable }) {
    this.pc = pc;
    this.polite = polite;
    this.signal = signal;
    this.reachable = reachable;
    this.makingOffer = false;
    this.ignoreOffer = false;
    this.due = false; // An offer that waits.
    this.tasks = Promise.resolve();
    pc.onnegotiationneeded = () => this.offer();
    pc.onicecandidate = ({ candidate }) => {
      if (!candidate) this.signal({ kind: "end-of-candidates" });
      else if (candidate.candidate) this.signal({ kind: "candidate", candidate: candidate.toJSON() });
    };
  }

  async offer() {
    if (!this.reachable()) {
      this.due = true;
      return;
    }
    try {
      this.makingOffer = true;
      await this.pc.setLocalDescription();
      this.describe();
    } catch (error) {
      if (this.pc.signalingState !== "closed") console.warn("offer", error);
    } finally {
      this.makingOffer = false;
    }
  }

  describe() {
    this.signal({ kind: this.pc.localDescription.type, sdp: this.pc.localDescription.sdp });
  }

  // Signaling works again, and what was under way by it may be lost. An offer is
  // sent once more and not made anew: the other side may have taken it before,
  // and then has media sections that another offer would not have.
  async resume() {
    if (this.pc.signalingState === "have-local-offer") {
      this.describe();
    } else if (this.due && this.pc.signalingState === "stable") {
      await this.offer();
    }
    this.due = false; // With an offer under way the browser asks again behind it.
  }

  // Takes a signal of the other side. They are handled one after the other:
  // a candidate must not overtake its description.
  receive(message) {
    this.tasks = this.tasks
      .then(() => this.handle(message))
      .catch((error) => this.pc.signalingState !== "closed" && console.warn("signal", error));
  }

  async handle({ kind, sdp, candidate }) {
    const { pc } = this;
    if (pc.signalingState === "closed") return;
    if (kind === "answer" && pc.signalingState !== "have-local-offer") return; // To an offer that was taken back.
    if (kind === "offer" || kind === "answer") {
      const collision = kind === "offer" && (this.makingOffer || pc.signalingState !== "stable");
      this.ignoreOffer = !this.polite && collision;
      if (this.ignoreOffer) return;
      await pc.setRemoteDescription({ type: kind, sdp });
      if (kind === "offer") {
        await pc.setLocalDescription();
        this.describe();
      }
      return;
    }
    try {
      await pc.addIceCandidate(kind === "candidate" ? candidate : null);
    } catch (error) {
      if (!this.ignoreOffer && pc.signalingState !== "closed") console.warn("candidate", error);
    }
  }
}

// Perfect negotiation (W3C WebRTC 1.0, section "Perfect negotiation example"):
// who offers when, and what becomes of two offers that meet. That they meet is
// avoided (docs/application_protocol.md, "Turns"): Chromium cannot take an offer
// of Firefox any more once it has taken back one of its own with media.

const GRANTED_WITHIN = 3_000; // Else the polite one offers without a grant.
const LENT_FOR = 5_000;

export class Negotiation {
  // `signal(message)` sends a message of type "signal" without its call.
  // `reachable()`: whether there is somebody to pass it on; while there is not,
  // an offer waits for resume(). `tell(message)` sends a control message; false
  // if it cannot.
  constructor(pc, { polite, signal, reachable, tell }) {
    this.pc = pc;
    this.polite = polite;
    this.signal = signal;
    this.reachable = reachable;
    this.tell = tell;
    this.makingOffer = false;
    this.ignoreOffer = false;
    this.due = false; // An offer that waits.
    this.turns = false; // The other side takes turns.
    this.asked = undefined; // A timer, while the polite one waits for a grant.
    this.wanted = false; // The polite one waits for a grant of ours.
    this.lent = undefined; // A timer, while it has one.
    this.tasks = Promise.resolve();
    pc.addEventListener("signalingstatechange", () => this.lend());
    pc.onnegotiationneeded = () => this.offer();
    pc.onicecandidate = ({ candidate }) => {
      if (!candidate) this.signal({ kind: "end-of-candidates" });
      else if (candidate.candidate) this.signal({ kind: "candidate", candidate: candidate.toJSON() });
    };
  }

  // Offers as soon as that may be.
  async offer() {
    if (!this.reachable() || this.lent) this.due = true;
    else if (this.polite && this.turns) this.ask();
    else await this.make();
  }

  ask() {
    if (this.asked) return;
    const take = () => this.take();
    this.asked = setTimeout(take, GRANTED_WITHIN);
    if (!this.tell({ type: "turn", ask: true })) take();
  }

  // Behind what is under way; the browser asks again if that changes the state.
  take() {
    clearTimeout(this.asked);
    this.tasks = this.tasks.then(() => {
      this.asked = undefined;
      return this.pc.signalingState === "stable" && this.make();
    });
  }

  // Takes a control message of type "turn".
  heard({ ask, grant }) {
    if (ask === true && !this.polite) {
      this.wanted = true;
      this.lend();
    } else if (grant === true && this.asked) {
      this.take();
    }
  }

  // The impolite one makes no offer until the polite one has made its own.
  lend() {
    if (!this.wanted || this.makingOffer || this.pc.signalingState !== "stable") return;
    this.wanted = false;
    clearTimeout(this.lent);
    this.lent = setTimeout(() => this.takeBack(), LENT_FOR);
    this.tell({ type: "turn", grant: true });
  }

  takeBack() {
    if (!this.lent) return;
    clearTimeout(this.lent);
    this.lent = undefined;
    if (this.due) {
      this.due = false;
      this.offer();
    }
  }

  async make() {
    try {
      this.makingOffer = true;
      await this.pc.setLocalDescription();
      this.describe();
    } catch (error) {
      if (this.pc.signalingState !== "closed") console.warn("offer", error);
    } finally {
      this.makingOffer = false;
      this.lend();
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
    const answers = kind === "answer" || kind === "pranswer";
    if (answers && !["have-local-offer", "have-remote-pranswer"].includes(pc.signalingState)) return; // To an offer that was taken back.
    if (kind === "rollback") return; // An offer is answered at once.
    if (kind === "offer" || answers) {
      const collision = kind === "offer" && (this.makingOffer || pc.signalingState !== "stable");
      this.ignoreOffer = !this.polite && collision;
      if (this.ignoreOffer) return;
      await pc.setRemoteDescription({ type: kind, sdp });
      if (kind === "offer") {
        await pc.setLocalDescription();
        this.describe();
        this.takeBack();
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

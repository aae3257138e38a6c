// The six digits that two people compare to find who sits in the middle of their
// connection (docs/application_protocol.md, "The short number").

import { Sha256 } from "./sha256.js";

const NONCE_BYTES = 16;
const NUMBERS = 1_000_000;

const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytesOf = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const isHex = (text, bytes) => typeof text === "string" && text.length === 2 * bytes && /^[0-9a-f]*$/i.test(text);
const hashOf = (...parts) => parts.reduce((hash, part) => hash.update(part), new Sha256()).hex();

// The SHA-256 of the certificate that a description announces, in hexadecimal; or
// undefined if it does not say that, or more than one.
function fingerprintOf(sdp) {
  const found = new Set(Array.from(sdp?.matchAll(/^a=fingerprint:(\S+) (\S+)/gm) ?? [], ([, hash, digits]) =>
    hash.toLowerCase() === "sha-256" ? digits.replaceAll(":", "").toLowerCase() : "other"));
  const [only] = found;
  return found.size === 1 && isHex(only, 32) ? only : undefined;
}

export class ShortNumber {
  // The control channel of `pc` is open; `tell` sends an object on it.
  constructor(pc, caller, tell) {
    this.caller = caller;
    this.tell = tell;
    this.value = undefined; // "123 456", when all three messages have passed.
    const own = fingerprintOf(pc.currentLocalDescription?.sdp);
    const other = fingerprintOf(pc.currentRemoteDescription?.sdp);
    this.done = !own || !other;
    this.certificates = [own, other].sort();
    this.nonce = hexOf(crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
    if (caller && !this.done) this.say({ commit: hashOf(bytesOf(this.nonce)) });
  }

  say(fields) {
    this.tell({ type: "verify", ...fields });
  }

  // True if the message was one of these.
  handle({ type, commit, nonce }) {
    if (type !== "verify") return false;
    if (this.done) return true;
    if (this.caller && isHex(nonce, NONCE_BYTES)) {
      this.say({ nonce: this.nonce });
      this.make(this.nonce, nonce);
    } else if (!this.caller && this.commitment === undefined && isHex(commit, 32)) {
      this.commitment = commit.toLowerCase();
      this.say({ nonce: this.nonce });
    } else if (!this.caller && this.commitment !== undefined && isHex(nonce, NONCE_BYTES)) {
      this.done = true;
      if (hashOf(bytesOf(nonce)) === this.commitment) this.make(nonce, this.nonce);
    }
    return true;
  }

  make(ofCaller, ofCallee) {
    this.done = true;
    const hash = hashOf(new TextEncoder().encode("kyuu.verify.v1"), ...[...this.certificates, ofCaller, ofCallee].map(bytesOf));
    const digits = String(parseInt(hash.slice(0, 12), 16) % NUMBERS).padStart(6, "0");
    this.value = `${digits.slice(0, 3)} ${digits.slice(3)}`;
  }
}

// How a file that was broken off goes on (docs/application_protocol.md, "Going
// on"): the sender's half. The receiver's is in parts.js.

import { CHECKPOINTS_MAX, isSha256 } from "./parts.js";
import { Sha256 } from "./sha256.js";

const READ = 4 * 1024 * 1024;
const KEY = "kyuu-file-secret";

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

// Known to this browser alone, and the same after a reload; undefined where
// nothing can be kept.
function secret() {
  try {
    let value = localStorage.getItem(KEY);
    if (!value) {
      value = hex(crypto.getRandomValues(new Uint8Array(16)));
      localStorage.setItem(KEY, value);
    }
    return value;
  } catch {
    return undefined;
  }
}

// What an offer says of a file that can be sent from any place on; undefined if
// it cannot be known again. A page never learns where a file lies: its name
// must do.
export function versionOf(file) {
  const key = secret();
  if (!key) return undefined;
  const source = new Sha256().update(new TextEncoder().encode(`${key} ${file.name}`)).hex();
  return { source: source.slice(0, 32), version: `${file.size}-${file.lastModified}` };
}

// The checkpoints of a file-accept: [[offset, sha256], ...]. undefined if the
// receiver does not know of them, none if they are against the rules.
export function checkpointsOf({ resume }, size) {
  if (resume === undefined) return undefined;
  if (!Array.isArray(resume) || resume.length > CHECKPOINTS_MAX) return [];
  let last = 0;
  for (const entry of resume) {
    if (!Array.isArray(entry) || entry.length !== 2) return [];
    const [offset, sha256] = entry;
    if (!Number.isSafeInteger(offset) || offset <= last || offset > size || !isSha256(sha256)) return [];
    last = offset;
  }
  return resume;
}

// How far the file is what the receiver has: {offset, hash}, the hash being that
// of what is before the offset. `stop` ends it early.
export async function commonPart(file, checkpoints, stop) {
  let common = { offset: 0, hash: new Sha256() };
  const hash = new Sha256();
  let at = 0;
  for (const [offset, sha256] of checkpoints) {
    while (at < offset) {
      const piece = new Uint8Array(await file.slice(at, Math.min(at + READ, offset)).arrayBuffer());
      if (stop()) return common;
      hash.update(piece);
      at += piece.length;
    }
    // Beginnings that differ have no longer ones that do not.
    if (hash.clone().hex() !== sha256) break;
    common = { offset, hash: hash.clone() };
  }
  return common;
}

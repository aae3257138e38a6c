// What stands beside a file that has come in part, without I/O: the journal, the
// places where it may go on, and what of all that is kept goes first.
//
// A journal is text, as that of `kyuu` (tools/kyuu/transfer/journal.h). Its first
// line is a JSON object that says whose part it is; each line behind it is the
// SHA-256 of the file's beginning, up to the end of one more chunk. It grows after
// the bytes that it tells of were written, and is a hint all the same: who goes on
// hashes the part itself, and has the sender compare.

import { Sha256 } from "./sha256.js";

const MAGIC = "kyuu page part 1";
const CHUNK_MIN = 4 * 1024 * 1024; // Bytes.
const CHUNKS_MAX = 16384;
const HEADER_MAX = 4096; // Bytes: a name of 255 characters, each of them escaped.
export const JOURNAL_MAX = HEADER_MAX + CHUNKS_MAX * 65; // Bytes.
export const CHECKPOINTS_MAX = 64;

export const PARTS_MAX = 64; // Kept, and not in use.
const SHARE_MAX = 0.5; // Of what the browser lets the page store.
const SAVED_FOR = 10 * 60_000; // A file that was saved stays until the copy is made.

export const isSha256 = (text) => typeof text === "string" && /^[0-9a-f]{64}$/.test(text);
const isToken = (text) => typeof text === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(text);
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

// The field "resume" of an offer: {source, version}; undefined if there is none,
// or it is against the rules.
export function versionIn(resume) {
  if (!isToken(resume?.source) || !isToken(resume.version)) return undefined;
  return { source: resume.source, version: resume.version };
}

// Bytes of a chunk in the journal of a file of `size` bytes.
export function chunkBytes(size) {
  let chunk = CHUNK_MIN;
  while (size / chunk > CHUNKS_MAX) chunk *= 2;
  return chunk;
}

// `part`: {name, size, mime, source, version, data}; `data` names the file that
// has the bytes. `prefixes`: the hashes of the beginnings.
export function writeJournal(part, prefixes = []) {
  const { name, size, mime, source, version, data } = part;
  const header = JSON.stringify({ kyuu: MAGIC, name, size, mime, chunk: chunkBytes(size), source, version, data });
  return [header, ...prefixes].map((line) => `${line}\n`).join("");
}

function readHeader(line) {
  try {
    const { kyuu, name, size, mime, chunk, source, version, data } = JSON.parse(line);
    const good = kyuu === MAGIC && typeof name === "string" && typeof mime === "string" && isCount(size) && chunk === chunkBytes(size) && isToken(data);
    return good && versionIn({ source, version }) && { name, size, mime, source, version, data };
  } catch {
    return undefined;
  }
}

// Returns {part, prefixes}, up to the first line that is torn or is no hash;
// undefined if the first is not that of a journal, or the text is longer than
// any can be.
export function readJournal(text) {
  if (text.length > JOURNAL_MAX) return undefined;
  const lines = text.split("\n");
  lines.pop(); // Behind the last end of a line: nothing, or what is torn.
  const part = lines.length > 0 && lines[0].length <= HEADER_MAX && readHeader(lines[0]);
  if (!part) return undefined;
  const end = lines.findIndex((line, i) => i > 0 && !isSha256(line));
  const prefixes = lines.slice(1, end < 0 ? undefined : end);
  return prefixes.length > part.size / chunkBytes(part.size) ? undefined : { part, prefixes };
}

// What stands beside a file that is complete: {name, size, mime, sha256, data,
// savedAt}, the last one in milliseconds since 1970, 0 before it was saved.
export function writeComplete({ name, size, mime, sha256, data, savedAt }) {
  return JSON.stringify({ kyuu: MAGIC, name, size, mime, sha256, data, savedAt });
}

// Returns the same; undefined for what is none.
export function readComplete(text) {
  try {
    const { kyuu, name, size, mime, sha256, data, savedAt } = JSON.parse(text.slice(0, HEADER_MAX));
    const good = kyuu === MAGIC && typeof name === "string" && typeof mime === "string" && isCount(size) && isSha256(sha256) && isToken(data) && isCount(savedAt);
    return good ? { name, size, mime, sha256, data, savedAt } : undefined;
  } catch {
    return undefined;
  }
}

// Where a receiver of `have` bytes takes the hashes that it tells, ascending: at
// some ends of chunks, evenly spread, at that of the last whole one and at
// `have` itself.
export function planCheckpoints(have, chunk) {
  const chunks = Math.floor(have / chunk);
  const offsets = [];
  const step = Math.ceil(chunks / (CHECKPOINTS_MAX - 2));
  for (let i = step; step > 0 && i < chunks; i += step) offsets.push(i * chunk);
  if (chunks > 0) offsets.push(chunks * chunk);
  if (have % chunk !== 0) offsets.push(have);
  return offsets;
}

// How far a part is what its journal says: {intact, places, prefixes}. `places`
// are [{offset, sha256, hash}], the last one at `intact`; `prefixes` those of its
// whole chunks. `read(offset, bytes)` returns up to that many bytes, or promises
// them; `pause()` is awaited between two reads.
export async function checkPart({ have, size, expected, read, pause }) {
  const chunk = chunkBytes(size);
  const plan = planCheckpoints(have, chunk);
  const places = [];
  const prefixes = [];
  const hash = new Sha256();
  let intact = 0;
  let whole; // The state at the end of the last whole chunk.
  while (intact < have) {
    const end = Math.min(have, (prefixes.length + 1) * chunk);
    while (hash.size < end) {
      const piece = await read(hash.size, end - hash.size);
      if (piece.length === 0) return { intact, places, prefixes };
      hash.update(piece);
      await pause();
    }
    const sha256 = hash.clone().hex();
    const isWhole = end === (prefixes.length + 1) * chunk;
    if (isWhole && prefixes.length < expected.length && expected[prefixes.length] !== sha256) {
      // What is intact ends at the chunk before, whether planned or not.
      if (intact > 0 && places.at(-1)?.offset !== intact) places.push({ offset: intact, sha256: prefixes.at(-1), hash: whole });
      return { intact, places, prefixes };
    }
    intact = end;
    if (isWhole) {
      prefixes.push(sha256);
      whole = hash.clone();
    }
    if (plan[places.length] === end) places.push({ offset: end, sha256, hash: hash.clone() });
  }
  return { intact, places, prefixes };
}

// Which of what is kept goes, so that the rest is within its bounds; the newest
// one stays, whatever its size. Returns ids. `kept`:
// [{id, bytes, complete, savedAt, changedAt}], none of it in use; `quota` in bytes.
export function outlived(kept, { quota, now }) {
  const gone = kept.filter(({ complete, savedAt }) => complete && savedAt > 0 && now - savedAt > SAVED_FOR);
  // The oldest first.
  const rest = kept.filter((entry) => !gone.includes(entry)).sort((a, b) => a.changedAt - b.changedAt);
  let bytes = rest.reduce((sum, entry) => sum + entry.bytes, 0);
  while (rest.length > PARTS_MAX || (rest.length > 1 && bytes > quota * SHARE_MAX)) {
    const oldest = rest.shift();
    bytes -= oldest.bytes;
    gone.push(oldest);
  }
  return gone.map(({ id }) => id);
}

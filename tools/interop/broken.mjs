// What the tests of files that are broken off share.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { kyuu, Program, sleep, temporaryFolder } from './lib.mjs';

const MiB = 1024 * 1024;

export const command = (...args) => new Program(kyuu, args);
export const said = (program) => [...program.lines, ...program.errors].join('\n');

export function makeFile(bytes) {
  const path = join(temporaryFolder(), 'big.bin');
  const part = randomBytes(Math.min(bytes, 10 * MiB));
  const file = openSync(path, 'w');
  for (let at = 0; at < bytes; at += part.length) {
    part.writeUInt32LE(at / MiB, 0); // No two parts are alike.
    writeSync(file, part, 0, Math.min(part.length, bytes - at));
  }
  closeSync(file);
  return path;
}

// Bytes of the part in a folder, or -1.
export function partSize(folder) {
  const name = readdirSync(folder).find((entry) => entry.endsWith('.part'));
  try { return name ? statSync(join(folder, name)).size : -1; } catch { return -1; }
}

// How far a running sender has read its file.
export function readUpTo(sender, path) {
  const proc = `/proc/${sender.child.pid}`;
  for (const fd of readdirSync(`${proc}/fd`)) {
    try {
      if (readlinkSync(`${proc}/fd/${fd}`) === path) return +readFileSync(`${proc}/fdinfo/${fd}`, 'utf8').match(/pos:\s*(\d+)/)[1];
    } catch { /* It was closed meanwhile. */ }
  }
  return 0;
}

// Until a condition holds, no program has ended and at most 90 s have passed.
export async function until(condition, what, ...programs) {
  for (const deadline = Date.now() + 90_000; !condition();) {
    assert.ok(Date.now() < deadline && programs.every((p) => p.code === undefined), `${what}\n${programs.map((p) => p.transcript()).join('\n')}`);
    await sleep(1);
  }
}

// Another machine, behind a cable: a network namespace beside that of this process,
// which has one of its own already (inOwnNetwork).

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Program, temporaryFolder } from './lib.mjs';

const INSIDE = 'KYUU_TEST_INSIDE';
export const shell = (...line) => execFileSync(line[0], line.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] }).toString();

// Runs the test `name` of `file` once more, in a network of its own, and returns the
// lines that it has printed; undefined inside of that one.
export async function inOwnNetwork(file, name, seconds = 170) {
  if (process.env[INSIDE]) return undefined;
  const root = process.getuid() === 0 ? [] : ['--map-root-user'];
  // Without the marks by which node's test runner knows its children.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const run = new Program('unshare', [...root, '--net', 'node', `--test-name-pattern=${name}`, file], {
    env: { ...environment, [INSIDE]: '1' },
  });
  assert.equal(await run.finish(seconds), 0, run.transcript());
  return run.lines;
}

// This machine is 192.168.77.1, the other one 192.168.77.2. `there(...line)` runs a
// command there; `chromium` is one that does.
export async function otherMachine(t) {
  shell('ip', 'link', 'set', 'lo', 'up');
  const other = new Program('unshare', ['--net', 'sleep', '600']);
  t.after(() => other.child.kill('SIGKILL'));
  const pid = other.child.pid;
  const own = shell('readlink', '/proc/self/ns/net');
  for (const deadline = Date.now() + 10_000; shell('readlink', `/proc/${pid}/ns/net`) === own;) assert.ok(Date.now() < deadline);
  const there = (...line) => shell('nsenter', `--net=/proc/${pid}/ns/net`, ...line);
  shell('ip', 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'end', 'netns', `${pid}`);
  // Without IPv6 of their own making: see inNetwork().
  shell('ip', 'link', 'set', 'cable', 'addrgenmode', 'none');
  there('ip', 'link', 'set', 'end', 'addrgenmode', 'none');
  shell('ip', 'addr', 'add', '192.168.77.1/24', 'dev', 'cable');
  shell('ip', 'link', 'set', 'cable', 'up');
  shell('ip', 'route', 'add', 'default', 'via', '192.168.77.254');
  there('ip', 'link', 'set', 'lo', 'up');
  there('ip', 'addr', 'add', '192.168.77.2/24', 'dev', 'end');
  there('ip', 'link', 'set', 'end', 'up');
  there('ip', 'route', 'add', 'default', 'via', '192.168.77.254');
  const chromium = join(temporaryFolder(), 'chromium');
  writeFileSync(chromium, `#!/bin/sh\nexec nsenter --net=/proc/${pid}/ns/net "${process.env.KYUU_CHROMIUM ?? '/usr/bin/chromium'}" "$@"\n`);
  chmodSync(chromium, 0o755);
  return { there, chromium };
}

// A certificate of 192.168.77.1 that nobody knows: [its file, its key's].
export function certificate() {
  const folder = temporaryFolder();
  const [file, key] = ['c.pem', 'k.pem'].map((name) => join(folder, name));
  shell('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=kyuu',
    '-addext', 'subjectAltName=IP:192.168.77.1', '-out', file, '-keyout', key);
  return [file, key];
}

// Browsers that hide their addresses behind names of multicast DNS, as they do
// for people who let no page use a microphone, and `kyuu peer`, which finds the
// addresses: of its own none is told the browser, which could find them.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { here, Program } from './lib.mjs';

// Names are of a network, and loopback is none.
const NETWORK = `ip link set lo up && ip link add v0 type veth peer name v1 && ip addr add 11.1.1.2/24 dev v0 &&
  ip link set v0 up && ip link set v1 up && ip route add default via 11.1.1.1 && exec "$@"`;

for (const browser of ['chromium', 'firefox']) {
  for (const role of ['offer', 'answer']) {
    test(`${browser} hides its address in its ${role}`, { timeout: 120_000 }, async () => {
      const root = process.getuid() === 0 ? [] : ['--map-root-user'];
      const run = new Program('unshare', [...root, '--net', 'sh', '-c', NETWORK, 'sh', 'node', join(here, 'peers/browser_names.mjs'), browser, role]);
      assert.equal(await run.finish(90), 0, run.transcript());
      const { failure, names, received, path } = run.event('result');
      assert.equal(failure, null, run.transcript());
      assert(names.length > 0, run.transcript());
      assert.equal(received, 5, run.transcript());
      assert.deepEqual([path.local, path.remote, path.transport], ['host', 'host', 'udp'], run.transcript());
    });
  }
}

// Addresses hidden behind names of multicast DNS, as browsers hide those of people
// who let no page use a microphone: `kyuu peer` finds a browser's, and a browser
// those of `kyuu peer --hide-addresses`. Whoever is found is told no address, so
// that nobody else could have.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { here, Program } from './lib.mjs';

// Names are of a network, and loopback is none.
const NETWORK = `ip link set lo up && ip link add v0 type veth peer name v1 && ip addr add 11.1.1.2/24 dev v0 &&
  ip link set v0 up && ip link set v1 up && ip route add default via 11.1.1.1 && exec "$@"`;

for (const browser of ['chromium', 'firefox']) {
  for (const [role, finder] of [['offer', 'kyuu'], ['answer', 'kyuu'], ['offer', 'browser'], ['answer', 'browser']]) {
    test(`${browser}'s ${role}: ${finder} finds the other`, { timeout: 120_000 }, async () => {
      const root = process.getuid() === 0 ? [] : ['--map-root-user'];
      const run = new Program('unshare', [...root, '--net', 'sh', '-c', NETWORK, 'sh',
        'node', join(here, 'peers/browser_names.mjs'), browser, role, finder]);
      assert.equal(await run.finish(90), 0, run.transcript());
      const { failure, names, received, path } = run.event('result');
      assert.equal(failure, null, run.transcript());
      assert(names.length > 0, run.transcript());
      assert.equal(received, 5, run.transcript());
      // The peer-reflexive one is who was not told where the other is.
      if (finder === 'kyuu') assert.equal(path.remote, 'host', run.transcript());
      assert.equal(path.transport, 'udp', run.transcript());
    });
  }
}

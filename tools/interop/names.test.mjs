// Addresses hidden behind names of multicast DNS, as browsers hide those of people
// who let no page use a microphone: `kyuu peer` finds a browser's, and a browser
// those of `kyuu peer --hide-addresses`. Whoever is found is told no address, so
// that nobody else could have.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { here, inNetwork } from './lib.mjs';

for (const browser of ['chromium', 'firefox']) {
  for (const [role, finder] of [['offer', 'kyuu'], ['answer', 'kyuu'], ['offer', 'browser'], ['answer', 'browser']]) {
    test(`${browser}'s ${role}: ${finder} finds the other`, { timeout: 120_000 }, async () => {
      const run = inNetwork('true', 'node', join(here, 'peers/browser_names.mjs'), browser, role, finder);
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

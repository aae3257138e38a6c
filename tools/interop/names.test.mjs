// Addresses hidden behind names of multicast DNS, as browsers hide those of people
// who let no page use a microphone: `kyuu peer` finds a browser's, and a browser
// those of `kyuu peer --hide-addresses`. Whoever is found is told no address, so
// that nobody else could have.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { here, inNetwork } from './lib.mjs';

// Chromium asks for a name once and waits for half a second (an answer after 400 ms
// is taken, one after 700 ms is not): on a busy machine that can pass, so it may
// try again. Whoever is never found fails three times.
const tries = { chromium: 3, firefox: 1 };

async function meet(browser, role, finder) {
  for (let left = tries[browser]; ; --left) {
    const run = inNetwork('true', 'node', join(here, 'peers/browser_names.mjs'), browser, role, finder);
    assert.equal(await run.finish(90), 0, run.transcript());
    if (left === 1 || finder === 'kyuu' || run.event('result').failure === null) return run;
    console.log(`# ${browser} found nobody: ${run.event('result').failure.split('\n')[0]}`);
  }
}

for (const browser of ['chromium', 'firefox']) {
  for (const [role, finder] of [['offer', 'kyuu'], ['answer', 'kyuu'], ['offer', 'browser'], ['answer', 'browser']]) {
    test(`${browser}'s ${role}: ${finder} finds the other`, { timeout: 240_000 }, async () => {
      const run = await meet(browser, role, finder);
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

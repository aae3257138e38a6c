// Data channels of every kind between kyuu and foreign stacks, in both roles and opened
// by either end (channel_cases.mjs): whatever arrives where a stack talks to itself
// arrives with kyuu. KYUU_CHANNELS=all adds what is slow: werift, and all of aiortc and
// pion, of which the default is a core. KYUU_CHANNELS_ROUNDS (2) says how often ids are
// used again, KYUU_CHANNELS_LARGEST (4 MiB) is the largest message that is tried on a
// stack that takes larger ones.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { WAIT } from './browser.mjs';
import { BRIEFLY, CASES, closeBrowsers, declared, play, STACKS } from './channel_cases.mjs';
import { here, inNetwork, killLeftovers, LOSES_5_PERCENT } from './lib.mjs';

const MINUTES = { timeout: 5 * 60_000 };
const ALL = process.env.KYUU_CHANNELS === 'all';
const stacks = Object.keys(STACKS).filter((name) => ALL || !STACKS[name].slow);
const whole = stacks.filter((name) => ALL || !STACKS[name].inBrief);

function told(failures) { return [...failures].map(([what, why]) => `${what}: ${why}`).join('\n'); }

// Most of these tests is waiting; what waits longest begins first.
describe('data channels', { concurrency: 4, ...MINUTES }, () => {
  after(async () => {
    try { await closeBrowsers(); } finally { killLeftovers(); }
  }, { timeout: WAIT });

  for (const name of whole) {
    test(`${name} where one packet of 20 is lost`, MINUTES, async () => {
      const run = inNetwork(LOSES_5_PERCENT, 'node', join(here, 'peers/lossy_channels.mjs'), name);
      assert.equal(await run.finish(200), 0, run.transcript());
      assert.deepEqual(run.event('result')?.failures, [], run.transcript());
    });
  }
  for (const name of stacks) {
    for (const [offerer, answerer] of name === 'kyuu' ? [['kyuu', 'kyuu']] : [['kyuu', name], [name, 'kyuu']]) {
      test(`${offerer} offers to ${answerer}`, MINUTES, async () => {
        const cases = whole.includes(name) ? Object.keys(CASES) : BRIEFLY;
        const { failures } = await play(offerer, answerer, cases, { expectable: true });
        assert.equal(failures.size, 0, told(failures));
      });
    }
  }
  for (const name of whole) {
    // Who can do now what is declared takes it off the list.
    for (const [what, why] of Object.entries(declared(name))) {
      test(`${name} does not do with itself: ${what} (${why})`, MINUTES, async () => {
        // libdatachannel refuses one of 15 of its own connections: see tools/README.md.
        const attempt = () => play(name, name, [what], { ms: 3000 });
        const { failures } = await attempt().catch(attempt);
        assert.notEqual(failures.size, 0);
      });
    }
  }
});

// The end never outruns delivery: `kyuu peer` closes at once after its last
// send, and the other stack's program has read everything. Chromium and Firefox are
// pages of their own here; KYUU_ENDINGS says how often each is tried.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBrowser, startFirefox, WAIT } from './browser.mjs';
import { foreignPeer, killLeftovers, kyuuPeer, runPair, spacedFor } from './lib.mjs';

const MINUTES = { timeout: 10 * 60_000 };
const RUNS = +(process.env.KYUU_ENDINGS ?? 3);
const peers = { kyuu: kyuuPeer, ...foreignPeer };

// The last chat line; the end of a file; much of little.
const SENDINGS = {
  'five texts': { count: 5, args: ['--size', '100', '--text'] },
  '100 binary messages of 4 kB': { count: 100, args: ['--size', '4000'] },
  '200 texts': { count: 200, args: ['--size', '20', '--text'] },
};

for (const [name, foreign] of Object.entries(peers)) {
  for (const [what, { count, args }] of Object.entries(SENDINGS)) {
    test(`${RUNS} times ${what} to ${name}, and then the end`, MINUTES, async () => {
      for (let run = 0; run < RUNS; ++run) {
        const { a, b } = await runPair(
          kyuuPeer('--role', 'offer', '--send', String(count), ...args, ...spacedFor(name)),
          foreign('--role', 'answer', '--expect', String(count), ...args));
        assert.equal(a.sent, count);
        assert.equal(b.received, count, `run ${run}`);
      }
    });
  }
}

// The page: answers, and notes what its channel tells, in order.
function install() {
  globalThis.answer = async (sdp) => {
    const pc = new RTCPeerConnection();
    const told = globalThis.told = [];
    globalThis.pc = pc;
    pc.ondatachannel = ({ channel }) => {
      channel.onmessage = () => told.push('message');
      channel.onclosing = () => told.push('closing');
      channel.onclose = () => told.push('close');
      channel.onerror = ({ error }) => told.push(`error: ${error.message}`);
    };
    await pc.setRemoteDescription({ type: 'offer', sdp });
    await pc.setLocalDescription();
    await new Promise((resolve) => {
      const look = () => { if (pc.iceGatheringState === 'complete') resolve(); };
      pc.addEventListener('icegatheringstatechange', look);
      look();
    });
    return pc.localDescription.sdp;
  };
  globalThis.ended = async () => {
    const end = performance.now() + 20_000;
    while (globalThis.told.at(-1) !== 'close' && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    globalThis.pc.close();
    return globalThis.told;
  };
}

for (const [name, start] of [['Chromium', startBrowser], ['Firefox', startFirefox]]) describe(name, () => {
  let browser;
  let page;
  before(async () => {
    browser = await start();
    page = await browser.newPage();
    await page.evaluate(install);
  }, { timeout: WAIT });
  after(async () => {
    try { await browser?.close(); } finally { killLeftovers(); }
  }, { timeout: WAIT });

  for (const [what, { count, args }] of Object.entries(SENDINGS)) {
    test(`${RUNS} times ${what} to a page in ${name}, and then the end`, MINUTES, async () => {
      for (let run = 0; run < RUNS; ++run) {
        const peer = kyuuPeer('--role', 'offer', '--no-trickle', '--send', String(count), ...args);
        const [line] = await peer.waitFor(/^\{.*"type":"offer".*\}$/);
        const sdp = await page.evaluate((offer) => globalThis.answer(offer), JSON.parse(line).sdp);
        peer.write(JSON.stringify({ type: 'answer', sdp }) + '\n');
        const told = await page.evaluate(() => globalThis.ended());
        assert.equal(await peer.finish(30), 0, peer.transcript());
        assert.equal(told.filter((t) => t === 'message').length, count, `run ${run}: ${told.slice(-5)}`);
        assert.deepEqual(told.slice(count), ['closing', 'close'], `run ${run}`);
      }
    });
  }
});

// `kyuu peer --lite`: every stack connects to an agent that makes no checks, as
// the side that controls whoever has offered.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBrowser, startFirefox, WAIT } from './browser.mjs';
import { foreignPeer, killLeftovers, kyuuPeer, runPair, spacedFor } from './lib.mjs';
import { describeCall } from './peers/in_page.mjs';

// More than runPair waits, which tells what both have said.
const MINUTE = { timeout: 90_000 };
const peers = { kyuu: kyuuPeer, ...foreignPeer };
const lite = (...args) => kyuuPeer('--lite', ...args);
// aioice ends its checks when it has none to make: what trickles later is found
// by the other side's checks, and a lite one makes none.
const wholeFor = (name) => (name === 'aiortc' ? ['--no-trickle'] : []);

for (const name of Object.keys(peers)) {
  test(`a lite one offers to ${name}`, MINUTE, async () => {
    const { a, b } = await runPair(
      lite('--role', 'offer', '--send', '20', '--expect', '20', '--size', '1000', ...spacedFor(name), ...wholeFor(name)),
      peers[name]('--role', 'answer', '--echo'));
    assert.equal(a.received, 20);
    assert.equal(b.received, 20);
  });
  test(`${name} offers to a lite one`, MINUTE, async () => {
    const { a } = await runPair(
      peers[name]('--role', 'offer', '--send', '20', '--expect', '20', '--size', '1000'),
      lite('--role', 'answer', '--echo'));
    assert.equal(a.received, 20);
  });
}

test('two lite ones', MINUTE, async () => {
  const { a } = await runPair(
    lite('--no-trickle', '--role', 'offer', '--send', '20', '--expect', '20', '--size', '1000'),
    lite('--no-trickle', '--role', 'answer', '--echo'));
  assert.equal(a.received, 20);
});

for (const [name, start] of [['Chromium', startBrowser], ['Firefox', startFirefox]]) {
  describe(name, MINUTE, () => {
    let browser, page;
    before(async () => {
      browser = await start();
      page = await browser.newPage();
    }, { timeout: WAIT });
    after(async () => {
      await browser?.close();
      killLeftovers();
    }, { timeout: WAIT });

    test('offers', MINUTE, async () => {
      const peer = lite('--role', 'answer', '--no-trickle', '--send', '20', '--expect', '20', '--size', '1000');
      peer.write(JSON.stringify(await page.evaluate(describeCall, null)) + '\n');
      const [answer] = await peer.waitFor(/^\{.*"type":"answer".*\}$/);
      assert.match(answer, /a=ice-lite/);
      await page.evaluate((theirs) => globalThis.pc.setRemoteDescription(theirs), JSON.parse(answer));
      assert.equal(await peer.finish(30), 0, peer.transcript());
      assert.equal(peer.event('result').received, 20, peer.transcript());
    });

    test('answers', MINUTE, async () => {
      const peer = lite('--role', 'offer', '--no-trickle', '--send', '20', '--expect', '20', '--size', '1000');
      const [offer] = await peer.waitFor(/^\{.*"type":"offer".*\}$/);
      peer.write(JSON.stringify(await page.evaluate(describeCall, JSON.parse(offer))) + '\n');
      assert.equal(await peer.finish(30), 0, peer.transcript());
      assert.equal(peer.event('result').received, 20, peer.transcript());
    });
  });
}

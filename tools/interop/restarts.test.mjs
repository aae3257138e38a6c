// ICE restarts from either side, KYUU_RESTARTS of them with each peer that can,
// while messages go there and back: none is lost. node-datachannel and aiortc
// restart nothing; werift 0.24 ends with an exception of its own after some.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startBrowser, startFirefox } from './browser.mjs';
import { foreignPeer, join2, killLeftovers, kyuuPeer, sleep } from './lib.mjs';
import { PagePeer } from './page_peer.mjs';

const RESTARTS = +(process.env.KYUU_RESTARTS ?? 8);
const TIME = { timeout: 60_000 + 3000 * RESTARTS };

after(killLeftovers);

const count = (peer, what) => peer.lines.filter((line) => line.includes(what)).length;

// Restarts of both in turn; each is over when its answer was told.
async function restartInTurn(kyuu, other) {
  for (let i = 0; i < RESTARTS; ++i) {
    const [asks, answers] = i % 2 ? [kyuu, other] : [other, kyuu];
    const before = count(answers, '"type":"answer"');
    asks.write('{"type":"restart"}\n');
    for (let t = 0; count(answers, '"type":"answer"') === before; ++t) {
      assert.ok(t < 2000 && kyuu.code === undefined, `restart ${i}\n${kyuu.transcript()}\n${other.transcript()}`);
      await sleep(10);
    }
    await sleep(60);
  }
}

// Says numbers, one each 5 ms, until all restarts are over; each comes back.
async function run(kyuu, other) {
  join2(kyuu, other);
  const [, label] = await kyuu.waitFor(/"event":"channel".*"label":"([^"]*)"/);
  let said = 0, over = false;
  const saying = (async () => {
    for (; !over; await sleep(5)) kyuu.write(JSON.stringify({ type: 'send', label, say: [`${said++}`] }) + '\n');
  })();
  await restartInTurn(kyuu, other).finally(() => { over = true; });
  await saying;
  for (let t = 0; count(kyuu, '"event":"message"') < said; ++t) {
    assert.ok(t < 2000 && kyuu.code === undefined, `${said} were said\n${kyuu.transcript()}\n${other.transcript()}`);
    await sleep(10);
  }
  const heard = kyuu.lines.filter((line) => line.includes('"event":"message"')).map((line) => JSON.parse(line).said);
  assert.deepEqual(heard, Array.from({ length: said }, (_, i) => `${i}`));
  kyuu.write('{"type":"bye"}\n');
  assert.equal(await kyuu.finish(30), 0, kyuu.transcript());
  // Each has offered its half.
  assert.ok(count(kyuu, '"type":"offer"') >= RESTARTS / 2 && count(other, '"type":"offer"') >= RESTARTS / 2);
  assert.deepEqual(kyuu.errors, []);
}

for (const name of ['wrtc', 'pion']) {
  test(`${RESTARTS} restarts with ${name}`, TIME, async () => {
    const other = foreignPeer[name]('--role', 'answer', '--echo');
    await run(kyuuPeer('--role', 'offer', '--scripted'), other);
    await other.stop('SIGKILL').catch(() => {});
  });
}

for (const [name, start] of [['Chromium', startBrowser], ['Firefox', startFirefox]]) {
  test(`${RESTARTS} restarts with ${name}`, TIME, async () => {
    const browser = await start();
    try {
      const page = await PagePeer.start(browser, { offers: true, echo: true });
      await run(kyuuPeer('--role', 'answer', '--scripted'), page);
      assert.deepEqual(page.errors, []);
    } finally {
      await browser.close();
    }
  });
}

test(`${RESTARTS} restarts with kyuu`, TIME, async () => {
  const other = kyuuPeer('--role', 'answer', '--echo');
  await run(kyuuPeer('--role', 'offer', '--scripted'), other);
  await other.stop('SIGKILL').catch(() => {});
});

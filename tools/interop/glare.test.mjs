// Offers of both sides that cross each other, with Chromium and Firefox: each
// time both come to be stable, and data goes on. KYUU_GLARES times each.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBrowser, startFirefox, WAIT } from './browser.mjs';
import { killLeftovers, kyuuPeer, sleep } from './lib.mjs';
import { PagePeer } from './page_peer.mjs';

const GLARES = +(process.env.KYUU_GLARES ?? 16);
const TIME = { timeout: 60_000 + 2000 * GLARES };
// What each side asks for. Firefox 140 takes no restart of ICE in place of an offer of
// its own, whether it has taken that one back or not ("Remote description indicates
// ICE restart but offer did not request ICE restart").
const KINDS = ['negotiate', 'restart'];
const kindsFor = (yielding) => (yielding === 'Firefox' ? ['negotiate'] : KINDS);

const isOffer = (line) => line.includes('"type":"offer"');
const isSignaling = (line) => /"(type|candidate)"/.test(line) && !line.includes('"event"');

// Lines between two peers that can be held back.
class Wire {
  constructor(from, to) {
    Object.assign(this, { to, held: null, passed: [] });
    const take = (line) => {
      if (!isSignaling(line)) return;
      if (this.held) this.held.push(line); else this.#pass(line);
    };
    from.lines.forEach(take);
    from.onLine = take;
  }
  #pass(line) {
    this.passed.push(line);
    this.to.write(line + '\n');
  }
  hold() { [this.held, this.passed] = [[], []]; }
  release() {
    const lines = this.held;
    this.held = null;
    lines.forEach((line) => this.#pass(line));
  }
}

async function until(what, holds, ...peers) {
  for (const end = Date.now() + 20_000; !holds(); await sleep(1)) {
    if (Date.now() > end) assert.fail(`${what}\n${peers.map((peer) => peer.transcript()).join('\n')}`);
  }
}

for (const [name, start] of [['Chromium', startBrowser], ['Firefox', startFirefox]]) {
  describe(name, () => {
    let browser;
    before(async () => { browser = await start(); }, { timeout: WAIT });
    after(async () => {
      try { await browser?.close(); } finally { killLeftovers(); }
    }, { timeout: WAIT });

    for (const kyuuYields of [true, false]) {
      test(`${GLARES / 2} collisions in which ${kyuuYields ? 'kyuu' : 'the page'} yields`, TIME, async () => {
        const kyuu = kyuuPeer('--role', 'answer', '--echo', ...(kyuuYields ? [] : ['--impolite']));
        await kyuu.waitFor(/"event":"ready"/);
        const page = await PagePeer.start(browser, { offers: true, polite: !kyuuYields });
        const kinds = kindsFor(kyuuYields ? 'kyuu' : name);
        const wires = [new Wire(page, kyuu), new Wire(kyuu, page)];
        await page.until(() => globalThis.channel.readyState === 'open');
        const [winner, loser] = kyuuYields ? [page, kyuu] : [kyuu, page];
        for (let i = 0; i < GLARES / 2; ++i) {
          for (const wire of wires) wire.hold();
          kyuu.write(`{"type":"${kinds[i % kinds.length]}"}\n`);
          page.write(`{"type":"${KINDS[(i >> 1) % 2]}"}`);
          await until(`offers of both in round ${i}`, () => wires.every(({ held }) => held.some(isOffer)), kyuu, page);
          for (const wire of wires) wire.release();
          const answers = wires[loser === kyuu ? 1 : 0].passed;
          await until(`an answer in round ${i}`, () => answers.some((line) => line.includes('"type":"answer"')), kyuu, page);
          await page.until(() => globalThis.pc.signalingState === 'stable');
          await page.page.evaluate((text) => globalThis.channel.send(text), `round ${i}`);
          await page.until((text) => globalThis.heard.at(-1) === text, `round ${i}`);
        }
        // Of each collision one offer was ignored, by the one that does not yield;
        // and kyuu was stable whenever it was asked for an offer.
        const ignored = () => winner.lines.filter((line) => line.includes('"event":"ignored"')).length;
        await until('an offer of each collision is ignored', () => ignored() >= GLARES / 2, kyuu, page);
        assert.equal(ignored(), GLARES / 2);
        assert.deepEqual([page.errors, kyuu.errors], [[], []]);
        assert.equal(await page.page.evaluate(() => globalThis.pc.connectionState), 'connected');
        await page.page.close();
        await kyuu.stop('SIGKILL').catch(() => {});
      });
    }
  });
}

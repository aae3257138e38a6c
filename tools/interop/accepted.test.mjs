// Audio and video that a browser offers beside data, answered by `kyuu peer
// --media` with codecs: the browser takes the answer for what it says, before
// and after a renegotiation by each side, and data goes both ways.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBrowser, startFirefox, WAIT } from './browser.mjs';
import { join2, killLeftovers, kyuuPeer } from './lib.mjs';
import { PagePeer } from './page_peer.mjs';

const TIME = { timeout: 120_000 };

// The sections of a description, by kind.
const sections = (sdp) => Object.fromEntries(sdp.split(/\r\n(?=m=)/).slice(1).map((text) => [text.match(/^m=(\w+)/)[1], text]));
// Firefox writes the one channel of audio, too.
const codecsOf = (section) => [...section.matchAll(/^a=rtpmap:\d+ (\S+)/gm)]
  .map(([, name]) => name.toLowerCase().replace(/^(.*\/\d+)\/1$/, '$1'));

for (const [name, start] of [['Chromium', startBrowser], ['Firefox', startFirefox]]) {
  describe(name, () => {
    let browser;
    before(async () => { browser = await start(); }, { timeout: WAIT });
    after(async () => {
      try { await browser?.close(); } finally { killLeftovers(); }
    }, { timeout: WAIT });

    for (const [flags, expected] of [
      [['audio=opus/48000/2,PCMU/8000', 'video=VP8/90000,rtx/90000'],
        { audio: ['sendrecv', ['opus/48000/2', 'pcmu/8000']], video: ['sendonly', ['vp8/90000', 'rtx/90000']] }],
      [['audio=G722/8000', 'video=reject'], { audio: ['sendrecv', ['g722/8000']], video: [null, []] }],
      [['audio=speex/8000', 'video=park'], { audio: ['inactive'], video: ['inactive'] }],
    ]) {
      test(`${flags.join(' ')}`, TIME, async () => {
        const kyuu = kyuuPeer('--role', 'answer', '--echo', ...flags.flatMap((flag) => ['--media', flag]));
        const page = await PagePeer.start(browser, { offers: true, media: [['audio', 'sendrecv'], ['video', 'recvonly']] });
        join2(page, kyuu);
        const answers = () => kyuu.lines.filter((line) => line.includes('"type":"answer"'));
        for (const round of ['first', 'page', 'kyuu']) {
          if (round === 'page') page.write('{"type":"negotiate"}');
          if (round === 'kyuu') kyuu.write('{"type":"negotiate"}\n');
          if (round !== 'kyuu') {
            const count = round === 'first' ? 1 : 2;
            for (let t = 0; answers().length < count; ++t) {
              assert.ok(t < 1000, kyuu.transcript());
              await new Promise((resolve) => { setTimeout(resolve, 10); });
            }
          } else {
            await kyuu.waitFor(/"type":"offer"/);
            await page.until(() => globalThis.pc.currentRemoteDescription.type === 'offer');
          }
          await page.until(() => globalThis.pc.signalingState === 'stable' && globalThis.channel.readyState === 'open');
          await page.page.evaluate((text) => globalThis.channel.send(text), round);
          await page.until((text) => globalThis.heard.at(-1) === text, round);
          // What the browser makes of it.
          const seen = await page.page.evaluate(() => globalThis.pc.getTransceivers().map(
            ({ receiver, currentDirection }) => [receiver.track.kind, currentDirection]));
          const said = sections(await page.page.evaluate(() => globalThis.pc.remoteDescription.sdp));
          for (const [kind, [direction, codecs]] of Object.entries(expected)) {
            const mirrored = { sendonly: 'recvonly', recvonly: 'sendonly' }[direction] ?? direction;
            const current = Object.fromEntries(seen)[kind];
            if (direction === null) {
              assert.ok([null, 'stopped', undefined].includes(current), `${kind} ${current}`);
              assert.match(said[kind], /^m=\w+ 0 /);
            } else {
              assert.equal(current, mirrored, `${round} ${kind}\n${said[kind]}`);
              assert.match(said[kind], /^m=\w+ [1-9]/);
            }
            if (codecs?.length) assert.deepEqual([...new Set(codecsOf(said[kind]))], codecs, round);
          }
          assert.deepEqual(page.errors, []);
        }
        await page.page.close();
        await kyuu.stop('SIGKILL').catch(() => {});
      });
    }
  });
}

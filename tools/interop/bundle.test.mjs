// Pages with audio, video and data: what Chromium and Firefox offer under every
// bundlePolicy is answered by `kyuu peer`, taken by the browser, and connected,
// with data both ways. And ICE restarts with Firefox, from either side.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBrowser, startFirefox, WAIT } from './browser.mjs';
import { killLeftovers, kyuuPeer, sleep } from './lib.mjs';

const MINUTES = { timeout: 5 * 60_000 };
const POLICIES = ['balanced', 'max-compat', 'max-bundle'];
const OFFERS = 102; // Of each browser: 34 of each policy.
const AT_ONCE = 6;

// What runs in the page: calls by number, each with what it heard.
function install() {
  const calls = globalThis.calls = [];
  const KINDS = [['audio'], ['audio', 'video'], ['video', 'audio'], ['audio', 'audio', 'video']];
  const DIRECTIONS = ['sendrecv', 'recvonly', 'sendonly', 'inactive'];
  // A call of the page's: number i varies what is offered, and in which order.
  globalThis.offer = async (i, bundlePolicy, trickled) => {
    const pc = new RTCPeerConnection({ bundlePolicy });
    const call = calls[i] = { pc, candidates: [], messages: [] };
    const data = () => { call.channel = pc.createDataChannel(`chat ${i}`); };
    if (i % 3 === 0) data();
    for (const [n, kind] of KINDS[i % KINDS.length].entries()) {
      pc.addTransceiver(kind, { direction: DIRECTIONS[(i + n) % DIRECTIONS.length] });
    }
    if (i % 3 !== 0) data();
    call.channel.onmessage = ({ data }) => call.messages.push(data);
    pc.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate) {
        call.candidates.push({
          candidate: candidate.candidate, sdpMid: candidate.sdpMid, sdpMLineIndex: candidate.sdpMLineIndex,
        });
      }
    };
    await pc.setLocalDescription();
    const first = pc.localDescription.sdp;
    await globalThis.gathered(pc);
    return { sdp: trickled ? first : pc.localDescription.sdp, candidates: trickled ? call.candidates : [] };
  };
  globalThis.gathered = (pc) => new Promise((resolve) => {
    const look = () => { if (pc.iceGatheringState === 'complete') resolve(); };
    pc.addEventListener('icegatheringstatechange', look);
    look();
  });
  const until = async (what, holds) => {
    const end = performance.now() + 30_000;
    while (!holds()) {
      if (performance.now() > end) throw new Error(`never: ${what}`);
      await new Promise((r) => setTimeout(r, 10));
    }
  };
  globalThis.answer = async (i, sdp) => {
    await calls[i].pc.setRemoteDescription({ type: 'answer', sdp });
    await globalThis.opened(i);
  };
  globalThis.opened = (i) => until('open', () => calls[i].channel.readyState === 'open');
  globalThis.restart = async (i) => {
    const { pc } = calls[i];
    pc.restartIce();
    await pc.setLocalDescription();
    await globalThis.gathered(pc);
    return pc.localDescription.sdp;
  };
  // Returns the answer to an offer.
  globalThis.described = async (i, { type, sdp }) => {
    const { pc } = calls[i];
    await pc.setRemoteDescription({ type, sdp });
    if (type !== 'offer') return '';
    await pc.setLocalDescription();
    await globalThis.gathered(pc);
    return pc.localDescription.sdp;
  };
  globalThis.talk = async (i, text) => {
    calls[i].channel.send(text);
    await until(`echo of ${text}`, () => calls[i].messages.includes(text));
  };
  globalThis.hangUp = (i) => { calls[i].pc.close(); };
}

// One call: its offer to a kyuu of its own, the answer back, an echo. Returns
// what kyuu says of it.
async function callOnce(page, i, policy) {
  const trickled = i % 2 === 1;
  const offer = await page.evaluate(([n, p, t]) => globalThis.offer(n, p, t), [i, policy, trickled]);
  const peer = kyuuPeer('--role', 'answer', '--echo', '--no-trickle');
  try {
    peer.write(JSON.stringify({ type: 'offer', sdp: offer.sdp }) + '\n');
    for (const candidate of offer.candidates) peer.write(JSON.stringify(candidate) + '\n');
    const [line] = await peer.waitFor(/^\{.*"type":"answer".*\}$/);
    await page.evaluate(([n, sdp]) => globalThis.answer(n, sdp), [i, JSON.parse(line).sdp]);
    await page.evaluate(([n, text]) => globalThis.talk(n, text), [i, `hello ${i}`]);
    await page.evaluate((n) => globalThis.hangUp(n), i);
    await peer.finish(30);
    return peer.event('result');
  } catch (error) {
    throw new Error(`${policy} ${i}${trickled ? ' trickled' : ''}: ${error.message}\n${offer.sdp}\n${peer.transcript()}`);
  } finally {
    await peer.stop('SIGKILL').catch(() => {});
  }
}

test('Chromium speaks I-DATA with its trial, and DATA without', MINUTES, async () => {
  for (const trials of [[], ['WebRTC-DataChannelMessageInterleaving']]) {
    const browser = await startBrowser({ trials });
    try {
      const page = await browser.newPage();
      await page.evaluate(install);
      const { sctp } = await callOnce(page, 0, 'balanced');
      assert.equal(sctp.interleaving, trials.length > 0);
    } finally {
      await browser.close();
    }
  }
});

for (const [name, start] of [['Chromium', startBrowser], ['Firefox', startFirefox]]) {
  describe(name, () => {
    let browser;
    let page;
    before(async () => {
      browser = await start();
      page = await browser.newPage();
      // playwright hands over one argument, puppeteer as many as there are.
      await page.evaluate(install);
    }, { timeout: WAIT });
    after(async () => {
      try { await browser?.close(); } finally { killLeftovers(); }
    }, { timeout: WAIT });

    for (const [p, policy] of POLICIES.entries()) {
      const count = OFFERS / POLICIES.length;
      test(`${count} offers with bundlePolicy ${policy} connect`, MINUTES, async () => {
        const left = Array.from({ length: count }, (_, i) => p * count + i);
        const failures = [];
        const results = [];
        await Promise.all(Array.from({ length: AT_ONCE }, async () => {
          for (let i = left.shift(); i !== undefined; i = left.shift()) {
            await callOnce(page, i, policy).then((result) => results.push(result), (error) => failures.push(error.message));
          }
        }));
        // RFC 8260: Firefox has it on.
        for (const { sctp } of results) assert.equal(sctp.interleaving, name === 'Firefox');
        assert.equal(failures.length, 0, `${failures.length} of ${count} failed:\n${failures.slice(0, 3).join('\n')}`);
      });
    }

    test('ICE restarts of either side under an open channel', MINUTES, async () => {
      const i = OFFERS;
      const peer = kyuuPeer('--role', 'answer', '--echo');
      // Its lines become the page's, in order.
      let described = [];
      let turn = Promise.resolve();
      peer.onLine = (line) => {
        const message = JSON.parse(line);
        if (message.event) return;
        turn = turn.then(async () => {
          if (message.sdp) {
            const local = await page.evaluate(([n, d]) => globalThis.described(n, d), [i, message]);
            if (local) peer.write(JSON.stringify({ type: 'answer', sdp: local }) + '\n');
            described.push(message.type);
          } else if (message.candidate) {
            await page.evaluate(([n, c]) => globalThis.calls[n].pc.addIceCandidate(c), [i, message]);
          }
        }).catch((error) => described.push(error.message));
      };
      const expect = async (type) => {
        for (let t = 0; t < 300 && !described.length; t++) await sleep(100);
        assert.deepEqual(described, [type], peer.transcript());
        described = [];
      };
      const offer = await page.evaluate(([n]) => globalThis.offer(n, 'max-bundle', false), [i]);
      peer.write(JSON.stringify({ type: 'offer', sdp: offer.sdp }) + '\n');
      await expect('answer');
      await page.evaluate(([n]) => globalThis.opened(n), [i]);
      for (let round = 1; round <= 6; round++) {
        if (round % 2) {
          const again = await page.evaluate(([n]) => globalThis.restart(n), [i]);
          peer.write(JSON.stringify({ type: 'offer', sdp: again }) + '\n');
          await expect('answer');
        } else {
          // Firefox answers with the other setup role here.
          peer.write(JSON.stringify({ type: 'restart' }) + '\n');
          await expect('offer');
        }
        await sleep(300);
        await page.evaluate(([n, text]) => globalThis.talk(n, text), [i, `round ${round}`]);
      }
      assert.equal(peer.code, undefined, peer.transcript());
      await page.evaluate(([n]) => globalThis.hangUp(n), [i]);
      await peer.stop('SIGKILL').catch(() => {});
    });
  });
}

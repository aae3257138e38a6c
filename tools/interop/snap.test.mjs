// SNAP (draft-hancke-tsvwg-snap), SCTP's handshake within the descriptions, and
// SPED (draft-hancke-webrtc-sped), DTLS's handshake on the checks of ICE: with
// Chromium, which has both behind trials, and with those who do not know them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBrowser, WAIT } from './browser.mjs';
import { foreignPeer, killLeftovers, kyuuPeer, runPair, spacedFor } from './lib.mjs';

const LINE = /\r\na=sctp-init:[A-Za-z0-9+/=]+\r\n/;

// Runs in the page: one end of a call that echoes, or sends and hears echoes.
async function run({ offer, count }) {
  const pc = new RTCPeerConnection();
  const gathered = new Promise((resolve) => {
    pc.onicegatheringstatechange = () => { if (pc.iceGatheringState === 'complete') resolve(); };
  });
  const heard = [];
  const all = new Promise((resolve) => {
    globalThis.take = (channel) => {
      channel.onmessage = ({ data }) => {
        heard.push(data);
        if (!offer || offer.sdp) channel.send(data);
        if (heard.length === count) resolve(heard);
      };
    };
  });
  globalThis.call = { pc, all };
  if (offer.sdp) {
    pc.ondatachannel = ({ channel }) => globalThis.take(channel);
    await pc.setRemoteDescription(offer);
  } else {
    const channel = pc.createDataChannel('snap');
    globalThis.take(channel);
    channel.onopen = () => { for (let i = 0; i < count; i++) channel.send(`message ${i}`); };
  }
  await pc.setLocalDescription();
  await gathered;
  return { type: pc.localDescription.type, sdp: pc.localDescription.sdp };
}

// The renderer of Chromium 156 crashes in one of 6 to 25 calls with these trials
// (two pages of it that call each other: in one of 3), WebRTC-Sctp-Snap alone
// among them. Whatever else fails fails at once.
async function despiteCrashes(t, call) {
  for (let crashes = 0; ; crashes++) {
    try {
      return await call();
    } catch (error) {
      if (!/Target crashed/.test(error.message) || crashes === 8) throw error;
      t.diagnostic(`Chromium crashed: ${error.message}`);
    }
  }
}

for (const trials of [['WebRTC-Sctp-Snap'], ['WebRTC-Sctp-Snap', 'WebRTC-IceHandshakeDtls'], []]) {
  const knows = trials.length > 0;
  const embeds = trials.length > 1;
  const calls = async () => {
    const browser = await startBrowser({ trials });
    try {
      const page = await browser.newPage();
      const count = 20;
      {
        const description = await page.evaluate(run, { offer: {}, count });
        assert.equal(LINE.test(description.sdp), knows, description.sdp);
        const peer = kyuuPeer('--role', 'answer', '--echo', '--no-trickle', '--snap', '--sped');
        peer.write(JSON.stringify(description) + '\n');
        const [line] = await peer.waitFor(/^\{.*"type":"answer".*\}$/);
        assert.equal(LINE.test(JSON.parse(line).sdp), knows, line);
        const heard = await page.evaluate(async (answer) => {
          await globalThis.call.pc.setRemoteDescription(answer);
          return globalThis.call.all;
        }, JSON.parse(line));
        assert.deepEqual(heard, Array.from({ length: count }, (_, i) => `message ${i}`));
        peer.write('{"type":"bye"}\n');
        await peer.finish(30);
        assert.equal(peer.event('result')?.dtls.embedded > 0, embeds, peer.transcript());
      }
      {
        const peer = kyuuPeer('--role', 'offer', '--no-trickle', '--snap', '--sped', '--send', `${count}`, '--expect', `${count}`);
        const [line] = await peer.waitFor(/^\{.*"type":"offer".*\}$/);
        assert.match(JSON.parse(line).sdp, LINE);
        const answer = await page.evaluate(run, { offer: JSON.parse(line), count });
        assert.equal(LINE.test(answer.sdp), knows, answer.sdp);
        peer.write(JSON.stringify(answer) + '\n');
        assert.equal((await page.evaluate(() => globalThis.call.all)).length, count);
        await peer.finish(30);
        assert.equal(peer.event('result')?.received, count, peer.transcript());
        assert.equal(peer.event('result').dtls.embedded > 0, embeds, peer.transcript());
      }
    } finally {
      await browser.close();
      killLeftovers();
    }
  };
  test(`Chromium with ${trials.join(' and ') || 'no trial'}, either side offering`, { timeout: 8 * WAIT },
    (t) => (knows ? despiteCrashes(t, calls) : calls()));
}

// libdatachannel 0.24 sends in its answer what it does not know, ours included.
for (const [name, peer] of Object.entries({ kyuu: kyuuPeer, ...foreignPeer })) {
  test(`${name} is offered both`, async () => {
    const { a } = await runPair(
      kyuuPeer('--role', 'offer', '--snap', '--sped', '--send', '3', '--expect', '3', ...spacedFor(name)),
      peer('--role', 'answer', '--echo', ...(name === 'kyuu' ? ['--snap', '--sped'] : [])));
    assert.equal(a.received, 3);
    assert.equal(a.dtls.embedded > 0, name === 'kyuu');
  });
}

// ICE over TCP (RFC 6544): peers that are told each other's TCP candidates alone
// meet over a connection, whoever of them makes it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBrowser, WAIT } from './browser.mjs';
import { foreignPeer, killLeftovers, kyuuPeer, runPair, spacedFor } from './lib.mjs';

const peers = { kyuu: kyuuPeer, ...foreignPeer };
// More than runPair waits, which tells what both have said.
const MINUTE = { timeout: 90_000 };

// Takes all candidates of UDP, and of TCP those that are not of `type`, out of
// a line of signaling; null if nothing is left of it.
function tcpOnly(line, type = /./) {
  const keep = (candidate) => / tcp /i.test(candidate) && type.test(candidate.match(/tcptype (\S+)/)?.[1] ?? '');
  const message = JSON.parse(line);
  if (message.sdp) {
    message.sdp = message.sdp.split('\r\n').filter((l) => !l.startsWith('a=candidate:') || keep(l)).join('\r\n');
  } else if (message.candidate && !keep(message.candidate)) {
    return null;
  }
  return JSON.stringify(message);
}

// Only `a` connects, or only `b`, or either.
const WAYS = { either: [/./, /./], offerer: [/active/, /passive/], answerer: [/passive/, /active/] };

for (const [who, [ofA, ofB]] of Object.entries(WAYS)) {
  test(`two kyuu, ${who} may connect`, MINUTE, async () => {
    const { a, b } = await runPair(
      kyuuPeer('--role', 'offer', '--send', '300', '--expect', '300', '--size', '20000'),
      kyuuPeer('--role', 'answer', '--echo'), 60,
      { ofA: (line) => tcpOnly(line, ofA), ofB: (line) => tcpOnly(line, ofB) });
    for (const result of [a, b]) {
      assert.equal(result.transport, 'tcp', JSON.stringify(result));
      assert.equal(result.relayed, false);
    }
    assert.equal(a.received, 300);
    // Whoever connects does so from a port that nobody told.
    if (who !== 'either') assert.equal(who === 'offerer' ? b.path : a.path, 'host-prflx', JSON.stringify({ a, b }));
  });
}

// libwebrtc listens as well as it connects.
for (const [offerer, answerer] of [['kyuu', 'wrtc'], ['wrtc', 'kyuu']]) {
  for (const type of [/active/, /passive/]) {
    test(`${offerer} offers to ${answerer}, and wrtc is ${type.source}`, MINUTE, async () => {
      const filters = [(line) => tcpOnly(line, type.source === 'active' ? /passive/ : /active/), (line) => tcpOnly(line, type)];
      const [ofA, ofB] = offerer === 'kyuu' ? filters : filters.reverse();
      const { a, b } = await runPair(
        peers[offerer]('--role', 'offer', '--send', '100', '--expect', '100', '--size', '20000', ...spacedFor(answerer)),
        peers[answerer]('--role', 'answer', '--echo'), 60, { ofA, ofB });
      const result = offerer === 'kyuu' ? a : b;
      assert.equal(result.transport, 'tcp', JSON.stringify(result));
      assert.equal(a.received, 100);
    });
  }
}

test('where datagrams pass, no connection is used', MINUTE, async () => {
  const { a } = await runPair(
    kyuuPeer('--role', 'offer', '--send', '3', '--expect', '3', '--size', '10'),
    kyuuPeer('--role', 'answer', '--echo'));
  assert.equal(a.transport, 'udp');
});

describe('Chromium, which only connects', MINUTE, () => {
  let browser, page;
  before(async () => {
    browser = await startBrowser();
    page = await browser.newPage();
    await page.evaluate(() => {
      const pc = () => {
        globalThis.heard = [];
        globalThis.pc = new RTCPeerConnection();
        globalThis.gathered = new Promise((resolve) => {
          globalThis.pc.onicecandidate = ({ candidate }) => { if (!candidate) resolve(); };
        });
        return globalThis.pc;
      };
      const use = (channel) => {
        globalThis.channel = channel;
        channel.onmessage = ({ data }) => globalThis.heard.push(data);
      };
      globalThis.offer = async () => {
        use(pc().createDataChannel('chat'));
        await globalThis.pc.setLocalDescription();
        await globalThis.gathered;
        return globalThis.pc.localDescription.sdp;
      };
      globalThis.answer = async (sdp) => {
        pc().ondatachannel = ({ channel }) => {
          use(channel);
          channel.onmessage = ({ data }) => channel.send(data);
        };
        await globalThis.pc.setRemoteDescription({ type: 'offer', sdp });
        await globalThis.pc.setLocalDescription();
        await globalThis.gathered;
        return globalThis.pc.localDescription.sdp;
      };
      globalThis.pathOf = async () => {
        const stats = [...(await globalThis.pc.getStats()).values()];
        const pair = stats.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
        return stats.find((s) => s.id === pair?.localCandidateId)?.protocol;
      };
    });
  }, { timeout: WAIT });
  after(async () => {
    await browser?.close();
    killLeftovers();
  }, { timeout: WAIT });

  test('offers', MINUTE, async () => {
    const sdp = tcpOnly(JSON.stringify({ type: 'offer', sdp: await page.evaluate(() => globalThis.offer()) }));
    const peer = kyuuPeer('--role', 'answer', '--echo', '--no-trickle');
    peer.write(sdp + '\n');
    const [line] = await peer.waitFor(/^\{.*"type":"answer".*\}$/);
    assert.match(tcpOnly(line), /tcptype passive/);
    await page.evaluate((answer) => globalThis.pc.setRemoteDescription(answer), JSON.parse(tcpOnly(line)));
    await page.waitForFunction(() => globalThis.channel.readyState === 'open', null, { timeout: WAIT });
    await page.evaluate(() => globalThis.channel.send('x'.repeat(50_000)));
    await page.waitForFunction(() => globalThis.heard[0]?.length === 50_000, null, { timeout: WAIT });
    assert.equal(await page.evaluate(() => globalThis.pathOf()), 'tcp');
    await page.evaluate(() => globalThis.pc.close());
    await peer.finish(30);
    assert.equal(peer.event('path').transport, 'tcp', peer.transcript());
  });

  test('answers', MINUTE, async () => {
    const peer = kyuuPeer('--role', 'offer', '--no-trickle', '--send', '50', '--expect', '50', '--size', '20000');
    const [line] = await peer.waitFor(/^\{.*"type":"offer".*\}$/);
    const sdp = await page.evaluate((offer) => globalThis.answer(offer), JSON.parse(tcpOnly(line)).sdp);
    peer.write(tcpOnly(JSON.stringify({ type: 'answer', sdp })) + '\n');
    assert.equal(await peer.finish(30), 0, peer.transcript());
    assert.equal(peer.event('result').transport, 'tcp', peer.transcript());
    assert.equal(peer.event('result').received, 50);
  });
});

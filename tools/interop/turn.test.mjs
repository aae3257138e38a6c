// Chromium relays by kyuud over TCP alone, as where UDP is blocked: two
// connections of one page that may only relay, with data both ways.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBrowser } from './browser.mjs';
import { startKyuud } from './lib.mjs';

let server, browser;

before(async () => {
  server = await startKyuud('--user', 'alice:secret');
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  assert.equal(await server.stop(), 0, server.transcript());
});

// In the page: what each heard, and the protocols of the relays in use.
async function relayed(iceServers) {
  const pcs = [0, 1].map(() => new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' }));
  pcs.forEach((pc, i) => { pc.onicecandidate = ({ candidate }) => pcs[1 - i].addIceCandidate(candidate); });
  const channel = pcs[0].createDataChannel('chat');
  const open = new Promise((resolve) => { channel.onopen = resolve; });
  const theirs = new Promise((resolve) => { pcs[1].ondatachannel = (event) => resolve(event.channel); });
  await pcs[0].setLocalDescription();
  await pcs[1].setRemoteDescription(pcs[0].localDescription);
  await pcs[1].setLocalDescription();
  await pcs[0].setRemoteDescription(pcs[1].localDescription);
  const other = await theirs;
  await open;
  const heard = (c) => new Promise((resolve) => { c.onmessage = ({ data }) => resolve(data.length); });
  const both = [heard(channel), heard(other)];
  channel.send('x'.repeat(60_000));
  other.send('y'.repeat(50_000));
  const lengths = await Promise.all(both);
  const protocols = [];
  for (const pc of pcs) {
    const stats = [...(await pc.getStats()).values()];
    const pair = stats.find((s) => s.type === 'candidate-pair' && s.nominated);
    protocols.push(stats.find((s) => s.id === pair.localCandidateId).relayProtocol);
    pc.close();
  }
  return { lengths, protocols };
}

test('Chromium relays over TCP', { timeout: 120_000 }, async () => {
  const page = await browser.newPage();
  await page.goto(`${server.url}/healthz`);
  const urls = `turn:${new URL(server.url).host}?transport=tcp`;
  const result = await page.evaluate(relayed, [{ urls, username: 'alice', credential: 'secret' }]);
  assert.deepEqual(result, { lengths: [50_000, 60_000], protocols: ['tcp', 'tcp'] });
});

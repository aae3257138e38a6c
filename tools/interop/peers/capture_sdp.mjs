// Writes what the programs on this machine say in SDP, one file a kind, for
// sdp/testdata: Chromium, Firefox, node-datachannel and @roamhq/wrtc. Addresses
// of this machine are replaced by those for documentation.
//
//   node peers/capture_sdp.mjs FOLDER

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

const folder = process.argv[2];

function anonymous(sdp) {
  return sdp
    .replace(/\b(?!0\.0\.0\.0|127\.0\.0\.1)\d{1,3}(\.\d{1,3}){3}\b/g, '192.0.2.1')
    .replace(/(?<=candidate:\S+ \d \S+ \d+ )(?=\S*:\S*:)\S+/g, '2001:db8::1');
}

function keep(name, sdp) {
  writeFileSync(join(folder, `${name}.sdp`), anonymous(sdp));
  console.log(`${name} ${sdp.length}`);
}

// Runs in the page: every kind of description, by name. `simulcast` is another
// browser's offer, to be answered, or null.
async function describe(simulcast) {
  const out = {};
  const pair = (options = {}) => [new RTCPeerConnection(options), new RTCPeerConnection(options)];
  const gathered = (pc) => new Promise((resolve) => {
    const look = () => { if (pc.iceGatheringState === 'complete') resolve(); };
    pc.addEventListener('icegatheringstatechange', look);
    look();
  });
  const offerOf = async (pc, options) => {
    await pc.setLocalDescription(await pc.createOffer(options));
    return pc.localDescription.sdp;
  };
  const answerOf = async (pc, offer) => {
    await pc.setRemoteDescription({ type: 'offer', sdp: offer });
    await pc.setLocalDescription(await pc.createAnswer());
    return pc.localDescription.sdp;
  };
  const exchange = async (a, b, options) => {
    const offer = await offerOf(a, options);
    const answer = await answerOf(b, offer);
    await a.setRemoteDescription({ type: 'answer', sdp: answer });
    return [offer, answer];
  };
  for (const bundlePolicy of ['balanced', 'max-compat']) {
    const [a, b] = pair({ bundlePolicy });
    a.addTransceiver('audio');
    a.addTransceiver('video');
    a.createDataChannel('x');
    const [offer, answer] = await exchange(a, b);
    if (bundlePolicy === 'max-compat') out[`offer-${bundlePolicy}`] = offer;
    if (bundlePolicy === 'balanced') {
      out['answer-balanced'] = answer;
      await gathered(a);
      out['offer-ice-restart'] = (await exchange(a, b, { iceRestart: true }))[0];
      const [, video] = a.getTransceivers();
      video.stop();
      const [stopped, refused] = await exchange(a, b);
      out['offer-stopped-video'] = stopped;
      out['answer-stopped-video'] = refused;
      a.addTransceiver('audio', { direction: 'recvonly' });
      out['offer-recycled'] = (await exchange(a, b))[0];
    }
  }
  const [c] = pair();
  c.addTransceiver('video', {
    direction: 'sendonly',
    sendEncodings: [{ rid: 'h' }, { rid: 'm', scaleResolutionDownBy: 2 }, { rid: 'l', scaleResolutionDownBy: 4 }],
  });
  out['offer-simulcast'] = await offerOf(c);
  if (simulcast) out['answer-chromium-simulcast'] = await answerOf(new RTCPeerConnection(), simulcast);
  return out;
}

async function inBrowser(name, options, simulcast) {
  const browser = await puppeteer.launch(options);
  try {
    const page = await browser.newPage();
    const version = (await browser.version()).match(/(\d+)\./)[1];
    const all = await page.evaluate(describe, simulcast);
    for (const [kind, sdp] of Object.entries(all)) keep(`${name}-${version}-${kind}`, sdp);
    return all;
  } finally {
    await browser.close();
  }
}

async function inNodeDataChannel() {
  const { PeerConnection, cleanup } = (await import('node-datachannel')).default;
  const said = (pc) => new Promise((resolve) => { pc.onLocalDescription((sdp, type) => resolve({ sdp, type })); });
  const a = new PeerConnection('a', { iceServers: [] });
  const b = new PeerConnection('b', { iceServers: [] });
  const offer = said(a), answer = said(b);
  a.createDataChannel('x');
  keep('node-datachannel-offer', (await offer).sdp);
  b.setRemoteDescription((await offer).sdp, 'offer');
  keep('node-datachannel-answer', (await answer).sdp);
  a.close();
  b.close();
  cleanup();
}

async function inWrtc() {
  const { RTCPeerConnection } = (await import('@roamhq/wrtc')).default;
  const a = new RTCPeerConnection();
  a.addTransceiver('audio');
  a.addTransceiver('video');
  a.createDataChannel('x');
  await a.setLocalDescription(await a.createOffer());
  keep('wrtc-offer', a.localDescription.sdp);
  a.close();
}

const chromium = await inBrowser('chromium', {
  executablePath: ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
}, null);
await inBrowser('firefox', { browser: 'firefox', executablePath: '/usr/bin/firefox-esr' }, chromium['offer-simulcast']);
await inNodeDataChannel();
await inWrtc();
process.exit(0);

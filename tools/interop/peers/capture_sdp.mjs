// Writes what the programs on this machine say in SDP, one file a kind, for
// sdp/testdata: Chromium and Firefox, node-datachannel, @roamhq/wrtc, werift,
// aiortc and pion; all, or those that are named. Addresses of this machine are
// replaced by those for documentation.
//
//   node peers/capture_sdp.mjs FOLDER [browsers|node-datachannel|wrtc|werift|aiortc|pion]...

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';

const [folder, ...wanted] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));

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

async function inWerift() {
  const { RTCPeerConnection } = await import('werift');
  const describe = async (pc, kind, options) => {
    await pc.setLocalDescription(await (kind === 'offer' ? pc.createOffer(options) : pc.createAnswer()));
    return pc.localDescription.sdp;
  };
  const exchange = async (a, b, kind, options) => {
    const offer = await describe(a, 'offer', options);
    keep(`werift-offer-${kind}`, offer);
    await b.setRemoteDescription({ type: 'offer', sdp: offer });
    const answer = await describe(b, 'answer');
    keep(`werift-answer-${kind}`, answer);
    await a.setRemoteDescription({ type: 'answer', sdp: answer });
  };
  // "balanced" is "max-compat" here; "disable" offers no BUNDLE.
  for (const bundlePolicy of ['max-compat', 'max-bundle', 'disable']) {
    const [a, b] = [1, 2].map(() => new RTCPeerConnection({ iceServers: [], bundlePolicy }));
    a.addTransceiver('audio');
    a.addTransceiver('video');
    a.createDataChannel('x');
    await exchange(a, b, bundlePolicy);
    if (bundlePolicy === 'max-bundle') {
      await exchange(a, b, 'ice-restart', { iceRestart: true });
      const [, video] = a.getTransceivers();
      video.setDirection('inactive'); // Alone, stop() is not told.
      video.stop();
      await exchange(a, b, 'stopped-video');
      a.addTransceiver('audio', { direction: 'recvonly' });
      // Its own answer to this ends in an exception.
      keep('werift-offer-recycled', await describe(a, 'offer'));
    }
    await Promise.all([a.close(), b.close()]);
  }
  const [c, d] = [1, 2].map(() => new RTCPeerConnection({ iceServers: [] }));
  c.addTransceiver('video', {
    direction: 'recvonly', simulcast: ['h', 'm', 'l'].map((rid) => ({ rid, direction: 'recv' })),
  });
  c.createDataChannel('x');
  await exchange(c, d, 'simulcast');
  await Promise.all([c.close(), d.close()]);
}

// A program of peers/ that writes {kind: sdp}.
function ofProgram(name, ...command) {
  const said = JSON.parse(execFileSync(command[0], command.slice(1), { cwd: here, stdio: ['ignore', 'pipe', 'inherit'] }));
  for (const [kind, sdp] of Object.entries(said)) keep(`${name}-${kind}`, sdp);
}

function inPion() {
  const built = mkdtempSync(join(tmpdir(), 'kyuu-'));
  try {
    execFileSync('go', ['build', '-o', join(built, 'pion_sdp'), 'main.go'], {
      cwd: join(here, 'pion_sdp'), stdio: 'inherit',
      env: { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '' },
    });
    ofProgram('pion', join(built, 'pion_sdp'));
  } finally {
    rmSync(built, { recursive: true });
  }
}

async function inBrowsers() {
  const chromium = await inBrowser('chromium', {
    executablePath: ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  }, null);
  await inBrowser('firefox', { browser: 'firefox', executablePath: '/usr/bin/firefox-esr' }, chromium['offer-simulcast']);
}

const stacks = {
  browsers: inBrowsers,
  'node-datachannel': inNodeDataChannel,
  wrtc: inWrtc,
  werift: inWerift,
  aiortc: () => ofProgram('aiortc', '/usr/bin/python3', 'aiortc_sdp.py'),
  pion: inPion,
};
for (const name of wanted.length ? wanted : Object.keys(stacks)) await stacks[name]();
process.exit(0);

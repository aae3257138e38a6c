// A browser that hides its addresses behind names, and a `kyuu peer` of which it
// is told no address: they meet only if kyuu finds the address behind a name.
// Prints a line of JSON with what came of it. For a network of its own.
//
//   node peers/browser_names.mjs chromium|firefox offer|answer

import { existsSync } from 'node:fs';
import puppeteer from 'puppeteer-core';
import { kyuuPeer, temporaryFolder } from '../lib.mjs';

const [browserName, role] = process.argv.slice(2);
const userDataDir = temporaryFolder();
const browser = await puppeteer.launch(browserName === 'chromium'
  ? {
    executablePath: process.env.KYUU_CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync), userDataDir,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  }
  : {
    browser: 'firefox', executablePath: '/usr/bin/firefox-esr', userDataDir, env: { ...process.env, HOME: userDataDir },
    extraPrefsFirefox: { 'network.proxy.type': 0, 'network.manage-offline-status': false },
  });

// Runs in the page. Candidates are all in the description that it returns.
async function describe(theirs) {
  const pc = globalThis.pc ??= new RTCPeerConnection();
  const use = (channel) => {
    globalThis.channel = channel;
    channel.onmessage = ({ data }) => channel.send(data);
  };
  const gathered = new Promise((resolve) => {
    pc.addEventListener('icegatheringstatechange', () => { if (pc.iceGatheringState === 'complete') resolve(); });
  });
  if (theirs) {
    pc.ondatachannel = ({ channel }) => use(channel);
    await pc.setRemoteDescription(theirs);
  } else {
    use(pc.createDataChannel('data'));
  }
  await pc.setLocalDescription();
  await gathered;
  return pc.localDescription.toJSON();
}
const hide = (description) => ({ ...description, sdp: description.sdp.replace(/a=candidate:.*\r\n/g, '') });

const page = await browser.newPage();
let peer, names = [], failure = null;
try {
  peer = kyuuPeer('--role', role === 'offer' ? 'answer' : 'offer', '--no-trickle', '--send', '5', '--expect', '5', '--size', '100');
  let description;
  if (role === 'offer') {
    description = await page.evaluate(describe, null);
    peer.write(JSON.stringify(description) + '\n');
    const [answer] = await peer.waitFor(/^\{.*"type":"answer".*\}$/);
    await page.evaluate((theirs) => globalThis.pc.setRemoteDescription(theirs), hide(JSON.parse(answer)));
  } else {
    const [offer] = await peer.waitFor(/^\{.*"type":"offer".*\}$/);
    description = await page.evaluate(describe, hide(JSON.parse(offer)));
    peer.write(JSON.stringify(description) + '\n');
  }
  names = description.sdp.match(/\S+\.local(?= )/g) ?? [];
  const open = description.sdp.match(/a=candidate:.* \d+\.\d+\.\d+\.\d+ \d+ typ host/g);
  if (open) throw new Error(`not hidden: ${open}`);
  await peer.finish(30);
} catch (error) {
  failure = String(error);
}
console.log(JSON.stringify({ event: 'result', names, failure, ...peer?.event('result'), path: peer?.event('path') }));
if (failure) console.error(peer?.transcript());
await browser.close();
process.exit(0);

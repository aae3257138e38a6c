// A browser and a `kyuu peer`, of which only one is told the addresses of the
// other, and these are hidden behind names: they meet if it finds them. `finder`
// says which one. Prints a line of JSON with what came of it. For a network of its
// own.
//
//   node peers/browser_names.mjs chromium|firefox offer|answer kyuu|browser

import { existsSync } from 'node:fs';
import puppeteer from 'puppeteer-core';
import { kyuuPeer, temporaryFolder } from '../lib.mjs';

const [browserName, role, finder] = process.argv.slice(2);
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
const untold = (description) => ({ ...description, sdp: description.sdp.replace(/a=candidate:.*\r\n/g, '') });
// What goes to the browser, and what comes from it.
const toBrowser = (line) => (finder === 'kyuu' ? untold(JSON.parse(line)) : JSON.parse(line));
const toPeer = (description) => JSON.stringify(finder === 'kyuu' ? description : untold(description)) + '\n';

const page = await browser.newPage();
let peer, names = [], failure = null;
try {
  peer = kyuuPeer('--role', role === 'offer' ? 'answer' : 'offer', '--no-trickle', ...(finder === 'browser' ? ['--hide-addresses'] : []),
    '--send', '5', '--expect', '5', '--size', '100');
  let theirs, ours;
  if (role === 'offer') {
    theirs = await page.evaluate(describe, null);
    peer.write(toPeer(theirs));
    [ours] = await peer.waitFor(/^\{.*"type":"answer".*\}$/);
    await page.evaluate((answer) => globalThis.pc.setRemoteDescription(answer), toBrowser(ours));
  } else {
    [ours] = await peer.waitFor(/^\{.*"type":"offer".*\}$/);
    theirs = await page.evaluate(describe, toBrowser(ours));
    peer.write(toPeer(theirs));
  }
  const { sdp } = finder === 'kyuu' ? theirs : JSON.parse(ours);
  names = sdp.match(/\S+\.local(?= )/g) ?? [];
  const shown = sdp.match(/11\.1\.1\.2|fe80::[\da-f]/g);
  if (shown) throw new Error(`not hidden: ${shown} in ${sdp}`);
  await peer.finish(30);
} catch (error) {
  failure = String(error);
}
console.log(JSON.stringify({ event: 'result', names, failure, ...peer?.event('result'), path: peer?.event('path') }));
if (failure) console.error(peer?.transcript());
await browser.close();
process.exit(0);

// A browser and a `kyuu peer`, of which only one is told the addresses of the
// other, and these are hidden behind names: they meet if it finds them. `finder`
// says which one. Prints a line of JSON with what came of it. For a network of its
// own.
//
//   node peers/browser_names.mjs chromium|firefox offer|answer kyuu|browser

import { kyuuPeer } from '../lib.mjs';
import { launchBare } from './bare_browser.mjs';
import { describeCall } from './in_page.mjs';

const [browserName, role, finder] = process.argv.slice(2);
const browser = await launchBare(browserName);
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
    theirs = await page.evaluate(describeCall, null);
    peer.write(toPeer(theirs));
    [ours] = await peer.waitFor(/^\{.*"type":"answer".*\}$/);
    await page.evaluate((answer) => globalThis.pc.setRemoteDescription(answer), toBrowser(ours));
  } else {
    [ours] = await peer.waitFor(/^\{.*"type":"offer".*\}$/);
    theirs = await page.evaluate(describeCall, toBrowser(ours));
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

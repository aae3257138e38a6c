// Two connections of one browser that may only relay, by a kyuud of its own over
// one transport: prints a line of JSON with what each has heard.
//
//   node peers/browser_relay.mjs chromium|firefox udp|tcp|tls AUTHORITY CERTIFICATE KEY

import { execFileSync } from 'node:child_process';
import { startKyuud, temporaryFolder } from '../lib.mjs';
import { launchBare } from './bare_browser.mjs';
import { relayed } from './relayed.mjs';

const [browserName, transport, authority, certificate, key] = process.argv.slice(2);
async function start() {
  if (browserName === 'chromium') {
    return launchBare('chromium', {
      flags: ['--disable-features=WebRtcHideLocalIpsWithMdns', '--allow-loopback-in-peer-connection', '--ignore-certificate-errors'],
    });
  }
  // Firefox trusts our authority by its profile.
  const userDataDir = temporaryFolder();
  const certutil = (...args) => execFileSync('certutil', [...args, '-d', `sql:${userDataDir}`]);
  certutil('-N', '--empty-password');
  certutil('-A', '-n', 'kyuu', '-t', 'C,,', '-i', authority);
  return launchBare('firefox', {
    userDataDir,
    preferences: { 'media.peerconnection.ice.obfuscate_host_addresses': false, 'media.peerconnection.ice.loopback': true },
  });
}

const server = await startKyuud('--user', 'alice:secret', '--tls-certificate', certificate, '--tls-key', key);
// Firefox takes no certificate of an address here, and Chromium goes by the name to
// IPv6 alone.
const host = browserName === 'firefox' ? 'localhost' : '127.0.0.1';
const port = new URL(server.url).port;
const urls = { udp: `turn:${server.turn}?transport=udp`, tcp: `turn:127.0.0.1:${port}?transport=tcp`, tls: `turns:${host}:${port}?transport=tcp` }[transport];
const browser = await start();
const page = await browser.newPage();
try {
  const result = await page.evaluate(relayed, [{ urls, username: 'alice', credential: 'secret' }]);
  console.log(JSON.stringify({ event: 'result', ...result }));
} finally {
  await browser.close();
  console.error(`kyuud ${await server.stop()}\n${server.errors.join('\n')}`);
}
process.exit(0);

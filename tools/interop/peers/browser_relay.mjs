// Two connections of one browser that may only relay, by a kyuud of its own over
// one transport: prints a line of JSON with what each has heard.
//
//   node peers/browser_relay.mjs chromium|firefox udp|tcp|tls AUTHORITY CERTIFICATE KEY

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import puppeteer from 'puppeteer-core';
import { startKyuud, temporaryFolder } from '../lib.mjs';
import { relayed } from './relayed.mjs';

const [browserName, transport, authority, certificate, key] = process.argv.slice(2);
const FIREFOX_PREFERENCES = {
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.peerconnection.ice.loopback': true,
  'network.proxy.type': 0,
  'network.manage-offline-status': false,
};
const CHROMIUM_FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--allow-loopback-in-peer-connection', '--ignore-certificate-errors'];

async function start() {
  const userDataDir = temporaryFolder();
  if (browserName === 'chromium') {
    const executablePath = process.env.KYUU_CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
    return puppeteer.launch({ executablePath, userDataDir, args: CHROMIUM_FLAGS });
  }
  // Firefox trusts our authority by its profile.
  const certutil = (...args) => execFileSync('certutil', [...args, '-d', `sql:${userDataDir}`]);
  certutil('-N', '--empty-password');
  certutil('-A', '-n', 'kyuu', '-t', 'C,,', '-i', authority);
  return puppeteer.launch({
    browser: 'firefox', executablePath: '/usr/bin/firefox-esr', userDataDir, extraPrefsFirefox: FIREFOX_PREFERENCES,
    env: { ...process.env, HOME: userDataDir },
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

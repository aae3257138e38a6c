// A browser for programs that run in a network of their own, as it is for people
// but for `flags` (Chromium) and `preferences` (Firefox).

import { existsSync } from 'node:fs';
import puppeteer from 'puppeteer-core';
import { temporaryFolder } from '../lib.mjs';

export function launchBare(name, { flags = [], preferences = {}, userDataDir = temporaryFolder() } = {}) {
  if (name === 'chromium') {
    const executablePath = process.env.KYUU_CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
    return puppeteer.launch({
      executablePath, userDataDir,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', ...flags],
    });
  }
  return puppeteer.launch({
    browser: 'firefox', executablePath: '/usr/bin/firefox-esr', userDataDir, env: { ...process.env, HOME: userDataDir },
    extraPrefsFirefox: { 'network.proxy.type': 0, 'network.manage-offline-status': false, ...preferences },
  });
}

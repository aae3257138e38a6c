// Chromium relays by kyuud over TCP alone, as where UDP is blocked: two
// connections of one page that may only relay, with data both ways.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBrowser } from './browser.mjs';
import { startKyuud } from './lib.mjs';
import { relayed } from './peers/relayed.mjs';

let server, browser;

before(async () => {
  server = await startKyuud('--user', 'alice:secret');
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  assert.equal(await server.stop(), 0, server.transcript());
});

test('Chromium relays over TCP', { timeout: 120_000 }, async () => {
  const page = await browser.newPage();
  await page.goto(`${server.url}/healthz`);
  const urls = `turn:${new URL(server.url).host}?transport=tcp`;
  const result = await page.evaluate(relayed, [{ urls, username: 'alice', credential: 'secret' }]);
  assert.deepEqual(result, { lengths: [50_000, 60_000], protocols: ['tcp', 'tcp'] });
});

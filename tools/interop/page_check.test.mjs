// The page looks at the network that it is in, and has lines for pages of others.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Person, PHONE, sharedStage } from './browser.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const stage = sharedStage();
const light = (person, colour) => person.page.locator(`[data-testid=check][data-light=${colour}]`).waitFor();
const rows = (person) => person.page.locator('[data-testid=check-row]').evaluateAll(
  (found) => found.map((row) => [row.querySelector('bdi').textContent.replace(/:\d+(?=\?|$)/, ''), row.dataset.ok === 'true']));

// One who has opened the check, whose browser finds no address by `blocked`.
async function looks(name, blocked = [], options = {}) {
  const person = await Person.join(stage.browser, stage.server.url, name, {
    ...options,
    prepare: (page) => page.addInitScript((list) => {
      // A firewall that drops: nothing listens at such a server's address.
      const Real = globalThis.RTCPeerConnection;
      globalThis.RTCPeerConnection = class extends Real {
        constructor(configuration) {
          const dropped = configuration.iceServers.some(({ urls }) => [urls].flat().some((url) => list.some((part) => url.includes(part))));
          super(dropped ? { ...configuration, iceServers: [{ urls: ['stun:192.0.2.1:9'] }] } : configuration);
        }
      };
    }, blocked),
  });
  await person.at('check').locator('summary').click();
  return person;
}

test('where all gets through the light is green, and the report says by which ways', MINUTES, async () => {
  const ada = await looks('Ada');
  await light(ada, 'green');
  assert.match(await ada.at('check-verdict').textContent(), /UDP gets through/);
  const found = await rows(ada);
  assert.ok(found.some(([url, ok]) => url.startsWith('stun:') && ok), JSON.stringify(found));
  assert.ok(found.some(([url, ok]) => /^turn:.*udp/.test(url) && ok), JSON.stringify(found));
  assert.ok(found.some(([url, ok]) => /^turn:.*tcp/.test(url) && ok), JSON.stringify(found));
  await ada.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await ada.at('check-copy').click();
  await ada.at('check-copy').filter({ hasText: 'Copied' }).waitFor();
  const report = await ada.page.evaluate(() => navigator.clipboard.readText());
  assert.match(report, /^\S+Z http:\S+ green\n.*Chrom/);
  assert.equal(report.split('\n').length, 2 + found.length, report);
  ada.noProblems();
  await ada.leave();
});

test('without UDP it is yellow, without any way red', MINUTES, async () => {
  const bob = await looks('Bob', ['udp', 'stun:']);
  await light(bob, 'yellow');
  assert.match(await bob.at('check-verdict').textContent(), /UDP does not get through/);
  await bob.leave();
  const eve = await looks('Eve', ['turn', 'stun:']);
  await light(eve, 'red');
  assert.ok((await rows(eve)).every(([, ok]) => !ok));
  await eve.leave();
});

test('the lines for other pages have this address in them, and fit on a phone', MINUTES, async () => {
  const kim = await Person.join(stage.browser, stage.server.url, 'Kim', PHONE);
  await kim.at('snippets').locator('summary').click();
  const shown = await kim.page.locator('[data-testid=snippet]').evaluateAll((all) => all.map((one) => [one.dataset.name, one.querySelector('pre').textContent]));
  assert.deepEqual(shown.map(([name]) => name), ['peerjs', 'y-webrtc', 'simple-peer', 'RTCPeerConnection']);
  const { port } = new URL(stage.server.url);
  for (const [name, lines] of shown) assert.match(lines, new RegExp(`127\\.0\\.0\\.1(:|', port: )${port}`), name);
  await kim.fits();
  kim.noProblems();
  await kim.leave();
});

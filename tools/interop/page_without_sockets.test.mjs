// The page behind proxies that let no WebSocket through: it goes on by ordinary
// requests, says so, and all that people do works.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { expectWay, makeFile, Person, sha256, sharedStage, WAIT } from './browser.mjs';
import { EventSocket } from './event_socket.mjs';
import { kyuu, Program, sleep, temporaryFolder } from './lib.mjs';
import { PathProxy } from './proxy.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const stage = sharedStage();
// What the browser itself logs of vain attempts.
const VAIN = /WebSocket connection to 'ws:.*failed|Failed to load resource/;

const told = (person, text) => person.at('notice-text').filter({ hasText: text }).waitFor();

async function behind(t, options) {
  const proxy = await PathProxy.to(stage.server.url, '/kyuu', options);
  t.after(() => proxy.close());
  return proxy;
}

// What of the server's own is asked for by the page.
function watchRequests(page) {
  const asked = [];
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.includes('/v1/')) asked.push(`${request.method()} ${pathname.replace(/.*\/v1\//, '')}`);
  });
  return asked;
}

// Somebody who has nothing to say is asked for a sign of life every 25 s; it takes
// two of them to see that the first answer was heard. Meanwhile all others run.
const quiet = { pings: 0 };
function beQuiet() {
  const socket = new EventSocket(new URL('/v1/ws', stage.server.url));
  quiet.over = new Promise((resolve, reject) => {
    socket.on('open', () => socket.send(JSON.stringify({ type: 'hello', version: 1 })));
    socket.on('ping', () => { if (++quiet.pings === 2) socket.terminate(); });
    socket.on('error', reject);
    socket.on('close', resolve);
  });
  quiet.over.catch(() => {}); // Told by its test.
}

test('a person is seen and called, and a file arrives, without WebSockets', MINUTES, async (t) => {
  beQuiet();
  const proxy = await behind(t, { upgrades: false });
  const room = stage.newRoom();
  const folder = join(temporaryFolder(), 'in');
  mkdirSync(folder);
  const kim = new Program(kyuu, ['recv', `${stage.server.url}/?room=${room}`, 'Kim', '--yes', '--once', '--dir', folder]);
  await kim.waitFor(/Kim/);
  let asked;
  const ada = await Person.join(stage.browser, proxy.url, 'Ada', { room, prepare: (page) => { asked = watchRequests(page); } });
  await told(ada, /WebSockets do not get through/);
  assert.match(await ada.at('server-status').textContent(), /without WebSockets/);
  await ada.call('Kim');
  await expectWay('direct', ada);
  const file = makeFile('file.bin', 3_000_000);
  await ada.at('file-input').setInputFiles([file.path]);
  await kim.waitFor(/^received .*file\.bin/);
  await ada.hangUp();
  assert.equal(await kim.finish(60), 0, kim.transcript());
  assert.equal(await sha256(join(folder, 'file.bin')), file.sha256);
  // Two tries, and then one stream that lasts.
  assert.equal(asked.filter((what) => what === 'GET events').length, 1, asked.join(', '));
  assert.ok(asked.includes('POST messages'));
  ada.noProblems(VAIN);
  await ada.leave();
});

test('a stream that breaks off is resumed, and a page that is closed has gone', MINUTES, async (t) => {
  const proxy = await behind(t, { upgrades: false });
  const room = stage.newRoom();
  const bob = await Person.join(stage.browser, stage.server.url, 'Bob', { room });
  const ada = await Person.join(stage.browser, proxy.url, 'Ada', { room });
  await bob.sees('Ada').waitFor();
  proxy.server.closeAllConnections();
  await ada.page.locator('[data-testid=server-status][data-state=offline]').waitFor();
  await ada.page.locator('[data-testid=server-status][data-state=online]').waitFor();
  await bob.call('Ada');
  await ada.accept('Bob');
  await expectWay('direct', bob);
  await bob.say('still there');
  await ada.hears('still there');
  await ada.hangUp();
  // What is under way then may be slower than the goodbye, which takes its place.
  let held;
  const goodbyes = [];
  proxy.holds = ({ method, headers }) => {
    if (method !== 'POST') return false;
    if (headers['kyuu-close']) goodbyes.push(headers['kyuu-post']);
    else held = headers['kyuu-post'];
    return !headers['kyuu-close'];
  };
  await ada.at('hangup').click();
  await ada.call('Bob');
  for (const deadline = Date.now() + WAIT; held === undefined && Date.now() < deadline;) await sleep(20);
  await ada.page.close({ runBeforeUnload: false });
  // The end of the stream may be there before it: then the session waits first.
  await bob.sees('Ada').waitFor({ state: 'detached' });
  assert.ok(goodbyes.includes(held), `${held} was held, ${goodbyes} said goodbye`);
  await bob.leave();
  ada.noProblems(VAIN);
});

test('in German, and with WebSockets again at the next visit', MINUTES, async (t) => {
  const proxy = await behind(t, { upgrades: false });
  const ada = await Person.join(stage.browser, proxy.url, 'Ada', { room: stage.newRoom(), locale: 'de-DE' });
  await told(ada, /WebSockets kommen nicht zum Server durch/);
  assert.match(await ada.at('server-status').textContent(), /ohne WebSockets/);
  await ada.page.goto('about:blank');
  const good = await behind(t, {});
  await ada.page.goto(`${good.url}/`);
  await ada.page.locator('[data-testid=server-status][data-state=online]').waitFor();
  assert.equal((await ada.at('server-status').textContent()).trim(), 'Online');
  assert.equal(await ada.at('notice-text').filter({ hasText: 'WebSockets' }).isVisible(), false);
  ada.noProblems(VAIN);
  await ada.leave();
});

test('where the server itself says no, the page does not look for another way', MINUTES, async (t) => {
  const proxy = await behind(t, { host: 'localhost:1' });
  const context = await stage.browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const asked = watchRequests(page);
  const tries = [];
  page.on('websocket', (socket) => tries.push(socket.url()));
  await page.goto(`${proxy.url}/`);
  await page.getByTestId('notice-text').filter({ hasText: 'refuses this page' }).waitFor();
  while (tries.length < 3) await page.waitForEvent('websocket');
  assert.deepEqual(asked.filter((what) => !/^(POST|GET) ws$/.test(what)), []);
});

test('who has nothing to say stays by signs of life', MINUTES, async () => {
  await quiet.over;
  assert.equal(quiet.pings, 2);
});

// What the page says of people and does with many of them: a crowd, names that
// hide something, calls that cross, files by the hundred, tabs and rooms.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { goodbye, mainThreadTasks, makeFile, Person, PHONE, sharedStage, TRANSFER, WAIT } from './browser.mjs';
import { kyuu, Program } from './lib.mjs';

const MINUTES = { timeout: 5 * 60_000 };
const stage = sharedStage();
const people = (...names) => stage.people(names);

const texts = (person, id) => person.at(id).allTextContents();

// A server of the test's own, so that the crowd is as large and as quick as it
// wants: `peers` are there, and `send` says more.
function scripted(peers) {
  const crowd = { send: undefined };
  crowd.prepare = (page) => page.routeWebSocket(/\/v1\/ws$/, (socket) => {
    crowd.send = (message) => socket.send(JSON.stringify(message));
    socket.onMessage((text) => {
      const { type, id } = JSON.parse(text);
      if (type === 'hello') crowd.send({ type: 'welcome', id, session: 's', server: 'test', ice_servers: [] });
      if (type === 'join') crowd.send({ type: 'joined', id, room: '', name: 'Ada', peers: peers.slice(0, 100), more: true });
      if (type === 'list') {
        const { after: from } = JSON.parse(text);
        const start = peers.findIndex((p) => p.name === from) + 1;
        crowd.send({ type: 'peers', id, peers: peers.slice(start, start + 100), more: start + 100 < peers.length });
      }
      if (type === 'ping') crowd.send({ type: 'pong', id });
    });
  });
  return crowd;
}

test('five hundred people who change two hundred times a second freeze nothing', MINUTES, async () => {
  const peers = Array.from({ length: 500 }, (_, i) => ({ name: `p${i}`, meta: { app: 'kyuu', kind: 'web' } }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const crowd = scripted(peers);
  const ada = await Person.open(stage.browser, stage.server.url, { prepare: crowd.prepare });
  await ada.joinAs('Ada');
  await ada.page.waitForFunction(() => document.querySelector('[data-testid=people-count]').textContent === '500');
  // In the order of numbers, not of letters.
  assert.deepEqual(await ada.page.locator('[data-testid=person]').evaluateAll((rows) => rows.slice(0, 12).map((row) => row.dataset.name)),
    Array.from({ length: 12 }, (_, i) => `p${i}`));

  await ada.page.evaluate(() => {
    globalThis.added = 0;
    globalThis.late = [];
    new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) late.push(duration); }).observe({ entryTypes: ['longtask'] });
    new MutationObserver((records) => { for (const r of records) added += r.addedNodes.length; })
      .observe(document.querySelector('[data-testid=people]'), { childList: true });
  });
  await stage.browser.startTracing(ada.page, { categories: ['toplevel'] });
  const start = Date.now();
  for (let sent = 0; sent < 1000;) {
    while (sent < Math.min(1000, (Date.now() - start) / 5)) {
      const peer = peers[(sent * 37) % peers.length];
      const change = sent % 3 === 0 ? 'updated' : sent % 6 < 3 ? 'left' : 'joined';
      crowd.send({ type: 'presence', change, peer: { ...peer, meta: { ...peer.meta, kind: sent % 2 ? 'cli' : 'web' } } });
      sent++;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const seconds = (Date.now() - start) / 1000;
  const tasks = mainThreadTasks(JSON.parse(await stage.browser.stopTracing()));
  assert.ok(tasks.length > 100, 'the trace is of no use');
  const slow = tasks.filter((ms) => ms > 50);
  assert.deepEqual(slow.map(Math.round), [], 'tasks of more than 50 ms');
  // And only what changed was drawn, on a machine of any speed.
  const added = await ada.page.evaluate(() => globalThis.added);
  assert.ok(added <= 1000, `${added} rows were drawn for 1000 changes`);
  // On a machine that others keep busy it may have waited, too.
  const late = await ada.page.evaluate(() => globalThis.late);
  console.log(`# crowd: ${late.length} long tasks by the clock${late.length ? `, at most ${Math.max(...late)} ms` : ''}`);
  console.log(`# crowd: longest task ${Math.max(...tasks).toFixed(1)} ms, ${added} rows drawn in ${seconds.toFixed(1)} s`);
  // What is shown is what is so.
  for (const peer of peers) crowd.send({ type: 'presence', change: 'joined', peer });
  await ada.page.waitForFunction(() => document.querySelectorAll('[data-testid=person]').length === 500);

  await ada.at('people-filter').fill('P49');
  await ada.page.waitForFunction(() =>
    [...document.querySelectorAll('[data-testid=person]')].filter((row) => !row.hidden).map((row) => row.dataset.name).join() ===
      'p49,p490,p491,p492,p493,p494,p495,p496,p497,p498,p499');
  ada.noProblems();
  await ada.leave();
});

test('names show what they hide', MINUTES, async () => {
  const crowd = scripted([{ name: 'Ada\u200b', meta: {} }, { name: 'a\u202egpj.exe', meta: {} }, { name: '👩‍🚀 Eve', meta: {} }]);
  const ada = await Person.open(stage.browser, stage.server.url, { prepare: crowd.prepare });
  await ada.joinAs('Ada');
  await ada.page.waitForFunction(() => document.querySelectorAll('[data-testid=person]').length === 3);
  const shown = (await texts(ada, 'person')).join(' ');
  assert.match(shown, /Ada<U\+200B>/);
  assert.match(shown, /a<U\+202E>gpj\.exe/);
  assert.match(shown, /👩‍🚀 Eve/);
  crowd.send({ type: 'incoming', call: 'c1', from: 'x\u202egnir', polite: true });
  await ada.at('incoming-dialog').waitFor();
  assert.equal(await ada.at('incoming-name').textContent(), 'x<U+202E>gnir');
  await ada.leave();

  const [bob, eve] = await people('Bob', 'Eve');
  await bob.call('Eve');
  await eve.accept('Bob');
  await eve.connected();
  const file = makeFile('holiday\u202egpj.exe', 1000);
  await bob.offer(file);
  const card = eve.page.locator('[data-testid=file-card]');
  assert.equal(await card.getByTestId('file-name').textContent(), 'holiday<U+202E>gpj.exe');
  const download = eve.page.waitForEvent('download');
  await card.getByTestId('file-accept').click();
  assert.equal((await download).suggestedFilename(), 'holiday_gpj.exe');
  await goodbye([bob, eve]);
});

test('others see who is in a call, and who has looked away for long', MINUTES, async () => {
  // Five minutes are over at once.
  const prepare = (context) => context.addInitScript(() => {
    const wait = globalThis.setTimeout;
    globalThis.setTimeout = (act, ms, ...more) => wait(act, ms === 300_000 ? 0 : ms, ...more);
  });
  const [ada, bob, eve] = await stage.people(['Ada', 'Bob', 'Eve'], {}, [{}, {}, { prepare }]);
  const shown = (person, words) => ada.sees(person).filter({ hasText: words }).waitFor();
  await shown('Eve', 'in a browser');
  await eve.call('Bob');
  await bob.accept('Eve');
  await eve.connected();
  await shown('Eve', 'in a call');
  await shown('Bob', 'in a call');
  await bob.at('hangup').click();
  await shown('Eve', 'in a browser');
  await shown('Bob', 'in a browser');
  const look = (hidden) => eve.page.evaluate((away) => {
    Object.defineProperty(document, 'hidden', { value: away, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await look(true);
  await shown('Eve', 'away');
  await look(false);
  await shown('Eve', 'in a browser');
  await goodbye([ada, bob, eve]);
});

test('a call that comes while another rings waits, and a missed one is said', MINUTES, async () => {
  const [ada, bob, eve, kim] = await people('Ada', 'Bob', 'Eve', 'Kim');
  await bob.call('Ada');
  await ada.at('incoming-dialog').waitFor();
  assert.match(await bob.sees('Ada').getByTestId('call').textContent(), /Calling/);
  await eve.call('Ada');
  await kim.call('Ada');
  // Nobody was told that Ada is in a call: she is not.
  await kim.at('hangup').click();
  await ada.at('notice').filter({ hasText: 'You missed a call from Kim' }).waitFor();
  assert.equal(await eve.at('connection-state').getAttribute('data-state'), 'calling');
  await ada.at('decline-call').click();
  await bob.state('over').waitFor();
  await ada.accept('Eve');
  await eve.connected();
  // In a call others are told so, and Ada learns of them.
  await bob.at('hangup').click();
  await bob.call('Ada');
  await bob.state('over').waitFor();
  assert.match(await bob.at('connection-state').textContent(), /Ada is in another call/);
  await ada.at('notice').filter({ hasText: 'You missed a call from Bob' }).waitFor();
  await goodbye([ada, bob, eve, kim]);
});

test('a hundred files are one answer, on a phone too, and all arrive', MINUTES, async () => {
  const [ada, bob] = await stage.people(['Ada', 'Bob'], {}, [{}, PHONE]);
  await ada.call('Bob');
  await bob.accept('Ada');
  await ada.connected();
  const files = Array.from({ length: 100 }, (_, i) => makeFile(`many ${i}.bin`, 1000 + i));
  const downloads = [];
  bob.page.on('download', (download) => downloads.push(download.suggestedFilename()));
  await ada.at('file-input').setInputFiles(files.map((file) => file.path));
  for (const id of ['file-accept-all', 'file-decline-all', 'file-name']) {
    const box = await bob.at(id).first().boundingBox();
    const card = await bob.at('file-card').first().boundingBox();
    assert.ok(box.x >= card.x && box.x + box.width <= card.x + card.width, `${id} leaves its card`);
  }
  await bob.at('file-accept-all').click();
  await ada.page.waitForFunction(() => document.querySelectorAll('[data-testid=file-card][data-state=done]').length === 100,
    undefined, { timeout: TRANSFER });
  await bob.page.waitForFunction(() => document.querySelectorAll('[data-testid=file-card][data-state=done]').length === 100);
  for (const file of files) assert.equal(await bob.card(file, 'in').getAttribute('data-sha256'), file.sha256);
  await goodbye([ada, bob]);
});

test('a tab that was duplicated takes another name at once', MINUTES, async () => {
  const [ada] = await people('Ada');
  const twin = await ada.context.newPage();
  await twin.addInitScript(() => sessionStorage.setItem('kyuu-joined', 'Ada'));
  await twin.goto(ada.page.url());
  await twin.getByTestId('join-error').filter({ hasText: 'Another tab of this browser is “Ada” already' }).waitFor();
  assert.equal(await twin.getByTestId('name-input').inputValue(), 'Ada 2');
  await twin.getByTestId('join-button').click();
  await ada.sees('Ada 2').waitFor();
  // A reload is no twin.
  await ada.page.reload();
  await ada.page.locator('body[data-view=lobby]').waitFor();
  assert.equal(await ada.at('my-name').textContent(), 'Ada');
  await goodbye([ada]);
});

test('what is wrong with a room is not said of the name', MINUTES, async () => {
  const ada = await Person.open(stage.browser, stage.server.url, { room: 'r'.repeat(65) });
  await ada.at('name-input').fill('Ada');
  await ada.at('join-button').click();
  await ada.at('join-error').filter({ hasText: "The room's name in the address" }).waitFor();
  await ada.leave();
});

test('a room with a secret lets in who types it, and who is let in by kyuu', MINUTES, async () => {
  const room = stage.newRoom();
  const secret = 'open sesame';
  const open = (name) => Person.open(stage.browser, stage.server.url, { room }).then((person) => Object.assign(person, { name }));
  const type = async (person, text) => {
    await person.at('name-input').fill(person.name);
    await person.at('secret-input').fill(text);
    await person.page.keyboard.press('Enter');
  };
  const ada = await open('Ada');
  await type(ada, secret);
  await ada.page.locator('body[data-view=lobby]').waitFor();
  const bob = await open('Bob');
  await type(bob, '');
  await bob.at('join-error').filter({ hasText: 'This room has a secret.' }).waitFor();
  await type(bob, 'open barley');
  await bob.at('join-error').filter({ hasText: "This is not the room's secret." }).waitFor();
  await type(bob, secret);
  await ada.sees('Bob').waitFor();
  for (const { page } of [ada, bob]) assert.doesNotMatch(decodeURIComponent(page.url()), /sesame/);
  // A page that is loaded anew knows it.
  await bob.page.reload();
  await bob.page.locator('body[data-view=lobby]').waitFor();
  await ada.sees('Bob').waitFor();

  const file = makeFile('secret.txt', 12);
  writeFileSync(file.path, `${secret}\n`);
  const wrong = makeFile('wrong.txt', 12);
  const connect = (...more) => new Program(kyuu, ['connect', stage.server.url, 'Kim', '--room', room, ...more]);
  for (const more of [[], ['--room-secret-file', wrong.path]]) {
    const kim = connect(...more);
    assert.equal(await kim.finish(20), 1, kim.transcript());
    assert.match(kim.transcript(), /secret/);
  }
  const kim = connect('--room-secret-file', file.path);
  await ada.sees('Kim').waitFor();
  await kim.stop('SIGINT');
  await goodbye([ada, bob]);
});

test('a person who is blocked hears that one is busy, until it is no more', MINUTES, async () => {
  const [ada, bob] = await people('Ada', 'Bob');
  const block = ada.sees('Bob').getByTestId('block');
  assert.equal(await block.getAttribute('aria-label'), 'Block Bob');
  await block.click();
  await ada.sees('Bob').filter({ hasText: 'blocked' }).waitFor();
  await bob.call('Ada');
  await bob.state('over').waitFor();
  assert.equal(await ada.at('incoming-dialog').isVisible(), false);
  await bob.at('hangup').click();
  // A page that is loaded anew has not forgotten it.
  await ada.page.reload();
  await ada.page.locator('body[data-view=lobby]').waitFor();
  await ada.sees('Bob').filter({ hasText: 'blocked' }).waitFor();
  await bob.sees('Ada').getByTestId('call').waitFor();
  await bob.call('Ada');
  await bob.state('over').waitFor();
  assert.equal(await ada.at('incoming-dialog').isVisible(), false);
  await bob.at('hangup').click();
  assert.equal(await block.getAttribute('aria-label'), 'Unblock Bob');
  await block.click();
  await ada.sees('Bob').filter({ hasNotText: 'blocked' }).waitFor();
  await bob.call('Ada');
  await ada.accept('Bob');
  await bob.connected();
  await ada.hangUp();
  await goodbye([ada, bob]);
});

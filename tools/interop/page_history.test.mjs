// How the page shows what a connection was like: in a picture, and in the same
// words for who cannot see it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goodbye, mainThreadTasks, makeFile, sharedStage } from './browser.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const stage = sharedStage();

test('the picture has what was measured, and no more than two minutes of it', async (t) => {
  const elements = new Map();
  const element = () => ({ attributes: {}, dataset: {}, hidden: true, setAttribute(name, value) { this.attributes[name] = value; },
    removeAttribute(name) { delete this.attributes[name]; }, replaceChildren(...nodes) { this.textContent = nodes.join(''); } });
  globalThis.document = { getElementById: (id) => elements.get(id) ?? elements.set(id, element()).get(id) };
  t.after(() => { delete globalThis.document; });
  const { History } = await import('../../web/history.js');
  const history = new History();
  const said = (id) => elements.get(`history-${id}`).textContent;
  const points = () => elements.get('history-rtt-line').attributes.points.split(' ');
  history.add({ rtt: 0.02, sent: 0, received: 0, relayed: false }, 0);
  assert.equal(elements.get('history').hidden, true);
  for (let i = 1; i < 10; i++) history.add({ rtt: 0.02 + i / 1000, sent: i * 1e6, received: i * 1e6, relayed: false }, i * 1000);
  assert.equal(elements.get('history').hidden, false);
  assert.equal(points().length, 10);
  assert.equal(points().at(-1), '119,1.50');
  assert.equal(said('rtt'), 'Round trip 29 ms, from 20 ms to 29 ms');
  assert.equal(said('rate'), 'Rate 2.0 MB/s, at most 2.0 MB/s');
  assert.equal(said('way'), 'Direct for 9 sec');
  // Another way: what it has moved begins anew, and is no rate below nothing.
  history.add({ rtt: undefined, sent: 5, received: 5, relayed: true }, 10_000);
  assert.equal(said('way'), 'The way changed once in 10 sec');
  assert.equal(said('rate'), 'Rate 0.0 kB/s, at most 2.0 MB/s');
  assert.equal(points().length, 10);
  history.add({ rtt: 0.5, sent: 5, received: 5, relayed: false }, 11_000);
  assert.equal(said('way'), 'The way changed 2 times in 11 sec');
  assert.match(elements.get('history-relayed-line').attributes.d, /^M117\.5 38\.5h1$/);
  for (let i = 12; i < 1000; i++) history.add({ rtt: 0.05, sent: i, received: i, relayed: true }, i * 1000);
  assert.equal(points().length, 120);
  assert.equal(points()[0].split(',')[0], '0');
  assert.equal(said('way'), 'Relayed for 1 min 59 sec');
  history.clear();
  for (let i = 0; i < 3; i++) history.add({ relayed: false }, i * 1000);
  assert.equal(said('rtt'), 'Round trip not measured');
});

test('it is there in a call, in words too, and no frame is late for it', MINUTES, async (t) => {
  const [ada, bob] = await stage.people(['Ada', 'Bob']);
  await ada.call('Bob');
  await bob.accept('Ada');
  await ada.connected();
  await ada.panel();
  await stage.browser.startTracing(ada.page, { categories: ['toplevel'] });
  const file = makeFile('to be seen.bin', 20_000_000);
  await ada.offer(file);
  await Promise.all([bob.receives(file), ada.sent(file)]);
  await ada.at('history-rate').filter({ hasText: /at most [\d.]+ MB\/s/ }).waitFor();
  const tasks = mainThreadTasks(JSON.parse(await stage.browser.stopTracing()));
  t.diagnostic(`longest task ${Math.max(...tasks).toFixed(1)} ms`);
  assert.ok(tasks.length > 100 && Math.max(...tasks) < 50, `${Math.max(...tasks)} ms`);
  assert.match(await ada.at('history-rtt').textContent(), /^Round trip [\d.]+ ms, from [\d.]+ ms to [\d.]+ ms$/);
  await ada.at('history-way').filter({ hasText: /^Direct for \d+ sec$/ }).waitFor();
  // What is read aloud of the picture is what stands below it.
  await ada.page.getByRole('img', { name: /Round trip .* at most .* Direct for/ }).waitFor();
  await ada.hangUp();
  await bob.state('over').waitFor();
  assert.equal(await ada.at('history').evaluate((element) => element.hidden), true);
  await goodbye([ada, bob]);
});

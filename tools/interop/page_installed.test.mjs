// The page as an application of its own: it can be installed, opens while the
// server is away, takes a new version at the next visit, and keeps nothing of what
// the server says.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { Person, startProfile, WAIT } from './browser.mjs';
import { killLeftovers, startKyuud } from './lib.mjs';
import { PathProxy } from './proxy.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const VAIN = /WebSocket connection to 'ws:.*failed|Failed to load resource|ERR_/;
let profile;
before(async () => { profile = await startProfile({ serviceWorkers: 'allow' }); }, { timeout: WAIT });
after(async () => {
  await profile?.close();
  killLeftovers();
}, { timeout: WAIT });

// Waits until the page of `person` is kept; returns {cache: names of what is in it}.
async function kept(person) {
  await person.page.evaluate(() => navigator.serviceWorker.ready);
  await person.page.waitForFunction(async () => {
    const { active, installing, waiting } = await navigator.serviceWorker.getRegistration();
    return active?.state === 'activated' && !installing && !waiting;
  });
  return person.page.evaluate(async () => {
    const found = {};
    for (const name of await caches.keys()) found[name] = (await (await caches.open(name)).keys()).map(({ url }) => url);
    return found;
  });
}

test('Chromium says that the page can be installed', MINUTES, async (t) => {
  const server = await startKyuud();
  t.after(() => server.stop());
  const ada = await Person.open(profile, server.url);
  await kept(ada);
  const session = await ada.context.newCDPSession(ada.page);
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
  assert.deepEqual(installabilityErrors, []);
  const { url, errors, data } = await session.send('Page.getAppManifest');
  assert.equal(url, `${server.url}/kyuu.webmanifest`);
  assert.deepEqual(errors, []);
  // Each icon is what it says.
  for (const { src, sizes, type } of JSON.parse(data).icons) {
    const answer = await ada.page.request.get(`${server.url}/${src}`);
    assert.equal(answer.headers()['content-type'], type, src);
    if (type !== 'image/png') continue;
    const body = await answer.body();
    assert.equal(`${body.readUInt32BE(16)}x${body.readUInt32BE(20)}`, sizes, src);
  }
  ada.noProblems();
  await ada.page.close();
});

for (const path of ['', '/kyuu']) {
  test(`the page opens while the server is away, ${path ? 'below a path' : 'at the root'}, and goes on when it is back`, MINUTES, async (t) => {
    let server = await startKyuud();
    t.after(() => server.stop());
    const front = path ? await PathProxy.to(server.url, path) : { url: server.url, close() {} };
    t.after(() => front.close());
    const ada = await Person.open(profile, front.url);
    const caches = await kept(ada);
    const [name] = Object.keys(caches).filter((cache) => cache.startsWith(`kyuu ${path}/ `));
    const files = caches[name].filter((url) => url.startsWith(`${front.url}/`));
    assert.ok(files.length > 40 && files.includes(`${front.url}/`));
    assert.deepEqual(files.filter((url) => /\/v1\/|version\.js|service_worker/.test(url) && !url.endsWith('service_worker.js')), []);
    server.child.kill('SIGKILL');
    await once(server.child, 'close');
    await ada.page.goto(`${front.url}/?room=red&name=Kim`);
    await ada.at('notice').filter({ hasText: /This is the page as it was kept here; trying again/ }).waitFor();
    assert.equal(await ada.at('name-input').inputValue(), 'Kim');
    // All of it is there: its look, too.
    assert.notEqual(await ada.page.evaluate(() => getComputedStyle(document.getElementById('join-button')).borderRadius), '0px');
    server = await startKyuud('--http-listen', new URL(server.url).host);
    await ada.page.locator('[data-testid=server-status][data-state=online]').waitFor();
    await ada.at('notice').waitFor({ state: 'hidden' });
    await ada.joinAs('Kim');
    ada.noProblems(VAIN);
    await ada.page.close();
  });
}

test('what a proxy says for a server that is away does not hide the page', MINUTES, async (t) => {
  const server = await startKyuud();
  t.after(() => server.stop());
  const proxy = await PathProxy.to(server.url, '/kyuu');
  t.after(() => proxy.close());
  const ada = await Person.open(profile, proxy.url);
  await kept(ada);
  proxy.down = true;
  await ada.page.goto(`${proxy.url}/`);
  await ada.at('notice').filter({ hasText: 'The server cannot be used at the moment: it answers 502' }).waitFor();
  await ada.page.close();
});

test('a new version is taken at the next visit, and is what is kept then', MINUTES, async (t) => {
  const server = await startKyuud();
  t.after(() => server.stop());
  const proxy = await PathProxy.to(server.url, '/kyuu');
  t.after(() => proxy.close());
  const ada = await Person.open(profile, proxy.url);
  const before = await kept(ada);
  proxy.instead.set('texts_en.js', (text) => text.replace('join: "Join"', 'join: "Come in"'));
  proxy.instead.set('version.js', (text) => text.replace(/version: "/, 'version: "new'));
  await ada.page.goto(`${proxy.url}/`);
  assert.equal(await ada.at('join-button').textContent(), 'Come in');
  const names = (all) => Object.keys(all).filter((cache) => cache.startsWith('kyuu /kyuu/ '));
  for (let now = await kept(ada); names(now).join() === names(before).join() || names(now).length > 1; now = await kept(ada));
  proxy.close();
  await ada.page.goto(`${proxy.url}/`);
  await ada.at('notice').filter({ hasText: 'This is the page as it was kept here' }).waitFor();
  assert.equal(await ada.at('join-button').textContent(), 'Come in');
  await ada.page.close();
});

test('an installation in the middle of which the server is replaced is none', MINUTES, async (t) => {
  const server = await startKyuud();
  t.after(() => server.stop());
  const proxy = await PathProxy.to(server.url, '/other');
  t.after(() => proxy.close());
  let asked = 0;
  proxy.instead.set('version.js', (text) => text.replace(/version: "/, `version: "${++asked}-`));
  const ada = await Person.open(profile, proxy.url);
  const end = await ada.page.evaluate(async () => {
    const { installing } = await navigator.serviceWorker.register('service_worker.js');
    while (!['activated', 'redundant'].includes(installing.state)) await new Promise((resolve) => { installing.onstatechange = resolve; });
    return installing.state;
  });
  assert.equal(end, 'redundant');
  assert.deepEqual(await ada.page.evaluate(async () => (await caches.keys()).filter((name) => name.startsWith('kyuu /other/ '))), []);
  await ada.page.close();
});

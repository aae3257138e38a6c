// The page and its server: below a path, behind proxies that are set up wrong,
// when the way to the server is cut, and when the server starts anew.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { expectWay, goodbye, Person, sharedStage, startFirefox } from './browser.mjs';
import { kyuu, kyuud, Program, startKyuud } from './lib.mjs';
import { PathProxy, Proxy } from './proxy.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const stage = sharedStage();
// What the browser itself logs of vain attempts.
const VAIN = /WebSocket connection to 'ws:.*failed|Failed to load resource/;

const status = (person, state) => person.page.locator(`[data-testid=server-status][data-state=${state}]`).waitFor();

test('the page works below a path, and its address is good for kyuu', MINUTES, async (t) => {
  const proxy = await PathProxy.to(stage.server.url, '/kyuu');
  t.after(() => proxy.close());
  const room = stage.newRoom();
  const ada = await Person.join(stage.browser, proxy.url, 'Ada', { room });
  const kim = new Program(kyuu, ['connect', `${proxy.url}/?room=${room}`, 'Kim', '--call', 'Ada']);
  await ada.accept('Kim');
  await expectWay('direct', ada);
  await ada.say('from below');
  await kim.waitFor(/^Ada: from below$/);
  kim.write('/quit\n');
  assert.equal(await kim.finish(20), 0, kim.transcript());
  // Every picture and script is there; the way home leads home.
  assert.equal(await ada.page.locator('a.brand').evaluate((a) => a.href), `${proxy.url}/`);
  await goodbye([ada]);
});

test('a server that goes away is left, and come back to, when it has said', MINUTES, async () => {
  const ada = await Person.open(stage.browser, stage.server.url, { room: stage.newRoom() });
  // The page's own part, at a server that is played: what it does with each time.
  const seen = await ada.page.evaluate(async () => {
    const { Signaling } = await import('./signaling.js');
    const sockets = [];
    globalThis.WebSocket = class {
      static OPEN = 1;
      readyState = 1;
      constructor() {
        sockets.push(this);
        setTimeout(() => {
          this.onopen();
          this.say({ type: 'welcome', ice_servers: [], session: 's', resume: { secret: 'x', grace_s: 30, resumed: sockets.length > 1, received: 0 } });
        });
      }
      say(message) { this.onmessage({ data: JSON.stringify(message) }); }
      send() {}
      close(code) { this.closed = code; }
    };
    const signaling = new Signaling();
    const next = (type) => new Promise((resolve) => signaling.addEventListener(type, ({ detail }) => resolve(detail), { once: true }));
    signaling.open();
    await next('up');
    // It leaves by itself, and is back at once.
    sockets[0].say({ type: 'drain', retry_after_ms: 300 });
    const left = await next('down');
    const back = await next('up');
    // Closed before, it waits for the rest of the time.
    const told = Date.now();
    sockets[1].say({ type: 'drain', retry_after_ms: 3_000_000 });
    sockets[1].onclose();
    const later = signaling.retryTimer !== undefined;
    const closed = new Promise((resolve) => signaling.addEventListener('down', ({ detail }) => resolve(detail), { once: true }));
    signaling.open();
    await next('up');
    sockets[2].say({ type: 'drain', retry_after_ms: 3_000_000 });
    sockets[2].onclose();
    return { code: sockets[0].closed, kept: left.kept, resumed: back.resume.resumed, later, waits: (await closed).retryAt - told };
  });
  assert.deepEqual([seen.code, seen.kept, seen.resumed, seen.later], [4000, true, true, true]);
  assert.ok(seen.waits >= 2_990_000, JSON.stringify(seen));
  await goodbye([ada]);
});

// A network that changes ends whatever is under way (ERR_NETWORK_CHANGED).
for (const file of ['app.js', 'memory.js']) {
  test(`a page of which ${file} does not come says so, and is loaded anew when it does`, MINUTES, async (t) => {
    const proxy = await without(t, file);
    let told;
    const ada = await Person.open(stage.browser, proxy.url, {
      room: stage.newRoom(),
      prepare: (page) => { told = page.getByTestId('incomplete').waitFor().then(() => { proxy.holds = undefined; }); },
    });
    await told;
    assert.equal(await ada.at('incomplete').isVisible(), false);
    assert.equal(await ada.page.evaluate(() => sessionStorage.getItem('kyuu-loads')), null);
    await ada.joinAs('Ada');
    await goodbye([ada], VAIN);
  });
}

test('a style that does not come is asked for again, and the page stays', MINUTES, async (t) => {
  const proxy = await without(t, 'media.css');
  const ada = await Person.join(stage.browser, proxy.url, 'Ada', { room: stage.newRoom() });
  // A sheet that has failed is in the list, too, and its rules may not be read.
  const there = () => [...document.styleSheets].some((sheet) => {
    try {
      return sheet.href.endsWith('media.css') && sheet.cssRules.length > 0;
    } catch {
      return false;
    }
  });
  assert.equal(await ada.page.evaluate(there), false);
  proxy.holds = undefined;
  await ada.page.waitForFunction(there);
  await goodbye([ada], VAIN);
});

test('a server that is silent meanwhile is asked again', MINUTES, async (t) => {
  const proxy = await without(t, 'app.js');
  let silent;
  const ada = await Person.open(stage.browser, proxy.url, {
    room: stage.newRoom(),
    prepare: (page) => {
      page.getByTestId('incomplete').waitFor().then(() => {
        proxy.holds = ({ method }) => method === 'HEAD' && !silent && (silent = true);
      });
    },
  });
  assert.ok(silent);
  await goodbye([ada], VAIN);
});

test('Firefox, too, loads a page anew of which a script has not come', MINUTES, async (t) => {
  const browser = await startFirefox();
  t.after(() => browser.close());
  const proxy = await without(t, 'memory.js');
  const page = await browser.newPage();
  await page.goto(`${proxy.url}/`);
  await page.waitForSelector('#incomplete:not([hidden])');
  proxy.holds = undefined;
  await page.waitForSelector('#server-status[data-state=online]');
});

// A way to the server on which requests for `file` are broken off.
async function without(t, file) {
  const proxy = await PathProxy.to(stage.server.url, '/kyuu');
  t.after(() => proxy.close());
  proxy.holds = ({ url, socket }) => url === `/kyuu/${file}` && Boolean(socket.destroy());
  return proxy;
}

// Opens the page of a server that will not take it; returns what it says.
async function refusal(t, ...how) {
  const proxy = await PathProxy.to(stage.server.url, ...how);
  t.after(() => proxy.close());
  const context = await stage.browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${proxy.url}/`);
  const notice = page.getByTestId('notice-text');
  await notice.filter({ hasText: /./ }).waitFor();
  await page.waitForTimeout(1500);
  return { text: await notice.textContent(), proxy };
}

test('a page that may not connect says so, and what to do', MINUTES, async (t) => {
  const { text, proxy } = await refusal(t, '/kyuu', { host: 'localhost:1' });
  const { origin } = new URL(proxy.url);
  assert.ok(text.includes('refuses this page'), text);
  assert.ok(text.includes(origin) && text.includes('--origin'), text);
  assert.doesNotMatch(text, /lost/);
});

test('a proxy that does not pass WebSockets on is named', MINUTES, async (t) => {
  const { text } = await refusal(t, '/kyuu', { upgrades: false });
  assert.match(text, /WebSockets do not get through.*Upgrade and Connection/);
});

test('a page shows the token that stands in its address, and says so if it is not let in', MINUTES, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kyuu-token-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const key = join(folder, 'secret');
  writeFileSync(key, 'a secret of thirty-two bytes or more');
  const server = await startKyuud('--anonymous', 'forbid', '--admission-key', `:HS256:${key}`);
  t.after(() => server.stop());
  const create = ['token', 'create', '--key', key, '--sub', 'ada', '--name', 'Ada Lovelace'];
  const token = execFileSync(kyuud, create, { encoding: 'utf8' }).trim();
  const context = await stage.browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${server.url}/?name=Ada`);
  await page.getByTestId('notice-text').filter({ hasText: 'shows a token' }).waitFor();
  await page.goto('about:blank');
  await page.goto(`${server.url}/?name=Ada#token=${token}`);
  await page.locator('[data-testid=server-status][data-state=online]').waitFor();
});

// Two pages in a call, Ada's behind a proxy that can be cut.
async function pair(t, options = {}) {
  const server = await startKyuud();
  const proxy = await Proxy.to(server.url);
  t.after(() => proxy.close());
  const ada = await Person.join(stage.browser, proxy.url, 'Ada', { prepare: exposePeer, ...options });
  const bob = await Person.join(stage.browser, server.url, 'Bob', { prepare: exposePeer, ...options });
  await ada.call('Bob');
  await bob.accept('Ada');
  await expectWay(options.relay ? 'relayed' : 'direct', ada, bob);
  return { server, proxy, ada, bob };
}
// The test asks for ICE restarts in the page's place.
const exposePeer = (page) => page.addInitScript(() => {
  const Original = RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Original {
    constructor(...args) {
      super(...args);
      globalThis.testPeer = this;
    }
  };
});
const ufrags = (person) => person.page.evaluate(() =>
  [testPeer.localDescription, testPeer.remoteDescription].map(({ sdp }) => sdp.match(/a=ice-ufrag:(.+)/)[1].trim()));
async function restarted(person, before) {
  await person.page.waitForFunction((old) => {
    const now = [testPeer.localDescription, testPeer.remoteDescription].map(({ sdp }) => sdp.match(/a=ice-ufrag:(.+)/)[1].trim());
    return testPeer.signalingState === 'stable' && testPeer.connectionState === 'connected' && now.every((u, i) => u !== old[i]);
  }, before);
}
async function talkAgain(ada, bob, text) {
  await ada.say(text);
  await bob.hears(text);
  await bob.say(`${text}, too`);
  await ada.hears(`${text}, too`);
}

test('an ICE restart while the server is away is done when it is back', MINUTES, async (t) => {
  const { server, proxy, ada, bob } = await pair(t);
  const before = await ufrags(bob);
  proxy.cut();
  await status(ada, 'offline');
  await ada.page.evaluate(() => testPeer.restartIce());
  await ada.say('still here');
  await bob.hears('still here');
  proxy.mend();
  await status(ada, 'online');
  await restarted(bob, before);
  await talkAgain(ada, bob, 'restarted');
  await goodbye([ada, bob], VAIN);
  await server.stop();
});

for (const way of ['direct', 'relayed']) {
  test(`a ${way} call outlives a server that starts anew, and restarts ICE by it`, MINUTES, async (t) => {
    let { server, ada, bob } = await pair(t, { relay: way === 'relayed' });
    const before = await ufrags(bob);
    const ports = ['--http-listen', new URL(server.url).host, '--turn-listen', server.turn];
    server.child.kill('SIGKILL');
    await server.finish();
    await Promise.all([ada, bob].map((person) => status(person, 'offline')));
    server = await startKyuud(...ports);
    await Promise.all([ada, bob].map((person) => status(person, 'online')));
    // The relay is gone: the page sees that by itself.
    if (way === 'direct') {
      await ada.page.waitForFunction(() => document.querySelector('[data-name=Bob]'));
      await bob.page.waitForFunction(() => document.querySelector('[data-name=Ada]'));
      // Until the two have found each other again, an offer reaches nobody, and
      // is taken back then.
      await ada.page.evaluate(() => testPeer.restartIce());
    }
    await restarted(bob, before);
    await expectWay(way, ada, bob);
    await talkAgain(ada, bob, 'anew');
    assert.equal(await bob.at('incoming-dialog').isVisible(), false);
    await bob.hangUp();
    await ada.state('over').waitFor();
    await goodbye([ada, bob], VAIN);
    await server.stop();
  });
}

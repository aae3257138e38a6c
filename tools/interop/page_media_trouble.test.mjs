// Audio and video at the page when something is in the way: devices that cannot
// be had, a server that is away, a side that goes, a program that has no media,
// another browser.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { expectWay, goodbye, makeFile, Person, PHONE, sharedStage, startBrowser, startFirefox, TRANSFER, WAIT } from './browser.mjs';
import { kyuu, Program, startKyuud } from './lib.mjs';
import {
  asked, expectLights, expectPictures, expectSound, expectStable, FAKE_DEVICES, FIREFOX_DEVICES, lights, noPicture, until, watchMedia,
} from './media.mjs';
import { PathProxy } from './proxy.mjs';

const MINUTES = { timeout: 5 * 60_000 };
const stage = sharedStage({ flags: FAKE_DEVICES });
const prepare = (page) => page.addInitScript(watchMedia);
const people = (names, options = {}, each) => stage.people(names, { prepare, ...options }, each);

async function talking(options, each) {
  const [ada, bob] = await people(['Ada', 'Bob'], options, each);
  await ada.call('Bob');
  await bob.accept('Ada');
  await Promise.all([ada.connected(), bob.connected()]);
  return [ada, bob];
}

const said = (person, id, text) => person.at(id).filter({ hasText: text }).waitFor();

// ------------------------------------------------------- what cannot be had

test('a device that cannot be had is said in words, and the call goes on', MINUTES, async () => {
  const refuse = (page) => page.addInitScript(() => {
    const original = MediaDevices.prototype.getUserMedia;
    MediaDevices.prototype.getUserMedia = function (constraints) {
      return globalThis.refusal ? Promise.reject(new DOMException('words of a browser', globalThis.refusal)) : original.call(this, constraints);
    };
  });
  const [ada, bob] = await talking({}, [{ prepare: async (page) => { await refuse(page); await prepare(page); } }, {}]);
  for (const [name, words] of [
    ['NotAllowedError', /may not use your camera\. Allow it/], ['NotFoundError', /No camera is to be found/],
    ['NotReadableError', /another program may be using it/], ['OverconstrainedError', /not here any more/],
    ['SecurityError', /set not to let pages use the camera/], ['TypeError', /The camera cannot be used: words of a browser/],
  ]) {
    await ada.page.evaluate((value) => { globalThis.refusal = value; }, name);
    await ada.at('camera').click();
    await said(ada, 'notice-text', words);
    assert.equal(await ada.at('camera').getAttribute('data-state'), 'off');
    await ada.at('notice-close').click();
  }
  await ada.page.evaluate(() => { globalThis.refusal = undefined; });
  await ada.at('camera').click();
  await expectPictures(bob.page, 'camera');
  await goodbye([ada, bob]);
});

test('who has no devices and who says no reads that; nobody is called then', MINUTES, async (t) => {
  for (const [flags, words] of [[['--use-fake-ui-for-media-stream'], /No microphone or camera is to be found/], [FAKE_DEVICES.slice(0, 1), /may not use your microphone and camera/]]) {
    const bare = await startBrowser({ flags });
    t.after(() => bare.close());
    const room = stage.newRoom();
    const ada = await Person.join(bare, stage.server.url, 'Ada', { room, prepare });
    const bob = await Person.join(stage.browser, stage.server.url, 'Bob', { room, prepare });
    await ada.sees('Bob').getByTestId('call-video').click();
    await said(ada, 'notice-text', words);
    await said(ada, 'connection-state', 'Bob was not called.');
    assert.equal(await bob.at('incoming-dialog').isVisible(), false);
    // As the one who is called, too; the call goes on without.
    await ada.at('hangup').click();
    await bob.sees('Ada').getByTestId('call-video').click();
    await ada.at('incoming-dialog').waitFor();
    await ada.at('accept-camera').click();
    await said(ada, 'notice-text', words);
    await expectPictures(ada.page, 'camera');
    assert.deepEqual(await lights(ada.page), []);
    await goodbye([ada, bob]);
  }
});

test('a page over plain http says that it needs https', MINUTES, async (t) => {
  const own = await startKyuud('--origin', '*');
  const proxy = await PathProxy.to(own.url, '/kyuu', { host: new URL(own.url).host });
  const elsewhere = await startBrowser({ flags: [...FAKE_DEVICES, '--host-resolver-rules=MAP kyuu.example 127.0.0.1'] });
  t.after(async () => { await elsewhere.close(); proxy.close(); await own.stop(); });
  const ada = await Person.join(elsewhere, proxy.url.replace('127.0.0.1', 'kyuu.example'), 'Ada');
  assert.equal(await ada.page.evaluate(() => isSecureContext), false);
  const bob = await Person.join(stage.browser, own.url, 'Bob', { prepare });
  await bob.call('Ada');
  await ada.accept('Bob');
  await ada.connected();
  for (const id of ['microphone', 'camera', 'screen']) {
    await ada.at(id).click();
    await said(ada, 'notice-text', new RegExp(`${id}.* needs https or localhost`));
    await ada.at('notice-close').click();
  }
  // It sees and hears all the same.
  await bob.at('camera').click();
  await until(ada.page, () => document.querySelector('video[data-from=peer]')?.videoWidth > 0, undefined, 'a picture');
  await goodbye([bob]);
});

test('a browser that will not play sound unasked gets a button for it', MINUTES, async () => {
  const [ada, bob] = await talking({}, [{}, {
    prepare: async (page) => {
      await prepare(page);
      await page.addInitScript(() => {
        const play = HTMLAudioElement.prototype.play;
        HTMLAudioElement.prototype.play = function () {
          return navigator.userActivation.isActive && globalThis.pressedOnce ? play.call(this) : Promise.reject(new DOMException('', 'NotAllowedError'));
        };
        addEventListener('click', ({ target }) => { globalThis.pressedOnce ||= target.id === 'play-sound'; }, true);
      });
    },
  }]);
  await ada.at('microphone').click();
  await bob.at('play-sound').click();
  await bob.at('play-sound').waitFor({ state: 'hidden' });
  await expectSound(bob.page);
  await goodbye([ada, bob]);
});

test('another device can be chosen in the call, and is remembered', MINUTES, async () => {
  const [ada, bob] = await talking();
  const used = () => ada.page.evaluate(() => globalThis.seen.tracks.filter(({ kind, readyState }) => kind === 'video' && readyState === 'live').map((track) => track.label));
  await ada.at('camera').click();
  await expectPictures(bob.page, 'camera');
  await ada.at('devices-toggle').click();
  const [first] = await used();
  const labels = await ada.at('camera-choice').locator('option').allTextContents();
  assert.deepEqual([labels.length, labels[0]], [3, first]);
  const other = labels[2];
  const before = await ada.page.evaluate(() => globalThis.seen.descriptions);
  await ada.at('camera-choice').selectOption({ label: other });
  await until(ada.page, (label) => globalThis.seen.tracks.at(-1).label === label, other);
  await expectLights(ada.page, ['video']);
  assert.deepEqual(await used(), [other]);
  await expectPictures(bob.page, 'camera');
  assert.equal(await ada.page.evaluate(() => globalThis.seen.descriptions), before);
  await ada.at('camera').click();
  await ada.at('camera').click();
  await until(ada.page, () => globalThis.seen.tracks.at(-1).readyState === 'live');
  assert.deepEqual(await used(), [other]);
  await ada.page.reload();
  await ada.page.locator('body[data-view=lobby]').waitFor();
  await bob.state('over').waitFor();
  await ada.call('Bob');
  await bob.accept('Ada');
  await ada.connected();
  await ada.at('camera').click();
  await expectPictures(bob.page, 'camera');
  assert.deepEqual(await used(), [other]);
  await goodbye([ada, bob]);
});

// -------------------------------------------------- what the other side says

test('who tells nothing of its sources is seen and heard, and nonsense about them changes nothing', MINUTES, async () => {
  const [ada, bob] = await talking();
  // A program that knows the channels and nothing of media.
  await ada.page.evaluate(() => {
    const [control] = globalThis.seen.channels;
    globalThis.tell = RTCDataChannel.prototype.send.bind(control);
    control.send = (text) => JSON.parse(text).type === 'media' || globalThis.tell(text);
  });
  const tell = (sources) => ada.page.evaluate((value) => globalThis.tell(JSON.stringify({ type: 'media', sources: value })), sources);
  await ada.at('camera').click();
  await ada.at('microphone').click();
  await expectPictures(bob.page, 'camera');
  await expectSound(bob.page);
  for (const sources of [null, 5, 'camera', true]) await tell(sources);
  await ada.say('nonsense');
  await bob.hears('nonsense');
  await expectPictures(bob.page, 'camera');
  // Of what is said, only what fits a section counts; nothing is shown of others.
  const [audio, video] = await ada.page.evaluate(() => ['audio', 'video'].map((wanted) =>
    globalThis.seen.pcs.at(-1).getTransceivers().find(({ sender }) => sender.track?.kind === wanted).mid));
  for (const sources of [[], { camera: null }, { camera: 7, __proto__: { screen: 1 } }, { camera: { mid: 1, on: true } },
    { camera: { mid: audio, on: true } }, { microphone: { mid: video, on: true } }, { camera: { mid: 'x'.repeat(33), on: true } }, { camera: { mid: video, on: 'yes' } }]) {
    await tell({ screen: { mid: video, on: true } });
    await expectPictures(bob.page, 'screen');
    await tell(sources);
    await until(bob.page, () => !document.querySelector('video'), undefined, `no picture after ${JSON.stringify(sources)}`);
  }
  assert.deepEqual(await lights(bob.page), []);
  await goodbye([ada, bob]);
});

test('a call that comes while a permission is asked for rings when that fails', MINUTES, async () => {
  const [ada, bob] = await people(['Ada', 'Bob']);
  await ada.page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () => new Promise((_, reject) => {
      globalThis.sayNo = () => reject(new DOMException('', 'NotAllowedError'));
    });
  });
  await ada.sees('Bob').getByTestId('call-video').click();
  await said(ada, 'connection-state', 'Waiting for your permission');
  await bob.call('Ada');
  await bob.state('calling').waitFor();
  await ada.page.waitForTimeout(500);
  assert.equal(await ada.at('incoming-dialog').isVisible(), false);
  await ada.page.evaluate(() => globalThis.sayNo());
  await ada.accept('Bob');
  await Promise.all([ada.connected(), bob.connected()]);
  await goodbye([ada, bob]);
});

// ------------------------------------------------------------- when one goes

// Most of the first is waiting: the other one goes on beside it.
describe('ends', { concurrency: 2 }, () => {
  test('a page that is reloaded, and one that crashes, leave no light on at the other', MINUTES, async () => {
    for (const crash of [false, true]) {
      const [ada, bob] = await talking();
      await ada.at('camera').click();
      await ada.at('microphone').click();
      await bob.at('camera').click();
      await expectPictures(bob.page, 'camera');
      await expectPictures(ada.page, 'camera');
      if (crash) {
        bob.page.goto('chrome://crash').catch(() => {});
        // Once the connection could not be mended.
        await ada.state('over').waitFor({ timeout: TRANSFER });
      } else {
        await bob.page.reload();
        await ada.state('over').waitFor();
        await said(ada, 'connection-state', 'closed or reloaded the page');
      }
      await expectLights(ada.page, []);
      assert.equal(await ada.page.locator('video, audio').count(), 0);
      assert.equal(await ada.at('stage').isVisible(), false);
      await goodbye([ada]);
      await bob.leave();
    }
  });

  test('what is switched on while the server is away is sent when it is back', MINUTES, async () => {
    let own = await startKyuud();
    const [ada, bob] = [await Person.join(stage.browser, own.url, 'Ada', { prepare }), await Person.join(stage.browser, own.url, 'Bob', { prepare })];
    await ada.call('Bob');
    await bob.accept('Ada');
    await Promise.all([ada.connected(), bob.connected()]);
    await ada.at('microphone').click();
    await expectSound(bob.page);
    own.child.kill('SIGKILL');
    await own.finish();
    for (const person of [ada, bob]) await person.page.locator('[data-testid=server-status][data-state=offline]').waitFor();
    await bob.at('camera').click();
    await said(bob, 'media-status', 'The server is away: your camera will be sent when it is back.');
    await ada.at('camera').click();
    await said(ada, 'media-status', 'The server is away');
    await expectSound(bob.page);
    own = await startKyuud('--http-listen', new URL(own.url).host);
    await expectPictures(ada.page, 'camera');
    await expectPictures(bob.page, 'camera');
    for (const { page } of [ada, bob]) await expectStable(page);
    await bob.at('screen').click();
    await expectPictures(ada.page, 'screen');
    await goodbye([ada, bob], /WebSocket connection to 'ws:.*failed|net::ERR_CONNECTION_REFUSED/);
    await own.stop();
  });
});

// -------------------------------------------------------------- other peers

test('kyuu takes no media and no harm: the page says so and lets the devices go', MINUTES, async () => {
  const room = stage.newRoom();
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room, prepare });
  const kim = new Program(kyuu, ['connect', stage.server.url, 'Kim', '--yes', '--room', room]);
  await kim.waitFor(/joined as Kim/);
  await ada.sees('Kim').waitFor();
  assert.equal(await ada.sees('Kim').getByTestId('call-video').isVisible(), false);
  for (const pageCalls of [true, false]) {
    if (pageCalls) await ada.call('Kim');
    else {
      kim.write('/call Ada\n');
      await ada.accept('Kim');
    }
    await ada.connected();
    await ada.at('camera').click();
    await said(ada, 'media-status', 'Kim cannot take audio or video.');
    await said(ada, 'note', 'Kim cannot take audio or video.');
    await expectLights(ada.page, []);
    assert.equal(await ada.at('microphone').getAttribute('aria-disabled'), 'true');
    await ada.at('microphone').click({ force: true }); // It looks disabled, and says why.
    await said(ada, 'notice-text', 'Kim cannot take audio or video.');
    assert.deepEqual(await lights(ada.page), []);
    await ada.at('notice-close').click();
    await ada.say(`still talking ${pageCalls}`);
    await kim.waitFor(new RegExp(`^Ada: still talking ${pageCalls}$`));
    kim.write(`so I am ${pageCalls}\n`);
    await ada.hears(`so I am ${pageCalls}`);
    await expectWay('direct', ada);
    await ada.hangUp();
  }
  // From its first offer on, too: by a button that is hidden, again with each
  // word of Kim's presence.
  await ada.page.waitForFunction(() => {
    const button = document.querySelector('[data-name=Kim] [data-testid=call-video]');
    if (!document.querySelector('[data-name=Kim] [data-testid=call]:enabled')) return false;
    button.hidden = false;
    button.click();
    return true;
  });
  await ada.connected();
  await said(ada, 'media-status', 'Kim cannot take audio or video.');
  await expectLights(ada.page, []);
  await ada.say('and still');
  await kim.waitFor(/^Ada: and still$/);
  kim.write('/quit\n');
  assert.equal(await kim.finish(20), 0, kim.transcript());
  await ada.state('over').waitFor();
  await goodbye([ada]);
});

test('Firefox and Chromium see and hear each other, whoever calls', MINUTES, async (t) => {
  const firefox = await startFirefox(FIREFOX_DEVICES);
  t.after(() => firefox.close());
  const room = stage.newRoom();
  const page = await firefox.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.evaluateOnNewDocument(watchMedia);
  await page.goto(`${stage.server.url}/?room=${room}&name=Finn`);
  const click = (id) => page.locator(`[data-testid=${id}]`).setTimeout(WAIT).click();
  const there = (selector) => page.waitForSelector(selector, { timeout: WAIT });
  await there('[data-testid=server-status][data-state=online]');
  await click('join-button');
  await there('body[data-view=lobby]');
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room, prepare });
  const bothSee = async () => {
    await Promise.all([expectPictures(ada.page, 'camera'), expectPictures(page, 'camera')]);
    await expectSound(ada.page);
    await expectSound(page);
  };

  await ada.sees('Finn').getByTestId('call-video').click();
  await click('accept-camera');
  await ada.connected();
  await bothSee();
  await click('camera');
  await noPicture(ada.page, 'camera');
  await click('camera');
  await bothSee();
  await ada.hangUp();
  await there('[data-testid=connection-state][data-state=over]');
  await expectLights(page, []);
  await click('hangup');

  // The other way round, and both at once; more than once, since two offers
  // meet or do not.
  for (let call = 0; call < 3; ++call) {
    if (call > 0) {
      await click('hangup');
      await ada.state('over').waitFor();
      await click('hangup');
    }
    await there('[data-name=Ada] [data-testid=call]:not(:disabled)');
    await page.locator('[data-name=Ada] [data-testid=call]').click();
    await ada.accept('Finn');
    await ada.connected();
    await there('[data-testid=connection-state][data-state=connected]');
    // A picture that comes must not push a button away from under the pointer;
    // Firefox reckons in sixtieths of a pixel.
    const place = () => page.evaluate(() => { const { x, y } = document.getElementById('camera').getBoundingClientRect(); return [x, y].map(Math.round); });
    const before = await place();
    await Promise.all([ada.at('camera').click(), click('camera')]);
    await Promise.all([ada.at('microphone').click(), click('microphone')]);
    await bothSee();
    assert.deepEqual(await place(), before);
  }
  await ada.at('screen').click();
  await expectPictures(page, 'screen');
  const file = makeFile('to Firefox.bin', 1_000_000);
  await ada.offer(file);
  await click('file-accept');
  await ada.sent(file);
  await click('hangup');
  await ada.state('over').waitFor();
  for (const one of [page, ada.page]) await expectLights(one, []);
  assert.deepEqual(errors, []);
  await goodbye([ada]);
});

// ---------------------------------------------------------------- its reach

test('on a phone and by keyboard everything is in reach', MINUTES, async () => {
  const [ada, bob] = await talking({}, [{}, PHONE]);
  // By keyboard alone; the focus stays where it was.
  await ada.at('microphone').focus();
  for (const id of ['microphone', 'camera', 'screen']) {
    assert.equal(await ada.page.evaluate(() => document.activeElement.id), id);
    await ada.page.keyboard.press('Space');
    await ada.page.locator(`#${id}[aria-pressed=true]`).waitFor();
    assert.equal(await ada.page.evaluate(() => document.activeElement.id), id);
    await ada.page.keyboard.press('Tab');
  }
  await expectPictures(bob.page, 'screen');
  await bob.at('camera').tap();
  await bob.at('microphone').tap();
  await expectPictures(ada.page, 'camera');
  await bob.fits();
  for (const id of ['microphone', 'camera', 'screen', 'devices-toggle', 'fullscreen', 'chat-input', 'chat-send', 'hangup']) {
    if (!(await bob.at(id).count()) || (id === 'fullscreen' && !(await bob.at(id).isVisible()))) continue;
    const box = await bob.at(id).boundingBox();
    assert.ok(box && box.x >= 0 && box.y >= 0 && box.x + box.width <= 390 && box.y + box.height <= 844, `${id} ${JSON.stringify(box)}`);
    assert.ok(box.height >= 40 && box.width >= 40, `${id} is only ${box.width} by ${box.height} px`);
  }
  await bob.at('devices-toggle').tap();
  await bob.fits();
  assert.ok((await bob.at('chat-log').boundingBox()).height >= 60);
  assert.equal(await asked(bob.page), 2);
  for (const id of ['microphone', 'camera', 'screen', 'devices-toggle', 'fullscreen']) {
    const name = await bob.at(id).evaluate((button) => button.getAttribute('aria-label') ?? button.textContent.trim());
    assert.ok(name.length > 2, id);
  }
  await goodbye([ada, bob]);
});

// Audio and video at the page: what is sent is seen and heard at the other end,
// nothing is sent unasked, and nothing goes on behind the end of a call.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectWay, goodbye, makeFile, sharedStage } from './browser.mjs';
import {
  asked, descriptions, expectLights, expectPictures, expectSilence, expectSound, expectStable, FAKE_DEVICES,
  lights, noPicture, until, watchMedia,
} from './media.mjs';

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

const pressed = (person, id) => person.at(id).getAttribute('aria-pressed');
const state = (person, id, wanted) => person.page.locator(`[data-testid=${id}][data-state=${wanted}]`).waitFor();

for (const [way, relay] of [['direct', false], ['relayed', true]]) {
  test(`camera and microphone both ways beside chat and a file, ${way}`, MINUTES, async () => {
    const [ada, bob] = await talking({ relay });
    await expectWay(way, ada, bob);
    await ada.at('camera').click();
    await ada.at('microphone').click();
    await expectPictures(bob.page, 'camera');
    await expectSound(bob.page);
    // Of him, who has pressed nothing, nothing was even asked.
    assert.equal(await asked(bob.page), 0);
    assert.deepEqual(await lights(bob.page), []);
    assert.equal(await ada.page.locator('video[data-from=peer]').count(), 0);

    await bob.at('microphone').click();
    await bob.at('camera').click();
    await expectPictures(ada.page, 'camera');
    await expectSound(ada.page);
    const file = makeFile('beside the pictures.bin', 20_000_000);
    await ada.offer(file);
    await Promise.all([bob.receives(file), ada.sent(file)]);
    await bob.say('I see you');
    await ada.hears('I see you');
    await expectPictures(bob.page, 'camera');
    await expectWay(way, ada, bob);

    await bob.hangUp();
    await ada.state('over').waitFor();
    for (const { page } of [ada, bob]) {
      await expectLights(page, []);
      assert.equal(await page.locator('video, audio').count(), 0);
    }
    assert.equal(await ada.at('media').isVisible(), false);
    await goodbye([ada, bob]);
  });
}

test('a muted microphone is silent and a camera that is off shows nothing, without another negotiation', MINUTES, async () => {
  const [ada, bob] = await talking();
  await ada.at('microphone').click();
  await ada.at('camera').click();
  await expectPictures(bob.page, 'camera');
  await expectSound(bob.page);
  await state(ada, 'camera', 'on');
  await expectStable(ada.page);
  const before = [await descriptions(ada.page), await descriptions(bob.page)];

  await ada.at('microphone').click();
  await state(ada, 'microphone', 'muted');
  assert.equal(await pressed(ada, 'microphone'), 'false');
  await bob.at('media-status').filter({ hasText: 'Ada: camera on, muted.' }).waitFor();
  await expectSilence(bob.page);
  await ada.at('camera').click();
  await noPicture(bob.page, 'camera');
  // The camera's light goes out. The microphone is kept until it is let go.
  await expectLights(ada.page, ['audio']);
  await ada.at('devices-toggle').click();
  await ada.at('release').click();
  await expectLights(ada.page, []);
  assert.equal(await ada.at('microphone').evaluate((element) => element === document.activeElement), true);

  await ada.at('microphone').click();
  await ada.at('camera').click();
  await expectPictures(bob.page, 'camera');
  await expectSound(bob.page);
  assert.deepEqual([await descriptions(ada.page), await descriptions(bob.page)], before);
  await goodbye([ada, bob]);
});

test('a screen is large beside the camera, and goes when its sharing ends', MINUTES, async () => {
  const [ada, bob] = await talking();
  await ada.at('camera').click();
  await expectPictures(bob.page, 'camera');
  await ada.at('screen').click();
  await expectPictures(bob.page, 'screen');
  await expectPictures(bob.page, 'camera');
  const place = (source) => bob.page.locator(`figure[data-from=peer][data-source=${source}]`).getAttribute('data-place');
  assert.deepEqual([await place('screen'), await place('camera')], ['large', 'small']);
  // By the browser's own button.
  await ada.page.evaluate(() => {
    const screen = globalThis.seen.tracks.filter(({ kind }) => kind === 'video').at(-1);
    screen.stop();
    screen.dispatchEvent(new Event('ended'));
  });
  await noPicture(bob.page, 'screen');
  assert.equal(await place('camera'), 'large');
  assert.equal(await pressed(ada, 'screen'), 'false');
  await ada.at('note').filter({ hasText: 'You stopped sharing your screen.' }).waitFor();
  await ada.at('screen').click();
  await expectPictures(bob.page, 'screen');
  await ada.at('screen').click();
  await noPicture(bob.page, 'screen');
  await expectLights(ada.page, ['video']);
  await goodbye([ada, bob]);
});

test('a call with video says so, and who answers chooses what to send', MINUTES, async () => {
  const [ada, bob] = await people(['Ada', 'Bob']);
  for (const [button, kind, answer, hisLights] of [
    ['call-video', ', with video', 'accept-call', []],
    ['call-audio', ', with audio', 'accept-microphone', ['audio']],
    ['call-video', ', with video', 'accept-camera', ['audio', 'video']],
  ]) {
    await ada.sees('Bob').getByTestId(button).click();
    await bob.at('incoming-dialog').waitFor();
    assert.equal(await bob.at('incoming-title').textContent(), `Ada is calling${kind}`);
    assert.deepEqual(await lights(bob.page), []);
    assert.equal(await bob.at('accept-camera').isVisible(), button === 'call-video');
    await bob.at(answer).click();
    await Promise.all([ada.connected(), bob.connected()]);
    await expectSound(bob.page);
    if (button === 'call-video') await expectPictures(bob.page, 'camera');
    await expectLights(bob.page, hisLights);
    if (hisLights.includes('audio')) await expectSound(ada.page);
    if (hisLights.includes('video')) await expectPictures(ada.page, 'camera');
    await ada.hangUp();
    await bob.state('over').waitFor();
    await expectLights(ada.page, []);
    await expectLights(bob.page, []);
  }
  // One without says nothing of it, and a declined one leaves no light on.
  await ada.call('Bob');
  await bob.at('incoming-dialog').waitFor();
  assert.equal(await bob.at('incoming-title').textContent(), 'Ada is calling');
  assert.equal(await bob.at('accept-microphone').isVisible(), false);
  await bob.at('decline-call').click();
  await ada.state('over').waitFor();
  await ada.sees('Bob').getByTestId('call-video').click();
  await bob.at('incoming-dialog').waitFor();
  await expectLights(ada.page, ['audio', 'video']);
  await bob.at('decline-call').click();
  await ada.state('over').waitFor();
  await expectLights(ada.page, []);
  await goodbye([ada, bob]);
});

// Every other call as with a page that knows nothing of turns: then two offers meet.
test('both switch on in the same moment, 21 times', { timeout: 8 * 60_000 }, async () => {
  const [ada, bob] = await people(['Ada', 'Bob'], { prepare: async (page) => {
    await prepare(page);
    await page.addInitScript(() => {
      const send = RTCDataChannel.prototype.send;
      RTCDataChannel.prototype.send = function (data) {
        return send.call(this, globalThis.noTurns && typeof data === 'string' ? data.replace(',"turns":true', '') : data);
      };
    });
  } });
  for (let call = 0; call < 7; ++call) {
    for (const { page } of [ada, bob]) await page.evaluate((value) => { globalThis.noTurns = value; }, call % 2 === 1);
    const [caller, callee] = call % 2 ? [bob, ada] : [ada, bob]; // The server bounds calls to one person.
    await caller.call(callee.name);
    await callee.accept(caller.name);
    await Promise.all([ada.connected(), bob.connected()]);
    for (const id of ['microphone', 'camera', 'screen']) {
      await Promise.all([ada.at(id).click(), bob.at(id).click()]);
      await Promise.all([ada, bob].map(({ page }) => until(page, (count) => {
        const pc = globalThis.seen.pcs.at(-1);
        const directions = pc.getTransceivers().map(({ currentDirection }) => currentDirection);
        // The screen may bring its sound.
        return pc.signalingState === 'stable' && directions.filter((one) => one === 'sendonly').length >= count &&
          directions.filter((one) => one === 'recvonly').length >= count && !directions.includes(null);
      }, ['microphone', 'camera', 'screen'].indexOf(id) + 1, `${id} of both in call ${call}`)));
    }
    for (const { page } of [ada, bob]) {
      await expectPictures(page, 'camera');
      await expectPictures(page, 'screen');
    }
    await caller.hangUp();
    await callee.state('over').waitFor();
    await expectLights(ada.page, []);
  }
  await goodbye([ada, bob]);
});

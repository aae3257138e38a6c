// What axe-core finds in the page for people who cannot see it well, or not at
// all: nothing, in any view, light and dark, wide and narrow, and from right to
// left.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { goodbye, makeFile, Person, PHONE, sharedStage } from './browser.mjs';
import { FAKE_DEVICES } from './media.mjs';

const MINUTES = { timeout: 5 * 60_000 };
const stage = sharedStage({ flags: FAKE_DEVICES });
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// Right to left, which no language has yet that the page speaks.
const rightToLeft = (page) => page.route('**/texts.js', async (route) => {
  const answer = await route.fetch();
  await route.fulfill({ response: answer, body: (await answer.text()).replace('name: "Deutsch", dir: "ltr"', 'name: "Deutsch", dir: "rtl"') });
});

async function clean(person, view) {
  await person.page.evaluate(axe);
  const { violations } = await person.page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
  assert.deepEqual(violations.map(({ id, nodes }) => `${view}: ${id} ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`), []);
}

for (const [how, options] of [
  ['light', { colorScheme: 'light' }],
  ['dark', { colorScheme: 'dark' }],
  ['on a phone', { ...PHONE, locale: 'de-DE' }],
  ['from right to left', { locale: 'de-DE', prepare: rightToLeft }],
]) {
  test(`axe-core finds nothing, ${how}`, MINUTES, async () => {
    const room = stage.newRoom();
    const still = { reducedMotion: 'reduce', room };
    const bob = await Person.open(stage.browser, stage.server.url, { ...still, ...options });
    await bob.at('name-input').fill(' ');
    await bob.at('join-button').click();
    await bob.at('join-error').waitFor();
    await clean(bob, 'joining');
    await bob.joinAs('Bob');
    await clean(bob, 'nobody is here');
    const ada = await Person.join(stage.browser, stage.server.url, 'Ada', still);
    for (let i = 0; i < 7; i++) await Person.adopt(await ada.context.newPage(), ada, `Extra ${i}`);
    await bob.at('people-filter').waitFor();
    // Every colour that somebody may have.
    await bob.page.evaluate(() => document.querySelectorAll('.avatar').forEach((avatar, i) => { avatar.dataset.hue = i % 12; }));
    await clean(bob, 'people');
    await ada.sees('Bob').getByTestId('call-video').click();
    await bob.at('incoming-dialog').waitFor();
    await clean(bob, 'being called');
    await bob.at('accept-camera').click();
    await bob.connected();
    await bob.page.locator('video[data-from=peer]').waitFor();
    await ada.say('Hello');
    await bob.say('And you');
    await ada.at('file-input').setInputFiles(['one.bin', 'two.bin'].map((name) => makeFile(name, 1_500_000).path));
    await bob.at('file-accept-all').waitFor();
    await bob.at('panel-toggle').click();
    await bob.page.locator('[data-testid=connection-panel][data-way]').waitFor();
    await bob.at('devices-toggle').click();
    await clean(bob, 'a call');
    await bob.at('file-accept-all').click();
    await bob.page.waitForFunction(() => document.querySelectorAll('[data-testid=file-card][data-state=done]').length === 2);
    await clean(bob, 'received');
    await ada.hangUp();
    await bob.state('over').waitFor();
    await clean(bob, 'over');
    await bob.at('hangup').click();
    await bob.at('kept').locator('summary').click();
    await bob.at('kept-file').first().waitFor();
    await clean(bob, 'what is kept');
    await goodbye([ada, bob]);
  });
}

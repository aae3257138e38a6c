// People who come to a room because somebody there has asked them to: by its
// address, by the picture of that, and by six digits.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goodbye, Person, PHONE, sharedStage } from './browser.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const stage = sharedStage();

async function invites(person) {
  await person.at('invite').locator('summary').click();
  await person.at('invite-code').click();
  await person.page.locator('[data-testid=invite-digits][data-code]').waitFor();
  return person.at('invite-digits').getAttribute('data-code');
}
async function comesBy(person, digits) {
  await person.at('code-input').fill(digits);
  await person.at('code-button').click();
}

test('who types six digits is in the room of who shows them, and they talk', MINUTES, async () => {
  const room = stage.newRoom();
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
  const digits = await invites(ada);
  assert.match(digits, /^\d{6}$/);
  await ada.at('invite-status').filter({ hasText: 'Good for 5 minutes' }).waitFor();
  // As people type them.
  const bob = await Person.open(stage.browser, stage.server.url, PHONE);
  await comesBy(bob, `${digits.slice(0, 3)} ${digits.slice(3)}`);
  await bob.page.waitForURL((url) => url.searchParams.get('room') === room);
  await bob.joinAs('Bob');
  await ada.sees('Bob').waitFor();
  await bob.call('Ada');
  await ada.accept('Bob');
  await bob.connected();
  await bob.fits();
  await goodbye([ada, bob]);
});

test('digits that nobody has, and too many of them, are told', MINUTES, async () => {
  const kim = await Person.open(stage.browser, stage.server.url);
  await comesBy(kim, '12345');
  await kim.at('code-error').filter({ hasText: 'six digits' }).waitFor();
  await comesBy(kim, '123456');
  await kim.at('code-error').filter({ hasText: 'Nobody has these digits' }).waitFor();
  // Loopback has no share, so the server takes them all; one that does not is played.
  await kim.page.route('**/v1/codes/*', (route) => route.fulfill({ status: 429, body: 'too many' }));
  await comesBy(kim, '123456');
  await kim.at('code-error').filter({ hasText: 'Too many digits' }).waitFor();
  // What was wrong is not in the way of a name.
  await kim.joinAs('Kim');
  await goodbye([kim], /Failed to load resource/);
});

test('the picture is of the address that is shown, and of nothing else', MINUTES, async () => {
  const room = stage.newRoom();
  const ada = await Person.join(stage.browser, `${stage.server.url}`, 'Ada', { room });
  assert.equal(await ada.at('invite-qr').getAttribute('src'), null); // Nobody has looked.
  await ada.at('invite').locator('summary').click();
  const address = `${stage.server.url}/?room=${room}`;
  await ada.at('invite-link').filter({ hasText: address }).waitFor(); // What is open is told a turn later.
  assert.equal(await ada.at('invite-link').textContent(), address);
  await ada.page.waitForFunction(() => { const image = document.getElementById('invite-qr'); return image.complete && image.naturalWidth > 0; });
  const source = new URL(await ada.at('invite-qr').getAttribute('src'));
  assert.deepEqual([source.origin, source.pathname, source.searchParams.get('link')], [stage.server.url, '/v1/qr.svg', address]);
  // Three squares, as a camera looks for them: dark, light, and dark again.
  const dark = await ada.page.evaluate(() => {
    const canvas = document.createElement('canvas');
    const image = document.getElementById('invite-qr');
    const side = image.naturalWidth;
    [canvas.width, canvas.height] = [side, side];
    const paint = canvas.getContext('2d', { willReadFrequently: true });
    paint.drawImage(image, 0, 0, side, side);
    const modules = Number(image.naturalWidth) && [21, 25, 29, 33, 37].find((width) => {
      const at = (row, column) => paint.getImageData(Math.floor(((column + 4.5) * side) / (width + 8)), Math.floor(((row + 4.5) * side) / (width + 8)), 1, 1).data[0] < 128;
      const finder = (top, left) => [...Array(49).keys()].every((i) => {
        const [row, column] = [Math.floor(i / 7), i % 7];
        return at(top + row, left + column) === (Math.min(row, column, 6 - row, 6 - column) !== 1);
      });
      return finder(0, 0) && finder(0, width - 7) && finder(width - 7, 0);
    });
    return modules;
  });
  assert.ok(dark, 'no finders of a QR code');
  await ada.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await ada.at('invite-copy').click();
  await ada.at('invite-copy').filter({ hasText: 'Copied' }).waitFor();
  assert.equal(await ada.page.evaluate(() => navigator.clipboard.readText()), address);
  await goodbye([ada]);
});

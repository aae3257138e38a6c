// The main job: two people open the page that kyuud serves, find each other,
// talk, and send each other files; and what they read when something is wrong.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expectWay, goodbye, makeFile, Person, PHONE, sharedStage, startBrowser, TRANSFER } from './browser.mjs';
import { startKyuud } from './lib.mjs';

const MINUTES = { timeout: 5 * 60_000 };
const stage = sharedStage();
const { people } = stage;

async function mainJob(way, options, ...each) {
  const [ada, bob] = await people(['Ada', 'Bob'], options, each);
  await ada.sees('Bob').waitFor();
  await bob.sees('Ada').waitFor();
  await ada.call('Bob');
  await bob.accept('Ada');
  await expectWay(way, ada, bob);

  await ada.say('Hello Bob! <b>no markup</b> 🎈');
  await bob.hears('Hello Bob! <b>no markup</b> 🎈');
  await bob.say('Grüße, Ada');
  await ada.hears('Grüße, Ada');

  for (const [from, to, name] of [[ada, bob, 'from Ada.bin'], [bob, ada, 'from Bob.bin']]) {
    const file = makeFile(name);
    await from.offer(file);
    await Promise.all([to.receives(file), from.sent(file)]);
  }
  await expectWay(way, ada, bob);
  const numbers = await Promise.all([ada, bob].map(async (person) => {
    await person.panel();
    await person.at('number').filter({ hasText: /^\d{3} \d{3} / }).waitFor(); // It is looked at each second.
    return person.at('number').textContent();
  }));
  assert.equal(numbers[0], numbers[1]);

  await bob.hangUp();
  await ada.state('over').waitFor();
  assert.match(await ada.at('connection-state').textContent(), /Bob hung up/);
  await goodbye([ada, bob]);
}

test('two pages: chat and 50 MB both ways, directly', MINUTES, () => mainJob('direct'));
test('two pages: chat and 50 MB both ways, through the relay', MINUTES, () => mainJob('relayed', { relay: true }));

test('one who wants only the relay takes the other along', MINUTES, async () => {
  const [ada, bob] = await people(['Ada', 'Bob'], {}, [{ relay: true }, {}]);
  await bob.call('Ada');
  await ada.accept('Bob');
  await expectWay('relayed', ada, bob);
  await ada.say('only through the relay');
  await bob.hears('only through the relay');
  await goodbye([ada, bob]);
});

test('on a phone everything is in reach', MINUTES, async () => {
  const [ada, bob] = await people(['Ada', 'Bob'], {}, [{}, PHONE]);
  await bob.fits();
  await bob.sees('Ada').getByTestId('call').tap();
  await ada.accept('Bob');
  await bob.connected();
  await bob.fits();
  await bob.say('From the phone: ' + 'a rather long line '.repeat(20));
  await ada.hears('From the phone');
  const file = makeFile('a photo with quite a long name that does not fit into one line of a phone.bin', 2_000_000);
  await ada.offer(file);
  await Promise.all([bob.receives(file), ada.sent(file)]);
  await bob.panel();
  await bob.fits();
  // Inside the window, all of it.
  for (const id of ['chat-input', 'chat-send', 'attach', 'hangup', 'panel-toggle']) {
    const box = await bob.at(id).boundingBox();
    assert.ok(box && box.x >= 0 && box.y >= 0 && box.x + box.width <= 390 && box.y + box.height <= 844, `${id} ${JSON.stringify(box)}`);
    assert.ok(box.height >= 36, `${id} is only ${box.height} px high`);
  }
  await goodbye([ada, bob]);
});

test('a taken name is said, and another one proposed', MINUTES, async () => {
  const room = stage.newRoom();
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
  const late = await Person.open(stage.browser, stage.server.url, { room });
  await late.at('name-input').fill('Ada');
  await late.at('join-button').click();
  await late.at('join-error').waitFor();
  assert.match(await late.at('join-error').textContent(), /“Ada” is taken/);
  // The proposal stands in the field: one more click is enough.
  const proposed = await late.at('name-input').inputValue();
  assert.notEqual(proposed, 'Ada');
  await late.at('join-button').click();
  await ada.sees(proposed).waitFor();
  await goodbye([ada, late]);
});

test('who has just left cannot be called, and that is said', MINUTES, async () => {
  // The news of Bob's leaving never reaches Ada's page, as if she were faster.
  const deaf = (page) => page.routeWebSocket(/\/v1\/ws$/, (socket) => {
    socket.connectToServer().onMessage((text) => {
      if (!/"change":"left"/.test(text)) socket.send(text);
    });
  });
  const [ada, bob] = await people(['Ada', 'Bob'], {}, [{ prepare: deaf }, {}]);
  await bob.at('leave').click();
  await bob.page.locator('body[data-view=join]').waitFor();
  await bob.leave();
  await ada.call('Bob');
  await ada.at('notice').waitFor();
  assert.match(await ada.at('notice-text').textContent(), /Bob is not here any more/);
  await goodbye([ada]);
});

test('who leaves while it rings ends the call on both sides', MINUTES, async () => {
  const [ada, bob] = await people(['Ada', 'Bob']);
  await ada.call('Bob');
  await bob.at('incoming-dialog').waitFor();
  await bob.leave();
  await ada.state('over').waitFor();
  assert.match(await ada.at('connection-state').textContent(), /Bob (left|lost the connection to the server)/);
  // The call's end and the news of Bob's leaving are two messages.
  await ada.sees('Bob').waitFor({ state: 'detached' });
  await goodbye([ada]);
});

test('a declined call and a declined file are said', MINUTES, async () => {
  const [ada, bob] = await people(['Ada', 'Bob']);
  await ada.call('Bob');
  await bob.at('incoming-dialog').waitFor();
  await bob.at('decline-call').click();
  await ada.state('over').waitFor();
  assert.match(await ada.at('connection-state').textContent(), /Bob declined/);
  await bob.call('Ada');
  await ada.accept('Bob');
  await bob.connected();
  const file = makeFile('unwanted.bin', 1000);
  await bob.offer(file);
  await ada.card(file, 'in').getByTestId('file-decline').click();
  await bob.card(file, 'out').and(bob.page.locator('[data-state=declined]')).waitFor();
  assert.match(await bob.card(file, 'out').getByTestId('file-status').textContent(), /Declined/);
  await goodbye([ada, bob]);
});

test('a tab that is closed in the middle of a file ends it on the other side', MINUTES, async () => {
  const [ada, bob] = await people(['Ada', 'Bob']);
  await ada.call('Bob');
  await bob.accept('Ada');
  await ada.connected();
  const file = makeFile('never arrives.bin');
  await bob.offer(file);
  await ada.card(file, 'in').getByTestId('file-accept').click();
  await ada.card(file, 'in').and(ada.page.locator('[data-state=active]')).waitFor();
  await bob.leave();
  // What a page says as it goes may be lost with it, on a machine that is busy:
  // then it is over once the connection could not be mended.
  await ada.state('over').waitFor({ timeout: TRANSFER });
  await ada.card(file, 'in').and(ada.page.locator('[data-state=failed]')).waitFor();
  await goodbye([ada]);
});

test('a lost server is said; the talk goes on, and all come back when it does', MINUTES, async () => {
  let own = await startKyuud();
  const ada = await Person.join(stage.browser, own.url, 'Ada');
  const bob = await Person.join(stage.browser, own.url, 'Bob');
  const eve = await Person.open(stage.browser, own.url);
  await ada.call('Bob');
  await bob.accept('Ada');
  await expectWay('direct', ada, bob);

  own.child.kill('SIGKILL');
  await own.finish();
  for (const person of [ada, bob, eve]) {
    await person.page.locator('[data-testid=server-status][data-state=offline]').waitFor();
    assert.match(await person.at('notice-text').textContent(), /connection to the server is lost/);
  }
  await ada.sees('Bob').getByTestId('call').and(ada.page.locator(':disabled')).waitFor();
  await ada.say('still here?');
  await bob.hears('still here?');
  // Who wants to join meanwhile reads why that does not work.
  await eve.at('name-input').fill('Eve');
  await eve.at('join-button').click();
  await eve.at('join-error').waitFor();
  assert.match(await eve.at('join-error').textContent(), /server cannot be reached/);

  const { port } = new URL(own.url);
  own = await startKyuud('--http-listen', `127.0.0.1:${port}`);
  for (const person of [ada, bob, eve]) {
    // Either it tries by itself first, or the button makes it.
    await person.at('notice-action').click({ timeout: 2000 }).catch(() => {});
    await person.page.locator('[data-testid=server-status][data-state=online]').waitFor();
    await person.at('notice').waitFor({ state: 'hidden' });
  }
  // What she wanted is done as soon as it can be, and nothing says otherwise.
  await eve.page.locator('body[data-view=lobby]').waitFor();
  assert.equal(await eve.at('my-name').textContent(), 'Eve');
  assert.equal(await eve.at('join-error').isVisible(), false);
  eve.name = 'Eve';
  for (const name of ['Ada', 'Bob']) await eve.sees(name).waitFor();
  await bob.say('and the server is back');
  await ada.hears('and the server is back');
  await bob.hangUp();
  await ada.state('over').waitFor();
  await ada.call('Eve');
  await eve.accept('Ada');
  await ada.connected();

  // The browser itself logs each vain attempt, also to ask whether it is only
  // WebSockets that do not get through; nothing else may be there.
  for (const person of [ada, bob, eve]) {
    person.noProblems(/WebSocket connection to 'ws:.*failed|net::ERR_CONNECTION_REFUSED/);
    await person.leave();
  }
  assert.equal(await own.stop(), 0);
});

test("with the browser's own privacy settings they meet all the same", MINUTES, async (t) => {
  const strict = await startBrowser({ loopback: false });
  t.after(() => strict.close());
  const ada = await Person.join(strict, stage.server.url, 'Ada', { room: 'strict' });
  const bob = await Person.join(strict, stage.server.url, 'Bob', { room: 'strict' });
  await ada.call('Bob');
  await bob.accept('Ada');
  await ada.connected();
  await ada.say('no addresses shown');
  await bob.hears('no addresses shown');
  await goodbye([ada, bob]);
});

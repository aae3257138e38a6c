// The main job between a browser and a terminal: the page of kyuud and the
// `kyuu` command call each other, talk, and send each other files. And what the
// command says when something is wrong.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { expectWay, makeFile, Person, sha256, sharedStage, TRANSFER } from './browser.mjs';
import { kyuu, Program, sleep, startKyuud, temporaryFolder } from './lib.mjs';

const MINUTES = { timeout: 5 * 60_000 };
const stage = sharedStage();
const { newRoom } = stage;
const command = (...args) => new Program(kyuu, args);
const lines = (program) => [...program.lines, ...program.errors].join('\n');

async function finished(program, code, seconds = 60) {
  assert.equal(await program.finish(seconds), code, program.transcript());
}

// The command ends with status 1 and says why in its last line; `before` it only
// what it did.
async function fails(program, pattern, seconds = 60) {
  await finished(program, 1, seconds);
  const complaints = program.errors.filter((line) => line.startsWith('kyuu: '));
  assert.equal(complaints.length, 1, program.transcript());
  assert.match(complaints[0], pattern);
  assert.equal(program.errors.at(-1), complaints[0]);
}

test('kyuu ping does not wait for ever for a page that never says hello', MINUTES, async () => {
  const room = newRoom();
  const mute = (page) => page.addInitScript(() => {
    const { send } = RTCDataChannel.prototype;
    RTCDataChannel.prototype.send = function (data) {
      if (!`${data}`.startsWith('{"type":"hello"')) send.call(this, data);
    };
  });
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room, prepare: mute });
  const ping = command('ping', stage.server.url, 'Ada', '--name', 'Kim', '--room', room);
  await ada.accept('Kim');
  await fails(ping, /the other side is connected and does not say hello/);
  await ada.leave();
});

for (const [way, relay] of [['direct', []], ['relayed', ['--relay']]]) {
  const page = { relay: way === 'relayed' };

  test(`the page calls kyuu connect, and then the other way round: chat, ${way}`, MINUTES, async () => {
    const room = newRoom();
    const kim = command('connect', stage.server.url, 'Kim', '--yes', '--room', room, ...relay);
    await kim.waitFor(/joined as Kim/);
    const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room, ...page });
    await kim.waitFor(/Ada came/);
    await ada.sees('Kim').filter({ hasText: 'on a terminal' }).waitFor();

    await ada.call('Kim');
    await expectWay(way, ada);
    await kim.waitFor(new RegExp(`${way === 'direct' ? 'direct' : 'relayed'} way to Ada`));
    await ada.say('Hello terminal, grüß dich');
    await kim.waitFor(/^Ada: Hello terminal, grüß dich$/);
    kim.write('Hello page <b>&amp;\n');
    await ada.hears('Hello page <b>&amp;');
    await ada.hangUp();
    await kim.waitFor(/Ada hung up/);

    // It goes on waiting, and calls by itself.
    kim.write('/call Ada\n');
    await ada.accept('Kim');
    await expectWay(way, ada);
    kim.write('It is me who called\n');
    await ada.hears('It is me who called');
    await ada.say('So I see');
    await kim.waitFor(/^Ada: So I see$/);
    kim.write('/quit\n');
    await finished(kim, 0);
    await ada.state('over').waitFor();
    assert.match(await ada.at('connection-state').textContent(), /Kim hung up/);
    ada.noProblems();
    await ada.leave();
  });

  test(`kyuu send gives the page 20 MB, ${way}`, MINUTES, async () => {
    const room = newRoom();
    const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room, ...page });
    const file = makeFile(`from the terminal ${way}.bin`, 20_000_000);
    const sender = command('send', stage.server.url, file.path, '--to', 'Ada', '--name', 'Kim', '--room', room, ...relay);
    await ada.accept('Kim');
    await ada.receives(file);
    await finished(sender, 0, TRANSFER / 1000);
    assert.match(lines(sender), new RegExp(`sent ${file.name}.* sha256 ${file.sha256}`));
    assert.match(lines(sender), new RegExp(`${way} way to Ada`));
    await ada.state('over').waitFor();
    ada.noProblems();
    await ada.leave();
  });

  test(`the page gives kyuu recv 20 MB, ${way}`, MINUTES, async () => {
    const room = newRoom();
    const folder = temporaryFolder();
    const receiver = command('recv', stage.server.url, 'Kim', '--yes', '--dir', folder, '--room', room, ...relay);
    await receiver.waitFor(/joined as Kim/);
    const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room, ...page });
    await ada.call('Kim');
    await expectWay(way, ada);
    const file = makeFile(`from the page ${way}.bin`, 20_000_000);
    await ada.offer(file);
    await ada.sent(file);
    await receiver.waitFor(new RegExp(`received .*sha256 ${file.sha256}`));
    assert.deepEqual(readdirSync(folder), [file.name]);
    assert.equal(await sha256(join(folder, file.name)), file.sha256);
    await ada.hangUp();
    await receiver.waitFor(/Ada hung up/);
    // It waits for the next one until it is told to end.
    receiver.child.kill('SIGINT');
    await finished(receiver, 0);
    ada.noProblems();
    await ada.leave();
  });
}

test('kyuu connect --call rings at the page; files go both ways in one call', MINUTES, async () => {
  const room = newRoom();
  const folder = temporaryFolder();
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
  const kim = command('connect', stage.server.url, 'Kim', '--from', 'Ada', '--call', 'Ada', '--dir', folder, '--room', room);
  await ada.accept('Kim');
  await ada.connected();
  const [there, back] = [makeFile('there.bin', 3_000_000), makeFile('back.bin', 3_000_000)];
  await ada.offer(there);
  kim.write(`/send ${back.path}\n`);
  await Promise.all([ada.sent(there), ada.receives(back)]);
  await kim.waitFor(new RegExp(`received .*there\\.bin.*sha256 ${there.sha256}`));
  await kim.waitFor(new RegExp(`sent back\\.bin.*sha256 ${back.sha256}`));
  assert.equal(await sha256(join(folder, 'there.bin')), there.sha256);
  await ada.hangUp();
  await finished(kim, 0);
  ada.noProblems();
  await ada.leave();
});

test('kyuu recv never overwrites unasked', MINUTES, async () => {
  const room = newRoom();
  const folder = temporaryFolder();
  const kept = join(folder, 'notes.txt');
  writeFileSync(kept, 'mine');
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
  const file = makeFile('notes.txt', 1000);
  for (const [options, expected] of [[[], ['notes (1).txt', 'notes.txt']], [['--overwrite'], ['notes (1).txt', 'notes.txt']]]) {
    const receiver = command('recv', stage.server.url, 'Kim', '--yes', '--dir', folder, '--once', '--room', room, ...options);
    await ada.call('Kim');
    await ada.connected();
    await ada.offer(file);
    await ada.sent(file);
    await ada.hangUp();
    await finished(receiver, 0);
    assert.deepEqual(readdirSync(folder).sort(), expected);
    if (options.length === 0) assert.equal(readFileSync(kept, 'utf8'), 'mine');
    else assert.equal(await sha256(kept), file.sha256);
    await ada.at('hangup').click();
  }
  ada.noProblems();
  await ada.leave();
});

test('several files, an empty one among them, by one kyuu send to kyuu recv', MINUTES, async () => {
  const room = newRoom();
  const folder = temporaryFolder();
  const files = [makeFile('empty', 0), makeFile('one byte', 1), makeFile('größer.bin', 5_000_000)];
  const receiver = command('recv', stage.server.url, 'Kim', '--yes', '--dir', folder, '--once', '--room', room);
  await receiver.waitFor(/joined as Kim/);
  const sender = command('send', stage.server.url, ...files.map((f) => f.path), '--to', 'Kim', '--room', room);
  await finished(sender, 0);
  await finished(receiver, 0);
  assert.deepEqual(readdirSync(folder).sort(), files.map((f) => f.name).sort());
  for (const file of files) assert.equal(await sha256(join(folder, file.name)), file.sha256);
});

test('a page that declines, the call or the file, is told on the terminal', MINUTES, async () => {
  const room = newRoom();
  const file = makeFile('unwanted.bin', 1000);
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
  const send = () => command('send', stage.server.url, file.path, '--to', 'Ada', '--name', 'Kim', '--room', room);
  let sender = send();
  await ada.at('incoming-dialog').waitFor();
  await ada.at('decline-call').click();
  await fails(sender, /declined/);
  sender = send();
  await ada.accept('Kim');
  await ada.card(file, 'in').getByTestId('file-decline').click();
  await finished(sender, 1);
  assert.match(lines(sender), /declined/);
  ada.noProblems();
  await ada.leave();
});

test('the page and the terminal show the same number, whoever calls', MINUTES, async () => {
  const room = newRoom();
  const kim = command('connect', stage.server.url, 'Kim', '--yes', '--room', room, '--verify');
  await kim.waitFor(/joined as Kim/);
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
  const numbers = () => kim.errors.filter((line) => /the number of this connection/.test(line));
  for (const call of [() => ada.call('Kim'), async () => { kim.write('/call Ada\n'); await ada.accept('Kim'); }]) {
    const before = numbers().length;
    await call();
    await ada.connected();
    await ada.panel();
    await ada.at('number').filter({ hasText: /\d{3} \d{3}/ }).waitFor();
    while (numbers().length === before) await sleep(50);
    const [number] = numbers().at(-1).match(/\d{3} \d{3}/);
    assert.match(await ada.at('number').textContent(), new RegExp(`^${number} `));
    await ada.hangUp();
    await kim.waitFor(/Ada hung up/);
    await ada.at('hangup').click();
  }
  assert.notEqual(...numbers());
  ada.noProblems();
  await ada.leave();
  await kim.stop('SIGINT');
});

test('what the page says does not reach into the terminal', MINUTES, async () => {
  const room = newRoom();
  const kim = command('connect', stage.server.url, 'Kim', '--yes', '--room', room);
  await kim.waitFor(/joined as Kim/);
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
  await ada.call('Kim');
  await ada.connected();
  // Escape sequences could rewrite the screen, a line end could speak for others.
  await ada.say('red: \u001b[31m bell: \u0007 csi: \u009b31m back: \b end');
  await kim.waitFor(/^Ada: red: .*end$/);
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(kim.lines.join('\n'), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  await ada.hangUp();
  await kim.stop('SIGINT');
  await ada.leave();
});

// ---------------------------------------------------- when something is wrong

test('a port where nobody listens', MINUTES, async () => {
  const gone = await startKyuud();
  await gone.stop();
  const file = makeFile('nothing.bin', 10);
  for (const args of [['connect', gone.url, 'Kim'], ['recv', gone.url, 'Kim', '--yes'], ['send', gone.url, file.path, '--to', 'Ada']]) {
    const program = command(...args);
    await fails(program, new RegExp(`${new URL(gone.url).host}.*refused`));
    assert.equal(program.errors.length, 1, program.transcript());
  }
});

test('a server that is none, or a page that is no kyuud', MINUTES, async () => {
  await fails(command('connect', 'ftp://127.0.0.1/', 'Kim'), /URL|ws:\/\//i);
  await fails(command('connect', `${stage.server.url}/somewhere/else`, 'Kim'), /404|somewhere/);
});

test('a taken name and an absent callee', MINUTES, async () => {
  const room = newRoom();
  const file = makeFile('for nobody.bin', 10);
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
  await fails(command('connect', stage.server.url, 'Ada', '--room', room), /name.*Ada|Ada.*(taken|name)|has this name/);
  await fails(command('recv', stage.server.url, 'Ada', '--yes', '--room', room), /name.*Ada|Ada.*(taken|name)|has this name/);
  await fails(command('connect', stage.server.url, 'Kim', '--call', 'Nobody', '--room', room), /Nobody/);
  await fails(command('send', stage.server.url, file.path, '--to', 'Nobody', '--room', room), /Nobody/);
  // In a chat it is said, and the chat goes on.
  const kim = command('connect', stage.server.url, 'Kim', '--room', room);
  await kim.waitFor(/joined as Kim/);
  kim.write('/call Nobody\n');
  await kim.waitFor(/Nobody.*not|no.*Nobody|nobody of/i);
  kim.write('/call Ada\n');
  await ada.accept('Kim');
  await ada.connected();
  kim.write('/quit\n');
  await finished(kim, 0);
  await ada.leave();
});

test('a file that is not there is said before anybody is called', MINUTES, async () => {
  const room = newRoom();
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'folder'));
  await fails(command('send', stage.server.url, join(folder, 'missing'), '--to', 'Ada', '--room', room), /missing.*No such file/);
  await fails(command('send', stage.server.url, join(folder, 'folder'), '--to', 'Ada', '--room', room), /folder is not a file/);
  assert.equal(await ada.at('incoming-dialog').isVisible(), false);
  assert.equal(await ada.at('notice').isVisible(), false);
  await ada.leave();
});

// The first is waiting, nearly all of it: the others go on beside it.
describe('ends', { concurrency: 2 }, () => {
  test('who is killed in a call has gone when the server and the call have waited for him', MINUTES, async () => {
    const room = newRoom();
    const kim = command('connect', stage.server.url, 'Kim', '--from', 'Ada', '--room', room);
    await kim.waitFor(/joined as Kim/);
    const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
    await ada.call('Kim');
    await ada.connected();
    kim.child.kill('SIGKILL');
    // The server waits for 30 s, as the browser does; a way that is lost alone has a
    // minute more.
    await ada.state('over').waitFor({ timeout: 55_000 });
    await ada.leave();
  });

  test('a lost server is said, a call that is connected goes on, and all come back', MINUTES, async () => {
    let own = await startKyuud();
    const idle = command('connect', own.url, 'Idle');
    await idle.waitFor(/joined as Idle/);
    const kim = command('connect', own.url, 'Kim', '--from', 'Ada');
    await kim.waitFor(/joined as Kim/);
    const ada = await Person.join(stage.browser, own.url, 'Ada');
    await ada.call('Kim');
    await ada.connected();
    own.child.kill('SIGKILL');
    await own.finish();
    await idle.waitFor(/server.*trying again in \d+ s/);
    await kim.waitFor(/trying again.*goes on without/);
    await ada.say('still there?');
    await kim.waitFor(/^Ada: still there\?$/);
    kim.write('yes\n');
    await ada.hears('yes');
    own = await startKyuud('--http-listen', new URL(own.url).host);
    await idle.waitFor(/back as Idle/, 60);
    await kim.waitFor(/back as Kim/, 60);
    await ada.say('and now?');
    await kim.waitFor(/^Ada: and now\?$/);
    kim.write('/quit\n');
    await finished(kim, 0);
    await ada.state('over').waitFor();
    await ada.leave();
    await idle.stop('SIGINT');
    await own.stop();
  });

  test('a page that is closed in the middle of a file leaves nothing under its name', MINUTES, async () => {
    const room = newRoom();
    const folder = temporaryFolder();
    const receiver = command('recv', stage.server.url, 'Kim', '--yes', '--dir', folder, '--once', '--room', room);
    await receiver.waitFor(/joined as Kim/);
    const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
    await ada.call('Kim');
    await ada.connected();
    const file = makeFile('half.bin');
    await ada.offer(file);
    await ada.card(file, 'out').and(ada.page.locator('[data-state=active]')).waitFor();
    await ada.leave();
    await finished(receiver, 1);
    assert.match(lines(receiver), /half\.bin: /);
    assert.ok(!readdirSync(folder).includes(file.name));
  });

  test('a page that is reloaded in the middle of a file goes on where it was, once the file is chosen again', MINUTES, async () => {
    const room = newRoom();
    const folder = temporaryFolder();
    const receiver = command('recv', stage.server.url, 'Kim', '--yes', '--dir', folder, '--room', room);
    await receiver.waitFor(/joined as Kim/);
    const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
    const file = makeFile('half.bin', 100 * 1024 * 1024);
    await ada.call('Kim');
    await ada.connected();
    await ada.offer(file);
    const part = () => readdirSync(folder).filter((name) => name.endsWith('.part')).map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size)[0] ?? 0;
    for (const deadline = Date.now() + TRANSFER; part() < 20e6;) {
      assert.ok(Date.now() < deadline, receiver.transcript());
      await sleep(5);
    }
    await ada.page.reload();
    await receiver.waitFor(/half\.bin: .* of it are kept for when it is sent again/);
    const kept = part();
    assert.deepEqual(readdirSync(folder).filter((name) => name === file.name), []);
    await ada.sees('Kim').waitFor();
    await ada.call('Kim');
    await ada.connected();
    await ada.offer(file);
    await ada.sent(file);
    const [, at] = await receiver.waitFor(/half\.bin goes on at ([\d.]+) MB of 105 MB$/);
    assert.ok(Math.abs(at * 1e6 - kept) < 1e6, `at ${at} MB of ${kept} bytes`);
    assert.match(await ada.card(file, 'out').getByTestId('file-status').textContent(), /Arrived intact \(.* of it were there before\)/);
    await receiver.waitFor(new RegExp(`received .*sha256 ${file.sha256}`));
    assert.deepEqual(readdirSync(folder), [file.name]);
    assert.equal(await sha256(join(folder, file.name)), file.sha256);
    ada.noProblems();
    await ada.leave();
    receiver.child.kill('SIGINT');
    await finished(receiver, 0);
  });
});

test('the page takes no pipe, and nobody is asked', MINUTES, async () => {
  const room = newRoom();
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room });
  await fails(command('pipe', stage.server.url, '--to', 'Ada', '--room', room), /the program of Ada does not take calls of this kind/);
  assert.equal(await ada.at('incoming').isVisible(), false);
  // Another call rings as ever; who takes it does not know pings.
  const ping = command('ping', stage.server.url, 'Ada', '--name', 'Kim', '--room', room, '-c', '1');
  await ada.accept('Kim');
  await fails(ping, /no ping came back/);
  ada.noProblems();
  await ada.leave();
});

// `kyuu send` and `kyuu recv` by a code: who knows it gets the files, and nobody
// else, not even the server. And the number by which people find a middle.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import WebSocket from 'ws';
import { freePort, kyuu, Program, sharedServer, sleep, startKyuud, temporaryFolder } from './lib.mjs';
import { Middle, sitInTheMiddle } from './middle.mjs';

const MINUTES = { timeout: 3 * 60_000 };
let server;
sharedServer((started) => { server = started; });

const output = (program) => [...program.lines, ...program.errors].join('\n');
async function finished(program, code, seconds = 60) {
  assert.equal(await program.finish(seconds), code, program.transcript());
}
function file(name, content = name) {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, content);
  return path;
}
// A sender whose code is known.
async function send(url, ...args) {
  const program = new Program(kyuu, ['send', url, ...args]);
  [, program.code_, program.number] = await program.waitFor(/the code is {2}((\d{4})-[a-z]+-[a-z]+)$/);
  return program;
}
const receive = (url, folder, code, ...args) =>
  new Program(kyuu, ['recv', url, '--dir', folder, ...args], { env: { ...process.env, KYUU_CODE: code } });
// The same number, but other words.
const wrongWords = (sender) => {
  const words = sender.code_.split('-').slice(1);
  return `${sender.number} ${words[0] === 'acorn' ? 'zebra' : 'acorn'} ${words[1]}`;
};
// A stranger at the server, who speaks its protocol.
async function stranger(url, room, name, meta) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, 'kyuu.v1');
  await new Promise((resolve) => socket.on('open', resolve));
  const heard = [];
  socket.on('message', (data) => heard.push(JSON.parse(data)));
  const say = (message) => socket.send(JSON.stringify(message));
  const one = { socket, say, async hears(type) {
    for (let i = 0; ; ++i) {
      const message = heard.find((m) => m.type === type);
      if (message) return message;
      assert.ok(i < 200, `no ${type} in ${JSON.stringify(heard)}`);
      await sleep(50);
    }
  } };
  say({ type: 'hello', version: 1 });
  await one.hears('welcome');
  say({ type: 'join', name, room, meta });
  await one.hears('joined');
  return one;
}

test('who has the code gets the files, unasked', MINUTES, async () => {
  const here = temporaryFolder();
  const sender = await send(server.url, file('a.txt'), file('b.txt'));
  assert.ok(!sender.child.spawnargs.join(' ').includes(sender.code_));
  const receiver = receive(server.url, here, sender.code_.toUpperCase().replaceAll('-', ' '));
  await finished(receiver, 0);
  await finished(sender, 0);
  assert.deepEqual(readdirSync(here).sort(), ['a.txt', 'b.txt']);
  assert.equal(readFileSync(join(here, 'a.txt'), 'utf8'), 'a.txt');
  assert.match(output(receiver), /the code is right, and nobody sits in the middle/);
});

test('a person types the code, with a mistake first and then the beginnings of the words', MINUTES, async () => {
  const here = temporaryFolder();
  const sender = await send(server.url, file('a.txt'));
  const [number, first, second] = sender.code_.split('-');
  const receiver = new Program('script', ['-qefc', `'${kyuu}' recv '${server.url}' --dir '${here}'`, '/dev/null']);
  receiver.write(`${number} zzzzz ${second}\n`);
  await receiver.waitFor(/no code has the word "zzzzz"/);
  receiver.write(`${number} ${first.slice(0, 3)} ${second.slice(0, 4)}\n`);
  await finished(receiver, 0);
  await finished(sender, 0);
  assert.deepEqual(readdirSync(here), ['a.txt']);
});

test('a terminal shows the code as a QR code, too, unless that is not wanted', MINUTES, async () => {
  const name = file('a.txt');
  for (const [flag, drawn] of [['', true], ['--no-qr', false]]) {
    const sender = new Program('script', ['-qefc', `stty cols 100; exec '${kyuu}' send '${server.url}' '${name}' ${flag}`, '/dev/null'],
      { env: { ...process.env, LC_ALL: 'C.UTF-8' } });
    const [, number] = await sender.waitFor(/the code is {2}(\d{4})-/);
    // It is drawn before the sender can hear anybody.
    const receiver = receive(server.url, temporaryFolder(), `${number}-acorn-acorn`);
    await sender.waitFor(/calling/);
    assert.equal(sender.lines.some((line) => line.includes('\x1b[97;40m█')), drawn, sender.transcript());
    await Promise.all([sender.finish(), receiver.finish()]);
  }
});

test('without a terminal the code is in a file, on stdin or in the environment', MINUTES, async () => {
  const none = new Program(kyuu, ['recv', server.url], { env: { ...process.env, KYUU_CODE: undefined } });
  await finished(none, 2);
  assert.match(output(none), /KYUU_CODE.*--code-file/);
  const bad = receive(server.url, temporaryFolder(), '4821-orchid-violin');
  await finished(bad, 1);
  assert.match(output(bad), /no code has the word "orchid"; perhaps it is "orchard"/);
  for (const from of ['-', 'file']) {
    const here = temporaryFolder();
    const sender = await send(server.url, file('a.txt'));
    const receiver = new Program(kyuu, ['recv', server.url, '--dir', here, '--code-file',
      from === '-' ? '-' : file('code', `${sender.code_}\n`)]);
    if (from === '-') receiver.write(`${sender.code_}\n`);
    await finished(receiver, 0);
    await finished(sender, 0);
    assert.deepEqual(readdirSync(here), ['a.txt']);
  }
});

test('a wrong code gets nothing, and burns the right one', MINUTES, async () => {
  const here = temporaryFolder();
  const sender = await send(server.url, file('secret-name.txt'));
  const guesser = receive(server.url, here, wrongWords(sender));
  await finished(guesser, 1);
  assert.match(output(guesser), /the code is wrong/);
  await finished(sender, 1);
  assert.match(output(sender), /somebody tried a wrong code; nothing was sent/);
  assert.deepEqual(readdirSync(here), []);
  assert.doesNotMatch(output(guesser), /secret-name/);
});

test('a receiver whose sender is killed waits for it, until the server misses it', MINUTES, async () => {
  const sender = await send(server.url, file('a.txt'));
  await sender.stop('SIGKILL');
  // The server keeps the place of a session that broke off.
  const receiver = receive(server.url, temporaryFolder(), sender.code_);
  await receiver.waitFor(/looking for who sends by/);
  await finished(receiver, 1);
  assert.match(output(receiver), /the sender has gone: a code is good for one receiver/);
});

test('who stops waiting has not sent', MINUTES, async () => {
  const sender = await send(server.url, file('a.txt'));
  assert.equal(await sender.stop('SIGINT'), 1);
});

test('of two receivers the first gets the files', MINUTES, async () => {
  const [here, there] = [temporaryFolder(), temporaryFolder()];
  const sender = await send(server.url, file('a.txt', 'x'.repeat(30_000_000)));
  const first = receive(server.url, here, sender.code_);
  await first.waitFor(/the code is right/);
  const second = receive(server.url, there, sender.code_);
  await finished(sender, 0);
  await finished(first, 0);
  await finished(second, 1);
  assert.match(output(second), /the sender has gone/);
  assert.deepEqual(readdirSync(here), ['a.txt']);
  assert.deepEqual(readdirSync(there), []);
});

test('who knows the number alone is no receiver, and costs the sender nothing', MINUTES, async () => {
  const here = temporaryFolder();
  const sender = await send(server.url, file('a.txt'));
  const room = `code-${sender.number}`;
  // One that takes no part, one that calls the sender, one that declines its call.
  await stranger(server.url, room, 'mute', {});
  const caller = await stranger(server.url, room, 'caller', { code: sender.number, role: 'send' });
  caller.say({ type: 'call', to: `sender-${sender.number}`, meta: { code: sender.number } });
  await caller.hears('rejected');
  const shy = await stranger(server.url, room, 'shy', { code: sender.number, role: 'receive' });
  const { call } = await shy.hears('incoming');
  shy.say({ type: 'reject', call });
  await sender.waitFor(/the code is still good/);
  const receiver = receive(server.url, here, sender.code_);
  await finished(receiver, 0);
  await finished(sender, 0);
  assert.deepEqual(readdirSync(here), ['a.txt']);
});

test('who takes the call and says nothing holds the sender up for half a minute', MINUTES, async () => {
  const here = temporaryFolder();
  const sender = await send(server.url, file('a.txt'));
  const mute = await stranger(server.url, `code-${sender.number}`, 'mute', { code: sender.number, role: 'receive' });
  const { call } = await mute.hears('incoming');
  mute.say({ type: 'accept', call });
  const receiver = receive(server.url, here, sender.code_);
  await sender.waitFor(/nothing came of the connection within 30 s; the code is still good/, 60);
  await finished(receiver, 0);
  await finished(sender, 0);
  assert.deepEqual(readdirSync(here), ['a.txt']);
});

test('what is too large is refused with a code, too', MINUTES, async () => {
  const here = temporaryFolder();
  const sender = await send(server.url, file('small', 'x'.repeat(1000)), file('large', 'x'.repeat(1001)));
  const receiver = receive(server.url, here, sender.code_, '--max-size', '1kB');
  await finished(sender, 1);
  assert.match(output(sender), /large: the file is too large/);
  await receiver.finish(60);
  assert.deepEqual(readdirSync(here), ['small']);
});

test('a server that starts anew in between changes nothing', MINUTES, async () => {
  const here = temporaryFolder();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const old = await startKyuud('--http-listen', `127.0.0.1:${port}`);
  const sender = await send(url, file('a.txt'));
  await old.stop('SIGKILL');
  await sender.waitFor(/trying again/);
  const anew = await startKyuud('--http-listen', `127.0.0.1:${port}`);
  await sender.waitFor(/back as sender-/);
  const receiver = receive(url, here, sender.code_);
  await finished(receiver, 0);
  await finished(sender, 0);
  assert.deepEqual(readdirSync(here), ['a.txt']);
  assert.equal(await anew.stop(), 0);
});

test('what was proven goes on when the server starts anew', MINUTES, async () => {
  const here = temporaryFolder();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const old = await startKyuud('--http-listen', `127.0.0.1:${port}`);
  const sender = await send(url, file('large', Buffer.alloc(300_000_000)));
  const receiver = receive(url, here, sender.code_);
  await receiver.waitFor(/the code is right/);
  receiver.child.kill('SIGSTOP');  // So that there is something left to send.
  await old.stop('SIGKILL');
  await sender.waitFor(/trying again/);
  const anew = await startKyuud('--http-listen', `127.0.0.1:${port}`);
  await sender.waitFor(/back as sender-/);
  receiver.child.kill('SIGCONT');
  await finished(receiver, 0);
  await finished(sender, 0);
  assert.deepEqual(readdirSync(here), ['large']);
  assert.equal(await anew.stop(), 0);
});

// ------------------------------------------------------------- in the middle

test('a server that sits in the middle of the connection is found by both, and hears no name', MINUTES, async () => {
  const here = temporaryFolder();
  const spy = sitInTheMiddle();
  const middle = await Middle.before(server, spy.change);
  try {
    const sender = await send(middle.url, file('secret-name.txt'));
    const receiver = receive(middle.url, here, sender.code_);
    await finished(receiver, 1);
    await finished(sender, 1);
    for (const one of [sender, receiver]) {
      assert.match(output(one), /somebody sits in the middle of the connection, the server most likely/);
    }
    assert.deepEqual(readdirSync(here), []);
    const types = spy.heard.map((text) => JSON.parse(text).type);
    assert.deepEqual(types, ['code-start', 'code-answer', 'code-confirm']);
  } finally {
    middle.close();
    spy.close();
  }
});

test('a server that exchanges fingerprints and no more makes no connection', MINUTES, async () => {
  const here = temporaryFolder();
  const middle = await Middle.before(server, (message) => {
    if (message.sdp) {
      message.sdp = message.sdp.replace(/(a=fingerprint:sha-256 )\S+/g,
        (_, attribute) => attribute + Array(32).fill('AB').join(':'));
    }
    return message;
  });
  try {
    const sender = await send(middle.url, file('a.txt'));
    const receiver = receive(middle.url, here, sender.code_);
    await finished(receiver, 1);
    await sender.waitFor(/the code is still good/);
    await sender.stop('SIGINT');
    assert.match(output(sender) + output(receiver), /the handshake with the other side failed, as it does if somebody has exchanged a certificate/);
    assert.deepEqual(readdirSync(here), []);
  } finally {
    middle.close();
  }
});

// The number that each of two sees who call each other at `url`.
async function numbers(url, room) {
  const kim = new Program(kyuu, ['connect', url, 'Kim', '--room', room, '--yes', '--verify']);
  await kim.waitFor(/joined as Kim/);
  const ada = new Program(kyuu, ['connect', url, 'Ada', '--room', room, '--call', 'Kim', '--verify']);
  const [, ofAda] = await ada.waitFor(/the number of this connection is (\d{3} \d{3})\. If Kim/);
  const [line, ofKim] = await kim.waitFor(/the number of this connection is (\d{3} \d{3})\. If Ada.*/);
  // Whoever asks is told again.
  kim.write('/verify\n');
  while (kim.errors.filter((said) => said === line).length < 2) await sleep(50);
  for (const one of [ada, kim]) await one.stop('SIGINT');
  return [ofAda, ofKim];
}

test('the numbers of a connection are the same, and with somebody in the middle they are not', MINUTES, async () => {
  const [one, other] = await numbers(server.url, 'numbers');
  assert.equal(one, other);
  const spy = sitInTheMiddle();
  const middle = await Middle.before(server, spy.change);
  try {
    const [near, far] = await numbers(middle.url, 'numbers-2');
    assert.notEqual(near, far);
  } finally {
    middle.close();
    spy.close();
  }
});

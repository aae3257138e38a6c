// The command line behind proxies that let no WebSocket through, each in its own
// way: it goes on by ordinary requests, and all that it does works.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort, kyuu, Program, sharedServer, startKyuud, temporaryFolder } from './lib.mjs';
import { PathProxy } from './proxy.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const WITHOUT = /no WebSocket gets through to the server; going on without/;
let server;
sharedServer((started) => { server = started; });
let rooms = 0;
const newRoom = () => `room${++rooms}`;

// A proxy that answers upgrades by `refuse`, or passes them on while that is null.
// What it is asked for is kept.
async function behind(t, refuse, url = server.url) {
  const proxy = await PathProxy.to(url, '/kyuu', { upgrades: true });
  t.after(() => proxy.close());
  proxy.asked = [];
  proxy.refuse = refuse;
  proxy.sockets = new Set();
  proxy.server.on('connection', (socket) => {
    proxy.sockets.add(socket);
    socket.on('close', () => proxy.sockets.delete(socket));
  });
  proxy.server.on('request', (incoming) => proxy.asked.push(`${incoming.method} ${incoming.url.replace(/.*\/v1\//, '')}`));
  const [pass] = proxy.server.listeners('upgrade');
  proxy.server.removeAllListeners('upgrade');
  proxy.server.on('upgrade', (incoming, socket, head) => {
    proxy.asked.push('WebSocket');
    if (!proxy.refuse) return pass(incoming, socket, head);
    socket.on('error', () => {});
    return proxy.refuse(socket);
  });
  return proxy;
}
const answers = (text) => (socket) => socket.end(text);
const drops = answers('HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\n\r\n');

function file(size = 300_000) {
  const bytes = Buffer.alloc(size, 'some bytes ');
  const path = join(temporaryFolder(), 'file.bin');
  writeFileSync(path, bytes);
  return { path, sha256: createHash('sha256').update(bytes).digest('hex') };
}
const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');
const run = (...args) => new Program(kyuu, args);
async function finished(program, code, seconds = 60) {
  assert.equal(await program.finish(seconds), code, program.transcript());
}
// Somebody who is there by a WebSocket and sees who comes and goes.
async function watcher(room) {
  const eve = run('connect', `${server.url}/?room=${room}`, 'Eve');
  await eve.waitFor(/joined as Eve/);
  return eve;
}

test('a file goes by a code', MINUTES, async (t) => {
  const proxy = await behind(t, drops);
  const folder = temporaryFolder();
  const sent = file();
  const sender = run('send', proxy.url, sent.path);
  const [, code] = await sender.waitFor(/the code is {2}(\d{4}-[a-z]+-[a-z]+)$/);
  const receiver = new Program(kyuu, ['recv', proxy.url, '--dir', folder], { env: { ...process.env, KYUU_CODE: code } });
  await finished(receiver, 0);
  await finished(sender, 0);
  assert.equal(sha256(join(folder, 'file.bin')), sent.sha256);
  for (const one of [sender, receiver]) assert.match(one.errors.join('\n'), WITHOUT);
  assert.equal(proxy.asked.filter((what) => what === 'GET events').length, 2, proxy.asked.join(', '));
});

test('find, send, recv and ping, and who goes has gone at once', MINUTES, async (t) => {
  const proxy = await behind(t, drops);
  const room = newRoom();
  const eve = await watcher(room);
  const folder = temporaryFolder();
  const kim = run('recv', `${proxy.url}/?room=${room}`, 'Kim', '--yes', '--dir', folder);
  await eve.waitFor(/Kim came/);
  // The second one would not get the name if the first one had gone without a word.
  for (let i = 0; i < 2; ++i) {
    const find = run('find', `${proxy.url}/?room=${room}`, '--name', 'Looker');
    await finished(find, 0);
    assert.deepEqual(find.lines.map((line) => line.split('  ')[0]), ['Eve', 'Kim']);
  }
  const sent = file();
  const ada = run('send', `${proxy.url}/?room=${room}`, sent.path, '--to', 'Kim', '--name', 'Ada');
  await finished(ada, 0);
  await kim.waitFor(/^received .*file\.bin/);
  assert.equal(sha256(join(folder, 'file.bin')), sent.sha256);
  // Who comes and goes at once is not told to others; but the name is free.
  await finished(run('find', `${proxy.url}/?room=${room}`, '--name', 'Ada'), 0);
  const ping = run('ping', `${proxy.url}/?room=${room}`, 'Kim', '--name', 'Bob', '-c', '2');
  await finished(ping, 0);
  assert.match(ping.lines.join('\n'), /2 sent, 2 came back/);
  assert.equal(await kim.stop('SIGINT'), 0);
  await eve.waitFor(/Kim left/, 5);
  eve.write('/quit\n');
  await finished(eve, 0);
});

test('whatever a proxy makes of an upgrade', MINUTES, async (t) => {
  for (const [how, refuse] of Object.entries({
    closed: (socket) => socket.destroy(),
    'bad request': answers('HTTP/1.1 400 Bad Request\r\n\r\n'),
    forbidden: answers('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'),
    'a page': answers('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi'),
    'not HTTP': answers('hello\r\n\r\n'),
  })) {
    const proxy = await behind(t, refuse);
    const find = run('find', `${proxy.url}/?room=${newRoom()}`);
    assert.equal(await find.finish(), 1, how);
    assert.match(find.errors.join('\n'), /nobody of that kind is there/, how);
    assert.deepEqual(proxy.asked.slice(0, 2), ['WebSocket', 'GET events'], how);
  }
});

test('where there is no other way the first failure is told, and redirections and full servers are left alone', MINUTES, async (t) => {
  for (const [answer, asked] of [
    ['HTTP/1.1 404 Not Found\r\n\r\n', ['WebSocket', 'GET events']],
    ['HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n', ['WebSocket']],
    ['HTTP/1.1 429 Too Many Requests\r\n\r\n', ['WebSocket']],
    ['HTTP/1.1 503 Service Unavailable\r\n\r\n', ['WebSocket']],
  ]) {
    const seen = [];
    const alone = createHttpServer((incoming, response) => {
      seen.push(`${incoming.method} events`);
      response.writeHead(404).end();
    });
    alone.on('upgrade', (_, socket) => { seen.push('WebSocket'); socket.end(answer); });
    alone.listen(0, '127.0.0.1');
    await once(alone, 'listening');
    t.after(() => alone.close());
    const find = run('find', `http://127.0.0.1:${alone.address().port}/`);
    assert.equal(await find.finish(), 1);
    assert.match(find.errors.join('\n'), new RegExp(answer.slice(9, answer.indexOf('\r'))));
    assert.deepEqual(seen, asked);
  }
});

// What the other side wants while there is no connection is heard on the next one,
// whichever way that goes.
test('one session goes on from a WebSocket to events and back, and nothing is lost', MINUTES, async (t) => {
  const proxy = await behind(t, null);
  const room = newRoom();
  const eve = await watcher(room);
  const kim = run('connect', `${proxy.url}/?room=${room}`, 'Kim');
  await kim.waitFor(/joined as Kim/);
  await eve.waitFor(/Kim came/);
  const cut = () => { for (const socket of proxy.sockets) socket.destroy(); };
  for (const [refuse, name] of [[drops, 'Ann'], [drops, 'Bea'], [null, 'Cat']]) {
    proxy.refuse = refuse;
    proxy.down = true;
    const before = proxy.asked.length;
    const lost = kim.errors.length;
    cut();
    const line = () => new Promise((resolve) => kim.waiters.push(resolve));
    while (kim.errors.length === lost) await line();
    const other = run('connect', `${server.url}/?room=${room}`, name);
    await other.waitFor(new RegExp(`joined as ${name}`));
    // A stream of events that cannot be made is tried as a WebSocket next.
    if (refuse === null) while (!proxy.asked.slice(before).includes('WebSocket')) await line();
    proxy.down = false;
    await kim.waitFor(new RegExp(`${name} came`));
    other.write('/quit\n');
    await finished(other, 0);
    await kim.waitFor(new RegExp(`${name} left`));
  }
  assert.equal(kim.errors.filter((line) => /back as Kim/.test(line)).length, 3, kim.transcript());
  assert.ok(!eve.lines.concat(eve.errors).some((line) => /Kim left/.test(line)), eve.transcript());
  const asked = proxy.asked.filter((what) => !/^POST/.test(what));
  assert.equal(asked[0], 'WebSocket');
  assert.equal(asked.at(-1), 'WebSocket');
  assert.ok(asked.filter((what) => what === 'GET events').length >= 2, asked.join(', '));
  kim.write('/quit\n');
  await finished(kim, 0);
  eve.write('/quit\n');
  await finished(eve, 0);
});

test('a server that starts anew is found again without WebSockets', MINUTES, async (t) => {
  const port = await freePort();
  const flags = ['--http-listen', `127.0.0.1:${port}`];
  const first = await startKyuud(...flags);
  const proxy = await behind(t, drops, first.url);
  const kim = run('recv', `${proxy.url}/`, 'Kim', '--yes', '--dir', temporaryFolder());
  await kim.waitFor(/waiting for files/);
  await kim.waitFor(WITHOUT);
  await first.stop('SIGKILL');
  await kim.waitFor(/trying again/);
  const second = await startKyuud(...flags);
  await kim.waitFor(/back as Kim/);
  assert.equal(await kim.stop('SIGINT'), 0);
  assert.equal(await second.stop(), 0);
});

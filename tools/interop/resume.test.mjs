// What becomes of `kyuu connect`, `send` and `recv`, and of their calls, when
// the connection to the server is cut, and when the server starts anew.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { killLeftovers, kyuu, Program, startKyuud, temporaryFolder } from './lib.mjs';
import { Proxy } from './proxy.mjs';

const MINUTES = { timeout: 3 * 60_000 };
after(killLeftovers);

const command = (...args) => new Program(kyuu, args);
const count = (program, pattern) => [...program.lines, ...program.errors].filter((line) => pattern.test(line)).length;

// Ada behind a proxy of her own, Bob straight at the server.
async function adaAndBob(t, ...args) {
  if (args.length === 0) args = ['--yes'];
  const server = await startKyuud();
  const proxy = await Proxy.to(server.url);
  t.after(() => { proxy.close(); return server.stop(); });
  const bob = command('connect', server.url, 'Bob', ...args);
  await bob.waitFor(/joined as Bob/);
  const ada = command('connect', proxy.url, 'Ada', ...args);
  await ada.waitFor(/joined as Ada/);
  await bob.waitFor(/Ada came/);
  return { server, proxy, ada, bob };
}
async function talk(from, to, name, text) {
  from.write(`${text}\n`);
  await to.waitFor(new RegExp(`^${name}: ${text}$`));
}
async function leave(...programs) {
  for (const program of programs) {
    program.write('/quit\n');
    assert.equal(await program.finish(20), 0, program.transcript());
  }
}

test('a connection that is cut is made again, and nobody has left', MINUTES, async (t) => {
  const { proxy, ada, bob } = await adaAndBob(t);
  proxy.cut();
  await ada.waitFor(/lost.*trying again/);
  proxy.mend();
  await ada.waitFor(/back as Ada/);
  await ada.write('/call Bob\n');
  await Promise.all([ada.waitFor(/connected to Bob/), bob.waitFor(/connected to Ada/)]);
  await talk(bob, ada, 'Bob', 'as if nothing had been');
  assert.equal(count(bob, /Ada (left|came)/), 1, bob.transcript());
  await leave(ada, bob);
});

test('what is wanted while the server is away happens once when it is back', MINUTES, async (t) => {
  const { proxy, ada, bob } = await adaAndBob(t);
  proxy.cut();
  await ada.waitFor(/lost.*trying again/);
  ada.write('/call Bob\n');
  await ada.waitFor(/Bob is called when it is back/);
  proxy.mend();
  await ada.waitFor(/connected to Bob/);
  await talk(ada, bob, 'Ada', 'once');
  assert.equal(count(bob, /connected to Ada/), 1);
  assert.equal(count(bob, /missed a call/), 0);
  await leave(ada, bob);
});

test('two who call each other at once are in one call, and asked nothing', MINUTES, async (t) => {
  const { proxy, ada, bob } = await adaAndBob(t, '--from', 'Nobody');
  // Ada's call waits for the way to the server; Bob's for her.
  proxy.cut();
  await ada.waitFor(/lost.*trying again/);
  ada.write('/call Bob\n');
  bob.write('/call Ada\n');
  await Promise.all([ada.waitFor(/Bob is called when/), bob.waitFor(/calling Ada/)]);
  proxy.mend();
  await Promise.all([ada.waitFor(/connected to Bob/), bob.waitFor(/connected to Ada/)]);
  await talk(ada, bob, 'Ada', 'who called whom');
  for (const one of [ada, bob]) assert.equal(count(one, /refused|calls\.|another state/), 0, one.transcript());
  await leave(ada, bob);
});

test('a call whose beginning is cut comes about all the same', MINUTES, async (t) => {
  const { server, proxy } = await adaAndBob(t);
  const here = temporaryFolder();
  const kim = command('recv', server.url, 'Kim', '--dir', here, '--yes', '--once');
  await kim.waitFor(/joined as Kim/);
  const file = join(temporaryFolder(), 'a.txt');
  writeFileSync(file, 'a');
  // Cut as soon as the server knows of the call: its answer, and all that
  // follows, reach nobody until the proxy is mended.
  const send = command('send', proxy.url, file, '--to', 'Kim', '--name', 'Dan');
  await send.waitFor(/calling Kim/);
  proxy.cut();
  await send.waitFor(/trying again/);
  proxy.mend();
  assert.equal(await send.finish(60), 0, send.transcript());
  assert.equal(await kim.finish(20), 0, kim.transcript());
  assert.deepEqual(readdirSync(here), ['a.txt']);
});

test('what rings as the server starts anew rings again, though the callee is back later', MINUTES, async (t) => {
  let server = await startKyuud();
  t.after(() => server.stop());
  const proxy = await Proxy.to(server.url);
  t.after(() => proxy.close());
  const kim = command('connect', proxy.url, 'Kim', '--from', 'Nobody');
  await kim.waitFor(/joined as Kim/);
  const ada = command('connect', server.url, 'Ada', '--call', 'Kim');
  // Cut, Kim cannot answer.
  proxy.cut();
  await kim.waitFor(/trying again/);
  await ada.waitFor(/calling Kim/);
  server.child.kill('SIGKILL');
  await once(server.child, 'close');
  await ada.waitFor(/trying again/);
  server = await startKyuud('--http-listen', new URL(server.url).host);
  await ada.waitFor(/back as Ada/);
  proxy.mend();
  await kim.waitFor(/back as Kim/, 60);
  await kim.waitFor(/refused a call from Ada/);
  assert.equal(await ada.finish(20), 1, ada.transcript());
  assert.match(ada.errors.at(-1), /Kim declined/);
  await leave(kim);
});

for (const way of ['direct', 'relayed']) {
  test(`a ${way} call outlives a server that starts anew, and learns of its relay`, MINUTES, async (t) => {
    const relay = way === 'relayed' ? ['--relay'] : [];
    let server = await startKyuud();
    t.after(() => server.stop());
    const bob = command('connect', server.url, 'Bob', '--yes', ...relay);
    await bob.waitFor(/joined as Bob/);
    const ada = command('connect', server.url, 'Ada', '--call', 'Bob', ...relay);
    await ada.waitFor(new RegExp(`${way} way to Bob`));
    await talk(ada, bob, 'Ada', 'before');
    const ports = ['--http-listen', new URL(server.url).host, '--turn-listen', server.turn];
    server.child.kill('SIGKILL');
    await once(server.child, 'close');
    await bob.waitFor(/goes on without it/);
    server = await startKyuud(...ports);
    await Promise.all([ada.waitFor(/back as Ada/), bob.waitFor(/back as Bob/)]);
    await talk(ada, bob, 'Ada', 'after');
    await talk(bob, ada, 'Bob', 'so it is');
    assert.equal(count(ada, /connected to Bob/), 1, ada.transcript());
    assert.equal(count(bob, /calls|missed|hung up/), 0, bob.transcript());
    await leave(ada, bob);
  });
}

test('a call goes on though one side has been away too long for the server', MINUTES, async (t) => {
  const server = await startKyuud();
  const proxy = await Proxy.to(server.url);
  t.after(() => { proxy.close(); return server.stop(); });
  const bob = command('connect', server.url, 'Bob', '--yes');
  await bob.waitFor(/joined as Bob/);
  const ada = command('connect', proxy.url, 'Ada', '--call', 'Bob');
  await ada.waitFor(/connected to Bob/);
  proxy.cut();
  await bob.waitFor(/Ada left/, 60);
  await talk(bob, ada, 'Bob', 'still there');
  proxy.mend();
  await ada.waitFor(/back as Ada/, 40);
  await talk(ada, bob, 'Ada', 'still here');
  assert.equal(count(bob, /hung up|missed/), 0, bob.transcript());
  await leave(ada, bob);
});

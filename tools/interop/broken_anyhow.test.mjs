// A file of kyuu send to kyuu recv that is broken off ten times by chance, at random
// places: a program is killed, the network is down, the server dies and starts anew,
// the disk is full. In the end it is there, and what had arrived was not sent again.
//
//   KYUU_BROKEN_MIB=2048 tools/interop/run_tests broken_anyhow   # 200 unless set
//
// A tab that is reloaded: page_kept.test.mjs. All of it happens in a network and a
// disk of its own: the test runs itself in new namespaces.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { execFileSync } from 'node:child_process';
import { closeSync, createReadStream, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { after, test } from 'node:test';
import { command, makeFile, partSize, readUpTo, said, until } from './broken.mjs';
import { killLeftovers, Program, sleep, startKyuud, temporaryFolder } from './lib.mjs';

const MiB = 1024 * 1024;
const SIZE = +(process.env.KYUU_BROKEN_MIB ?? 200) * MiB;
const SECONDS = 120 + SIZE / MiB / 4;
const KINDS = ['receiver', 'sender', 'network', 'server', 'disk'];
const INSIDE = 'KYUU_BROKEN_INSIDE';
after(killLeftovers);

const shell = (...line) => execFileSync(line[0], line.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });

async function hashOf(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

const shuffled = (list) => list.map((value) => [Math.random(), value]).sort(([a], [b]) => a - b).map(([, value]) => value);

async function inside(t) {
  shell('ip', 'link', 'set', 'lo', 'up');
  const folder = temporaryFolder();
  shell('mount', '-t', 'tmpfs', '-o', `size=${SIZE / MiB + 64}m`, 'none', folder);
  t.after(() => shell('umount', '--lazy', folder));
  const file = makeFile(SIZE);
  const hash = await hashOf(file);
  let server = await startKyuud();
  t.after(() => server.stop());
  let receivers = 0;
  const receive = async () => {
    // A name of its own: the server may hold that of one who was killed.
    const program = command('recv', server.url, `Kim${++receivers}`, '--dir', folder, '--from', 'Dan', '--yes');
    await program.waitFor(/joined as Kim/);
    return program;
  };
  const send = () => command('send', server.url, file, '--to', `Kim${receivers}`);
  // What is said of the server, and that all of it was mended.
  const times = (words) => said(receiver).split(words).length - 1;
  const isHere = () => times('back as Kim') === times('the connection to the server is lost');
  let receiver = await receive();
  let sender;
  let begin = 0; // What was there when the sender began,
  let sent = 0; // and what senders have read that are gone.
  // A sender that had read so much is gone; what has arrived was read, too.
  const gone = async (read) => {
    for (let before = -1; before !== partSize(folder);) {
      before = partSize(folder);
      await sleep(100);
    }
    sent += Math.max(read, partSize(folder)) - begin;
    begin = partSize(folder);
    sender = undefined;
  };
  const acts = {
    async receiver() {
      receiver.child.kill('SIGKILL');
      sender.child.kill('SIGSTOP');
      const read = readUpTo(sender, file);
      sender.child.kill('SIGINT');
      sender.child.kill('SIGCONT');
      await receiver.exited;
      assert.equal(await sender.finish(40), 1, sender.transcript());
      receiver = await receive();
      assert.match(said(receiver), /here in part: big\.bin \(/);
      await gone(read);
    },
    async sender() {
      sender.child.kill('SIGSTOP');
      const read = readUpTo(sender, file);
      sender.child.kill('SIGKILL');
      await sender.exited;
      await gone(read);
    },
    async network() {
      shell('ip', 'link', 'set', 'lo', 'down');
      await sleep(3000);
      shell('ip', 'link', 'set', 'lo', 'up');
    },
    async server() {
      // The file would be through before the server is back.
      sender.child.kill('SIGSTOP');
      const lost = times('the connection to the server is lost');
      server.child.kill('SIGKILL');
      await once(server.child, 'close');
      server = await startKyuud('--http-listen', new URL(server.url).host, '--turn-listen', server.turn);
      await until(() => times('the connection to the server is lost') > lost && isHere(), 'the receiver is not back', receiver);
      sender.child.kill('SIGCONT');
    },
    async disk() {
      // It says goodbye, so that the receiver does not hold room for the rest.
      const read = readUpTo(sender, file);
      sender.child.kill('SIGINT');
      assert.equal(await sender.finish(40), 1, sender.transcript());
      await gone(read);
      const filler = join(folder, 'filler');
      const fd = openSync(filler, 'w');
      try { for (;;) writeSync(fd, Buffer.alloc(MiB)); } catch (error) { assert.equal(error.code, 'ENOSPC'); }
      closeSync(fd);
      const refused = send();
      assert.equal(await refused.finish(40), 1, refused.transcript());
      assert.match(said(refused), /no room for the file/);
      rmSync(filler);
    },
  };
  for (const [i, kind] of shuffled([...KINDS, ...KINDS]).entries()) {
    const there = Math.max(partSize(folder), begin);
    const stop = Math.floor(there + (0.3 + Math.random()) * (SIZE - there) / (12 - i));
    if (!sender) await until(isHere, 'the receiver is not back', receiver);
    sender ??= send();
    await until(() => partSize(folder) >= stop, `${kind}: never at ${stop}`, sender, receiver);
    await acts[kind]();
    assert.ok(!readdirSync(folder).includes('big.bin'), 'nothing incomplete has the name');
    t.diagnostic(`${kind} at ${stop}: ${partSize(folder)} are there`);
  }
  if (!sender) await until(isHere, 'the receiver is not back', receiver);
  sender ??= send();
  assert.equal(await sender.finish(SECONDS), 0, sender.transcript());
  sent += SIZE - begin;
  await receiver.waitFor(new RegExp(`received .*big\\.bin .* sha256 ${hash}`), 60);
  assert.equal(await hashOf(join(folder, 'big.bin')), hash);
  assert.deepEqual(readdirSync(folder), ['big.bin']);
  // A chunk is 4 MiB; what is lost is what was on its way when a program ended.
  console.log(`# broken: sent ${sent} of ${SIZE} bytes, ${sent - SIZE} again`);
  assert.ok(sent >= SIZE && sent <= SIZE + 6 * 4 * MiB, `${sent} of ${SIZE}`);
  // It had no room for it once, and has it now.
  receiver.child.kill('SIGINT');
  assert.equal(await receiver.finish(20), 0, receiver.transcript());
}

test('a file that is broken off ten times by chance arrives, and nothing of it twice', { timeout: SECONDS * 1000 }, async (t) => {
  if (process.env[INSIDE]) return inside(t);
  const root = process.getuid() === 0 ? [] : ['--map-root-user'];
  // Without the marks by which node's test runner knows its children.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const run = new Program('unshare', [...root, '--net', '--mount', 'node', fileURLToPath(import.meta.url)], {
    env: { ...environment, [INSIDE]: '1' },
  });
  const code = await run.finish(SECONDS);
  assert.equal(code, 0, run.transcript());
  for (const line of run.lines) if (/broken:| are there/.test(line)) t.diagnostic(line.trim());
});

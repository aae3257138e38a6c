// What becomes of a file when a program is killed, the disk is full, the server
// starts anew or the file changes while it is sent: the same two commands are
// typed again, and it goes on where it was.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { command, makeFile, partSize, readUpTo, said, until } from './broken.mjs';
import { killLeftovers, kyuu, Program, sleep, startKyuud, temporaryFolder } from './lib.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const MiB = 1024 * 1024;
after(killLeftovers);

const hashOf = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

// The bytes that a program says a file goes on at; 0 without such a line.
function goesOnAt(program) {
  const match = said(program).match(/big\.bin goes on at ([\d.]+) (B|kB|MB|GB) of/);
  return match ? match[1] * { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 }[match[2]] : 0;
}

test('ten kills at random bytes and a new server: no byte that has arrived is sent again', MINUTES, async (t) => {
  const size = 300 * MiB;
  const file = makeFile(size);
  const folder = temporaryFolder();
  let server = await startKyuud();
  t.after(() => server.stop());
  let receivers = 0;
  const receive = async () => {
    // A name of its own: the server may hold that of one who was killed.
    const program = command('recv', server.url, `Kim${++receivers}`, '--dir', folder, '--from', 'Dan', '--yes');
    await program.waitFor(/joined as Kim/);
    return program;
  };
  let receiver = await receive();
  let sent = 0;
  let begin = 0;
  const ends = [];
  const stops = Array.from({ length: 10 }, (_, i) => Math.floor((i + 0.2 + 0.6 * Math.random()) * size / 10.5)).map((at) => Math.max(at, 5 * MiB));
  for (const i of stops.keys()) {
    // What was on its way to a receiver that lives may have passed the next one.
    const stop = Math.max(stops[i], begin + MiB);
    const sender = command('send', server.url, file, '--to', `Kim${receivers}`);
    await until(() => partSize(folder) >= stop && (begin === 0 || goesOnAt(sender) > 0), `never at ${stop}`, sender, receiver);
    if (begin > 0) assert.ok(Math.abs(goesOnAt(sender) - begin) < 1e6, `at ${begin}: ${sender.transcript()}`);
    const killsReceiver = i % 2 === 0;
    (killsReceiver ? receiver : sender).child.kill(killsReceiver ? 'SIGKILL' : 'SIGSTOP');
    if (killsReceiver) sender.child.kill('SIGSTOP');
    sent += readUpTo(sender, file) - begin;
    if (killsReceiver) {
      sender.child.kill('SIGINT');
      sender.child.kill('SIGCONT');
      ends.push(sender.finish(20).then((code) => assert.equal(code, 1, sender.transcript())));
      await receiver.exited;
      receiver = await receive();
      assert.match(said(receiver), /here in part: big\.bin \(/);
    } else {
      sender.child.kill('SIGKILL');
      await sender.exited;
    }
    if (i === 4) {
      server.child.kill('SIGKILL');
      await once(server.child, 'close');
      server = await startKyuud('--http-listen', new URL(server.url).host, '--turn-listen', server.turn);
      await receiver.waitFor(/back as Kim/);
    }
    assert.ok(!readdirSync(folder).includes('big.bin'), 'nothing incomplete has the name');
    // What still was on its way to a receiver that lives arrives.
    for (let before = -1; before !== partSize(folder);) {
      before = partSize(folder);
      await sleep(100);
    }
    begin = partSize(folder);
    t.diagnostic(`killed the ${killsReceiver ? 'receiver' : 'sender'} at ${stop}: ${begin} are there, ${sent} were sent`);
  }
  const sender = command('send', server.url, file, '--to', `Kim${receivers}`);
  assert.equal(await sender.finish(60), 0, sender.transcript());
  assert.ok(Math.abs(goesOnAt(sender) - begin) < 1e6, `at ${begin}: ${sender.transcript()}`);
  sent += size - begin;
  const hash = hashOf(file);
  await receiver.waitFor(new RegExp(`received .*big\\.bin .* sha256 ${hash}`));
  assert.match(said(sender), new RegExp(`sent big\\.bin .* sha256 ${hash} .* of it before`));
  assert.equal(hashOf(join(folder, 'big.bin')), hash);
  assert.deepEqual(readdirSync(folder), ['big.bin']);
  // A chunk is 4 MiB; what is lost is what was on its way.
  t.diagnostic(`sent ${sent} of ${size}`);
  assert.ok(sent >= size && sent <= size + 10 * 4 * MiB, `${sent} of ${size}`);
  await Promise.all(ends);
  receiver.child.kill('SIGINT');
  assert.equal(await receiver.finish(20), 0, receiver.transcript());
});

// A shell in a mount namespace of its own, in a tmpfs of 100 MiB: what is killed
// there leaves a part, another program fills the disk, and empties it.
test('a full disk is said, costs nothing, and the file goes on when there is room', MINUTES, async (t) => {
  const server = await startKyuud();
  t.after(() => server.stop());
  const file = makeFile(64 * MiB);
  const mount = temporaryFolder();
  const root = process.getuid() === 0 ? [] : ['--map-root-user'];
  const receivers = new Program('unshare', [...root, '--mount', 'sh', '-c', `mount -t tmpfs -o size=100m none "$3" && cd "$3" || exit 9
    recv() { "$1" recv "$2" "$3" --yes --once; echo "$3 ended with $?"; }
    recv "$1" "$2" Kim1
    dd if=/dev/zero of=filler bs=64k 2>/dev/null
    recv "$1" "$2" Kim2
    rm filler
    recv "$1" "$2" Kim3
    sha256sum big.bin; ls -A`, 'sh', kyuu, server.url, mount]);
  await receivers.waitFor(/joined as Kim1/);
  const first = command('send', server.url, file, '--to', 'Kim1');
  await until(() => readUpTo(first, file) > 30 * MiB, 'not under way', first);
  first.child.kill('SIGINT');
  assert.equal(await first.finish(20), 1, first.transcript());
  await receivers.waitFor(/big\.bin: .* of it are kept for when it is sent again/);
  await receivers.waitFor(/joined as Kim2/);
  const second = command('send', server.url, file, '--to', 'Kim2');
  assert.equal(await second.finish(20), 1, second.transcript());
  assert.match(said(second), /no room for the file/);
  await receivers.waitFor(/joined as Kim3/);
  const third = command('send', server.url, file, '--to', 'Kim3');
  assert.equal(await third.finish(60), 0, third.transcript());
  assert.equal(await receivers.finish(20), 0, receivers.transcript());
  assert.ok(goesOnAt(third) > 25e6, third.transcript());
  assert.deepEqual(receivers.lines.slice(-2), [`${hashOf(file)}  big.bin`, 'big.bin'], receivers.transcript());
});

test('a file that has changed goes on as far as it is the same, and a part can be thrown away', MINUTES, async (t) => {
  const server = await startKyuud();
  t.after(() => server.stop());
  const file = makeFile(40 * MiB);
  const folder = temporaryFolder();
  const breakOff = async (name) => {
    const receiver = command('recv', server.url, name, '--yes', '--once', '--dir', folder);
    await receiver.waitFor(/joined as/);
    const sender = command('send', server.url, file, '--to', name);
    await until(() => partSize(folder) > 20 * MiB, 'not under way', sender);
    sender.child.kill('SIGINT');
    assert.equal(await sender.finish(20), 1, sender.transcript());
    assert.equal(await receiver.finish(20), 1, receiver.transcript());
    return partSize(folder);
  };
  await breakOff('Kim1');
  const content = readFileSync(file);
  content[17 * MiB] ^= 1;
  writeFileSync(file, content);
  const receiver = command('recv', server.url, 'Kim2', '--yes', '--once', '--dir', folder);
  await receiver.waitFor(/joined as/);
  const sender = command('send', server.url, file, '--to', 'Kim2');
  assert.equal(await sender.finish(60), 0, sender.transcript());
  assert.equal(await receiver.finish(20), 0, receiver.transcript());
  assert.match(said(receiver), /big\.bin goes on at 16\.8 MB of 41\.9 MB: the file has changed since, and is the same up to there/);
  assert.match(said(sender), /big\.bin goes on at 16\.8 MB of 41\.9 MB: what was kept .* is another file, or damaged, from there on/);
  assert.equal(hashOf(join(folder, 'big.bin')), hashOf(file));

  await breakOff('Kim3');
  const list = command('parts', '--dir', folder);
  assert.equal(await list.finish(), 0);
  assert.match(said(list), /^big\.bin \(\S+ MB of 41\.9 MB\)$/);
  const discard = command('parts', '--dir', folder, '--discard', 'big.bin');
  assert.equal(await discard.finish(), 0, discard.transcript());
  assert.match(said(discard), /^thrown away: big\.bin/);
  assert.deepEqual(readdirSync(folder), ['big.bin']);
  assert.equal(await command('parts', '--dir', folder, '--discard', 'big.bin').finish(), 1);
});

test('a receiver that was killed is free for a new sender, though its old one still calls', MINUTES, async (t) => {
  let server = await startKyuud();
  t.after(() => server.stop());
  const file = makeFile(100 * MiB);
  const folder = temporaryFolder();
  const killed = command('recv', server.url, 'Kim', '--yes', '--dir', folder);
  await killed.waitFor(/joined as/);
  const old = command('send', server.url, file, '--to', 'Kim');
  await until(() => partSize(folder) > 10 * MiB, 'not under way', old);
  killed.child.kill('SIGKILL');
  // With the server goes what it knows of the name.
  server.child.kill('SIGKILL');
  await once(server.child, 'close');
  server = await startKyuud('--http-listen', new URL(server.url).host, '--turn-listen', server.turn);
  const receiver = command('recv', server.url, 'Kim', '--yes', '--once', '--dir', folder);
  await receiver.waitFor(/joined as/);
  await old.waitFor(/back as/);
  const sender = command('send', server.url, file, '--to', 'Kim');
  assert.equal(await sender.finish(60), 0, `${sender.transcript()}\n${receiver.transcript()}`);
  assert.equal(await receiver.finish(20), 0, receiver.transcript());
  assert.ok(goesOnAt(sender) > 10e6, sender.transcript());
  assert.equal(hashOf(join(folder, 'big.bin')), hashOf(file));
  old.child.kill('SIGKILL');
  await old.exited;
});

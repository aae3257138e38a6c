// `kyuu connect`, `send` and `recv` with each other: who is asked what, what is
// stored under which name, and what goes on when the server does not.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { kyuu, Program, runPair, sharedServer, sleep, startKyuud, temporaryFolder } from './lib.mjs';

const MINUTES = { timeout: 3 * 60_000 };
let server;
sharedServer((started) => { server = started; });

let rooms = 0;
const newRoom = () => `calls-${++rooms}`;
const command = (...args) => new Program(kyuu, args);
// The same at a terminal, where a person can be asked.
const quote = (word) => `'${word.replaceAll("'", `'\\''`)}'`;
function atTerminal(...args) {
  const program = new Program('script', ['-qefc', [kyuu, ...args].map(quote).join(' '), '/dev/null']);
  program.raw = '';
  program.child.stdout.on('data', (data) => { program.raw += data; });
  // A question has no end of line: the answer is typed behind it.
  program.asked = async (pattern) => {
    for (let i = 0; !pattern.test(program.raw); ++i) {
      assert.ok(i < 600 && program.code === undefined, `no ${pattern}\n${program.transcript()}`);
      await sleep(50);
    }
    program.raw = '';
  };
  return program;
}
const output = (program) => [...program.lines, ...program.errors].join('\n');
async function finished(program, code, seconds = 60) {
  assert.equal(await program.finish(seconds), code, program.transcript());
}
async function receiver(room, ...args) {
  const program = command('recv', server.url, 'Kim', '--room', room, ...args);
  await program.waitFor(/joined as Kim/);
  return program;
}
const sender = (room, files, ...args) =>
  command('send', server.url, ...files, '--to', 'Kim', '--name', 'Ada', '--room', room, ...args);
function file(folder, name, content = name) {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

// ------------------------------------------------------------------ consent

test('without a terminal and without a flag nothing is taken, and that is said', MINUTES, async () => {
  const room = newRoom();
  const here = temporaryFolder();
  const deaf = command('recv', server.url, 'Kim', '--dir', here);
  await finished(deaf, 2);
  assert.match(output(deaf), /--from NAME.*--yes/);
  // Who chats can be called by those named only.
  const kim = command('connect', server.url, 'Kim', '--room', room, '--dir', here);
  await kim.waitFor(/joined as Kim/);
  const ada = sender(room, [file(here, 'a.txt')]);
  await finished(ada, 1);
  assert.match(output(ada), /declined/);
  await kim.waitFor(/refused a call from Ada.*--yes.*--from/);
  await kim.stop('SIGINT');
  assert.deepEqual(readdirSync(here), ['a.txt']);
});

test('at a terminal a call and a file are asked for, and taken on yes only', MINUTES, async () => {
  const room = newRoom();
  const [there, here] = [temporaryFolder(), temporaryFolder()];
  const kim = atTerminal('connect', server.url, 'Kim', '--room', room, '--dir', here);
  await kim.waitFor(/joined as Kim/);
  const refused = sender(room, [file(there, 'a.txt')]);
  await kim.asked(/Ada calls\. Take the call\?/);
  kim.write('n\n');
  await finished(refused, 1);
  assert.match(output(refused), /declined/);

  const taken = sender(room, [file(there, 'b.txt')]);
  await kim.asked(/Ada calls.*y\/N/);
  kim.write('y\n');
  await kim.waitFor(/connected to Ada/);
  await kim.asked(/b\.txt \(5 B\)\. Take it\?/);
  assert.deepEqual(readdirSync(here), []);
  kim.write('yes\n');
  await finished(taken, 0);
  assert.equal(readFileSync(join(here, 'b.txt'), 'utf8'), 'b.txt');
  kim.write('/quit\n');
  await kim.finish(20);
});

test('recv takes what the named ones send, up to the size that was said', MINUTES, async () => {
  const room = newRoom();
  const [there, here] = [temporaryFolder(), temporaryFolder()];
  const kim = await receiver(room, '--dir', here, '--from', 'Ada', '--max-size', '1kB');
  const both = sender(room, [file(there, 'small', 'x'.repeat(1000)), file(there, 'large', 'x'.repeat(1001))]);
  await finished(both, 1);
  assert.match(output(both), /large: the file is too large/);
  const eve = command('send', server.url, join(there, 'small'), '--to', 'Kim', '--name', 'Eve', '--room', room);
  await finished(eve, 1);
  assert.deepEqual(readdirSync(here), ['small']);
  await kim.stop('SIGINT');
});

// -------------------------------------------------------------------- names

test('no file is stored under a name that programs obey or people misread', MINUTES, async () => {
  const room = newRoom();
  const [there, here] = [temporaryFolder(), temporaryFolder()];
  const kim = await receiver(room, '--dir', here, '--yes');
  const names = ['.bashrc', '.vimrc', 'holiday\u202egpj.exe', 'x\u009b31m', 'line\nBob: end'];
  await finished(sender(room, names.map((name) => file(there, name))), 0);
  assert.deepEqual(readdirSync(here).sort(), ['_bashrc', '_vimrc', 'holiday_gpj.exe', 'line_Bob: end', 'x_31m'].sort());
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(output(kim), /[\u0080-\u009f\u200b-\u200f\u2028-\u202e]/);
  await kim.stop('SIGINT');
});

test('a stranger\'s name reaches no terminal as it is', MINUTES, async () => {
  const room = newRoom();
  const [there, here] = [temporaryFolder(), temporaryFolder()];
  const kim = command('connect', server.url, 'Kim', '--room', room, '--yes', '--dir', here);
  await kim.waitFor(/joined as Kim/);
  // What the server takes of these is its affair; what is printed is ours.
  for (const name of ['x\u009b31mRED', 'A\u202eda', 'Ada\u200b']) {
    const eve = command('send', server.url, file(there, 'a'), '--to', 'Kim', '--name', name, '--room', room);
    await eve.finish(30);
  }
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(output(kim), /[\u0080-\u009f\u200b-\u200f\u2028-\u202e]/);
  await kim.stop('SIGINT');
});

// --------------------------------------------------------------- many files

test('more files than the receiver takes at once all arrive', MINUTES, async () => {
  const room = newRoom();
  const [there, here] = [temporaryFolder(), temporaryFolder()];
  const kim = await receiver(room, '--dir', here, '--from', 'Ada', '--once');
  const names = Array.from({ length: 200 }, (_, i) => `n${i}`);
  await finished(sender(room, names.map((name) => file(there, name))), 0);
  await finished(kim, 0);
  assert.deepEqual(readdirSync(here).sort(), names.sort());
});

test('recv ends with the call', MINUTES, async () => {
  const room = newRoom();
  const [there, here] = [temporaryFolder(), temporaryFolder()];
  const kim = await receiver(room, '--dir', here, '--yes', '--once');
  await finished(sender(room, [file(there, 'a')]), 0);
  const start = Date.now();
  await finished(kim, 0);
  assert.ok(Date.now() - start < 1900, `${Date.now() - start} ms after the sender`);
});

test('many files are one question', MINUTES, async () => {
  const room = newRoom();
  const [there, here] = [temporaryFolder(), temporaryFolder()];
  const kim = atTerminal('connect', server.url, 'Kim', '--room', room, '--dir', here);
  await kim.waitFor(/joined as Kim/);
  const names = Array.from({ length: 80 }, (_, i) => `n${i}`);
  const ada = sender(room, names.map((name) => file(there, name)));
  await kim.asked(/Take the call/);
  kim.write('y\n');
  await kim.asked(/Ada sends 80 files \(\d+ B in all\).*Take them\?/);
  kim.write('y\n');
  await finished(ada, 0);
  assert.equal(readdirSync(here).length, 80);
  kim.write('/quit\n');
  await kim.finish(20);
});

// ------------------------------------------------------------- file systems

// A file system of the test's own, or undefined where that is not allowed.
function mounted(t, type, options, ...device) {
  const folder = temporaryFolder();
  try {
    execFileSync('mount', ['-t', type, '-o', options, ...(device.length ? device : ['none']), folder], { stdio: 'pipe' });
  } catch {
    return undefined;
  }
  t.after(() => execFileSync('umount', [folder]));
  return folder;
}

test('a full disk is said on both sides before anything is sent', MINUTES, async (t) => {
  const here = mounted(t, 'tmpfs', 'size=1m');
  if (!here) return t.diagnostic('no right to mount: file_transfer_test has it with a file system of its own');
  const room = newRoom();
  const there = temporaryFolder();
  const kim = await receiver(room, '--dir', here, '--yes', '--once');
  const ada = sender(room, [file(there, 'large', Buffer.alloc(2_000_000)), file(there, 'small')]);
  await finished(ada, 1);
  assert.match(output(ada), /large: the other side has no room for the file/);
  await finished(kim, 1);
  assert.match(output(kim), /No space left/);
  assert.deepEqual(readdirSync(here), ['small']);
});

test('a folder that cannot be written is said at once', MINUTES, async (t) => {
  const here = mounted(t, 'tmpfs', 'ro');
  if (!here) return t.diagnostic('no right to mount: file_transfer_test has it with a file system of its own');
  const kim = command('recv', server.url, 'Kim', '--dir', here, '--yes');
  await finished(kim, 1);
  assert.match(output(kim), /^kyuu: cannot write to .*Read-only file system$/m);
});

test('FAT is as good as any', MINUTES, async (t) => {
  const image = join(temporaryFolder(), 'fat');
  let here;
  try {
    execFileSync('truncate', ['-s', '20M', image]);
    execFileSync('/usr/sbin/mkfs.vfat', [image], { stdio: 'pipe' });
    here = mounted(t, 'vfat', 'loop,iocharset=utf8', image);
  } catch { /* No mkfs.vfat. */ }
  if (!here) return t.diagnostic('no FAT here: file_transfer_test has one of its own');
  const room = newRoom();
  const there = temporaryFolder();
  const kim = await receiver(room, '--dir', here, '--yes');
  const sent = [file(there, 'a.txt'), file(there, '10:30?.txt')];
  await finished(sender(room, sent), 0);
  await finished(sender(room, sent), 0);
  assert.deepEqual(readdirSync(here).sort(), ['10_30_ (1).txt', '10_30_.txt', 'a (1).txt', 'a.txt']);
  await kim.stop('SIGINT');
});

test('something in the way is told to the sender', MINUTES, async () => {
  const room = newRoom();
  const [there, here] = [temporaryFolder(), temporaryFolder()];
  mkdirSync(join(here, 'a.txt'));
  const kim = await receiver(room, '--dir', here, '--yes', '--overwrite', '--once');
  const ada = sender(room, [file(there, 'a.txt')]);
  await finished(ada, 1);
  assert.match(output(ada), /a\.txt: the other side has something of that name/);
  await finished(kim, 1);
  assert.match(output(kim), /is a folder/);
});

// --------------------------------------------------------- the server's life

for (const signal of ['SIGKILL', 'SIGTERM']) {
  test(`a transfer survives the server's ${signal}, and recv comes back`, MINUTES, async () => {
    let own = await startKyuud();
    const [there, here] = [temporaryFolder(), temporaryFolder()];
    const kim = command('recv', own.url, 'Kim', '--dir', here, '--from', 'Ada');
    await kim.waitFor(/joined as Kim/);
    const large = file(there, 'large', Buffer.alloc(400_000_000, 'x'));
    const ada = command('send', own.url, large, '--to', 'Kim', '--name', 'Ada');
    const under = () => readdirSync(here).some((name) => (statSync(join(here, name), { throwIfNoEntry: false })?.size ?? 0) > 1_000_000);
    await kim.waitFor(/connected to Ada/);
    while (!under()) await sleep(5);
    own.child.kill(signal);
    await own.finish();
    assert.ok(!existsSync(join(here, 'large')), 'the transfer was too fast for this test');
    await finished(ada, 0, 120);
    assert.match(output(ada), /goes on without it/);
    await kim.waitFor(/received .*large/);
    assert.deepEqual(readdirSync(here), ['large']);
    own = await startKyuud('--http-listen', new URL(own.url).host);
    await kim.waitFor(/back as Kim/, 60);
    await finished(command('send', own.url, file(there, 'more'), '--to', 'Kim', '--name', 'Ada'), 0);
    await kim.stop('SIGINT');
    assert.equal(await own.stop(), 0);
  });
}

// -------------------------------------------------------------- exit statuses

test('--version, and a word that is no command', MINUTES, async () => {
  const version = command('--version');
  await finished(version, 0);
  assert.match(output(version), /^kyuu \d+\.\d+\.\d+$/);
  for (const [args, text] of [
    [['bogus'], /^kyuu: there is no command "bogus"; kyuu --help/],
    [[], /^kyuu: /],
    [['recv', server.url, 'Kim', '--dir', '/nowhere/at/all'], /^kyuu: .*nowhere/],
  ]) {
    const program = command(...args);
    await finished(program, 2);
    assert.match(output(program), text);
    assert.equal(program.errors.length, 1, program.transcript());
  }
});

test('https for a server without TLS, and http for one with it, are named', MINUTES, async (t) => {
  const alert = Buffer.from('15030300020246', 'hex'); // protocol_version, of a TLS server.
  const tls = createServer((socket) => { socket.on('error', () => {}); socket.once('data', () => socket.end(alert)); });
  t.after(() => tls.close());
  await new Promise((resolve) => tls.listen(0, '127.0.0.1', resolve));
  for (const [url, text] of [
    [server.url.replace('http:', 'https:'), /plain HTTP there, use http:\/\//],
    [`http://127.0.0.1:${tls.address().port}`, /TLS there, use https:\/\//],
  ]) {
    const program = command('recv', url, 'Kim', '--yes', '--dir', temporaryFolder());
    await finished(program, 1);
    assert.match(output(program), text);
    assert.equal(program.errors.length, 1, program.transcript());
  }
});

test('the address of the page is as good as that of the server', MINUTES, async () => {
  const room = newRoom();
  const [there, here] = [temporaryFolder(), temporaryFolder()];
  const kim = await receiver(room, '--dir', here, '--yes', '--once');
  await finished(command('send', `${server.url}/?room=${room}&relay=0`, file(there, 'a'), '--to', 'Kim'), 0);
  await finished(kim, 0);
});

test('a name that is several addresses is tried at each of them', MINUTES, async (t) => {
  const own = await startKyuud('--user', 'alice:secret');
  t.after(() => own.stop());
  const hosts = file(temporaryFolder(), 'hosts', '::1 two.test\n127.0.0.1 two.test\n127.0.0.1 localhost\n');
  // A machine of its own idea of names; without the right to that, the one that
  // every machine has of itself.
  const [name, inside] = (() => {
    try {
      execFileSync('unshare', ['-m', 'mount', '--bind', hosts, '/etc/hosts'], { stdio: 'pipe' });
      return ['two.test', (line) => ['unshare', ['-m', 'sh', '-c', `mount --bind ${hosts} /etc/hosts && exec ${line}`]]];
    } catch {
      return ['localhost', (line) => ['sh', ['-c', `exec ${line}`]]];
    }
  })();
  const env = { ...process.env, KYUU_TURN_PASSWORD: 'secret' };
  const stun = new Program(...inside(`${kyuu} stun ${name}:${own.turnPort}`));
  await finished(stun, 0);
  assert.match(output(stun), /127\.0\.0\.1:\d+ sees this machine/);
  await finished(new Program(...inside(`${kyuu} turn alice@${name}:${own.turnPort}`), { env }), 0);
  // The relay of such a name serves a connection, too.
  const turn = ['--relay', '--turn', `alice@${name}:${own.turnPort}`];
  const ends = [['--role', 'offer', '--send', '3'], ['--role', 'answer', '--expect', '3']].map((args) =>
    new Program(...inside(`${kyuu} peer ${[...args, ...turn].join(' ')}`), { env }));
  await runPair(...ends);
});

test('kyuu turn takes its password from the environment', MINUTES, async (t) => {
  const own = await startKyuud('--user', 'alice:secret');
  t.after(() => own.stop());
  const good = new Program(kyuu, ['turn', `alice@${own.turn}`], { env: { ...process.env, KYUU_TURN_PASSWORD: 'secret' } });
  await finished(good, 0);
  assert.equal(good.errors.length, 0, good.transcript());
  const seen = command('turn', `alice:secret@${own.turn}`);
  await finished(seen, 0);
  assert.match(output(seen), /seen by everybody/);
});

test('what a pipe says waits for the call, and the call ends with it', MINUTES, async () => {
  const room = newRoom();
  const kim = command('connect', server.url, 'Kim', '--room', room, '--from', 'Ada');
  await kim.waitFor(/joined as Kim/);
  const ada = command('connect', server.url, 'Ada', '--call', 'Kim', '--room', room);
  ada.child.stdin.end('first\nsecond\n');
  await finished(ada, 0);
  await kim.waitFor(/^Ada: first$/);
  await kim.waitFor(/^Ada: second$/);
  await kim.stop('SIGINT');
});

test('stdin at its end: nobody was reached, and that is a failure', MINUTES, async () => {
  for (const args of [['--call', 'nobody'], []]) {
    const program = command('connect', server.url, 'Kim', '--room', newRoom(), ...args);
    program.child.stdin.end();
    await finished(program, 1);
    assert.match(output(program), args.length ? /nobody/ : /stdin ended before anybody was connected/);
  }
});

test('who is killed in a call has gone when the server and the call have waited for him', MINUTES, async () => {
  const room = newRoom();
  const pairs = [];
  for (const killed of ['caller', 'callee']) {
    const kim = command('connect', server.url, `Kim-${killed}`, '--room', room, '--from', `Ada-${killed}`);
    await kim.waitFor(/joined as Kim/);
    const ada = command('connect', server.url, `Ada-${killed}`, '--call', `Kim-${killed}`, '--room', room);
    for (const one of [kim, ada]) await one.waitFor(/^connected to/);
    pairs.push(killed === 'caller' ? [ada, kim] : [kim, ada]);
  }
  for (const [killed] of pairs) killed.child.kill('SIGKILL');
  // Either waits for 30 s; a way that is lost alone has a minute more.
  await Promise.all(pairs.map(([, other]) => other.waitFor(/^kyuu: .*the other side has gone/, 55)));
  await pairs[0][1].stop('SIGINT');
  await finished(pairs[1][1], 1);
});

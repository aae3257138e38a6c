// `kyuu pipe` and `kyuu ping`: bytes from one terminal to another, and how long
// the way is.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { kyuu, Program, sharedServer, sleep, temporaryFolder } from './lib.mjs';

const MINUTES = { timeout: 3 * 60_000 };
let server;
sharedServer((started) => { server = started; });

const started = [];
process.on('exit', () => { for (const child of started) child.kill('SIGKILL'); });

// A program whose stdin and stdout are bytes: `out` has what was read of it.
class Ends {
  constructor(args, { reads = true, env = {} } = {}) {
    this.child = spawn(kyuu, args, { stdio: 'pipe', env: { ...process.env, ...env } });
    this.errors = '';
    this.chunks = [];
    this.hash = createHash('sha256');
    this.bytes = 0;
    this.child.stderr.on('data', (data) => { this.errors += data; });
    this.child.stdin.on('error', () => {});
    this.ended = new Promise((resolve) => { this.child.stdout.on('end', resolve); });
    if (reads) this.read();
    this.exited = once(this.child, 'exit').then(([code, signal]) => code ?? signal);
    started.push(this.child);
  }
  read() {
    this.child.stdout.on('data', (data) => {
      this.bytes += data.length;
      this.hash.update(data);
      if (this.bytes < 1e6) this.chunks.push(data);
    });
  }
  get out() { return Buffer.concat(this.chunks).toString(); }
  async says(pattern, seconds = 30) {
    for (let i = 0; i < seconds * 20; ++i) {
      const match = this.errors.match(pattern);
      if (match) return match;
      await sleep(50);
    }
    assert.fail(`no ${pattern} in\n${this.errors}`);
  }
  async exits(code, seconds = 60) {
    const late = setTimeout(() => this.child.kill('SIGKILL'), seconds * 1000);
    const got = await this.exited;
    clearTimeout(late);
    assert.equal(got, code, this.errors);
  }
  // Bytes of memory that it has.
  memory() {
    return 1024 * Number(readFileSync(`/proc/${this.child.pid}/status`, 'utf8').match(/VmRSS:\s*(\d+)/)[1]);
  }
}
let next = 0;
// Two ends, which meet by name; `a` has called.
async function pair({ a = [], b = [], reads = {} } = {}) {
  const name = `end-${++next}`;
  const called = new Ends(['pipe', server.url, `${name}-b`, '--from', `${name}-a`, ...b], { reads: reads.b ?? true });
  await called.says(/waiting to be called/);
  const calls = new Ends(['pipe', server.url, '--to', `${name}-b`, '--name', `${name}-a`, ...a], { reads: reads.a ?? true });
  return [calls, called];
}
// Writes as fast as it is read; stops when it is told.
function pour(child, size) {
  const piece = randomBytes(65536);
  const sent = { bytes: 0, hash: createHash('sha256') };
  sent.done = (async () => {
    while (sent.bytes < size && !sent.stopped) {
      sent.bytes += piece.length;
      sent.hash.update(piece);
      if (await new Promise((resolve) => { child.stdin.write(piece, resolve); })) return;
    }
    child.stdin.end();
  })();
  return sent;
}

test('200 MB one way and some the other, all bytes as they were', MINUTES, async () => {
  const [a, b] = await pair();
  const there = pour(a.child, 200e6);
  const back = pour(b.child, 10e6);
  await Promise.all([there.done, back.done, a.exits(0, 120), b.exits(0, 120)]);
  await Promise.all([a.ended, b.ended]);
  assert.equal(b.bytes, there.bytes);
  assert.equal(b.hash.digest('hex'), there.hash.digest('hex'));
  assert.equal(a.hash.digest('hex'), back.hash.digest('hex'));
  assert.match(a.errors, /direct way to/);
  assert.match(a.errors, /sent 200 MB, received 10\.0 MB/);
});

test('a folder, by a code', MINUTES, async () => {
  const from = temporaryFolder();
  const to = temporaryFolder();
  mkdirSync(join(from, 'deep'));
  const blob = randomBytes(5e6);
  writeFileSync(join(from, 'deep/blob'), blob);
  writeFileSync(join(from, 'empty'), '');
  const shows = new Program('sh', ['-c', `tar -C '${from}' -c . | '${kyuu}' pipe '${server.url}'`]);
  const [, code] = await shows.waitFor(/the code is {2}(\d{4}-[a-z]+-[a-z]+)$/);
  await shows.waitFor(/kyuu pipe http.* --code$/);
  const types = new Program('bash', ['-c', `set -o pipefail; '${kyuu}' pipe '${server.url}' --code </dev/null | tar -C '${to}' -x`],
    { env: { ...process.env, KYUU_CODE: code } });
  assert.equal(await types.finish(), 0, types.transcript());
  assert.equal(await shows.finish(), 0, shows.transcript());
  assert.deepEqual(readFileSync(join(to, 'deep/blob')), blob);
  assert.equal(statSync(join(to, 'empty')).size, 0);
});

test('each direction ends by itself', MINUTES, async () => {
  const [a, b] = await pair();
  a.child.stdin.end('question');
  await b.ended;
  assert.equal(b.out, 'question');
  // The answer may take its time.
  await sleep(1000);
  assert.equal(a.child.exitCode, null);
  b.child.stdin.end('answer');
  await Promise.all([a.exits(0), b.exits(0)]);
  await a.ended;
  assert.equal(a.out, 'answer');
});

test('nothing is something, and a byte goes at once', MINUTES, async () => {
  const [a, b] = await pair();
  a.child.stdin.write('x');
  for (let i = 0; i < 200 && b.out !== 'x'; ++i) await sleep(50);
  assert.equal(b.out, 'x');
  b.child.stdin.end();
  await a.ended;
  a.child.stdin.end();
  await Promise.all([a.exits(0), b.exits(0)]);
  const [c, d] = await pair();
  for (const end of [c, d]) end.child.stdin.end();
  await Promise.all([c.exits(0), d.exits(0)]);
  assert.equal(c.bytes + d.bytes, 0);
});

test('a reader that stops holds the writer back, in bounded memory, and goes on', MINUTES, async () => {
  const [a, b] = await pair({ reads: { b: false } });
  await a.says(/connected to/);
  const before = [a, b].map((end) => end.memory());
  const there = pour(a.child, 200e6);
  let last = -1;
  while (there.bytes !== last || last === 0) {
    last = there.bytes;
    await sleep(2000);
  }
  assert.ok(there.bytes < 20e6, `${there.bytes} bytes were taken`);
  [a, b].forEach((end, i) => {
    const more = end.memory() - before[i];
    assert.ok(more < 60e6, `${more} bytes more`);
  });
  b.child.stdin.end();
  b.read();
  await Promise.all([there.done, a.exits(0, 120), b.exits(0, 120)]);
  await b.ended;
  assert.equal(b.hash.digest('hex'), there.hash.digest('hex'));
});

test('a reader that goes is an error on both sides', MINUTES, async () => {
  const [a, b] = await pair({ reads: { b: false } });
  const there = pour(a.child, 200e6);
  await b.says(/connected to/);
  b.child.stdout.destroy();
  await Promise.all([a.exits(1), b.exits(1)]);
  there.stopped = true;
  assert.match(b.errors, /who reads our stdout has gone before all was read/);
  assert.match(a.errors, /the reader of the other side has gone before all was read/);
  assert.match(a.errors, /are known to have been taken/);
});

test('an output that cannot be written, or is none, is an error with its reason', MINUTES, async () => {
  const shell = (redirection, name) =>
    new Program('sh', ['-c', `exec '${kyuu}' pipe '${server.url}' ${name} --yes ${redirection}`]);
  const full = shell('>/dev/full', 'full');
  await full.waitFor(/waiting to be called/);
  const a = new Ends(['pipe', server.url, '--to', 'full']);
  a.child.stdin.end('some');
  await a.exits(1);
  assert.equal(await full.finish(), 1, full.transcript());
  assert.match(a.errors, /the other side cannot read or write/);
  assert.match(full.transcript(), /kyuu: stdout cannot be written: No space left on device/);
  for (const [redirection, what] of [['>&-', 'stdout'], ['<&-', 'stdin']]) {
    const none = shell(redirection, 'none');
    assert.equal(await none.finish(), 2, none.transcript());
    assert.match(none.transcript(), new RegExp(`kyuu: ${what} is closed`));
  }
});

test('one that is interrupted tells the other one', MINUTES, async () => {
  const [a, b] = await pair();
  a.child.stdin.write('some');
  await a.says(/connected to/);
  a.child.kill('SIGINT');
  await Promise.all([a.exits(1), b.exits(1)]);
  assert.match(a.errors, /interrupted before everything was through/);
  assert.match(b.errors, /the other side was interrupted/);
});

test('one that is killed is missed by the other one', MINUTES, async () => {
  const [a, b] = await pair();
  const there = pour(a.child, 1e9);
  await b.says(/connected to/);
  b.child.kill('SIGKILL');
  await a.exits(1, 150);
  there.stopped = true;
  assert.match(a.errors, /kyuu: .*(lost|gone|nothing)/);
});

test('where only a relay is, by that', MINUTES, async () => {
  const [a, b] = await pair({ a: ['--relay'], b: ['--relay'] });
  const there = pour(a.child, 20e6);
  b.child.stdin.end();
  await Promise.all([there.done, a.exits(0, 120), b.exits(0, 120)]);
  await b.ended;
  assert.equal(b.hash.digest('hex'), there.hash.digest('hex'));
  assert.match(a.errors, /relayed way to/);
});

test('only a pipe takes a pipe, and a pipe takes nothing else', MINUTES, async () => {
  const folder = temporaryFolder();
  const recv = new Program(kyuu, ['recv', server.url, 'plain', '--yes', '--dir', folder]);
  await recv.waitFor(/waiting for files/);
  const pipe = new Ends(['pipe', server.url, '--to', 'plain']);
  await pipe.exits(1);
  assert.match(pipe.errors, /does not take calls of this kind/);
  await recv.stop();
  assert.doesNotMatch(recv.transcript(), /connected/);

  const waits = new Ends(['pipe', server.url, 'pipe-only', '--yes']);
  await waits.says(/waiting to be called/);
  const file = join(folder, 'a');
  writeFileSync(file, 'a');
  const send = new Program(kyuu, ['send', server.url, file, '--to', 'pipe-only']);
  assert.equal(await send.finish(), 1, send.transcript());
  assert.match(send.transcript(), /does not take calls of this kind/);
  // Nobody was let in who was not named.
  const strict = new Ends(['pipe', server.url, 'strict', '--from', 'friend']);
  await strict.says(/waiting to be called/);
  const stranger = new Ends(['pipe', server.url, '--to', 'strict', '--name', 'stranger']);
  await stranger.exits(1);
  assert.match(stranger.errors, /strict declined/);
  const nobody = new Ends(['pipe', server.url, 'nobody']);
  await nobody.exits(2);
  assert.match(nobody.errors, /--from NAME/);
  for (const end of [waits, strict]) {
    end.child.kill('SIGTERM');
    await end.exits(1);
  }
  // The code is right, but it was shown for files.
  const shows = new Ends(['pipe', server.url]);
  const [, code] = await shows.says(/the code is {2}(\S+)/);
  const types = new Program(kyuu, ['recv', server.url, '--dir', folder], { env: { ...process.env, KYUU_CODE: code } });
  await shows.exits(1);
  assert.match(shows.errors, /the other side takes no pipe: it has to be a kyuu pipe, too/);
  await types.finish();
});

test('ping tells the way and how long it is', MINUTES, async () => {
  const recv = new Program(kyuu, ['recv', server.url, 'answers', '--yes', '--dir', temporaryFolder()]);
  await recv.waitFor(/waiting for files/);
  const ping = new Program(kyuu, ['ping', server.url, 'answers', '-c', '5', '-i', '0.05']);
  assert.equal(await ping.finish(), 0, ping.transcript());
  assert.match(ping.lines[0], /^1: \d+\.\d\d ms, direct \(host \S+:\d+ to host \S+:\d+\)$/);
  assert.deepEqual(ping.lines[5], '5 sent, 5 came back, 0 % lost');
  const [min, avg, max] = ping.lines[6].match(/^min\/avg\/max\/stddev = (.*) ms$/)[1].split('/').map(Number);
  assert.ok(min <= avg && avg <= max);

  const json = new Program(kyuu, ['ping', server.url, 'answers', '-c', '2', '-i', '0.05', '--json', '--relay']);
  assert.equal(await json.finish(), 0, json.transcript());
  const lines = json.lines.map((line) => JSON.parse(line));
  assert.deepEqual(lines.map((line) => line.event), ['answer', 'answer', 'summary']);
  assert.equal(lines[0].relayed, true);
  assert.equal(lines[0].local.type, 'relay');
  assert.equal(lines[2].received, 2);

  const endless = new Program(kyuu, ['ping', server.url, 'answers', '-i', '0.05']);
  await endless.waitFor(/^3: /);
  await endless.stop('SIGINT');
  assert.equal(endless.code, 0, endless.transcript());
  assert.match(endless.transcript(), /sent, \d+ came back/);
  await recv.stop();
});

test('who has not taken the call answers nothing', MINUTES, async () => {
  const recv = new Program(kyuu, ['recv', server.url, 'careful', '--from', 'friend', '--dir', temporaryFolder()]);
  await recv.waitFor(/waiting for files/);
  const ping = new Program(kyuu, ['ping', server.url, 'careful', '-c', '1']);
  assert.equal(await ping.finish(), 1, ping.transcript());
  assert.match(ping.transcript(), /careful declined/);
  assert.doesNotMatch(ping.transcript(), /\d ms/);
  const nobody = new Program(kyuu, ['ping', server.url, 'nobody-here', '-c', '1']);
  assert.equal(await nobody.finish(), 1);
  // Another pipe does not answer.
  const pipe = new Ends(['pipe', server.url, 'mute', '--yes']);
  await pipe.says(/waiting to be called/);
  const refused = new Program(kyuu, ['ping', server.url, 'mute', '-c', '1']);
  assert.equal(await refused.finish(), 1);
  assert.match(refused.transcript(), /does not take calls of this kind/);
  pipe.child.kill('SIGTERM');
  await pipe.exits(1);
  await recv.stop();
});

test('two ping each other by a code', MINUTES, async () => {
  const shows = new Program(kyuu, ['ping', server.url, '-c', '3', '-i', '0.1']);
  const [, code] = await shows.waitFor(/the code is {2}(\d{4}-[a-z]+-[a-z]+)$/);
  await shows.waitFor(/kyuu ping http.* --code$/);
  const types = new Program(kyuu, ['ping', server.url, '--code', '-i', '0.1'], { env: { ...process.env, KYUU_CODE: code } });
  assert.equal(await shows.finish(), 0, shows.transcript());
  assert.equal(await types.finish(), 0, types.transcript());
  for (const program of [shows, types]) assert.match(program.transcript(), /0 % lost/);
});

test('what does not come back is told, and is status 1', MINUTES, async () => {
  const recv = new Program(kyuu, ['recv', server.url, 'stops', '--yes', '--dir', temporaryFolder()]);
  await recv.waitFor(/waiting for files/);
  const ping = new Program(kyuu, ['ping', server.url, 'stops', '-c', '4', '-i', '0.5']);
  await ping.waitFor(/^1: /);
  recv.child.kill('SIGSTOP');
  await ping.waitFor(/^\d: lost$/, 20);
  recv.child.kill('SIGCONT');
  assert.equal(await ping.finish(), 0, ping.transcript());
  assert.match(ping.transcript(), /4 sent, \d came back, \d+ % lost/);
  await recv.stop();
});

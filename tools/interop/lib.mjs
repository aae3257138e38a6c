// What the tests against foreign programs share: starting processes by name,
// reading their JSON lines, and joining two peers by their signaling lines.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
const bin = process.env.KYUU_BIN;
if (!bin) throw new Error('KYUU_BIN names the folder of kyuu and kyuud; run tools/dev test');
export const kyuu = join(bin, 'kyuu/kyuu');
export const kyuud = join(bin, 'kyuud/kyuud');

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A port that nobody has at the moment, and that the system gives to no connection.
export async function freePort() {
  for (;;) {
    const server = createServer();
    const port = randomInt(20_000, 32_000);
    try {
      await once(server.listen(port, '0.0.0.0'), 'listening');
    } catch (error) {
      if (error.code === 'EADDRINUSE') continue;
      throw error;
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}

// A temporary folder that goes away with the process.
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'kyuu-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const running = new Set();
process.on('exit', () => { for (const p of running) p.child.kill('SIGKILL'); });

// Ends what a failed test has left running: it would keep the process alive.
export function killLeftovers() {
  for (const p of running) p.child.kill('SIGKILL');
}

// A child process with its output kept: `lines` (stdout), `errors` (stderr).
export class Program {
  constructor(command, args, options = {}) {
    this.name = `${command.split('/').pop()} ${args.join(' ')}`;
    this.lines = [];
    this.errors = [];
    this.waiters = [];
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    running.add(this);
    this.child.stdin.on('error', () => {});
    createInterface({ input: this.child.stdout }).on('line', (line) => this.#take(line));
    createInterface({ input: this.child.stderr }).on('line', (line) => {
      this.errors.push(line);
      this.#wake();
    });
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (code, signal) => {
        running.delete(this);
        this.code = code ?? signal;
        this.#wake();
        resolve(this.code);
      });
    });
  }
  #take(line) {
    this.lines.push(line);
    this.onLine?.(line);
    this.#wake();
  }
  #wake() {
    for (const w of this.waiters.splice(0)) w();
  }
  write(text) { if (this.child.stdin.writable) this.child.stdin.write(text); }
  // Waits until a line of either output matches; returns the match.
  async waitFor(pattern, seconds = 30) {
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
      for (const line of [...this.lines, ...this.errors]) {
        const match = line.match(pattern);
        if (match) return match;
      }
      const left = deadline - Date.now();
      if (left <= 0 || this.code !== undefined) {
        throw new Error(`${this.name}: no line ${pattern}\n${this.transcript()}`);
      }
      // Cleared, since a timer left behind would keep the whole process waiting.
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiters.push(() => { clearTimeout(timer); resolve(); });
      });
    }
  }
  // Waits for the end; kills the process when it takes too long.
  async finish(seconds = 60) {
    const timer = setTimeout(() => { this.late = true; this.child.kill('SIGKILL'); }, seconds * 1000);
    const code = await this.exited;
    clearTimeout(timer);
    if (this.late) throw new Error(`${this.name}: still running after ${seconds} s\n${this.transcript()}`);
    return code;
  }
  async stop(signal = 'SIGTERM') {
    if (this.code === undefined) this.child.kill(signal);
    return this.finish(10);
  }
  // The last JSON line with this "event".
  event(name) {
    return this.lines.map((l) => { try { return JSON.parse(l); } catch { return {}; } })
      .filter((l) => l.event === name).pop();
  }
  transcript() {
    return `--- ${this.name} (exit ${this.code})\n${this.lines.slice(-60).map((l) => l.slice(0, 300)).join('\n')}\n` +
      `--- its stderr\n${this.errors.slice(-60).join('\n')}`;
  }
}

// Starts kyuud on free ports of 127.0.0.1, unless `args` name others, and waits
// until it listens.
export async function startKyuud(...args) {
  const listen = ['--http-listen', '--turn-listen'].filter((flag) => !args.includes(flag));
  const server = new Program(kyuud, [...listen.flatMap((flag) => [flag, '127.0.0.1:0']), ...args]);
  const [url] = await server.waitFor(/https?:\/\/127\.0\.0\.1:\d+/);
  const [, turnPort] = await server.waitFor(/(?:turn|TURN).*127\.0\.0\.1:(\d+)/);
  return Object.assign(server, { url, turnPort: +turnPort, turn: `127.0.0.1:${turnPort}` });
}

// A kyuud for all tests of a file, given to `take` when it listens. It has to end
// well behind them.
export function sharedServer(take) {
  let server;
  before(async () => take(server = await startKyuud()));
  after(async () => {
    try {
      assert.equal(await server?.stop(), 0);
    } finally {
      killLeftovers();
    }
  });
}

// `command` in a network of its own with one interface, 11.1.1.2, after `setup`, a
// line of shell. Firefox gathers nothing where no route leads out, so there is one
// that ends at once. Without IPv6 of the interface's own making, which is there some
// seconds later: Chromium gives up what it is loading when an address comes
// (ERR_NETWORK_CHANGED).
export function inNetwork(setup, ...command) {
  const root = process.getuid() === 0 ? [] : ['--map-root-user'];
  const network = `ip link set lo up && ip link add v0 type veth peer name v1 && ip addr add 11.1.1.2/24 dev v0 &&
    ip link set v0 addrgenmode none && ip link set v1 addrgenmode none && ip link set v0 up && ip link set v1 up &&
    ip route add default via 11.1.1.1 && ${setup} && exec "$@"`;
  return new Program('unshare', [...root, '--net', 'sh', '-c', network, 'sh', ...command]);
}

// A setup for inNetwork(): one packet of 20 is lost, each for itself, as trains are
// taken apart before.
export const LOSES_5_PERCENT = `ethtool -K lo tx-udp-segmentation off gso off >/dev/null && nft 'table inet lossy { chain in {
  type filter hook input priority 0; meta l4proto udp numgen random mod 100 < 5 drop; }; }'`;

export const kyuuPeer = (...args) => new Program(kyuu, ['peer', ...args]);

// Peers in Go: each is built once, from Debian's packages.
const built = new Map();
export function goProgram(name) {
  if (!built.has(name)) {
    const path = join(temporaryFolder(), name);
    execFileSync('go', ['build', '-o', path, '.'], {
      cwd: join(here, 'peers', name),
      env: { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '' },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    built.set(name, path);
  }
  return built.get(name);
}

const w3cPeer = (impl) => (...args) => new Program('node', [join(here, 'peers/w3c.mjs'), '--impl', impl, ...args]);
export const foreignPeer = {
  'node-datachannel': w3cPeer('node-datachannel'),
  wrtc: w3cPeer('wrtc'),
  aiortc: (...args) => new Program('/usr/bin/python3', [join(here, 'peers/aiortc_peer.py'), ...args]),
  pion: (...args) => new Program(goProgram('pion'), args),
};

// Slow to connect, and ended by what kyuu sends unless it is told: not in foreignPeer,
// with all of which tests are made.
export const weriftPeer = w3cPeer('werift');

// @roamhq/wrtc and libdatachannel hand messages over out of order that arrive
// while a channel is announced (in the former what waited for the announcement
// is queued again after its observer is set; in the latter two threads empty one
// queue, each taking a message before it waits for the handler's lock). What
// this adds to a sender's arguments lets the messages come a while apart.
export const spacedFor = (receiver) =>
  ['wrtc', 'node-datachannel'].includes(receiver) ? ['--interval', '20'] : [];

// Passes the signaling lines of two peers on to each other, each as `ofA` or
// `ofB` leaves it (null: not at all).
export function join2(a, b, { ofA = (line) => line, ofB = (line) => line } = {}) {
  const pass = (from, to, leave) => {
    const forward = (line) => {
      if (!/^\s*\{.*"(type|candidate)"/.test(line) || /"event"/.test(line)) return;
      const left = leave(line);
      if (left !== null) to.write(left + '\n');
    };
    from.lines.forEach(forward);
    from.onLine = forward;
  };
  pass(a, b, ofA);
  pass(b, a, ofB);
}

// Joins two peers, waits for both ends, and returns their results; throws with
// both transcripts unless each exits with status 0.
export async function runPair(a, b, seconds = 60, filters = {}) {
  join2(a, b, filters);
  let failure;
  const codes = await Promise.all([a, b].map((p) => p.finish(seconds).catch((e) => { failure ??= e; })));
  if (failure || codes.some((c) => c !== 0)) {
    throw new Error(`${failure?.message ?? 'exit status'} ${codes}\n${a.transcript()}\n${b.transcript()}`);
  }
  return { a: a.event('result'), b: b.event('result') };
}

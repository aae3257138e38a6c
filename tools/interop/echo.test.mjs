// `kyuu echo`: foreign peers of every kind at once on one UDP port of one
// process, and over TCP on one port.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { startBrowser, startFirefox, WAIT } from './browser.mjs';
import { foreignPeer, killLeftovers, kyuu, kyuuPeer, Program, spacedFor } from './lib.mjs';

const MINUTE = { timeout: 90_000 };
const MESSAGES = 20;
const peers = { kyuu: kyuuPeer, ...foreignPeer };

// The server, and what it is told of each connection by its id.
class Echo {
  constructor(...args) {
    this.program = new Program(kyuu, ['echo', ...args]);
    this.waiting = new Map();
    this.events = [];
    this.program.onLine = (line) => {
      const message = JSON.parse(line);
      if (message.event) this.events.push(message);
      if (message.type === 'answer') this.waiting.get(message.id)?.(message.sdp);
    };
  }
  async ready() {
    await this.program.waitFor(/"event":"ready"/);
    Object.assign(this, this.program.event('ready'));
    return this;
  }
  say(message) { this.program.write(JSON.stringify(message) + '\n'); }
  answer(id, sdp) {
    const answered = new Promise((resolve) => { this.waiting.set(id, resolve); });
    this.say({ id, type: 'offer', sdp });
    return answered;
  }
  pathOf(id) { return this.events.filter((e) => e.event === 'path' && e.id === id).pop(); }
  async stats() {
    const before = this.events.length;
    this.say({ type: 'stats' });
    for (;;) {
      const found = this.events.slice(before).find((e) => e.event === 'stats');
      if (found) return found;
      await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
  }
  // The ports of the sockets of `protocol` that the process has, each once.
  ports(protocol) {
    const pid = this.program.child.pid;
    const own = new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try { return readlinkSync(`/proc/${pid}/fd/${fd}`).match(/^socket:\[(\d+)\]$/)?.[1]; } catch { return undefined; }
    }));
    const ports = [protocol, `${protocol}6`].flatMap((table) =>
      readFileSync(`/proc/net/${table}`, 'utf8').trim().split('\n').slice(1).map((line) => line.trim().split(/\s+/))
        .filter((columns) => own.has(columns[9])).map((columns) => parseInt(columns[1].split(':').pop(), 16)));
    return [...new Set(ports)];
  }
}

// Joins an offerer that speaks the lines of `kyuu peer` to the server.
async function call(echo, id, peer, leave = (line) => line) {
  const forward = async (line) => {
    if (!/^\s*\{.*"(type|candidate)"/.test(line) || /"event"/.test(line)) return;
    const left = leave(line);
    if (left === null) return;
    const message = JSON.parse(left);
    if (message.type === 'offer') {
      const sdp = await echo.answer(id, message.sdp);
      const ours = leave(JSON.stringify({ type: 'answer', sdp }));
      peer.write(ours + '\n');
    } else {
      echo.say({ ...message, id });
    }
  };
  peer.lines.forEach(forward);
  peer.onLine = forward;
  assert.equal(await peer.finish(60), 0, peer.transcript() + echo.program.transcript());
  assert.equal(peer.event('result').received, MESSAGES, peer.transcript());
}

// In a page: calls the server by `answer`, sends `count` messages and resolves to
// what has come back of them.
async function callFromPage(page, id, count, leave = (sdp) => sdp) {
  const sdp = await page.evaluate(async (name) => {
    const pc = new RTCPeerConnection();
    const channel = pc.createDataChannel('data');
    const call = (globalThis.calls ??= {})[name] = { pc, channel, heard: [] };
    channel.onmessage = ({ data }) => call.heard.push(data);
    call.open = new Promise((resolve) => { channel.onopen = resolve; });
    const gathered = new Promise((resolve) => {
      pc.onicecandidate = ({ candidate }) => { if (!candidate) resolve(); };
    });
    await pc.setLocalDescription();
    await gathered;
    return pc.localDescription.sdp;
  }, id);
  const answer = leave(await page.echo.answer(id, leave(sdp)));
  const heard = await page.evaluate(async (name, theirs, n) => {
    const call = globalThis.calls[name];
    await call.pc.setRemoteDescription({ type: 'answer', sdp: theirs });
    await call.open;
    for (let i = 0; i < n; ++i) call.channel.send(`${name} says ${i}`);
    while (call.heard.length < n) await new Promise((resolve) => { setTimeout(resolve, 10); });
    return call.heard;
  }, id, answer, count);
  assert.deepEqual(heard, Array.from({ length: count }, (_, i) => `${id} says ${i}`));
}

// Playwright gives a function one argument, puppeteer as many as there are.
const spread = (page, echo) => ({
  echo,
  evaluate: (f, ...args) => page.evaluate(
    ([source, all]) => (0, eval)(`(${source})`)(...all), [f.toString(), args]),
});

const tcpLine = (l) => !l.startsWith('a=candidate:') || / tcp /i.test(l);
const tcpOnly = (sdp) => sdp.split('\r\n').filter(tcpLine).join('\r\n');
function tcpOnlyLine(line) {
  const message = JSON.parse(line);
  if (message.sdp) message.sdp = tcpOnly(message.sdp);
  else if (message.candidate && !/ tcp /i.test(message.candidate)) return null;
  return JSON.stringify(message);
}

const browsers = {};
before(async () => {
  browsers.chromium = await startBrowser();
  browsers.firefox = await startFirefox();
}, { timeout: WAIT });
after(async () => {
  await browsers.chromium?.close();
  await browsers.firefox?.close();
  killLeftovers();
}, { timeout: WAIT });

const send = (name) => ['--role', 'offer', '--send', String(MESSAGES), '--expect', String(MESSAGES), '--size', '1000',
  ...spacedFor(name)];

for (const lite of [[], ['--lite']]) {
  test(`all at once on one UDP port${lite}`, MINUTE, async () => {
    const echo = await new Echo(...lite).ready();
    assert.deepEqual(echo.ports('udp'), [echo.udp]);
    const calls = [];
    for (const name of Object.keys(peers)) {
      for (const n of [1, 2]) calls.push(call(echo, `${name} ${n}`, peers[name](...send(name))));
    }
    for (const [name, browser] of Object.entries(browsers)) {
      const page = spread(await browser.newPage(), echo);
      for (const n of [1, 2, 3]) calls.push(callFromPage(page, `${name} ${n}`, MESSAGES));
    }
    await Promise.all(calls);
    // Nothing but the one port was opened for any of them.
    assert.deepEqual(echo.ports('udp'), [echo.udp]);
    const paths = echo.events.filter((e) => e.event === 'path');
    assert.equal(new Set(paths.map((e) => e.id)).size, calls.length, echo.program.transcript());
    for (const path of paths) {
      assert.equal(path.transport, 'udp');
      assert.match(path.local, new RegExp(`:${echo.udp}$`));
    }
    const { mux } = await echo.stats();
    assert.ok(mux.by_ufrag >= calls.length, JSON.stringify(mux));
    assert.equal(mux.ufrag_collisions, 0);
    await echo.program.stop();
  });
}

describe('over TCP alone', MINUTE, () => {
  test('it listens as --tcp says', MINUTE, async () => {
    for (const use of ['none', 'active', 'both', 'simultaneous']) {
      const echo = await new Echo('--tcp', use).ready();
      const listens = use === 'both' || use === 'simultaneous';
      assert.deepEqual(echo.ports('tcp'), listens ? [echo.tcp] : [], use);
      await echo.program.stop();
    }
    const refused = new Program(kyuu, ['echo', '--tcp', 'active', '--tcp-port', '0']);
    await refused.waitFor(/--tcp-port is for --tcp both/);
  });

  test('Chromium, wrtc and kyuu at once on one port', MINUTE, async () => {
    const echo = await new Echo('--tcp-port', '0').ready();
    assert.deepEqual(echo.ports('tcp'), [echo.tcp]);
    const page = spread(await browsers.chromium.newPage(), echo);
    const calls = [1, 2, 3].map((n) => callFromPage(page, `chromium ${n}`, MESSAGES, tcpOnly));
    for (const name of ['kyuu', 'wrtc']) {
      calls.push(call(echo, name, peers[name](...send(name)), tcpOnlyLine));
    }
    await Promise.all(calls);
    for (const id of ['chromium 1', 'chromium 2', 'chromium 3']) {
      const path = echo.pathOf(id);
      assert.equal(path?.transport, 'tcp', echo.program.transcript());
      assert.match(path.local, new RegExp(`:${echo.tcp}$`));
    }
    for (const id of ['kyuu', 'wrtc']) assert.equal(echo.pathOf(id).transport, 'tcp');
    assert.ok((await echo.stats()).streams >= 3);
    await echo.program.stop();
  });
});

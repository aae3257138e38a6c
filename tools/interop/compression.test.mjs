// Compressed messages (permessage-deflate, RFC 7692) between kyuud and clients of
// others: Chromium, Firefox, npm's `ws` and Python's websockets.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { startBrowser, startFirefox, WAIT } from './browser.mjs';
import { killLeftovers, Program, startKyuud } from './lib.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const GRANTED = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
// A topic of y-webrtc is an echo. Text that gets shorter, and text that does not.
const TEXTS = ['x', 'ü'.repeat(5000), 'candidate '.repeat(6000),
  Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(33 + (i * i * 7919 % 89))).join('')];

let server;
before(async () => { server = await startKyuud('--compression', 'on'); }, { timeout: WAIT });
after(async () => {
  try {
    assert.equal(await server?.stop(), 0);
  } finally {
    killLeftovers();
  }
}, { timeout: WAIT });
const url = (path) => server.url.replace('http', 'ws') + path;

async function counters() {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Object.fromEntries([...text.matchAll(/^kyuu_deflate_(\w+)_total (\d+)$/gm)].map(([, name, value]) => [name, +value]));
}

// Runs in pages, too: says each text and hears it again; returns what was agreed on.
async function echo(socket, texts) {
  await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
  socket.send(JSON.stringify({ type: 'subscribe', topics: ['echo'] }));
  for (const data of texts) {
    const heard = new Promise((resolve, reject) => Object.assign(socket, { onmessage: resolve, onclose: reject }));
    socket.send(JSON.stringify({ type: 'publish', topic: 'echo', data }));
    if (JSON.parse((await heard).data).data !== data) throw new Error(`not ${data.slice(0, 20)}`);
  }
  socket.onclose = null;
  socket.close();
  return socket.extensions;
}

// What the texts have cost: 3 of them are worth compressing at the server.
async function expectCompressed(earlier) {
  const now = await counters();
  assert.equal(now.messages_deflated - earlier.messages_deflated, 3);
  assert.ok(now.messages_inflated - earlier.messages_inflated >= 3, JSON.stringify(now));
  assert.ok(now.bytes_saved - earlier.bytes_saved > 65_000, JSON.stringify(now));
  assert.equal(now.inflated_malformed + now.inflated_too_long, 0);
}

for (const [name, start] of Object.entries({ chromium: startBrowser, firefox: startFirefox })) {
  test(`${name} says and hears compressed messages`, MINUTES, async (t) => {
    const browser = await start();
    t.after(() => browser.close());
    const page = await browser.newPage();
    // A page that opens no WebSocket of its own.
    await page.goto(`${server.url}/healthz`);
    const earlier = await counters();
    const agreed = await page.evaluate(`(${echo})(new WebSocket(${JSON.stringify(url('/y-webrtc'))}), ${JSON.stringify(TEXTS)})`);
    assert.match(agreed, /^permessage-deflate/);
    await expectCompressed(earlier);
  });
}

for (const [name, options, granted] of [
  ['as it comes', {}, GRANTED],
  ['without contexts', { serverNoContextTakeover: true, clientNoContextTakeover: true }, GRANTED],
  ...[9, 12, 15].map((bits) => [`with a window of ${bits}`, { serverMaxWindowBits: bits, clientMaxWindowBits: bits }, `${GRANTED}; server_max_window_bits=${bits}`]),
]) {
  test(`ws ${name}`, MINUTES, async () => {
    const earlier = await counters();
    const socket = new WebSocket(url('/y-webrtc'), { perMessageDeflate: { threshold: 0, ...options } });
    const answered = once(socket, 'upgrade').then(([answer]) => answer.headers['sec-websocket-extensions']);
    assert.equal(await echo(socket, TEXTS), 'permessage-deflate');
    assert.equal(await answered, granted);
    await expectCompressed(earlier);
  });
}

test('ws that does not offer it is served as ever', MINUTES, async () => {
  const earlier = await counters();
  assert.equal(await echo(new WebSocket(url('/y-webrtc'), { perMessageDeflate: false }), TEXTS), '');
  assert.deepEqual(await counters(), earlier);
});

const PYTHON = `
import asyncio, json, sys, websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate
texts = json.load(sys.stdin)
async def main():
    for offer in ({}, {"server_max_window_bits": 10}, {"client_no_context_takeover": True, "client_max_window_bits": 9}):
        async with websockets.connect(sys.argv[1], extensions=[Deflate(**offer)], compression=None) as socket:
            await socket.send(json.dumps({"type": "subscribe", "topics": ["echo"]}))
            for text in texts:
                await socket.send(json.dumps({"type": "publish", "topic": "echo", "data": text}))
                assert json.loads(await socket.recv())["data"] == text
            print(repr(socket.extensions))
asyncio.run(main())
`;
test("Python's websockets", MINUTES, async () => {
  const run = new Program('/usr/bin/python3', ['-c', PYTHON, url('/y-webrtc')]);
  run.child.stdin.end(JSON.stringify(TEXTS));
  assert.equal(await run.finish(), 0, run.transcript());
  assert.equal(run.lines.length, 3);
  for (const line of run.lines) {
    assert.match(line, /PerMessageDeflate\(remote_no_context_takeover=True, local_no_context_takeover=True/);
  }
});

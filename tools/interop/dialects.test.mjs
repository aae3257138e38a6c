// Unmodified clients of PeerJS and y-webrtc at kyuud, in real browsers: a page of
// another origin loads the packages as npm has them, and what they do is asserted.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startBrowser, startFirefox, WAIT } from './browser.mjs';
import { here, killLeftovers, startKyuud } from './lib.mjs';
import { Proxy } from './proxy.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.html': 'text/html; charset=utf-8' };

// y-webrtc imports simple-peer as bundlers let it; here it is a script's global.
const SIMPLE_PEER = 'export default globalThis.SimplePeer;';
const PAGE = `<!doctype html><title>app</title>
<script src="/node_modules/peerjs/dist/peerjs.min.js"></script>
<script src="/node_modules/simple-peer/simplepeer.min.js"></script>
<script type="importmap">${JSON.stringify({
    imports: {
      'simple-peer/simplepeer.min.js': '/simple-peer.mjs',
      'lib0/': '/node_modules/lib0/',
      'y-protocols/': '/node_modules/y-protocols/',
      'y-webrtc': '/node_modules/y-webrtc/src/y-webrtc.js',
      yjs: '/node_modules/yjs/dist/yjs.mjs',
    },
  })}</script>
<script type="module">
  import * as Y from 'yjs';
  import { WebrtcProvider } from 'y-webrtc';
  Object.assign(globalThis, { Y, WebrtcProvider, ready: true });
</script>`;

// Serves the page, and the packages as they are.
async function startPages() {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, 'http://x').pathname);
    const send = (type, body) => response.writeHead(200, { 'Content-Type': TYPES[type] ?? 'text/plain' }).end(body);
    if (path === '/') return send('.html', PAGE);
    if (path === '/simple-peer.mjs') return send('.mjs', SIMPLE_PEER);
    // "lib0/map" is lib0/map.js by the package's own list of exports.
    const file = [join(here, path), `${join(here, path)}.js`].find((name) => extname(name) && existsSync(name));
    if (!path.startsWith('/node_modules/') || !file) return response.writeHead(404).end();
    return send(extname(file), readFileSync(file));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(server, { url: `http://127.0.0.1:${server.address().port}` });
}

let pages, server;
before(async () => {
  pages = await startPages();
  server = await startKyuud('--dialect-origin', pages.url, '--peerjs-discovery', 'allow');
}, { timeout: WAIT });
after(async () => {
  try {
    pages.closeAllConnections();
    pages.close();
    assert.equal(await server?.stop(), 0);
  } finally {
    killLeftovers();
  }
}, { timeout: WAIT });

// What runs in the page.
function install() {
  const within = (seconds, what, promise) => Promise.race([promise,
    new Promise((_, reject) => { setTimeout(() => reject(new Error(`no ${what}`)), seconds * 1000); })]);
  const event = (emitter, name) => within(30, name, new Promise((resolve) => { emitter.once(name, resolve); }));
  const bytes = (size) => Uint8Array.from({ length: size }, (_, i) => i * 7 % 251);
  const plain = (value) => JSON.stringify(value, (_, v) => {
    if (v instanceof ArrayBuffer) v = new Uint8Array(v);
    return ArrayBuffer.isView(v) ? ['bytes', v.length, v.reduce((sum, b) => (sum * 31 + b) % 65521, 7)] : v;
  });
  const things = {
    json: [{ a: [1, 'zwei', null, { b: true }], text: 'ü'.repeat(3000) }, 'text', 17],
    binary: [{ a: [1, 'zwei', { b: true }], small: bytes(10) }, 'text', bytes(200_000)],
    raw: ['text'],
  };
  globalThis.own = { peers: {} };
  // The id that a new peer has got, or the type of its error.
  own.open = (name, id, options) => within(30, 'open', new Promise((resolve) => {
    const peer = own.peers[name] = id ? new Peer(id, options) : new Peer(options);
    peer.errors = [];
    peer.opened = 0;
    peer.on('open', (got) => { ++peer.opened; resolve(got); });
    peer.on('error', ({ type }) => { peer.errors.push(type); resolve(type); });
    // Everything comes back, and the caller hears how it was called.
    peer.on('connection', (connection) => {
      connection.on('open', () => connection.send([connection.label, connection.metadata].join()));
      connection.on('data', (data) => connection.send(data));
    });
    peer.on('call', (call) => { peer.called = call; call.answer(own.stream); });
  }));
  own.list = (name) => within(30, 'list', new Promise((resolve) => { own.peers[name].listAllPeers(resolve); }));
  // Connects and sends; returns what came back and what was sent, in plain.
  own.talk = async (name, to, serialization) => {
    const sent = things[serialization];
    const connection = own.peers[name].connect(to, { serialization, label: 'a label', metadata: 'of mine', reliable: true });
    const heard = [];
    const all = new Promise((resolve) => {
      connection.on('data', (data) => { if (heard.push(plain(data)) > sent.length) resolve(); });
    });
    await event(connection, 'open');
    for (const thing of sent) connection.send(thing);
    await within(30, 'echo', all).catch((error) => heard.push(error.message));
    connection.close();
    return { heard, sent: ['a label,of mine', ...sent].map(plain) };
  };
  own.connectError = async (name, to) => {
    const peer = own.peers[name];
    peer.connect(to);
    return (await event(peer, 'error')).type;
  };
  own.reconnect = async (name) => {
    const peer = own.peers[name];
    if (!peer.disconnected) peer.disconnect();
    const opened = event(peer, 'open');
    peer.reconnect();
    return opened;
  };
  own.lost = async (name) => { if (!own.peers[name].disconnected) await event(own.peers[name], 'disconnected'); };
  own.listen = async () => { own.stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true }); };
  // Whether a stream's picture moves.
  own.watch = async (stream) => {
    const video = Object.assign(document.createElement('video'), { srcObject: stream, muted: true });
    document.body.append(video);
    await video.play();
    await within(30, 'picture', new Promise((resolve) => { video.ontimeupdate = () => { if (video.currentTime > 0.2) resolve(); }; }));
    return stream.getTracks().map((track) => `${track.kind} ${track.readyState}`).sort();
  };
  own.call = async (name, to) => own.watch(await event(own.peers[name].call(to, own.stream, { metadata: { ring: 1 } }), 'stream'));
  own.answered = async (name) => {
    const call = own.peers[name].called;
    return [call.metadata, await own.watch(call.remoteStream ?? await event(call, 'stream'))];
  };

  own.docs = {};
  own.share = (name, room, signaling, password) => {
    const doc = new Y.Doc();
    const provider = new WebrtcProvider(room, doc, { signaling: [signaling], password, peerOpts: { config: { iceServers: [] } } });
    own.docs[name] = { doc, provider, text: doc.getText('text') };
  };
  own.announced = (name) => {
    const { room, signalingConns } = own.docs[name].provider;
    return !!room && signalingConns.every((connection) => connection.connected);
  };
  own.write = (name, text) => own.docs[name].text.insert(own.docs[name].text.length, text);
  own.text = (name) => own.docs[name].text.toString();
  own.links = (name) => own.docs[name].provider.room?.webrtcConns.size ?? 0;
}

// Playwright's Chromium and puppeteer's Firefox: a page in a context of its own.
async function newPage(browser, url = pages.url) {
  const context = await (browser.newContext ?? browser.createBrowserContext).call(browser);
  const page = await context.newPage();
  await page.goto(`${url}/`);
  await page.waitForFunction(() => globalThis.ready);
  await page.evaluate(install);
  return Object.assign(page, {
    ask: (what, ...args) => page.evaluate(([name, values]) => own[name](...values), [what, args]),
    leave: () => context.close(),
  });
}

let ids = 0;
const newId = (name) => `${name}-${++ids}`;
function optionsOf({ url, turn }) {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: +port, path: '/', config: { iceServers: [{ urls: `stun:${turn}` }] } };
}
async function until(what, probe) {
  for (const end = Date.now() + WAIT; !(await probe());) assert.ok(Date.now() < end, what);
}

const BROWSERS = {
  chromium: () => startBrowser({ flags: ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'] }),
  firefox: startFirefox,
};
for (const [name, start] of Object.entries(BROWSERS)) {
  describe(`in ${name}`, () => {
    let browser;
    before(async () => { browser = await start(); }, { timeout: WAIT });
    after(async () => { await browser?.close(); }, { timeout: WAIT });

    // Two pages with a peer each, called `me`.
    async function pair(t) {
      const both = await Promise.all([newPage(browser), newPage(browser)]);
      t.after(() => Promise.all(both.map((page) => page.leave())));
      const names = ['ada', 'bob'].map(newId);
      for (const [i, page] of both.entries()) assert.equal(await page.ask('open', 'me', names[i], optionsOf(server)), names[i]);
      return { both, names };
    }

    test('PeerJS: data goes both ways in each serialization', MINUTES, async (t) => {
      const { both: [ada, bob], names } = await pair(t);
      for (const [page, to] of [[ada, names[1]], [bob, names[0]]]) {
        for (const serialization of ['binary', 'json', 'raw']) {
          const { heard, sent } = await page.ask('talk', 'me', to, serialization);
          assert.deepEqual(heard, sent, serialization);
        }
      }
      assert.deepEqual((await ada.ask('list', 'me')).filter((id) => names.includes(id)), names);
    });

    test('PeerJS: ids are given, kept, refused and missed', MINUTES, async (t) => {
      const { both: [ada, bob], names } = await pair(t);
      const options = optionsOf(server);
      assert.match(await ada.ask('open', 'anonymous', undefined, options), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      assert.equal(await bob.ask('open', 'thief', names[0], options), 'unavailable-id');
      assert.equal(await bob.ask('open', 'stranger', newId('eve'), { ...options, key: 'other' }), 'invalid-key');
      assert.equal(await ada.ask('connectError', 'me', newId('nobody')), 'peer-unavailable');
      // A page that is gone has no id any more.
      await bob.reload();
      await bob.waitForFunction(() => globalThis.ready);
      await bob.evaluate(install);
      assert.equal(await bob.ask('open', 'me', names[1], options), names[1]);
      assert.deepEqual((await ada.ask('talk', 'me', names[1], 'json')).heard.length, 4);
    });

    test('PeerJS: reconnect() opens again', MINUTES, async (t) => {
      const { both: [ada, bob], names } = await pair(t);
      assert.equal(await ada.ask('reconnect', 'me'), names[0]);
      // Also when it was the network that has failed.
      const proxy = await Proxy.to(server.url);
      t.after(() => proxy.close());
      const name = newId('kim');
      assert.equal(await ada.ask('open', 'far', name, { ...optionsOf(server), port: +new URL(proxy.url).port }), name);
      proxy.cut();
      await ada.ask('lost', 'far');
      proxy.mend();
      assert.equal(await ada.ask('reconnect', 'far'), name);
      for (const to of [names[0], name]) {
        const { heard, sent } = await bob.ask('talk', 'me', to, 'json');
        assert.deepEqual(heard, sent);
      }
    });

    for (const password of [undefined, 'secret']) {
      test(`y-webrtc: documents sync ${password ? 'with' : 'without'} a password`, MINUTES, async (t) => {
        const all = await Promise.all([1, 2, 3].map(() => newPage(browser)));
        t.after(() => Promise.all(all.map((page) => page.leave())));
        const room = newId('document');
        const signaling = `${server.url.replace('http', 'ws')}/y-webrtc`;
        const [ada, bob, eve] = all;
        await ada.ask('share', 'd', room, signaling, password);
        await ada.ask('write', 'd', 'Ada');
        // One after the other: two that come at the same moment call each other, and
        // y-webrtc does not always survive that.
        await until('Ada there', () => ada.ask('announced', 'd'));
        await bob.ask('share', 'd', room, signaling, password);
        await until('Ada at Bob', async () => await bob.ask('text', 'd') === 'Ada');
        await bob.ask('write', 'd', ' and Bob');
        await until('Bob at Ada', async () => await ada.ask('text', 'd') === 'Ada and Bob');
        // By WebRTC: contexts share no BroadcastChannel.
        assert.equal(await ada.ask('links', 'd'), 1);
        if (!password) return;
        await eve.ask('share', 'd', room, signaling, 'guess');
        await new Promise((resolve) => { setTimeout(resolve, 3000); });
        assert.equal(await eve.ask('text', 'd'), '');
      });
    }

    test('a page that is not named may use neither', MINUTES, async (t) => {
      const closed = await startKyuud();
      t.after(() => closed.stop());
      const page = await newPage(browser);
      t.after(() => page.leave());
      assert.equal(await page.ask('open', 'me', undefined, optionsOf(closed)), 'server-error');
      assert.equal(await page.ask('open', 'me', newId('ada'), optionsOf(closed)), 'network');
      await page.ask('share', 'd', newId('document'), `${closed.url.replace('http', 'ws')}/y-webrtc`);
      await closed.waitFor(/Pages of .* may not connect here.*--dialect-origin/);
    });

    if (name === 'chromium') {
      test('PeerJS: a call with sound and picture both ways', MINUTES, async (t) => {
        const { both: [ada, bob], names } = await pair(t);
        for (const page of [ada, bob]) await page.ask('listen');
        const tracks = ['audio live', 'video live'];
        assert.deepEqual(await ada.ask('call', 'me', names[1]), tracks);
        assert.deepEqual(await bob.ask('answered', 'me'), [{ ring: 1 }, tracks]);
      });
    }
  });
}

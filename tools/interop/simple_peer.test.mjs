// What docs/migrating.md has an application of simple-peer do, line by line: three
// pages of another origin in Chromium and Firefox find each other by kyuud's own
// protocol and talk.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startBrowser, startFirefox, WAIT } from './browser.mjs';
import { here, killLeftovers, startKyuud } from './lib.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const LINES = readFileSync(join(here, '../../docs/migrating.md'), 'utf8').match(/```js\n(const ws = [\s\S]*?)```/)[1];
const SIMPLE_PEER = readFileSync(join(here, 'node_modules/simple-peer/simplepeer.min.js'));

let pages, server;
before(async () => {
  pages = createServer((request, response) => {
    const script = request.url === '/simplepeer.min.js';
    response.writeHead(200, { 'Content-Type': script ? 'text/javascript' : 'text/html' })
      .end(script ? SIMPLE_PEER : '<!doctype html><title>app</title><script src="/simplepeer.min.js"></script>');
  });
  pages.listen(0, '127.0.0.1');
  await once(pages, 'listening');
  pages.url = `http://127.0.0.1:${pages.address().port}/`;
  server = await startKyuud('--origin', new URL(pages.url).origin);
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

// What runs in the page: the lines, and a word to each peer once it is there.
function begin({ lines, name }) {
  globalThis.heard = {};
  new Function('SimplePeer', 'myName', 'watch', `${lines}\nwatch(peers);`)(globalThis.SimplePeer, name, (peers) => {
    const seen = new Set();
    setInterval(() => {
      for (const [who, peer] of peers) {
        if (seen.has(peer)) continue;
        seen.add(peer);
        peer.on('data', (data) => { globalThis.heard[who] = new TextDecoder().decode(data); });
        const greet = () => peer.send(`hello from ${name}`);
        if (peer.connected) greet();
        else peer.on('connect', greet);
      }
    }, 5);
    globalThis.count = () => peers.size;
  });
}

for (const [title, start] of [['Chromium', startBrowser], ['Firefox', startFirefox]]) {
  test(`simple-peer: three pages are a mesh, and one that goes is missed, ${title}`, MINUTES, async (t) => {
    const browser = await start();
    t.after(() => browser.close());
    const lines = LINES.replace('wss://kyuu.example', server.url.replace(/^http/, 'ws').replace(/\/$/, '')).replaceAll("'my-app'", `'${title}'`);
    assert.ok(!lines.includes('kyuu.example'), lines);
    const names = ['ada', 'bob', 'eve'];
    const all = [];
    for (const name of names) {
      const page = await browser.newPage();
      await page.goto(pages.url);
      await page.evaluate(begin, { lines, name });
      all.push(page);
    }
    const until = async (page, what, wanted) => {
      let got;
      for (const deadline = Date.now() + WAIT; Date.now() < deadline; await new Promise((resolve) => setTimeout(resolve, 50))) {
        got = await page.evaluate(what);
        if (JSON.stringify(got) === JSON.stringify(wanted)) return;
      }
      assert.deepEqual(got, wanted);
    };
    for (const [i, page] of all.entries()) {
      const wanted = names.filter((_, j) => j !== i).map((name) => [name, `hello from ${name}`]);
      await until(page, () => Object.entries(globalThis.heard).sort(), wanted);
    }
    await all.pop().close();
    for (const page of all) await until(page, () => globalThis.count(), 1);
  });
}

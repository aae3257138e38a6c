// Unmodified clients of PeerJS, in Chromium, at several kyuud that share a Redis:
// to them it is one server, of which a part may be killed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startBrowser, WAIT } from './browser.mjs';
import { here, killLeftovers, sleep } from './lib.mjs';
import { eventually, metric, startNodes, startRedis, text } from './nodes.mjs';
import { Proxy } from './proxy.mjs';

const MINUTES = { timeout: 4 * 60_000 };
const PAGE = '<!doctype html><title>app</title><script src="/peerjs.js"></script>';
const PEERJS = readFileSync(join(here, 'node_modules/peerjs/dist/peerjs.min.js'));

let pages, browser;
before(async () => {
  pages = createServer((request, response) => (request.url === '/peerjs.js'
    ? response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(PEERJS)
    : response.writeHead(200, { 'Content-Type': 'text/html' }).end(PAGE)));
  pages.listen(0, '127.0.0.1');
  await once(pages, 'listening');
  pages.url = `http://127.0.0.1:${pages.address().port}`;
  browser = await startBrowser();
}, { timeout: WAIT });
after(async () => {
  pages.closeAllConnections();
  pages.close();
  await browser?.close();
  killLeftovers();
}, { timeout: WAIT });

// What runs in the page.
function install() {
  globalThis.own = { peers: {}, heard: {} };
  const event = (emitter, name, seconds) => new Promise((resolve, reject) => {
    emitter.once(name, resolve);
    setTimeout(() => reject(new Error(`no ${name}`)), seconds * 1000);
  });
  // The id that a peer has got, or the type of its error.
  own.open = (name, id, options) => new Promise((resolve) => {
    const peer = own.peers[name] = new Peer(id, options);
    peer.errors = [];
    own.heard[name] = [];
    peer.on('open', resolve);
    peer.on('error', ({ type }) => { peer.errors.push(type); resolve(type); });
    peer.on('connection', (connection) => connection.on('data', (data) => {
      own.heard[name].push(data);
      connection.send(`${data} to you`);
    }));
  });
  own.errors = (name) => own.peers[name].errors;
  own.list = (name) => new Promise((resolve) => { own.peers[name].listAllPeers(resolve); });
  // Connects, says something, and hears what comes back.
  own.talk = async (name, to, what) => {
    const connection = own.connection = own.peers[name].connect(to, { serialization: 'json', reliable: true });
    await event(connection, 'open', 30);
    return own.say(what);
  };
  own.say = async (what) => {
    const answer = event(own.connection, 'data', 30);
    own.connection.send(what);
    return answer;
  };
  own.connectError = async (name, to, seconds) => {
    own.peers[name].connect(to);
    return (await event(own.peers[name], 'error', seconds)).type;
  };
  own.lost = async (name) => { if (!own.peers[name].disconnected) await event(own.peers[name], 'disconnected', 30); };
  own.reconnect = async (name) => {
    const opened = event(own.peers[name], 'open', 30);
    own.peers[name].reconnect();
    return opened;
  };
}

async function newPage(t) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(pages.url);
  await page.evaluate(install);
  return Object.assign(page, {
    ask: (what, ...args) => page.evaluate(([name, values]) => own[name](...values), [what, args]),
  });
}
const startCluster = (t, count) =>
  startNodes(t, count, { flags: ['--dialect-origin', pages.url, '--peerjs-discovery', 'allow'] });
function optionsOf(url) {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: +port, path: '/', config: { iceServers: [] } };
}
// Pages with a peer each, `me`, at the nodes in turn.
async function peersAt(t, nodes, names) {
  const all = [];
  for (const [i, name] of names.entries()) {
    const page = await newPage(t);
    assert.equal(await page.ask('open', 'me', name, optionsOf(nodes[i % nodes.length].url)), name);
    all.push(page);
  }
  return all;
}

test('peers of different servers find and reach each other', MINUTES, async (t) => {
  const { nodes } = await startCluster(t, 2);
  const [ada, bob] = await peersAt(t, nodes, ['ada', 'bob']);
  assert.equal(await ada.ask('talk', 'me', 'bob', 'hello'), 'hello to you');
  assert.equal(await bob.ask('talk', 'me', 'ada', 'and back'), 'and back to you');
  for (const page of [ada, bob]) assert.deepEqual(await page.ask('list', 'me'), ['ada', 'bob']);
  assert.ok(await metric(nodes[0], 'kyuu_peerjs_passed_elsewhere_total') > 0);
  // An id is one peer's on all servers, and nobody is nowhere.
  assert.equal(await bob.ask('open', 'thief', 'ada', optionsOf(nodes[1].url)), 'unavailable-id');
  assert.equal(await ada.ask('connectError', 'me', 'nobody', 30), 'peer-unavailable');
  assert.deepEqual(await bob.ask('errors', 'me'), []);
});

test('an offer waits for who comes at the other server', MINUTES, async (t) => {
  const { nodes } = await startCluster(t, 2);
  const [ada] = await peersAt(t, nodes, ['ada']);
  const talk = ada.ask('talk', 'me', 'bob', 'early');
  await eventually(async () => (await metric(nodes[0], 'kyuu_peerjs_kept_total')) > 0);
  const bob = await newPage(t);
  assert.equal(await bob.ask('open', 'me', 'bob', optionsOf(nodes[1].url)), 'bob');
  assert.equal(await talk, 'early to you');
});

test('of two who want an id at once one gets it', MINUTES, async (t) => {
  const { nodes } = await startCluster(t, 2);
  const both = [await newPage(t), await newPage(t)];
  for (let round = 0; round < 10; ++round) {
    const got = await Promise.all(both.map((page, i) =>
      page.ask('open', `p${round}`, `prize-${round}`, optionsOf(nodes[i].url))));
    assert.deepEqual(got.sort(), [`prize-${round}`, 'unavailable-id'].sort());
  }
});

test('reconnect() at another server brings the id along', MINUTES, async (t) => {
  const { nodes } = await startCluster(t, 2);
  const [ada] = await peersAt(t, nodes, ['ada']);
  const proxy = await Proxy.to(nodes[0].url);
  t.after(() => proxy.close());
  const bob = await newPage(t);
  assert.equal(await bob.ask('open', 'me', 'bob', optionsOf(proxy.url)), 'bob');
  // A balancer sends him elsewhere when he comes back; his old connection is
  // still there as far as the server knows, or is not: both are tried.
  for (const url of [nodes[1].url, nodes[0].url, nodes[1].url]) {
    proxy.cut();
    await bob.ask('lost', 'me');
    proxy.mend(url);
    assert.equal(await bob.ask('reconnect', 'me'), 'bob');
    assert.equal(await ada.ask('talk', 'me', 'bob', 'again'), 'again to you');
  }
});

test('a server that is killed takes its ids with it, and who comes from it gets his back', MINUTES, async (t) => {
  const { nodes } = await startCluster(t, 3);
  const [ada, , eve] = await peersAt(t, nodes, ['ada', 'gone', 'eve']);
  const proxy = await Proxy.to(nodes[1].url);
  t.after(() => proxy.close());
  const bob = await newPage(t);
  assert.equal(await bob.ask('open', 'me', 'bob', optionsOf(proxy.url)), 'bob');
  assert.equal(await ada.ask('talk', 'me', 'bob', 'before'), 'before to you');
  nodes[1].child.kill('SIGKILL');
  const killed = Date.now();
  await bob.ask('lost', 'me');
  proxy.cut();
  proxy.mend(nodes[2].url);
  // Nobody knows yet that it is dead: he waits, and is not told that his id is
  // another's.
  assert.equal(await bob.ask('reconnect', 'me'), 'bob');
  assert.ok(Date.now() - killed < 15_000);
  await eventually(async () => (await text(nodes[0], '/peerjs/peers')) === '["ada","bob","eve"]');
  // What they had between them goes on, and who died is not there.
  assert.equal(await ada.ask('say', 'after'), 'after to you');
  assert.equal(await eve.ask('talk', 'me', 'bob', 'new'), 'new to you');
  assert.equal(await ada.ask('connectError', 'me', 'gone', 30), 'peer-unavailable');
  assert.equal(await ada.ask('open', 'other', 'gone', optionsOf(nodes[0].url)), 'gone');
});

test('without Redis each server goes on alone, and who has an id is settled later', MINUTES, async (t) => {
  const cluster = await startCluster(t, 2);
  const { nodes } = cluster;
  const [ada, bob] = await peersAt(t, nodes, ['ada', 'bob']);
  await cluster.redis.stop('SIGKILL');
  await nodes[0].waitFor(/Redis at .* is away/);
  await nodes[1].waitFor(/Redis at .* is away/);
  assert.equal(await ada.ask('open', 'both', 'both', optionsOf(nodes[0].url)), 'both');
  assert.equal(await bob.ask('open', 'both', 'both', optionsOf(nodes[1].url)), 'both');
  await sleep(500);
  cluster.redis = await startRedis(cluster.port);
  await eventually(async () => {
    const errors = [...await ada.ask('errors', 'both'), ...await bob.ask('errors', 'both')];
    return errors.includes('unavailable-id');
  });
  assert.equal(await ada.ask('talk', 'me', 'bob', 'hello'), 'hello to you');
  const lost = await metric(nodes[0], 'kyuu_peerjs_ids_lost_total') + await metric(nodes[1], 'kyuu_peerjs_ids_lost_total');
  assert.equal(lost, 1);
});

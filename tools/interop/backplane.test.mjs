// Several kyuud that share a Redis, as one server: a real redis-server, and real
// kyuud that are killed, and clients that do not know of it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import WebSocket from 'ws';
import { EventSocket } from './event_socket.mjs';
import { freePort, killLeftovers, kyuu, Program, sleep, startKyuud } from './lib.mjs';
import { eventually, metric, startNodes, startRedis, text } from './nodes.mjs';
import { Proxy } from './proxy.mjs';

const MINUTES = { timeout: 3 * 60_000 };
after(killLeftovers);

// A client of the protocol, message by message, whose session can be resumed.
class Client {
  static async open(node, name, resume, Socket = WebSocket) {
    const client = new Client();
    client.messages = [];
    client.taken = 0;
    client.received = 0;
    client.socket = new Socket(new URL('/v1/ws', node.url.replace('http', 'ws')), 'kyuu.v1');
    client.socket.on('message', (data) => {
      const message = JSON.parse(data);
      client.messages.push(message);
      if (message.type !== 'welcome') client.received++;
    });
    client.closed = once(client.socket, 'close');
    await once(client.socket, 'open');
    client.say({ type: 'hello', version: 1, resume: resume ?? {} });
    client.welcome = await client.next('welcome');
    if (name !== undefined) {
      client.name = name;
      client.say({ type: 'join', name });
      client.joined = await client.next((m) => m.type === 'joined' || m.type === 'error');
    }
    return client;
  }
  // Comes back at `node`, as after a loss of the connection.
  async moveTo(node, Socket = WebSocket) {
    this.socket.terminate();
    await this.closed;
    const client = await Client.open(node, undefined, {
      session: this.welcome.session, secret: this.welcome.resume.secret, received: this.received,
    }, Socket);
    client.received += this.received;
    return client;
  }
  say(message) { this.socket.send(JSON.stringify(message)); }
  // The next message of that kind; those before it are left out.
  async next(kind, seconds = 20) {
    const fits = typeof kind === 'string' ? (m) => m.type === kind : kind;
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
      while (this.taken < this.messages.length) {
        const message = this.messages[this.taken++];
        if (fits(message)) return message;
      }
      assert.ok(Date.now() < deadline, `no ${kind}; had ${JSON.stringify(this.messages.slice(-5))}`);
      await sleep(5);
    }
  }
  async peers() {
    this.say({ type: 'list' });
    return (await this.next('peers')).peers.map((p) => p.name);
  }
  signals() { return this.messages.filter((m) => m.type === 'signal').map((m) => m.sdp); }
  signal(call, sdp) { this.say({ type: 'signal', call, kind: 'offer', sdp }); }
}

async function inCall(a, b) {
  const { name } = b;
  await eventually(async () => (await a.peers()).includes(name));
  a.say({ type: 'call', to: name });
  const { call } = await a.next('calling');
  assert.equal((await b.next('incoming')).call, call);
  b.say({ type: 'accept', call });
  await a.next('accepted');
  await b.next('accepted');
  return call;
}

test('peers of different servers see, call and message each other', MINUTES, async (t) => {
  const { nodes } = await startNodes(t, 2, { args: ['--requirepass', 'p@ss word'], credentials: ':p%40ss%20word@' });
  assert.equal(await text(nodes[0], '/readyz'), 'ok\n');
  const ada = await Client.open(nodes[0], 'Ada');
  const bob = await Client.open(nodes[1], 'Bob');
  assert.equal((await ada.next('presence')).peer.name, 'Bob');
  bob.say({ type: 'update', meta: { away: true } });
  assert.deepEqual((await ada.next((m) => m.change === 'updated')).peer, { name: 'Bob', meta: { away: true } });
  // A name is one's on all servers.
  const double = await Client.open(nodes[1], 'ada');
  assert.equal(double.joined.code, 'name_taken');
  const call = await inCall(ada, bob);
  const said = Array.from({ length: 200 }, (_, i) => `${i} ${'x'.repeat(i * 20)}`);
  for (const sdp of said.slice(0, 100)) ada.signal(call, sdp);
  await eventually(() => bob.signals().length >= 100);
  assert.deepEqual(bob.signals(), said.slice(0, 100));
  bob.say({ type: 'hangup', call, reason: 'done' });
  assert.equal((await ada.next('hangup')).reason, 'done');
  bob.socket.close(1000);
  assert.equal((await ada.next((m) => m.change === 'left')).peer.name, 'Bob');
});

test('kyuu connects and talks across servers', MINUTES, async (t) => {
  const { nodes } = await startNodes(t, 2);
  const bob = new Program(kyuu, ['connect', nodes[1].url, 'Bob', '--yes']);
  await bob.waitFor(/joined as Bob/);
  const ada = new Program(kyuu, ['connect', nodes[0].url, 'Ada', '--call', 'Bob']);
  await Promise.all([ada.waitFor(/connected to Bob/), bob.waitFor(/connected to Ada/)]);
  ada.write('hello\n');
  await bob.waitFor(/^Ada: hello$/);
  for (const program of [ada, bob]) {
    program.write('/quit\n');
    assert.equal(await program.finish(20), 0, program.transcript());
  }
});

test('a session goes on at another server, and its kyuu notices nothing', MINUTES, async (t) => {
  const { nodes } = await startNodes(t, 2);
  const proxy = await Proxy.to(nodes[0].url);
  t.after(() => proxy.close());
  const bob = new Program(kyuu, ['connect', nodes[1].url, 'Bob', '--yes']);
  await bob.waitFor(/joined as Bob/);
  const ada = new Program(kyuu, ['connect', proxy.url, 'Ada', '--yes']);
  await ada.waitFor(/joined as Ada/);
  await bob.waitFor(/Ada came/);
  // A balancer sends her elsewhere when she comes back.
  proxy.cut();
  await ada.waitFor(/lost.*trying again/);
  proxy.mend(nodes[1].url);
  await ada.waitFor(/back as Ada/);
  assert.equal(await metric(nodes[1], 'kyuu_federation_sessions_taken_total'), 1);
  ada.write('/call Bob\n');
  await Promise.all([ada.waitFor(/connected to Bob/), bob.waitFor(/connected to Ada/)]);
  assert.ok(!bob.lines.some((line) => /Ada left/.test(line)), bob.transcript());
});

test('a server that drains sends its clients to another one, and ends when they have left', MINUTES, async (t) => {
  const { nodes } = await startNodes(t, 2, { flags: ['--drain-timeout', '5s'] });
  const proxy = await Proxy.to(nodes[0].url);
  t.after(() => proxy.close());
  const bob = await Client.open(nodes[1], 'Bob');
  const ada = new Program(kyuu, ['connect', proxy.url, 'Ada', '--yes']);
  await ada.waitFor(/joined as Ada/);
  const eve = await Client.open(nodes[0], 'Eve');
  await eventually(async () => (await bob.peers()).length === 2);
  // Whoever balances the load sees that this one takes no more.
  proxy.mend(nodes[1].url);
  nodes[0].child.kill('SIGTERM');
  const { retry_after_ms: told } = await eve.next('drain');
  assert.ok(told >= 0 && told <= 5000, String(told));
  // She goes at once; kyuu when it was asked to. Nobody else is told anything.
  const moved = await eve.moveTo(nodes[1]);
  assert.equal(moved.welcome.resume.resumed, true);
  await ada.waitFor(/going away; trying again/);
  await ada.waitFor(/back as Ada/);
  assert.equal(await nodes[0].finish(20), 0);
  assert.equal(await metric(nodes[1], 'kyuu_federation_sessions_taken_total'), 2);
  assert.deepEqual((await bob.peers()).sort(), ['Ada', 'Eve']);
  assert.ok(!bob.messages.some(({ change }) => change === 'left'), JSON.stringify(bob.messages));
});

test('who moves between servers loses nothing and hears nothing twice', MINUTES, async (t) => {
  const { nodes } = await startNodes(t, 3);
  let ada = await Client.open(nodes[0], 'Ada');
  const bob = await Client.open(nodes[1], 'Bob');
  const call = await inCall(ada, bob);
  const got = [];
  let sent = 0;
  for (let round = 0; round < 8; ++round) {
    const busy = setInterval(() => bob.signal(call, String(sent++)), 1);
    await sleep(50);
    const before = ada;
    ada = await before.moveTo(nodes[(round + 1) % 3]);
    got.push(...before.signals());
    clearInterval(busy);
    assert.equal(ada.welcome.resume.resumed, true);
    assert.equal(ada.welcome.session, before.welcome.session);
    await sleep(1500);  // The rate limit of a client: 50 messages a second.
  }
  await eventually(() => got.length + ada.signals().length >= sent);
  assert.deepEqual([...got, ...ada.signals()], Array.from({ length: sent }, (_, i) => String(i)));
  ada.signal(call, 'and back');
  await eventually(() => bob.signals().includes('and back'));
  assert.ok(!bob.messages.some((m) => m.type === 'presence' && m.change === 'left'));
});

test('a session goes from a WebSocket at one server to events at another, and back', MINUTES, async (t) => {
  const { nodes } = await startNodes(t, 2);
  let ada = await Client.open(nodes[0], 'Ada');
  const bob = await Client.open(nodes[1], 'Bob');
  const call = await inCall(ada, bob);
  const heard = [];
  for (const [i, [node, Socket]] of [[nodes[1], EventSocket], [nodes[0], EventSocket], [nodes[1], WebSocket]].entries()) {
    bob.signal(call, `${i}: while she is at one`);
    const before = ada;
    ada = await before.moveTo(node, Socket);
    heard.push(...before.signals());
    assert.equal(ada.welcome.resume.resumed, true);
    bob.signal(call, `${i}: and at the other`);
    ada.signal(call, `ada ${i}`);
    await eventually(() => ada.signals().includes(`${i}: and at the other`) && bob.signals().includes(`ada ${i}`));
  }
  heard.push(...ada.signals());
  assert.deepEqual(heard, [0, 1, 2].flatMap((i) => [`${i}: while she is at one`, `${i}: and at the other`]));
  assert.deepEqual(bob.signals(), ['ada 0', 'ada 1', 'ada 2']);
});

test('the others notice a server that was killed, and it was told to its clients', MINUTES, async (t) => {
  const { nodes } = await startNodes(t, 2);
  const ada = await Client.open(nodes[0], 'Ada');
  const bob = await Client.open(nodes[1], 'Bob');
  const call = await inCall(ada, bob);
  nodes[1].child.kill('SIGKILL');
  const killed = Date.now();
  ada.signal(call, 'nobody gets it');
  assert.equal((await ada.next('hangup')).reason, 'peer_lost');
  assert.equal((await ada.next((m) => m.change === 'left')).peer.name, 'Bob');
  assert.ok(Date.now() - killed < 11_000);
  ada.say({ type: 'call', to: 'Bob' });
  assert.equal((await ada.next('error')).code, 'not_found');
  // His session died with it; he is told so, and his name is free.
  const again = await bob.moveTo(nodes[0]);
  assert.equal(again.welcome.resume.resumed, false);
  again.say({ type: 'join', name: 'Bob' });
  assert.equal((await again.next((m) => m.type === 'joined' || m.type === 'error')).type, 'joined');
  await nodes[0].waitFor(/is gone, and its peers with it/);
});

test('a server that is ended tells the others at once', MINUTES, async (t) => {
  const { nodes } = await startNodes(t, 2);
  const ada = await Client.open(nodes[0], 'Ada');
  await Client.open(nodes[1], 'Bob');
  await ada.next('presence');
  const ended = Date.now();
  assert.equal(await nodes[1].stop(), 0);
  assert.equal((await ada.next((m) => m.change === 'left')).peer.name, 'Bob');
  assert.ok(Date.now() - ended < 3000);
});

test('a Redis that is started anew loses nothing that was said', MINUTES, async (t) => {
  const cluster = await startNodes(t, 2);
  const { nodes } = cluster;
  const ada = await Client.open(nodes[0], 'Ada');
  const bob = await Client.open(nodes[1], 'Bob');
  const call = await inCall(ada, bob);
  await cluster.redis.stop('SIGKILL');
  await nodes[0].waitFor(/Redis at .* is away/);
  assert.equal(await text(nodes[0], '/readyz'), 'ok, but the backplane is away\n');
  assert.equal(await metric(nodes[0], 'kyuu_backplane_up'), 0);
  for (let i = 0; i < 30; ++i) ada.signal(call, `a${i}`), bob.signal(call, `b${i}`);
  await sleep(2000);
  assert.deepEqual(bob.signals(), []);
  cluster.redis = await startRedis(cluster.port);
  await eventually(() => bob.signals().length >= 30 && ada.signals().length >= 30);
  assert.deepEqual(bob.signals(), Array.from({ length: 30 }, (_, i) => `a${i}`));
  assert.deepEqual(ada.signals(), Array.from({ length: 30 }, (_, i) => `b${i}`));
  assert.ok(![...ada.messages, ...bob.messages].some((m) => m.type === 'hangup' || m.change === 'left'));
  // Names are claimed anew in the empty one.
  await eventually(async () => (await metric(nodes[0], 'kyuu_backplane_up')) === 1);
  const double = await Client.open(nodes[0], 'bob');
  assert.equal(double.joined.code, 'name_taken');
});

test('without Redis for long each server goes on alone, and they find each other again', MINUTES, async (t) => {
  const cluster = await startNodes(t, 2);
  const { nodes } = cluster;
  const ada = await Client.open(nodes[0], 'Ada');
  const eve = await Client.open(nodes[0], 'Eve');
  const bob = await Client.open(nodes[1], 'Bob');
  const call = await inCall(ada, bob);
  await cluster.redis.stop('SIGKILL');
  assert.equal((await ada.next('hangup')).call, call);
  assert.deepEqual(await ada.peers(), ['Eve']);
  await inCall(ada, eve);
  const fred = await Client.open(nodes[1], 'Fred');
  assert.equal(fred.joined.type, 'joined');
  cluster.redis = await startRedis(cluster.port);
  await eventually(async () => (await ada.peers()).length === 3);
  assert.deepEqual(await bob.peers(), ['Ada', 'Eve', 'Fred']);
  await inCall(ada, bob);
});

test('what clients of y-webrtc publish reaches those of other servers', MINUTES, async (t) => {
  const { nodes } = await startNodes(t, 2);
  const open = async (node) => {
    const socket = new WebSocket(new URL('/y-webrtc', node.url.replace('http', 'ws')));
    const heard = [];
    socket.on('message', (data) => heard.push(JSON.parse(data)));
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'subscribe', topics: ['room'] }));
    socket.send(JSON.stringify({ type: 'ping' }));
    await eventually(() => heard.length === 1);
    return { heard, say: (data) => socket.send(JSON.stringify({ type: 'publish', topic: 'room', data })) };
  };
  const [a, b] = [await open(nodes[0]), await open(nodes[1])];
  for (let i = 0; i < 10; ++i) a.say(i);
  await eventually(() => b.heard.length === 11 && a.heard.length === 11);
  assert.deepEqual(b.heard.slice(1).map((m) => m.data), Array.from({ length: 10 }, (_, i) => i));
});

test('one without its Redis is not ready until it has had it', MINUTES, async (t) => {
  const port = await freePort();
  const node = await startKyuud('--backplane', `redis://localhost:${port}`);
  t.after(() => node.stop('SIGKILL'));
  assert.equal((await fetch(new URL('/readyz', node.url))).status, 503);
  assert.equal((await fetch(new URL('/healthz', node.url))).status, 200);
  const redis = await startRedis(port);
  t.after(() => redis.stop('SIGKILL'));
  await eventually(async () => (await fetch(new URL('/readyz', node.url))).status === 200);
});

test('a Redis that holds connections and says nothing is one that is away', MINUTES, async (t) => {
  const cluster = await startNodes(t, 1);
  cluster.redis.child.kill('SIGSTOP');
  await cluster.nodes[0].waitFor(/is away: no answer/);
  cluster.redis.child.kill('SIGCONT');
  await eventually(async () => (await metric(cluster.nodes[0], 'kyuu_backplane_up')) === 1);
});

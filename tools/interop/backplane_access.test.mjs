// Several kyuud behind a Redis that asks who comes: a real redis-server with users
// of its own (ACL).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { after, test } from 'node:test';
import WebSocket from 'ws';
import { execFileSync } from 'node:child_process';
import { freePort, killLeftovers, startKyuud } from './lib.mjs';
import { doctor, eventually, metric, startNodes, startRedis, text } from './nodes.mjs';

const MINUTES = { timeout: 2 * 60_000 };
const PASSWORD = 's%c:r@t/';
const CREDENTIALS = `kyuu:${encodeURIComponent(PASSWORD)}@`;
after(killLeftovers);

// What docs/operating.md tells operators to allow, of keys, channels and commands.
const documented = () => {
  const guide = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
  const [, keys, channels, commands] = guide.match(/`~PREFIX(\S*)`, `&PREFIX(\S*)` and the commands `([a-z ]+)`/);
  return [`~test${keys}`, `&test${channels}`, ...commands.split(' ').map((name) => `+${name}`)];
};
// As redis-server takes them: nobody is let in but these two.
const users = (rights) => ['--user', 'default', 'off', '--user', 'admin', 'on', '>admin', '~*', '&*', '+@all',
  '--user', 'kyuu', 'on', `>${PASSWORD}`, 'resetchannels', '-@all', ...rights];
const say = (port, ...words) => execFileSync('redis-cli', ['-p', String(port), '--user', 'admin', '--pass', 'admin',
  '--no-auth-warning', ...words], { encoding: 'utf8' });
const refusals = (port) => say(port, 'acl', 'log');

async function join(node, name) {
  const socket = new WebSocket(new URL('/v1/ws', node.url.replace('http', 'ws')), 'kyuu.v1');
  const messages = [];
  socket.on('message', (data) => messages.push(JSON.parse(data)));
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'hello', version: 1 }));
  await eventually(() => messages.some((m) => m.type === 'welcome'));
  socket.send(JSON.stringify({ type: 'join', name }));
  await eventually(() => messages.some((m) => m.type === 'joined' || m.type === 'error'));
  return { socket, messages };
}

test('the documented rights of a user of Redis are enough, and none is asked for beyond them', MINUTES, async (t) => {
  const { nodes, port } = await startNodes(t, 2, { args: users(documented()), credentials: CREDENTIALS });
  const ada = await join(nodes[0], 'Ada');
  const bob = await join(nodes[1], 'Bob');
  await eventually(() => ada.messages.some((m) => m.type === 'presence' && m.peer.name === 'Bob'));
  const double = await join(nodes[1], 'ada');
  assert.equal(double.messages.at(-1).code, 'name_taken');
  bob.socket.close(1000);
  await eventually(() => ada.messages.some((m) => m.change === 'left'));
  // His name is given back.
  assert.equal((await join(nodes[0], 'Bob')).messages.at(-1).type, 'joined');
  assert.equal(refusals(port).trim(), '');
  for (const node of nodes) {
    assert.equal(await text(node, '/readyz'), 'ok\n');
    assert.ok(!node.lines.join().includes(PASSWORD));
  }
});

test('a password that is wrong is told, and not written down', MINUTES, async (t) => {
  const port = await freePort();
  const redis = await startRedis(port, ...users(documented()));
  t.after(() => redis.stop('SIGKILL'));
  const node = await startKyuud('--backplane', `redis://kyuu:sesame@127.0.0.1:${port}/2?prefix=test`);
  t.after(() => node.stop('SIGKILL'));
  await node.waitFor(/is away: WRONGPASS/);
  assert.equal((await fetch(new URL('/readyz', node.url))).status, 503);
  assert.ok(!node.lines.join().includes('sesame'));
});

// Until all is there, a server is not what it is meant to be: the reason is told
// where it is asked for, and what mends it in the log.
for (const right of ['publish', 'subscribe', 'set', 'get', 'del', 'exists', 'eval', 'time', 'select']) {
  test(`a user of Redis without ${right} is told which right it lacks, and how to give it`, MINUTES, async (t) => {
    const port = await freePort();
    const redis = await startRedis(port, ...users(documented().filter((name) => name !== `+${right}`)));
    t.after(() => redis.stop('SIGKILL'));
    const node = await startKyuud('--backplane', `redis://${CREDENTIALS}127.0.0.1:${port}/2?prefix=test`);
    t.after(() => node.stop('SIGKILL'));
    const [, mend] = await node.waitFor(/is away: .*what mends it: (.*);/);
    assert.equal(mend, `ACL SETUSER kyuu +${right}`);
    const ready = await fetch(new URL('/readyz', node.url));
    assert.equal(ready.status, 503);
    assert.match(await ready.text(), new RegExp(`refuses us the rights \\+${right}$`, 'm'));
    assert.equal(await metric(node, 'kyuu_backplane_up'), 0);
    say(port, ...mend.split(' '));
    await eventually(async () => (await fetch(new URL('/readyz', node.url))).status === 200);
  });
}

test('keys and channels that are not allowed are told with all else that is missing', MINUTES, async (t) => {
  const port = await freePort();
  const redis = await startRedis(port, ...users(['~other:*', '&other:*', ...documented().slice(2).filter((name) => name !== '+time')]));
  t.after(() => redis.stop('SIGKILL'));
  const url = `redis://${CREDENTIALS}127.0.0.1:${port}/2?prefix=test`;
  const { findings, code } = await doctor('--backplane', url);
  assert.equal(code, 5);
  const [{ what: found }] = findings.filter((f) => f.name === 'backplane');
  assert.match(found, /what mends it: ACL SETUSER kyuu ~test:\* \+time &test:\*$/);
  const node = await startKyuud('--backplane', url);
  t.after(() => node.stop('SIGKILL'));
  const [, mend] = await node.waitFor(/is away: .*what mends it: (.*);/);
  assert.deepEqual(mend.split(' ').slice(3).sort(), ['&test:*', '+time', '~test:*']);
});

test('a right that is taken away meanwhile is told, and its return seen', MINUTES, async (t) => {
  const { nodes, port } = await startNodes(t, 2, { args: users(documented()), credentials: CREDENTIALS });
  say(port, 'ACL', 'SETUSER', 'kyuu', '-publish');
  await nodes[0].waitFor(/what mends it: ACL SETUSER kyuu \+publish;/);
  // All servers miss it: they go on alone.
  assert.equal(await text(nodes[0], '/readyz'), 'ok, but the backplane is away: its Redis refuses us the rights +publish\n');
  say(port, 'ACL', 'SETUSER', 'kyuu', '+publish');
  await eventually(async () => (await text(nodes[0], '/readyz')) === 'ok\n');
  assert.equal(await metric(nodes[0], 'kyuu_backplane_nodes'), 1);
});

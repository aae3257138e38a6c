// Several kyuud behind a Redis that asks who comes: a real redis-server with users
// of its own (ACL).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { after, test } from 'node:test';
import WebSocket from 'ws';
import { execFileSync } from 'node:child_process';
import { freePort, killLeftovers, startKyuud } from './lib.mjs';
import { eventually, metric, startNodes, startRedis, text } from './nodes.mjs';

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
const refusals = (port) => execFileSync('redis-cli', ['-p', String(port), '--user', 'admin', '--pass', 'admin',
  '--no-auth-warning', 'acl', 'log'], { encoding: 'utf8' });

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

for (const right of ['subscribe', 'set', 'select']) {
  test(`a user of Redis without ${right} is told to have no permission`, MINUTES, async (t) => {
    const port = await freePort();
    const redis = await startRedis(port, ...users(documented().filter((name) => name !== `+${right}`)));
    t.after(() => redis.stop('SIGKILL'));
    const node = await startKyuud('--backplane', `redis://${CREDENTIALS}127.0.0.1:${port}/2?prefix=test`);
    t.after(() => node.stop('SIGKILL'));
    await node.waitFor(/is away: .*(NOPERM|can't run this command)/);
    assert.equal((await fetch(new URL('/readyz', node.url))).status, 503);
    assert.equal(await metric(node, 'kyuu_backplane_up'), 0);
  });
}

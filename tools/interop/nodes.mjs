// Several kyuud that share a Redis of the test's own.

import assert from 'node:assert/strict';
import { freePort, kyuud, Program, sleep, startKyuud, temporaryFolder } from './lib.mjs';

// A Redis that keeps nothing on disk; the machine's service, if it has one, is
// not touched.
export async function startRedis(port, ...args) {
  const ports = args.includes('--tls-cert-file') ? ['--port', '0', '--tls-port', String(port)] : ['--port', String(port)];
  const redis = new Program('redis-server', [...ports, '--bind', '127.0.0.1',
    '--save', '', '--appendonly', 'no', '--dir', temporaryFolder(), ...args]);
  await redis.waitFor(/Ready to accept connections/);
  return redis;
}

// `count` kyuud behind it, that know each other; `flags` are for each of them.
export async function startNodes(t, count, { args = [], credentials = '', flags = [], scheme = 'redis' } = {}) {
  const port = await freePort();
  const cluster = { port, redis: await startRedis(port, ...args) };
  t.after(async () => {
    for (const node of cluster.nodes) await node.stop('SIGKILL');
    await cluster.redis.stop('SIGKILL');
  });
  cluster.url = `${scheme}://${credentials}127.0.0.1:${port}/2?prefix=test`;
  cluster.nodes = [];
  for (let i = 0; i < count; ++i) cluster.nodes.push(await startKyuud('--backplane', cluster.url, ...flags));
  for (const node of cluster.nodes) await eventually(async () => (await metric(node, 'kyuu_backplane_nodes')) === count - 1);
  return cluster;
}

export async function eventually(holds, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `not within ${seconds} s: ${holds}`);
    await sleep(50);
  }
}
export const text = async (node, path) => (await fetch(new URL(path, node.url))).text();
export const metric = async (node, name) =>
  Number((await text(node, '/metrics')).match(new RegExp(`^${name} (.*)$`, 'm'))?.[1]);

// What `kyuud doctor` finds with these flags.
export async function doctor(...flags) {
  const program = new Program(kyuud, ['doctor', '--json', ...flags]);
  const code = await program.finish(60);
  return { code, findings: JSON.parse(program.lines.join('\n')).findings };
}

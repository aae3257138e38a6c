// Several kyuud whose Redis is reached over TLS: a real redis-server with a
// certificate, and authorities that are trusted, or are not.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, killLeftovers, kyuu, kyuud, Program, startKyuud, temporaryFolder } from './lib.mjs';
import { doctor, eventually, metric, startNodes, startRedis, text } from './nodes.mjs';

const MINUTES = { timeout: 2 * 60_000 };
after(killLeftovers);

const folder = temporaryFolder();
const file = (name) => join(folder, name);
const FRESH = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore', cwd: folder });
const makeAuthority = (name) =>
  openssl('req', '-x509', ...FRESH, '-days', '2', '-subj', `/CN=${name}`, '-out', `${name}.pem`, '-keyout', `${name}.key`);
// A certificate of `name`, by that authority, for these names.
const certify = (name, names) => {
  openssl('req', ...FRESH, '-subj', `/CN=${name}`, '-addext', `subjectAltName=${names}`, '-out', 'request', '-keyout', `${name}.key`);
  openssl('x509', '-req', '-in', 'request', '-CA', 'authority.pem', '-CAkey', 'authority.key', '-CAcreateserial', '-days', '2',
    '-copy_extensions', 'copy', '-out', `${name}.pem`);
};
before(() => {
  makeAuthority('authority');
  makeAuthority('stranger');
  certify('redis', 'IP:127.0.0.1,DNS:localhost');
  certify('elsewhere', 'DNS:redis.example');
  certify('client', 'DNS:kyuud');
});

// Redis asks clients for certificates unless it is told not to.
const redisOf = (name, clients = 'no') => ['--tls-cert-file', file(`${name}.pem`), '--tls-key-file', file(`${name}.key`),
  '--tls-ca-cert-file', file('authority.pem'), '--tls-auth-clients', clients];
const trusting = (name) => ['--backplane-ca', file(`${name}.pem`)];
const certified = () => ['--backplane-certificate', file('client.pem'), '--backplane-key', file('client.key')];
const ready = async (node) => (await fetch(new URL('/readyz', node.url))).status;

test('two servers meet over TLS, also behind a Redis that dies and comes back', MINUTES, async (t) => {
  const args = redisOf('redis');
  const cluster = await startNodes(t, 2, { args, scheme: 'rediss', flags: trusting('authority') });
  const { nodes } = cluster;
  const bob = new Program(kyuu, ['connect', nodes[1].url, 'Bob', '--yes']);
  await bob.waitFor(/joined as Bob/);
  const ada = new Program(kyuu, ['connect', nodes[0].url, 'Ada', '--call', 'Bob']);
  await Promise.all([ada.waitFor(/connected to Bob/), bob.waitFor(/connected to Ada/)]);
  await cluster.redis.stop('SIGKILL');
  await nodes[0].waitFor(/Redis at .* is away/);
  assert.equal(await text(nodes[0], '/readyz'), 'ok, but the backplane is away\n');
  cluster.redis = await startRedis(cluster.port, ...args);
  for (const node of nodes) await eventually(async () => (await metric(node, 'kyuu_backplane_up')) === 1);
  const eve = new Program(kyuu, ['connect', nodes[0].url, 'Eve']);
  await bob.waitFor(/Eve came/);
  for (const program of [ada, bob, eve]) {
    program.write('/quit\n');
    assert.equal(await program.finish(20), 0, program.transcript());
  }
});

test('a Redis that asks for certificates of clients gets ours', MINUTES, async (t) => {
  const { port } = await startNodes(t, 1, { args: redisOf('redis', 'yes'), scheme: 'rediss', flags: [...trusting('authority'), ...certified()] });
  const url = `rediss://127.0.0.1:${port}`;
  const { findings } = await doctor('--backplane', url, ...trusting('authority'), ...certified());
  assert.deepEqual(findings.filter((f) => f.name === 'backplane').map((f) => f.verdict), ['pass']);
  const without = await startKyuud('--backplane', url, ...trusting('authority'));
  t.after(() => without.stop('SIGKILL'));
  // TLS 1.3 (RFC 8446 section 4.4.2.4) tells a client so behind its handshake, and the
  // reset that follows may overtake it.
  await without.waitFor(/is away: .*(certificate required|reset by peer)/);
  assert.equal(await ready(without), 503);
});

for (const [title, name, flags, why] of [
  ['of an authority that is not trusted', 'redis', () => trusting('stranger'), 'self-signed certificate in certificate chain'],
  ['of an authority that the system does not know', 'redis', () => [], 'self-signed certificate in certificate chain'],
  ['made out to another name', 'elsewhere', () => trusting('authority'), 'IP address mismatch'],
]) {
  test(`a certificate ${title} is refused, and nothing said to that Redis`, MINUTES, async (t) => {
    const port = await freePort();
    const redis = await startRedis(port, ...redisOf(name), '--requirepass', 'sesame', '--loglevel', 'verbose');
    t.after(() => redis.stop('SIGKILL'));
    const url = `rediss://:sesame@127.0.0.1:${port}`;
    const node = await startKyuud('--backplane', url, ...flags());
    t.after(() => node.stop('SIGKILL'));
    await node.waitFor(new RegExp(`is away: .*certificate verify failed: ${why}`));
    assert.equal(await ready(node), 503);
    const { findings, code } = await doctor('--backplane', url, ...flags());
    assert.equal(code, 5);
    assert.match(findings.find((f) => f.name === 'backplane').what, new RegExp(`certificate verify failed: ${why}`));
  });
}

test('TLS to a Redis of plain text, and the reverse, is told in the log and by doctor', MINUTES, async (t) => {
  const [secure, plain] = [await freePort(), await freePort()];
  for (const redis of [await startRedis(secure, ...redisOf('redis')), await startRedis(plain)]) t.after(() => redis.stop('SIGKILL'));
  // Redis itself says nothing of it.
  for (const [url, why] of [[`redis://127.0.0.1:${secure}`, /reset by peer/], [`rediss://127.0.0.1:${plain}`, /(no answer|does not answer in time)/]]) {
    const node = await startKyuud('--backplane', url);
    t.after(() => node.stop('SIGKILL'));
    await node.waitFor(new RegExp(`is away: .*${why.source}`));
    assert.match((await doctor('--backplane', url)).findings.find((f) => f.name === 'backplane').what, why);
  }
});

test('files that cannot be used are told before anything is served', MINUTES, async () => {
  for (const command of [['check-config'], []]) {
    for (const [flags, why] of [
      [['--backplane', 'rediss://h', '--backplane-ca', '/nowhere.pem'], /\/nowhere\.pem/],
      [['--backplane', 'rediss://h', '--backplane-certificate', file('client.pem'), '--backplane-key', file('redis.key')], /redis\.key/],
      [['--backplane', 'rediss://h', '--backplane-key', file('client.key')], /--backplane-key: goes with --backplane-certificate/],
      [['--backplane', 'redis://h', ...trusting('authority')], /--backplane-ca: goes with a --backplane of rediss/],
    ]) {
      const program = new Program(kyuud, [...command, '--http-listen', '127.0.0.1:0', '--turn-listen', 'none', ...flags]);
      assert.notEqual(await program.finish(20), 0);
      assert.match(program.transcript(), why);
    }
  }
});

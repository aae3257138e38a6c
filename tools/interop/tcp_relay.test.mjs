// TCP to peers (RFC 6062): `kyuu turn --tcp`, which connects to itself through the
// relay, at kyuud and at coturn.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, killLeftovers, kyuu, Program, startKyuud, temporaryFolder } from './lib.mjs';

const MINUTE = { timeout: 60_000 };
const folder = temporaryFolder();
const [certificate, key] = ['c.pem', 'k.pem'].map((name) => join(folder, name));

before(() => execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
  '-subj', '/CN=kyuu', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', certificate, '-keyout', key], { stdio: 'ignore' }));
after(killLeftovers);

async function turn(url, ...args) {
  const run = new Program(kyuu, ['--ca-file', certificate, 'turn', '--tcp', ...args, url]);
  const status = await run.finish(50);
  return { status, run, out: run.lines.join('\n'), errors: run.errors.join('\n') };
}

async function expectBothWays(url) {
  const { status, run, out } = await turn(url);
  assert.equal(status, 0, run.transcript());
  assert.match(out, /^allocated 127\.0\.0\.1:\d+ over (tcp|tls) for/m);
  assert.match(out, /^connected, and accepted a connection; relayed and back in/m);
}

// The second streams come to whichever thread.
for (const threads of ['1', '4']) {
  test(`kyuud with ${threads} threads, over TCP and TLS`, MINUTE, async () => {
    const server = await startKyuud('--user', 'alice:secret', '--threads', threads, '--tls-certificate', certificate, '--tls-key', key,
      '--http-listen', '127.0.0.1:0');
    const port = server.transcript().match(/https:\/\/127\.0\.0\.1:(\d+)/)[1];
    for (let i = 0; i < 4; ++i) {
      await expectBothWays(`turn:alice:secret@127.0.0.1:${port}?transport=tcp`);
      await expectBothWays(`turns:alice:secret@127.0.0.1:${port}`);
    }
    assert.equal(await server.stop(), 0, server.transcript());
    assert.match(server.errors.join('\n'), /peers_joined=16/);
  });
}

test('a server that relays none says so, and UDP cannot carry it', MINUTE, async () => {
  const server = await startKyuud('--user', 'alice:secret', '--tcp-relay', 'refuse');
  const port = new URL(server.url).port;
  const refused = await turn(`turn:alice:secret@127.0.0.1:${port}?transport=tcp`);
  assert.equal(refused.status, 1);
  assert.match(refused.errors, /442/);
  const udp = await turn(`turn:alice:secret@127.0.0.1:${server.turnPort}`);
  assert.equal(udp.status, 1);
  assert.match(udp.errors, /TCP is relayed to clients on TCP and TLS/);
  assert.equal(await server.stop(), 0, server.transcript());
});

test('coturn over TCP and TLS', MINUTE, async (t) => {
  const [port, tlsPort] = [await freePort(), await freePort()];
  const coturn = new Program('turnserver', ['-n', '--lt-cred-mech', '--user', 'alice:secret', '--realm', 'example.org',
    '--listening-ip', '127.0.0.1', '--relay-ip', '127.0.0.1', '--listening-port', String(port), '--tls-listening-port', String(tlsPort),
    '--cert', certificate, '--pkey', key, '--allow-loopback-peers', '--no-cli', '--log-file', 'stdout', '--pidfile', join(folder, 'pid'),
    '--userdb', join(folder, 'db')]);
  t.after(() => coturn.stop('SIGKILL'));
  for (let i = 0; ; ++i) {
    const probe = new Program(kyuu, ['stun', `127.0.0.1:${port}`]);
    if (await probe.finish(60) === 0) break;
    assert.ok(i < 100, coturn.transcript());
  }
  await expectBothWays(`turn:alice:secret@127.0.0.1:${port}?transport=tcp`);
  await expectBothWays(`turns:alice:secret@127.0.0.1:${tlsPort}`);
});

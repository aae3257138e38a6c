// kyuu at coturn: TURN and STUN over UDP, TCP, TLS and DTLS, and peers that may only
// relay by it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { kyuu, Program, runPair, temporaryFolder } from './lib.mjs';

const port = 35800 + (process.pid % 1000), tlsPort = port + 1000;
const folder = temporaryFolder();
const [certificate, key, config] = ['c.pem', 'k.pem', 'turnserver.conf'].map((name) => join(folder, name));
const ways = {
  udp: `turn:alice:secret@127.0.0.1:${port}`,
  tcp: `turn:alice:secret@127.0.0.1:${port}?transport=tcp`,
  tls: `turns:alice:secret@127.0.0.1:${tlsPort}`,
  dtls: `turns:alice:secret@127.0.0.1:${tlsPort}?transport=udp`,
};
let server;

before(async () => {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=coturn', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', certificate, '-keyout', key], { stdio: 'ignore' });
  writeFileSync(config, `listening-ip=127.0.0.1
relay-ip=127.0.0.1
listening-port=${port}
tls-listening-port=${tlsPort}
cert=${certificate}
pkey=${key}
user=alice:secret
realm=example.org
lt-cred-mech
mobility
allow-loopback-peers
no-cli
log-file=stdout
pidfile=${join(folder, 'pid')}
userdb=${join(folder, 'db')}
`);
  server = new Program('turnserver', ['-c', config]);
  // It says so much, and in another order each time, that only an answer tells.
  for (let i = 0; ; ++i) {
    const probe = new Program(kyuu, ['stun', `127.0.0.1:${port}`]);
    if (await probe.finish(60) === 0) break;
    assert.ok(i < 100, server.transcript());
  }
});
after(async () => { await server.stop('SIGKILL'); });

for (const [protocol, url] of Object.entries(ways)) {
  const over = protocol === 'udp' ? '' : ` over ${protocol}`;
  test(`kyuu turn at coturn over ${protocol}`, async () => {
    const run = new Program(kyuu, ['--ca-file', certificate, 'turn', url]);
    assert.equal(await run.finish(60), 0, run.transcript());
    assert.match(run.lines[0], new RegExp(`^allocated 127\\.0\\.0\\.1:\\d+${over} for`), run.transcript());
    assert.match(run.lines.join('\n'), /relayed and back/, run.transcript());
  });

  test(`kyuu turn has two ports side by side at coturn over ${protocol}, and forbids fragments`, async () => {
    const run = new Program(kyuu, ['--ca-file', certificate, 'turn', '--port-pair', '--dont-fragment', url]);
    assert.equal(await run.finish(60), 0, run.transcript());
    const [first, second] = run.lines.join('\n').match(/(?<=^allocated 127\.0\.0\.1:)\d+/gm).map(Number);
    assert.deepEqual([first % 2, second], [0, first + 1], run.transcript());
  });

  // On a stream coturn 4.6.1 answers a move with the last bytes of its answer alone.
  const moves = !['tcp', 'tls'].includes(protocol);
  if (moves) test(`kyuu turn goes on from another port at coturn over ${protocol}`, async () => {
    const run = new Program(kyuu, ['--ca-file', certificate, 'turn', '--move', url]);
    assert.equal(await run.finish(60), 0, run.transcript());
    assert.match(run.lines.join('\n'), /^moved; relayed and back/m, run.transcript());
  });

  test(`kyuu stun at coturn over ${protocol}`, async () => {
    const run = new Program(kyuu, ['--ca-file', certificate, 'stun', url.replace('turn', 'stun').replace('alice:secret@', '')]);
    assert.equal(await run.finish(60), 0, run.transcript());
    assert.match(run.lines[0], new RegExp(`^127\\.0\\.0\\.1:\\d+${over} sees this machine at 127`), run.transcript());
  });

  test(`kyuu peers relay by coturn over ${protocol}`, async () => {
    const peer = (role, ...args) => new Program(kyuu, ['--ca-file', certificate, 'peer', '--role', role, '--relay',
      '--turn', url, '--size', '1200', ...args]);
    const { a, b } = await runPair(peer('offer', '--send', '500'), peer('answer', '--expect', '500'));
    for (const result of [a, b]) {
      assert.deepEqual([result.path, result.relay_protocol], ['relay-relay', protocol]);
    }
  });
}

test('a certificate that nobody vouches for gets no credential', async () => {
  for (const [way, why] of [[ways.tls, /certificate verify failed/], [ways.dtls, /the server's certificate: self-signed/]]) {
    const run = new Program(kyuu, ['turn', way]);
    assert.equal(await run.finish(60), 1, run.transcript());
    assert.match(run.errors.join('\n'), why);
  }
});

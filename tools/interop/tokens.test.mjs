// Tokens of an authorization server instead of passwords (RFC 7635): `kyuu turn`
// at kyuud and at coturn, with tokens that coturn's tool has made.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, killLeftovers, kyuu, Program, startKyuud, temporaryFolder } from './lib.mjs';

const MINUTE = { timeout: 60_000 };
const folder = temporaryFolder();
const [certificate, key] = ['c.pem', 'k.pem'].map((name) => join(folder, name));
const shared = randomBytes(32).toString('base64');
const name = 'turn.example.org';

// The authorization server's answer, in a file. coturn signs with the first 16
// bytes of a key alone: who speaks to it is given no others.
function tokenFile(file, { seconds = 600, keyBytes = 20, sealedBy = shared } = {}) {
  const answer = JSON.parse(execFileSync('turnutils_oauth', ['-e', '-i', name, '-j', 'north', '-k', sealedBy, '-n', 'A256GCM',
    '-l', String(Math.floor(Date.now() / 1000) - 60), '-m', '86400', '-o', randomBytes(12).toString('base64'),
    '-p', Buffer.from(randomBytes(10).toString('hex')).toString('base64'), '-r', String(seconds)], { encoding: 'utf8' }));
  const path = join(folder, file);
  writeFileSync(path, JSON.stringify({ ...answer, key: answer.key.slice(0, keyBytes) }));
  return path;
}

async function turn(file, url, ...args) {
  const run = new Program(kyuu, ['--ca-file', certificate, 'turn', '--token-file', file, ...args, url]);
  const status = await run.finish(60);
  return { status, run, out: run.lines.join('\n'), errors: run.errors.join('\n') };
}

let server;
before(async () => {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=kyuu', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', certificate, '-keyout', key], { stdio: 'ignore' });
  server = await startKyuud('--token-key', `north:A256GCM:${shared}`, '--token-server', name, '--realm', 'example.org',
    '--token-delta', '0s', '--tls-certificate', certificate, '--tls-key', key);
});
after(async () => {
  await server.stop('SIGKILL');
  killLeftovers();
});

// To kyuud's port for each way.
const ways = {
  udp: () => `turn:127.0.0.1:${server.turnPort}`,
  tcp: () => `turn:127.0.0.1:${new URL(server.url).port}?transport=tcp`,
  tls: () => `turns:127.0.0.1:${server.transcript().match(/https:\/\/127\.0\.0\.1:(\d+)/)[1]}`,
  dtls: () => `turns:127.0.0.1:${server.turnPort}?transport=udp`,
};

for (const way of Object.keys(ways)) {
  test(`kyuud over ${way}`, MINUTE, async () => {
    const { status, run, out } = await turn(tokenFile(`kyuud-${way}`), ways[way]());
    assert.equal(status, 0, run.transcript());
    assert.match(out, /the server asks for a token of turn\.example\.org \(realm example\.org\)/);
    assert.match(out, /^relayed and back/m);
    // For as long as the token lives, and no longer.
    const [, minutes] = out.match(/allocated \S+.* for (\d+)m/);
    assert.ok(+minutes <= 10, out);
  });
}

for (const way of ['udp', 'tcp']) {
  test(`a token is replaced before it runs out, over ${way}`, MINUTE, async () => {
    const file = tokenFile(`short-${way}`, { seconds: 6 });
    const running = turn(file, ways[way](), '--hold', '9');
    // The next one is there before half of its life is over.
    setTimeout(() => tokenFile(`short-${way}`, { seconds: 60 }), 1000);
    const { status, run, out } = await running;
    assert.equal(status, 0, run.transcript());
    assert.equal(out.match(/will soon ask for another/g)?.length, 2, out);
    assert.match(out, /^held for 9 s; relayed and back/m);
  });
}

test('without another one the allocation ends with its token', MINUTE, async () => {
  const { status, run, errors } = await turn(tokenFile('over', { seconds: 4 }), ways.udp(), '--hold', '8');
  assert.equal(status, 1, run.transcript());
  assert.match(errors, /kyuu: /);
});

test('what is no good token is refused, with a reason', MINUTE, async () => {
  const wrong = await turn(tokenFile('wrong', { sealedBy: randomBytes(32).toString('base64') }), ways.udp());
  assert.equal(wrong.status, 1);
  assert.match(wrong.out, /the server refuses a token of turn\.example\.org/);
  assert.match(wrong.errors, /401/);
  const none = await turn(join(folder, 'none'), ways.udp());
  assert.match(none.errors, /no token can be read from/);
  writeFileSync(join(folder, 'empty'), '{}');
  assert.match((await turn(join(folder, 'empty'), ways.udp())).errors, /no text "access_token"/);
});

test('a server without tokens says so', MINUTE, async () => {
  const plain = await startKyuud('--user', 'alice:secret');
  const { status, errors } = await turn(tokenFile('plain'), `turn:127.0.0.1:${plain.turnPort}`);
  assert.equal(status, 1);
  assert.match(errors, /takes no tokens/);
  assert.equal(await plain.stop(), 0, plain.transcript());
});

test('coturn over UDP, TCP, TLS and DTLS', MINUTE, async (t) => {
  const [port, tlsPort] = [await freePort(), await freePort()];
  const database = join(folder, 'db');
  execFileSync('python3', ['-c', `import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript(open("/usr/share/coturn/schema.sql").read())
db.execute("insert into oauth_key values (?, ?, 0, 0, 'A256GCM', 'example.org')", sys.argv[2:])
db.commit()`, database, 'north', shared]);
  const coturn = new Program('turnserver', ['-n', '--oauth', '--lt-cred-mech', '--realm', 'example.org', '--server-name', name, '--userdb', database,
    '--listening-ip', '127.0.0.1', '--relay-ip', '127.0.0.1', '--listening-port', String(port), '--tls-listening-port', String(tlsPort),
    '--cert', certificate, '--pkey', key, '--allow-loopback-peers', '--no-cli', '--log-file', 'stdout', '--pidfile', join(folder, 'pid')]);
  t.after(() => coturn.stop('SIGKILL'));
  for (let i = 0; ; ++i) {
    const probe = new Program(kyuu, ['stun', `127.0.0.1:${port}`]);
    if (await probe.finish(60) === 0) break;
    assert.ok(i < 100, coturn.transcript());
  }
  for (const url of [`turn:127.0.0.1:${port}`, `turn:127.0.0.1:${port}?transport=tcp`, `turns:127.0.0.1:${tlsPort}`,
    `turns:127.0.0.1:${tlsPort}?transport=udp`]) {
    const { status, run, out } = await turn(tokenFile('coturn', { keyBytes: 16 }), url);
    assert.equal(status, 0, run.transcript() + coturn.transcript());
    assert.match(out, /asks for a token of turn\.example\.org/);
    assert.match(out, /^relayed and back/m);
  }
  // And one takes another's place.
  const file = tokenFile('coturn-short', { seconds: 6, keyBytes: 16 });
  const running = turn(file, `turn:127.0.0.1:${port}`, '--hold', '9');
  setTimeout(() => tokenFile('coturn-short', { seconds: 60, keyBytes: 16 }), 1000);
  const { status, run, out } = await running;
  assert.equal(status, 0, run.transcript() + coturn.transcript());
  assert.match(out, /^held for 9 s; relayed and back/m);
});

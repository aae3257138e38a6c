// IPv4 and IPv6 of one allocation (RFC 8656) at kyuud and at coturn: `kyuu turn --dual`, and peers, to which it is two
// candidates.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { kyuu, Program, runPair, startKyuud, temporaryFolder } from './lib.mjs';

const MINUTE = { timeout: 120_000 };
const BOTH = /^allocated 127\.0\.0\.1:\d+ and \[::1\]:\d+( over \w+)? for/;

async function turn(...args) {
  const run = new Program(kyuu, ['turn', ...args]);
  run.status = await run.finish(60);
  run.text = run.lines.join('\n');
  run.complaint = run.errors.join('\n');
  return run;
}

// Two allocations, and the way through the relay and back by each family.
function seesBoth(run, when = '') {
  assert.equal(run.status, 0, run.transcript());
  assert.equal(run.lines.filter((line) => BOTH.test(line)).length, 2, run.transcript());
  for (const family of ['IPv4', 'IPv6']) {
    assert.match(run.text, new RegExp(`^${when}relayed and back by ${family} in`, 'm'), run.transcript());
  }
}

// The relayed candidates of a peer, by family.
function relaysOf(peer) {
  const relays = peer.lines.map((line) => line.match(/ (\S+) \d+ typ relay/)?.[1]).filter(Boolean);
  return { v4: relays.filter((ip) => ip === '127.0.0.1').length, v6: relays.filter((ip) => ip === '::1').length };
}

// Two peers that have relays only, and then each hears of one family of the other.
async function peersRelayByBoth(url, protocol, ...before) {
  for (const family of ['any', 'v4', 'v6']) {
    const peer = (role, ...args) => new Program(kyuu, [...before, 'peer', '--role', role, '--relay', '--turn', url,
      '--size', '1000', ...args]);
    const [offer, answer] = [peer('offer', '--send', '100'), peer('answer', '--expect', '100')];
    const leave = (line) => {
      const ip = line.match(/ (\S+) \d+ typ relay/)?.[1];
      return ip && family !== 'any' && (family === 'v6') !== ip.includes(':') ? null : line;
    };
    const { a, b } = await runPair(offer, answer, 60, { ofA: leave, ofB: leave });
    for (const result of [a, b]) assert.deepEqual([result.path, result.relay_protocol], ['relay-relay', protocol]);
    for (const end of [offer, answer]) assert.deepEqual(relaysOf(end), { v4: 1, v6: 1 }, end.transcript());
  }
}

for (const threads of [1, 2]) {
  test(`kyuu turn relays by both families at kyuud with ${threads} threads`, MINUTE, async (t) => {
    const server = await startKyuud('--user', 'alice:secret', '--threads', String(threads), '--relay-address', '127.0.0.1',
      '--relay-address', '::1');
    t.after(() => server.stop('SIGKILL'));
    for (const url of [`turn:alice:secret@${server.turn}`, `turn:alice:secret@${new URL(server.url).host}?transport=tcp`]) {
      seesBoth(await turn('--dual', url));
      seesBoth(await turn('--dual', '--dont-fragment', url));
      const moved = await turn('--dual', '--move', url);
      seesBoth(moved);
      seesBoth(moved, 'moved; ');
      seesBoth(await turn('--dual', '--hold', '1', url), 'held for 1 s; ');
    }
  });
}

test('a relay of both families is two candidates of a peer', MINUTE, async (t) => {
  const server = await startKyuud('--user', 'alice:secret', '--relay-address', '127.0.0.1', '--relay-address', '::1');
  t.after(() => server.stop('SIGKILL'));
  await peersRelayByBoth(`turn:alice:secret@${server.turn}`, 'udp');
  await peersRelayByBoth(`turn:alice:secret@${new URL(server.url).host}?transport=tcp`, 'tcp');
});

test('of a relay that gives one family a peer has one candidate', MINUTE, async (t) => {
  for (const flags of [['--relay-address', '127.0.0.1'],
    ['--relay-address', '127.0.0.1', '--relay-address', '::1', '--allocations-per-user', '1']]) {
    const server = await startKyuud('--user', 'alice:secret', '--user', 'bob:secret', ...flags);
    t.after(() => server.stop('SIGKILL'));
    const peer = (role, user, ...args) => new Program(kyuu, ['peer', '--role', role, '--relay', '--turn',
      `${user}:secret@${server.turn}`, '--size', '1000', ...args]);
    const ends = [peer('offer', 'alice', '--send', '10'), peer('answer', 'bob', '--expect', '10')];
    await runPair(...ends);
    for (const end of ends) assert.deepEqual(relaysOf(end), { v4: 1, v6: 0 }, end.transcript());
  }
});

test('what kyuud does not give is told with its code, and the other family works', MINUTE, async (t) => {
  for (const [flags, refused] of [
    [['--relay-address', '127.0.0.1'], 'no IPv6: 440'],
    [['--relay-address', '127.0.0.1', '--relay-address', '::1', '--allocations-per-user', '3'], 'no IPv6: 486'],
  ]) {
    const server = await startKyuud('--user', 'alice:secret', '--threads', '1', ...flags);
    t.after(() => server.stop('SIGKILL'));
    const run = await turn('--dual', `turn:alice:secret@${server.turn}`);
    assert.equal(run.status, 1, run.transcript());
    assert.match(run.text, /^relayed and back by IPv4 in/m, run.transcript());
    assert.ok(run.complaint.includes(refused), run.transcript());
  }
});

test('a pair of ports is of one family', MINUTE, async () => {
  const run = await turn('--dual', '--port-pair', 'turn:alice:secret@127.0.0.1:1');
  assert.notEqual(run.status, 0, run.transcript());
  assert.match(run.complaint, /excludes/, run.transcript());
});

// coturn before 4.16 knows the attributes by the numbers of their draft.
async function startCoturn(t, ...relays) {
  const folder = temporaryFolder();
  const port = 38800 + (process.pid % 1000);
  const [certificate, key, config] = ['c.pem', 'k.pem', 'turnserver.conf'].map((name) => join(folder, name));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=coturn', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', certificate, '-keyout', key], { stdio: 'ignore' });
  writeFileSync(config, `listening-ip=127.0.0.1
${relays.map((relay) => `relay-ip=${relay}`).join('\n')}
listening-port=${port}
tls-listening-port=${port + 1000}
cert=${certificate}
pkey=${key}
user=alice:secret
realm=example.org
lt-cred-mech
allow-loopback-peers
no-cli
log-file=stdout
pidfile=${join(folder, 'pid')}
userdb=${join(folder, 'db')}
`);
  const server = new Program('turnserver', ['-c', config]);
  t.after(() => server.stop('SIGKILL'));
  for (let i = 0; ; ++i) {
    const probe = new Program(kyuu, ['stun', `127.0.0.1:${port}`]);
    if (await probe.finish(60) === 0) break;
    assert.ok(i < 100, server.transcript());
  }
  return {
    certificate,
    ways: {
      udp: `turn:alice:secret@127.0.0.1:${port}`,
      tcp: `turn:alice:secret@127.0.0.1:${port}?transport=tcp`,
      tls: `turns:alice:secret@127.0.0.1:${port + 1000}`,
      dtls: `turns:alice:secret@127.0.0.1:${port + 1000}?transport=udp`,
    },
  };
}

test('kyuu turn relays by both families at coturn', MINUTE, async (t) => {
  const { certificate, ways } = await startCoturn(t, '127.0.0.1', '::1');
  for (const url of Object.values(ways)) {
    const run = new Program(kyuu, ['--ca-file', certificate, 'turn', '--dual', url]);
    run.status = await run.finish(60);
    run.text = run.lines.join('\n');
    seesBoth(run);
  }
});

test('a relay of both families at coturn is two candidates of a peer', MINUTE, async (t) => {
  const { certificate, ways } = await startCoturn(t, '127.0.0.1', '::1');
  for (const protocol of ['udp', 'tls']) await peersRelayByBoth(ways[protocol], protocol, '--ca-file', certificate);
});

test('kyuu turn says which family coturn has not, and why', MINUTE, async (t) => {
  const { ways } = await startCoturn(t, '127.0.0.1');
  const run = await turn('--dual', ways.udp);
  assert.equal(run.status, 1, run.transcript());
  assert.match(run.text, /^relayed and back by IPv4 in/m, run.transcript());
  assert.match(run.complaint, /no IPv6: \d+/, run.transcript());
});

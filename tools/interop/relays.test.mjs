// Foreign TURN clients at kyuud, over each transport that they have: pion's,
// aioice's, libnice's and libjuice's, and browsers that may only relay where UDP
// is blocked. All but UDP and DTLS is on the port of HTTP.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { foreignPeer, goProgram, here, inNetwork, Program, runPair, spacedFor, startKyuud, temporaryFolder } from './lib.mjs';

const folder = temporaryFolder();
const [authority, certificate] = ['authority', 'served'].map((name) => join(folder, `${name}.pem`));
const key = join(folder, 'served.key');
let server, echo;

// A certificate for 127.0.0.1 by an authority of our own, whom clients trust.
function certify() {
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore', cwd: folder });
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...fresh, '-days', '2', '-subj', '/CN=kyuu authority', '-out', authority, '-keyout', 'authority.key');
  openssl('req', ...fresh, '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-out', 'served.csr', '-keyout', key);
  openssl('x509', '-req', '-in', 'served.csr', '-CA', authority, '-CAkey', 'authority.key', '-CAcreateserial', '-days', '2',
    '-copy_extensions', 'copy', '-out', certificate);
}

before(async () => {
  certify();
  server = await startKyuud('--user', 'alice:secret', '--tls-certificate', certificate, '--tls-key', key);
  echo = createSocket('udp4');
  echo.on('message', (data, from) => echo.send(data, from.port, from.address));
  await new Promise((resolve) => { echo.bind(0, '127.0.0.1', resolve); });
});
after(async () => {
  echo.close();
  assert.equal(await server.stop(), 0, server.transcript());
});

const clients = {
  pion: { transports: ['udp', 'tcp', 'tls', 'dtls'], start: (args) => new Program(goProgram('pion_turn'), args) },
  aioice: { transports: ['udp', 'tcp', 'tls'], start: (args) => new Program('/usr/bin/python3', [join(here, 'peers/aioice_turn.py'), ...args]) },
};
for (const [name, { transports, start }] of Object.entries(clients)) {
  for (const transport of transports) {
    test(`${name} relays over ${transport}`, { timeout: 120_000 }, async () => {
      const port = ['udp', 'dtls'].includes(transport) ? server.turnPort : new URL(server.url).port;
      const run = start(['--transport', transport, '--server', `127.0.0.1:${port}`, '--peer', `127.0.0.1:${echo.address().port}`,
        '--user', 'alice', '--password', 'secret', '--ca', authority, '--send', '50']);
      assert.equal(await run.finish(90), 0, run.transcript());
      assert.equal(run.event('result').echoed, 50, run.transcript());
    });
  }
}

for (const transport of ['udp', 'tcp']) {
  test(`libnice relays over ${transport}`, { timeout: 120_000 }, async () => {
    const port = transport === 'udp' ? server.turnPort : new URL(server.url).port;
    const run = new Program('/usr/bin/python3', [join(here, 'peers/libnice_turn.py'), '--transport', transport,
      '--server', `127.0.0.1:${port}`, '--user', 'alice', '--password', 'secret', '--send', '50']);
    assert.equal(await run.finish(90), 0, run.transcript());
    const { echoed, relayed } = run.event('result');
    assert.deepEqual([echoed, relayed], [50, true], run.transcript());
  });
}

// libjuice 1.x hides its name behind a hash (RFC 8489 section 9.2.4) where that is
// offered, and stays with MD5.
test('node-datachannel (libjuice) relays where SHA-256 and hidden names are offered', { timeout: 120_000 }, async () => {
  const modern = await startKyuud('--user', 'alice:secret', '--sha256', 'everywhere');
  const peer = (role, ...args) => foreignPeer['node-datachannel']('--role', role, '--relay', '--turn', `alice:secret@${modern.turn}`,
    '--size', '1000', ...args);
  await runPair(peer('offer', '--send', '20', ...spacedFor('node-datachannel')), peer('answer', '--expect', '20'));
  assert.equal(await modern.stop(), 0, modern.transcript());
  assert.match(modern.errors.join('\n'), /relays from \S+ for alice/);
});

// Browser and kyuud alone.
const NO_UDP = "nft 'table inet wall { chain out { type filter hook output priority 0; meta l4proto udp drop; }; }'";
for (const browser of ['chromium', 'firefox']) {
  for (const transport of ['udp', 'tcp', 'tls']) {
    test(`${browser} relays over ${transport}${transport === 'udp' ? '' : ' where UDP is blocked'}`, { timeout: 180_000 }, async () => {
      const args = [join(here, 'peers/browser_relay.mjs'), browser, transport, authority, certificate, key];
      const run = transport === 'udp' ? new Program('node', args) : inNetwork(NO_UDP, 'node', ...args);
      assert.equal(await run.finish(150), 0, run.transcript());
      const { lengths, protocols } = run.event('result');
      assert.deepEqual(lengths, [50_000, 60_000], run.transcript());
      if (protocols) assert.deepEqual(protocols, [transport, transport], run.transcript());
    });
  }
}

// coturn's own clients against kyuud: STUN, and TURN over UDP, TCP and TLS.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Program, startKyuud, temporaryFolder } from './lib.mjs';

let server, echo, echo6;
const echoPort = 34800 + (process.pid % 1000);

async function uclientAt(turnPort, ...args) {
  const client = new Program('turnutils_uclient', [
    '-u', 'alice', '-w', 'secret', '-p', String(turnPort),
    '-e', '127.0.0.1', '-r', String(echoPort), ...args, '127.0.0.1']);
  await client.finish(240);
  return client;
}
const uclient = (...args) => uclientAt(server.turnPort, ...args);

// Options of kyuud for a new certificate.
function certificateIn(folder) {
  const [certificate, key] = ['c.pem', 'k.pem'].map((name) => join(folder, name));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=kyuu', '-out', certificate, '-keyout', key], { stdio: 'ignore' });
  return ['--tls-certificate', certificate, '--tls-key', key];
}

// uclient exits with 0 even when nothing came back: its counts are the verdict.
const expectNoLoss = (client, least) => expectCounts(client, least, (sent) => sent);
function expectCounts(client, least, expected) {
  const totals = [...client.lines, ...client.errors].join('\n')
    .match(/tot_send_msgs=(\d+), tot_recv_msgs=(\d+)/g)?.pop();
  assert.ok(totals, client.transcript());
  const [, sent, received] = totals.match(/=(\d+).*=(\d+)/).map(Number);
  assert.ok(sent >= least, client.transcript());
  assert.equal(received, expected(sent), client.transcript());
}

// They wait for most of their time.
describe('coturn\'s clients', { concurrency: 5 }, () => {
  before(async () => {
    server = await startKyuud('--user', 'alice:secret', '--realm', 'example.org');
    echo = new Program('turnutils_peer', ['-p', String(echoPort), '-L', '127.0.0.1']);
    echo6 = new Program('turnutils_peer', ['-p', String(echoPort), '-L', '::1']);
  });
  after(async () => {
    await echo.stop();
    await echo6.stop();
    assert.equal(await server.stop(), 0, server.transcript());
  });

  it('turnutils_stunclient gets its address', async () => {
    const client = new Program('turnutils_stunclient', ['-p', String(server.turnPort), '127.0.0.1']);
    await client.finish(20);
    const text = [...client.lines, ...client.errors].join('\n');
    assert.match(text, /UDP reflexive addr: 127\.0\.0\.1:\d+/, client.transcript());
  });

  // Each client is a pair, RTP and RTCP, of which the second comes with the token
  // for a port that perhaps another thread reserved; unless there is a -c.
  for (const [name, args] of [
    ['channels', ['-n', '200', '-m', '4', '-l', '170', '-z', '5']],
    ['Send indications', ['-s', '-n', '200', '-m', '4', '-l', '170', '-z', '5']],
    ['without RTCP pairs', ['-c', '-n', '200', '-m', '4', '-l', '1000', '-z', '5']],
    ['padded channel data', ['-D', '-n', '100', '-m', '4', '-l', '171', '-z', '5']],
    ['many clients', ['-n', '40', '-m', '20', '-l', '170', '-z', '10']],
    ['client to client', ['-y', '-c', '-n', '100', '-m', '4', '-l', '170', '-z', '5']],
    ['DONT-FRAGMENT', ['-g', '-n', '200', '-m', '4', '-l', '170', '-z', '5']],
    ['DONT-FRAGMENT in Send indications', ['-g', '-s', '-n', '200', '-m', '4', '-l', '170', '-z', '5']],
    ['requests beyond those needed', ['-G', '-n', '100', '-m', '4', '-l', '170', '-z', '5']],
    ['no permissions beside channels', ['-I', '-n', '100', '-m', '4', '-l', '170', '-z', '5']],
    ['ORIGIN, and BANDWIDTH', ['-o', 'https://example.org', '-a', '100000', '-n', '100', '-m', '4', '-l', '170', '-z', '5']],
  ]) {
    it(`turnutils_uclient over UDP: ${name}`, async () => expectNoLoss(await uclient(...args), 400));
  }

  // To the port of HTTP, where the first byte tells TURN apart.
  for (const [name, args] of [
    ['channels', ['-n', '200', '-m', '4', '-l', '170', '-z', '5']],
    ['Send indications', ['-s', '-n', '200', '-m', '4', '-l', '171', '-z', '5']],
    ['without RTCP pairs', ['-c', '-n', '200', '-m', '4', '-l', '1000', '-z', '5']],
    ['many clients', ['-n', '40', '-m', '20', '-l', '170', '-z', '10']],
    ['client to client', ['-y', '-c', '-n', '100', '-m', '4', '-l', '170', '-z', '5']],
  ]) {
    it(`turnutils_uclient over TCP: ${name}`, async () =>
      expectNoLoss(await uclientAt(+new URL(server.url).port, '-t', ...args), 400));
  }

  // TCP to peers (RFC 6062), which is relayed to clients on TCP and TLS only. The
  // second connections of a client come to whichever thread.
  for (const [threads, ...modes] of [['1', ['-t']], ['4', ['-t'], ['-t', '-S']]]) {
    it(`turnutils_uclient relays TCP, with ${threads} threads`, async () => {
      const folder = temporaryFolder();
      const tls = await startKyuud('--user', 'alice:secret', '--threads', threads, ...certificateIn(folder));
      const port = +tls.transcript().match(/https:\/\/127\.0\.0\.1:(\d+)/)[1];
      for (const mode of modes) {
        const load = ['-T', ...mode, '-n', '50', '-l', '170', '-z', '5'];
        expectNoLoss(await uclientAt(port, ...load, '-m', '8', '-c'), 400);
        // Peers that connect: each second client is one, and uclient counts what
        // those send without ever counting an answer (with coturn, too). With -S
        // they would speak TLS to the other client.
        if (mode.includes('-S')) continue;
        const passive = await uclientAt(port, ...load, '-P', '-m', '8', '-c');
        expectCounts(passive, 400, (sent) => sent / 2);
      }
      assert.equal(await tls.stop(), 0, tls.transcript());
      const joined = tls.errors.join('\n').match(/peers_joined=(\d+)/);
      assert.ok(+joined[1] >= 16, tls.transcript());
    });
  }

  it('turnutils_uclient is refused TCP where it is not offered', async () => {
    const off = await startKyuud('--user', 'alice:secret', '--tcp-relay', 'refuse');
    const client = await uclientAt(+new URL(off.url).port, '-T', '-t', '-n', '1', '-m', '1');
    assert.match([...client.lines, ...client.errors].join('\n'), /442|Unsupported Transport/i, client.transcript());
    assert.equal(await off.stop(), 0, off.transcript());
  });

  it('turnutils_uclient over TLS and DTLS', async () => {
    const tls = await startKyuud('--user', 'alice:secret', ...certificateIn(temporaryFolder()));
    const port = +tls.transcript().match(/https:\/\/127\.0\.0\.1:(\d+)/)[1];
    for (const mode of [[], ['-s']]) {
      const load = ['-S', ...mode, '-n', '100', '-m', '4', '-l', '170', '-z', '5'];
      expectNoLoss(await uclientAt(port, '-t', ...load), 400);
      expectNoLoss(await uclientAt(tls.turnPort, ...load), 400);
    }
    assert.equal(await tls.stop(), 0, tls.transcript());
  });

  it('turnutils_uclient over UDP: relayed over IPv6', async () => {
    const six = await startKyuud('--turn-listen', '127.0.0.1:0', '--turn-listen', '[::1]:0', '--user', 'alice:secret');
    expectNoLoss(await uclientAt(six.turnPort, '-x', '-e', '::1', '-n', '100', '-m', '4', '-z', '5'), 400);
    assert.equal(await six.stop(), 0, six.transcript());
    assert.match(six.errors.join('\n'), /relays from \[::1\]/);
  });

  it('turnutils_uclient over UDP: allocations of both families', async () => {
    const both = await startKyuud('--turn-listen', '127.0.0.1:0', '--turn-listen', '[::1]:0', '--user', 'alice:secret');
    for (const args of [[], ['-s'], ['-x', '-e', '::1'], ['-x', '-s', '-e', '::1']]) {
      expectNoLoss(await uclientAt(both.turnPort, '-Z', ...args, '-n', '50', '-m', '4', '-z', '5'), 200);
    }
    assert.equal(await both.stop(), 0, both.transcript());
  });

  // From another port, by UDP and by TCP, to whichever thread. (With -S uclient
  // breaks down when it moves, at coturn's server too.)
  for (const threads of ['1', '2', '8']) {
    it(`turnutils_uclient moves with its ticket, with ${threads} threads`, async () => {
      const server = await startKyuud('--user', 'alice:secret', '--threads', threads);
      for (const [port, ...mode] of [[server.turnPort], [server.turnPort, '-s'], [+new URL(server.url).port, '-t']]) {
        expectNoLoss(await uclientAt(port, '-M', '-c', ...mode, '-n', '50', '-m', '8', '-l', '170', '-z', '5'), 400);
      }
      assert.equal(await server.stop(), 0, server.transcript());
      assert.match(server.errors.join('\n'), /moves=24/);
    });
  }

  it('turnutils_natdiscovery finds out that there is no NAT', async () => {
    const [first, second] = [echoPort + 1000, echoPort + 2000];
    const two = await startKyuud('--discovery', `127.0.0.1:${first}`, '--discovery', `127.0.0.2:${second}`);
    const client = new Program('turnutils_natdiscovery', ['-m', '-f', '-p', String(first), '127.0.0.1']);
    await client.finish(60);
    const text = [...client.lines, ...client.errors].join('\n');
    assert.match(text, /Endpoint Independent Mapping/, client.transcript());
    assert.match(text, /Endpoint Independent Filtering/, client.transcript());
    assert.equal(await two.stop(), 0, two.transcript());
  });

  // uclient makes name and password of the secret: what every manual of Nextcloud,
  // Matrix and Jitsi tells people to configure.
  it('turnutils_uclient with a secret (REST)', async () => {
    const rest = await startKyuud('--rest-secret', 'south', '--rest-secret', 'north', '--realm', 'example.org');
    for (const mode of [[], ['-t']]) {
      const port = mode.length ? +new URL(rest.url).port : rest.turnPort;
      expectNoLoss(await uclientAt(port, ...mode, '-u', 'ann', '-W', 'north', '-n', '100', '-m', '4', '-l', '170', '-z', '5'), 400);
    }
    const wrong = await uclientAt(rest.turnPort, '-u', 'ann', '-W', 'east', '-n', '1', '-m', '1');
    assert.match([...wrong.lines, ...wrong.errors].join('\n'), /401|Unauthorized|Cannot complete Allocation/i, wrong.transcript());
    assert.equal(await rest.stop(), 0, rest.transcript());
    assert.match(rest.errors.join('\n'), /relays from \S+ for \d+:ann/);
  });

  it('turnadmin makes the key of a user, and turnutils_uclient is let in', async () => {
    const key = execFileSync('turnadmin', ['-k', '-u', 'ann', '-r', 'example.org', '-p', 'secret'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .match(/0x[0-9a-f]{32}/)[0];
    const keyed = await startKyuud('--user', `ann:${key}`, '--realm', 'example.org');
    expectNoLoss(await uclientAt(keyed.turnPort, '-u', 'ann', '-n', '100', '-m', '4', '-l', '170', '-z', '5'), 400);
    assert.equal(await keyed.stop(), 0, keyed.transcript());
  });

  it('a wrong password gets 401 and no allocation', async () => {
    const client = await uclient('-n', '1', '-m', '1', '-w', 'wrong');
    const text = [...client.lines, ...client.errors].join('\n');
    assert.match(text, /401|Unauthorized|Cannot complete Allocation/i, client.transcript());
    assert.doesNotMatch(text, /tot_recv_msgs=[1-9]/, client.transcript());
  });
});

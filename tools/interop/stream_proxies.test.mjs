// TURN over TCP and TLS through real proxies that pass on bytes, and say by the
// PROXY protocol whose they are: nginx (version 1) and HAProxy (1 and 2).

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { here, inNetwork, killLeftovers, kyuu, Program, sleep, startKyuud, temporaryFolder } from './lib.mjs';
import { eventually } from './nodes.mjs';
import { clientsIn, kinds, startProxy } from './stream_proxy.mjs';

const MINUTE = { timeout: 60_000 };
const folder = temporaryFolder();
const [certificate, key] = ['c.pem', 'k.pem'].map((name) => join(folder, name));
const peerPort = 36800 + (process.pid % 1000);
let peer;

before(() => {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=kyuu', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', certificate, '-keyout', key], { stdio: 'ignore' });
  peer = new Program('turnutils_peer', ['-p', String(peerPort), '-L', '127.0.0.1']);
});
after(async () => {
  await peer.stop();
  killLeftovers();
});

// A kyuud behind such a proxy. Its one port tells TURN over TCP and TLS apart.
async function behind(t, kind, ...flags) {
  const trust = flags.some((flag) => flag.startsWith('--proxy-protocol-from')) ? [] : ['--proxy-protocol-from=127.0.0.1/32'];
  const server = await startKyuud('--user', 'alice:secret', '--realm', 'example.org', '--log-format', 'json',
    '--tls-certificate', certificate, '--tls-key', key, ...trust, ...flags);
  const backend = server.transcript().match(/https:\/\/127\.0\.0\.1:(\d+)/)[1];
  const proxy = await startProxy(kind, backend);
  t.after(() => Promise.all([proxy.stop('SIGKILL'), server.stop('SIGKILL')]));
  return { port: proxy.port, server };
}

// coturn's client at `local`, with so many allocations.
async function uclient(local, port, allocations, ...mode) {
  const client = new Program('turnutils_uclient', ['-u', 'alice', '-w', 'secret', '-L', local, '-p', String(port), '-t', ...mode, '-c',
    '-e', '127.0.0.1', '-r', String(peerPort), '-n', '20', '-l', '170', '-z', '5', '-m', String(allocations), '127.0.0.1']);
  await client.finish(50);
  const text = [...client.lines, ...client.errors].join('\n');
  const [, sent, received] = (text.match(/tot_send_msgs=\d+, tot_recv_msgs=\d+/g)?.pop().match(/=(\d+).*=(\d+)/) ?? []).map(Number);
  return { text, sent, received, transcript: client.transcript() };
}

// One of ours that has no allocation and says nothing; whether it is open a while
// later.
async function idle(t, local, port) {
  const socket = connect({ port, host: '127.0.0.1', localAddress: local });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  const ended = Promise.race([once(socket, 'close'), once(socket, 'end')]).then(() => 'ended');
  socket.resume();
  await once(socket, 'connect');
  return { ended, open: () => Promise.race([ended, sleep(1000).then(() => 'open')]) };
}

test('doctor names the end of the PROXY protocol that was not told of it', MINUTE, async (t) => {
  const said = async (url) => {
    const run = new Program(kyuu, ['--ca-file', certificate, 'doctor', '--json', url]);
    assert.equal(await run.finish(30), 5, run.transcript());
    return JSON.parse(run.lines.join('\n')).findings.find(({ name }) => name === 'healthz');
  };
  const [kind] = Object.values(kinds);
  const untold = await behind(t, kind, '--proxy-protocol-from=10.9.9.9/32');
  assert.match((await said(`https://127.0.0.1:${untold.port}/`)).fix, /proxy-protocol-from = \[/);
  // Who comes to kyuud itself is a proxy that sends none.
  const awaited = await behind(t, kind);
  const at = awaited.server.transcript().match(/https:\/\/127\.0\.0\.1:\d+/)[0];
  assert.match((await said(at)).fix, /send-proxy-v2/);
});

for (const [name, kind] of Object.entries(kinds)) {
  describe(name, () => {
    it('relays over TCP and TLS, and the log has the client itself', MINUTE, async (t) => {
      const { port, server } = await behind(t, kind);
      for (const mode of [[], ['-S']]) {
        const { sent, received, transcript } = await uclient('127.0.0.5', port, 2, ...mode);
        assert.ok(sent >= 40, transcript);
        assert.equal(received, sent, transcript);
      }
      for (const url of [`turn:alice:secret@127.0.0.1:${port}?transport=tcp`, `turns:alice:secret@127.0.0.1:${port}`]) {
        for (const how of [[], ['--tcp']]) {
          const run = new Program(kyuu, ['--ca-file', certificate, 'turn', ...how, url]);
          assert.equal(await run.finish(30), 0, run.transcript());
        }
      }
      // What it has logged may still be on its way to us.
      await eventually(() => clientsIn(server, 'allocation_made').length >= 16);
      const told = clientsIn(server, 'allocation_made');
      // coturn's client makes each allocation twice.
      assert.equal(told.filter(({ client }) => client === '127.0.0.5').length, 8, server.transcript());
      assert.equal(told.filter(({ client }) => client === '127.0.0.1').length, 8, server.transcript());
      // What it has reached is the proxy.
      for (const { server: reached } of told) assert.equal(reached, `127.0.0.1:${port}`);
    });

    // To kyuud all of a machine's own programs are one source, so this is off loopback.
    it('quotas are of each client', MINUTE, async () => {
      const addresses = [1, 5, 6, 7, 8].map((last) => `ip addr add 11.1.1.${last}/24 dev lo`).join(' && ');
      const run = inNetwork(addresses, 'node', join(here, 'peers/proxied_quota.mjs'), name);
      assert.equal(await run.finish(50), 0, run.transcript());
      const { made, refusedWithin, refusedBeyond } = JSON.parse(run.lines.at(-1));
      assert.deepEqual(made, ['11.1.1.5', '11.1.1.6', '11.1.1.7']);
      assert.deepEqual(refusedWithin, []);
      assert.deepEqual(refusedBeyond, ['11.1.1.8']);
    });

    it('connections are counted for each client', MINUTE, async (t) => {
      const { port } = await behind(t, kind, '--connections-per-address', '3');
      const five = [];
      for (let i = 0; i < 5; ++i) {
        five.push(await idle(t, '127.0.0.5', port));
        await sleep(100);  // In this order to the server, too.
      }
      const six = await idle(t, '127.0.0.6', port);
      const states = await Promise.all([...five, six].map((socket) => socket.open()));
      assert.deepEqual(states, ['open', 'open', 'open', 'ended', 'ended', 'open']);
    });

    it('one who is not trusted is no proxy', MINUTE, async (t) => {
      const { port, server } = await behind(t, kind, '--proxy-protocol-from=192.0.2.0/24');
      const began = Date.now();
      const run = new Program(kyuu, ['turn', `turn:alice:secret@127.0.0.1:${port}?transport=tcp`]);
      assert.equal(await run.finish(30), 1, run.transcript());
      const tls = new Program(kyuu, ['--ca-file', certificate, 'turn', `turns:alice:secret@127.0.0.1:${port}`]);
      assert.equal(await tls.finish(30), 1, tls.transcript());
      // At the first bytes, and not once an HTTP request has not come in time (10 s).
      assert.ok(Date.now() - began < 8000, server.transcript());
      assert.deepEqual(clientsIn(server, 'allocation_made'), []);
      assert.equal(await server.stop(), 0, server.transcript());
      assert.match(server.errors.join('\n'), /begins with the PROXY protocol, and is no proxy that is trusted/);
    });

    it('one who is trusted and does not tell is refused', MINUTE, async (t) => {
      const { port, server } = await behind(t, { ...kind, tell: '' });
      for (const url of [`turn:alice:secret@127.0.0.1:${port}?transport=tcp`, `turns:alice:secret@127.0.0.1:${port}`]) {
        const run = new Program(kyuu, ['--ca-file', certificate, 'turn', url]);
        assert.equal(await run.finish(30), 1, run.transcript());
      }
      assert.equal(await server.stop(), 0, server.transcript());
      assert.match(server.errors.join('\n'), /does not say by the PROXY protocol whose it is/);
    });
  });
}

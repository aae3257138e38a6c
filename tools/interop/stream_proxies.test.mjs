// TURN over TCP and TLS through real proxies that pass on bytes, and say by the
// PROXY protocol whose they are: nginx (version 1) and HAProxy (1 and 2).

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePort, killLeftovers, kyuu, Program, sleep, startKyuud, temporaryFolder } from './lib.mjs';

const MINUTE = { timeout: 60_000 };
const folder = temporaryFolder();
chmodSync(folder, 0o777);  // For the user whom proxies run as.
const [certificate, key] = ['c.pem', 'k.pem'].map((name) => join(folder, name));
const ordinary = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};
const peerPort = 36800 + (process.pid % 1000);
let peer;
let places = 0;

before(() => {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=kyuu', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', certificate, '-keyout', key], { stdio: 'ignore' });
  peer = new Program('turnutils_peer', ['-p', String(peerPort), '-L', '127.0.0.1']);
});
after(async () => {
  await peer.stop();
  killLeftovers();
});

// What starts each, from `port` to `backend`; `tell` is its line for the header.
const kinds = {
  'nginx, version 1': { tell: 'proxy_protocol on;', start: nginx },
  'HAProxy, version 1': { tell: 'send-proxy', start: haproxy },
  'HAProxy, version 2': { tell: 'send-proxy-v2', start: haproxy },
};
function nginx(place, port, backend, tell) {
  writeFileSync(join(place, 'nginx.conf'), `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; pid ${place}/pid; error_log stderr;
events {}
stream { server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${backend}; ${tell} } }`);
  return ['nginx', '-p', place, '-e', 'stderr', '-c', join(place, 'nginx.conf')];
}
function haproxy(place, port, backend, tell) {
  writeFileSync(join(place, 'haproxy.cfg'), `global
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen kyuud
    bind 127.0.0.1:${port}
    server kyuud 127.0.0.1:${backend} ${tell}
`);
  return ['haproxy', '-db', '-f', join(place, 'haproxy.cfg')];
}

// A kyuud behind such a proxy. Its one port tells TURN over TCP and TLS apart.
async function behind(t, { start, tell }, ...flags) {
  const trust = flags.some((flag) => flag.startsWith('--proxy-protocol-from')) ? [] : ['--proxy-protocol-from=127.0.0.1/32'];
  const server = await startKyuud('--user', 'alice:secret', '--realm', 'example.org', '--log-format', 'json',
    '--tls-certificate', certificate, '--tls-key', key, ...trust, ...flags);
  const backend = server.transcript().match(/https:\/\/127\.0\.0\.1:(\d+)/)[1];
  const port = await freePort();
  const place = join(folder, String(places++));
  mkdirSync(place);
  chmodSync(place, 0o777);
  const [command, ...args] = start(place, port, backend, tell);
  const proxy = new Program(command, args, { ...ordinary, env: { ...process.env, HOME: place, PATH: `${process.env.PATH}:/usr/sbin` } });
  t.after(() => Promise.all([proxy.stop('SIGKILL'), server.stop('SIGKILL')]));
  for (const deadline = Date.now() + 15_000; ; await sleep(30)) {
    const socket = connect(port, '127.0.0.1');
    const open = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]).catch(() => false);
    socket.destroy();
    if (open) break;
    assert.ok(Date.now() < deadline && proxy.code === undefined, proxy.transcript());
  }
  return { port, server, proxy };
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

// Of whom the log tells that, by the words of its events.
const clientsIn = (server, event) => server.errors.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
  .filter((line) => line.event === event).map((line) => ({ client: line.client?.replace(/:\d+$/, ''), server: line.server }));

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
      const told = clientsIn(server, 'allocation_made');
      // coturn's client makes each allocation twice.
      assert.equal(told.filter(({ client }) => client === '127.0.0.5').length, 8, server.transcript());
      assert.equal(told.filter(({ client }) => client === '127.0.0.1').length, 8, server.transcript());
      // What it has reached is the proxy.
      for (const { server: reached } of told) assert.equal(reached, `127.0.0.1:${port}`);
    });

    it('quotas are of each client', MINUTE, async (t) => {
      const { port, server } = await behind(t, kind, '--allocations-per-source', '4');
      // Each makes two, of which it keeps one; of one address they would be too many.
      const within = await Promise.all(['127.0.0.5', '127.0.0.6', '127.0.0.7'].map((local) => uclient(local, port, 1)));
      for (const { sent, received, transcript } of within) {
        assert.ok(sent >= 20, transcript);
        assert.equal(received, sent, transcript);
      }
      assert.deepEqual(clientsIn(server, 'allocation_refused'), []);
      const beyond = await uclient('127.0.0.8', port, 5);
      assert.match(beyond.text, /486|Quota/i, beyond.transcript);
      const refused = clientsIn(server, 'allocation_refused');
      assert.ok(refused.length > 0 && refused.every(({ client }) => client === '127.0.0.8'), server.transcript());
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
      const run = new Program(kyuu, ['turn', `turn:alice:secret@127.0.0.1:${port}?transport=tcp`]);
      assert.equal(await run.finish(30), 1, run.transcript());
      const tls = new Program(kyuu, ['--ca-file', certificate, 'turn', `turns:alice:secret@127.0.0.1:${port}`]);
      assert.equal(await tls.finish(30), 1, tls.transcript());
      assert.deepEqual(clientsIn(server, 'allocation_made'), []);
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

// kyuud behind real proxies, with exactly the lines that `kyuu doctor --proxy`
// prints for them: what people do works, and doctor has no complaint. With a line
// less it names the line.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import WebSocket from 'ws';
import { freePort, killLeftovers, kyuu, Program, sleep, startKyuud, temporaryFolder } from './lib.mjs';

const MINUTE = { timeout: 60_000 };
after(killLeftovers);

const folder = temporaryFolder();
chmodSync(folder, 0o777);  // For the user whom proxies run as.
const certificate = join(folder, 'proxy.pem');
execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
  '-nodes', '-days', '365', '-subj', '/CN=kyuu', '-addext', 'subjectAltName=IP:127.0.0.1',
  '-out', certificate, '-keyout', `${certificate}.key`], { stdio: 'ignore' });
chmodSync(`${certificate}.key`, 0o644);

// An ordinary user, whoever runs the test.
const ordinary = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};
let places = 0;

async function listening(program, port) {
  for (const deadline = Date.now() + 15_000; ; await sleep(30)) {
    const socket = connect(port, '127.0.0.1');
    const open = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)])
      .catch(() => false);
    socket.destroy();
    if (open) return;
    assert.ok(Date.now() < deadline && program.code === undefined, program.transcript());
  }
}

// How each is started with `lines` and nothing of its own but where its files are.
const start = {
  nginx(place, lines) {
    writeFileSync(join(place, 'kyuu.conf'), lines);
    writeFileSync(join(place, 'nginx.conf'), `daemon off; master_process off; pid ${place}/pid; error_log stderr;
events {}
http { access_log off; client_body_temp_path ${place}/b; proxy_temp_path ${place}/p; fastcgi_temp_path ${place}/f;
uwsgi_temp_path ${place}/u; scgi_temp_path ${place}/s; include ${place}/kyuu.conf; }`);
    return ['nginx', '-p', place, '-e', 'stderr', '-c', join(place, 'nginx.conf')];
  },
  haproxy(place, lines) {
    writeFileSync(join(place, 'haproxy.cfg'), `global\n    maxconn 200\n${lines}`);
    return ['haproxy', '-db', '-f', join(place, 'haproxy.cfg')];
  },
  caddy(place, lines) {
    writeFileSync(join(place, 'Caddyfile'),
      `{\n  admin off\n  auto_https disable_redirects\n  storage file_system ${place}/caddy\n}\n${lines}`);
    return ['caddy', 'run', '--adapter', 'caddyfile', '--config', join(place, 'Caddyfile')];
  },
};

// A kyuud behind the proxy, at `scheme`://127.0.0.1:PORT/`path`. `change` may spoil the lines.
async function behind(t, kind, scheme, path, { change = (lines) => lines, flags } = {}) {
  const port = await freePort();
  const site = `${scheme}://127.0.0.1:${port}${path}`;
  const server = await startKyuud(...(flags ?? ['--public-url', site, '--proxy', '127.0.0.1', '--connections-per-address', '6', '--compression', 'on']));
  const tls = scheme === 'https' ? ['--tls-certificate', certificate, '--tls-key', `${certificate}.key`] : [];
  const lines = execFileSync(kyuu, ['doctor', '--proxy', kind, '--public-url', site, ...tls, server.url],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const spoiled = change(lines);
  const place = join(folder, String(places++));
  mkdirSync(place);
  chmodSync(place, 0o777);
  const [command, ...args] = start[kind](place, spoiled);
  const proxy = new Program(command, args, { ...ordinary, env: { ...process.env, HOME: place, PATH: `${process.env.PATH}:/usr/sbin` } });
  t.after(async () => {
    await Promise.all([proxy.stop('SIGKILL'), server.stop('SIGKILL')]);
  });
  await listening(proxy, port);
  return { site: `${site}/`, port, server, proxy, place };
}

// What doctor finds, by the name of the check; `status` is its exit status.
async function doctor(site, ...args) {
  const run = new Program(kyuu, ['--ca-file', certificate, 'doctor', '--json', ...args, site]);
  const status = await run.finish(30);
  assert.ok(run.lines.length > 0, run.transcript());
  const { findings } = JSON.parse(run.lines.join('\n'));
  return { status, findings, of: (name) => findings.find((f) => f.name === name), transcript: JSON.stringify(findings, null, 1) };
}

function get(url, options = {}) {
  const ask = url.startsWith('https') ? tlsRequest : plainRequest;
  return new Promise((resolve, reject) => {
    ask(url, { rejectUnauthorized: false, agent: false, ...options }, (response) => {
      let body = '';
      response.on('data', (data) => { body += data; }).on('end', () => resolve({ status: response.statusCode, body }));
    }).on('error', reject).end();
  });
}

// A WebSocket of a client at `localAddress`: open, or the status that it got.
async function socketFrom(site, localAddress) {
  const socket = new WebSocket(`${site.replace('http', 'ws')}v1/ws`, 'kyuu.v1', { localAddress, rejectUnauthorized: false });
  return Promise.race([
    once(socket, 'open').then(() => ({ socket })),
    once(socket, 'unexpected-response').then(([, response]) => ({ status: response.statusCode })),
  ]);
}

for (const kind of ['nginx', 'haproxy', 'caddy']) {
  for (const [scheme, path] of [['http', ''], ['https', '/talk/here']]) {
    test(`${kind}: ${scheme} at "${path}/"`, MINUTE, async (t) => {
      const { site, place } = await behind(t, kind, scheme, path);
      // The page, and what it is made of.
      const page = await get(site);
      assert.equal(page.status, 200);
      assert.match(page.body, /<!doctype html>/i);
      assert.equal((await get(`${site}app.js`)).status, 200);
      // Whom the server sees.
      const seen = JSON.parse((await get(`${site}v1/whoami`, { localAddress: '127.0.0.5' })).body);
      assert.equal(seen.address, '127.0.0.5');
      assert.equal(seen.forwarded_for, 'used');
      // Whose limits they are: the client's, and nobody can choose another's.
      const sockets = [];
      t.after(() => { for (const { socket } of sockets) socket?.terminate(); });
      for (let i = 0; i < 7; ++i) sockets.push(await socketFrom(site, '127.0.0.5'));
      assert.deepEqual(sockets.map((s) => s.status), [...Array(6).fill(undefined), 503]);
      sockets.push(await socketFrom(site, '127.0.0.6'));
      // Proxies pass compression (RFC 7692) on, and what is compressed.
      const { socket } = sockets[7];
      assert.equal(socket.extensions, 'permessage-deflate');
      socket.send(JSON.stringify({ type: 'hello', version: 1, unknown: 'x'.repeat(3000) }));
      const [welcome] = await once(socket, 'message');
      assert.equal(JSON.parse(welcome).type, 'welcome');
      // What doctor says. A proxy of HTTP passes on no TURN over TCP and TLS, and that is said.
      const found = await doctor(site);
      assert.equal(found.status, 0, found.transcript);
      const others = found.findings.filter((f) => f.verdict !== 'pass').map((f) => `${f.verdict} ${f.name}`);
      assert.deepEqual(others, ['not_seen idle', 'warn relay-ways'], found.transcript);
      // A file from one kyuu to another.
      const file = join(place, 'file.bin');
      writeFileSync(file, 'through the proxy');
      mkdirSync(join(place, 'in'));
      const trust = ['--ca-file', certificate];
      const bob = new Program(kyuu, [...trust, 'recv', site, 'bob', '--yes', '--once', '--dir', join(place, 'in')]);
      await bob.waitFor(/bob/);
      const send = new Program(kyuu, [...trust, 'send', site, file, '--to', 'bob']);
      assert.equal(await send.finish(20), 0, send.transcript());
      assert.equal(await bob.finish(20), 0, bob.transcript());
      assert.equal(readFileSync(join(place, 'in/file.bin'), 'utf8'), 'through the proxy');
    });
  }
}

test('nginx without the lines for the upgrade', MINUTE, async (t) => {
  const { site } = await behind(t, 'nginx', 'http', '/talk',
    { change: (lines) => lines.replace(/^.*(proxy_http_version|Upgrade|Connection).*\n/gm, '') });
  const found = await doctor(site);
  assert.equal(found.status, 5);
  const { verdict, what, fix } = found.of('websocket');
  assert.equal(verdict, 'fail');
  assert.match(what, /426/);
  assert.match(fix, /proxy_set_header Upgrade \$http_upgrade;/);
  assert.match(fix, /location \/talk\/ \{/);
  const events = found.of('without-websockets');
  assert.equal(events.verdict, 'pass', found.transcript);
  assert.match(events.what, /the page and kyuu go on by them/);
});

test('nginx that holds events back', MINUTE, async (t) => {
  const { site } = await behind(t, 'nginx', 'http', '/talk',
    { change: (lines) => lines.replace('proxy_http_version 1.1;', '$& proxy_ignore_headers X-Accel-Buffering;') });
  const found = await doctor(site);
  // Who comes by WebSocket does not notice.
  assert.equal(found.status, 0, found.transcript);
  const { verdict, what, fix } = found.of('without-websockets');
  assert.equal(verdict, 'warn', found.transcript);
  assert.match(what, /a proxy holds server-sent events back/);
  assert.match(fix, /proxy_buffering off;/);
});

test('HAProxy and Caddy that drop the upgrade', MINUTE, async (t) => {
  const spoiled = {
    haproxy: (lines) => lines.replace(/option forwardfor/, '$&\n    http-request del-header Upgrade\n    http-request del-header Connection'),
    caddy: (lines) => lines.replace(/reverse_proxy .*/, '$& {\n header_up -Upgrade\n header_up -Connection\n}'),
  };
  for (const [kind, change] of Object.entries(spoiled)) {
    const { site } = await behind(t, kind, 'http', '', { change });
    const found = await doctor(site);
    assert.equal(found.status, 5, kind);
    assert.equal(found.of('websocket').verdict, 'fail', found.transcript);
    // HAProxy does not say who it is.
    assert.match(found.of('websocket').fix, kind === 'caddy' ? /reverse_proxy 127/ : /kyuu doctor --proxy nginx --public-url/);
  }
});

test('a wrong sub-path, and a proxy in front of nobody', MINUTE, async (t) => {
  const { site, server } = await behind(t, 'nginx', 'https', '/talk');
  const elsewhere = await doctor(site.replace('/talk/', '/tlak/'));
  assert.equal(elsewhere.status, 5);
  assert.equal(elsewhere.of('healthz').verdict, 'fail');
  assert.match(elsewhere.of('websocket').what, /sub-path/);
  assert.match(elsewhere.of('websocket').fix, /location \/tlak\//);
  await server.stop('SIGKILL');
  const nobody = await doctor(site);
  assert.match(nobody.of('healthz').what, /502.*does not reach kyuud/);
  assert.equal(nobody.of('tls-chain').verdict, 'pass');
});

test('addresses that are not told, or not believed', MINUTE, async (t) => {
  const untold = await behind(t, 'nginx', 'http', '',
    { change: (lines) => lines.replace(/^.*X-Forwarded-For.*\n/m, '') });
  const silent = await doctor(untold.site);
  assert.equal(silent.status, 0);
  assert.equal(silent.of('client-address').verdict, 'warn', silent.transcript);
  assert.match(silent.of('client-address').fix, /X-Forwarded-For/);
  const unbelieved = await behind(t, 'caddy', 'http', '', { flags: [] });
  const ignored = (await doctor(unbelieved.site)).of('client-address');
  assert.equal(ignored.verdict, 'warn');
  assert.match(ignored.fix, /proxies = \["127\.0\.0\.1"\]/);
});

test('proxies that cut what is silent', MINUTE, async (t) => {
  const spoiled = {
    nginx: (lines) => lines.replace('proxy_read_timeout 1h', 'proxy_read_timeout 1s'),
    haproxy: (lines) => lines.replace('timeout tunnel 1h', 'timeout tunnel 1s'),
  };
  await Promise.all(Object.entries(spoiled).map(async ([kind, change]) => {
    const { site } = await behind(t, kind, 'http', '', { change });
    const found = await doctor(site, '--slow=4');
    assert.equal(found.status, 5, found.transcript);
    assert.equal(found.of('idle').verdict, 'fail', found.transcript);
    assert.match(found.of('idle').fix, kind === 'nginx' ? /proxy_read_timeout 1h;/ : /kyuu doctor --proxy/);
  }));
  const { site } = await behind(t, 'nginx', 'http', '');
  assert.equal((await doctor(site, '--slow=2')).of('idle').verdict, 'pass');
});

// Proxies that pass on bytes, and say by the PROXY protocol whose they are.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort, Program, sleep, temporaryFolder } from './lib.mjs';

// What starts each, from a port of `address` to `backend` of 127.0.0.1; `tell` is its line for the header.
export const kinds = {
  'nginx, version 1': { tell: 'proxy_protocol on;', start: nginx },
  'HAProxy, version 1': { tell: 'send-proxy', start: haproxy },
  'HAProxy, version 2': { tell: 'send-proxy-v2', start: haproxy },
};
function nginx(place, address, port, backend, tell) {
  writeFileSync(join(place, 'nginx.conf'), `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; pid ${place}/pid; error_log stderr;
events {}
stream { server { listen ${address}:${port}; proxy_pass 127.0.0.1:${backend}; ${tell} } }`);
  return ['nginx', '-p', place, '-e', 'stderr', '-c', join(place, 'nginx.conf')];
}
function haproxy(place, address, port, backend, tell) {
  writeFileSync(join(place, 'haproxy.cfg'), `global
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen kyuud
    bind ${address}:${port}
    server kyuud 127.0.0.1:${backend} ${tell}
`);
  return ['haproxy', '-db', '-f', join(place, 'haproxy.cfg')];
}

// An ordinary user, whoever runs the test.
const ordinary = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};
let folder;
let places = 0;

// Starts one, and waits until it listens.
export async function startProxy({ start, tell }, backend, address = '127.0.0.1') {
  folder ??= temporaryFolder();
  chmodSync(folder, 0o777);  // For the user whom proxies run as.
  const place = join(folder, String(places++));
  mkdirSync(place);
  chmodSync(place, 0o777);
  const port = await freePort();
  const [command, ...args] = start(place, address, port, backend, tell);
  const proxy = new Program(command, args, { ...ordinary, env: { ...process.env, HOME: place, PATH: `${process.env.PATH}:/usr/sbin` } });
  for (const deadline = Date.now() + 15_000; ; await sleep(30)) {
    const socket = connect(port, address);
    const open = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]).catch(() => false);
    socket.destroy();
    if (open) return Object.assign(proxy, { port });
    assert.ok(Date.now() < deadline && proxy.code === undefined, proxy.transcript());
  }
}

// Of whom kyuud's log in JSON tells by that word of an event.
export const clientsIn = (server, event) => server.errors.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
  .filter((line) => line.event === event).map((line) => ({ client: line.client?.replace(/:\d+$/, ''), server: line.server }));

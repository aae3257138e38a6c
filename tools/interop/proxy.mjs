// Proxies on loopback: a way to a server that a test can cut and mend, and one
// that shows a server below a path.

import { once } from 'node:events';
import { createServer as createHttpServer, request } from 'node:http';
import { connect, createServer } from 'node:net';

export class Proxy {
  // Forwards to the server at `url`; `proxy.url` is where it listens itself.
  static async to(url) {
    const proxy = new Proxy();
    proxy.sockets = new Set();
    proxy.mended = true;
    proxy.target = url;
    proxy.server = createServer((inner) => {
      if (!proxy.mended) return inner.destroy();
      const { hostname, port } = new URL(proxy.target);
      const outer = connect(port, hostname);
      for (const [from, to] of [[inner, outer], [outer, inner]]) {
        proxy.sockets.add(from);
        from.on('close', () => { proxy.sockets.delete(from); to.destroy(); });
        from.on('error', () => {});
        from.pipe(to);
      }
    });
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }
  // Ends all connections, and each new one until mend().
  cut() {
    this.mended = false;
    for (const socket of this.sockets) socket.destroy();
  }
  // From then on it forwards to `target`, if that is given.
  mend(target) {
    this.target = target ?? this.target;
    this.mended = true;
  }
  close() {
    this.cut();
    this.server.close();
  }
}

// An HTTP proxy that serves what is at `url` below `path` ("/kyuu"), and takes
// that off. `host`: what it tells the server that it was asked for, if not
// what the client said; `upgrades: false` does not pass WebSockets on. `instead`,
// a Map of file names to functions that change their text, may be filled later; while
// `down` is set it answers as one whose server is away. Requests of which `holds()`
// says so get no further.
export class PathProxy {
  static async to(url, path, { host, upgrades = true } = {}) {
    const proxy = new PathProxy();
    proxy.instead = new Map();
    const { hostname, port } = new URL(url);
    const forward = (incoming) => {
      const headers = { ...incoming.headers, ...(host && { host }) };
      if (!upgrades) delete headers.upgrade;
      // A connection each: of one that was kept, a busy process learns too late that it has ended.
      return request({ hostname, port, method: incoming.method, path: incoming.url.slice(path.length), headers, agent: false });
    };
    const changed = async (change, name, response) => {
      const answer = await fetch(new URL(name, url));
      const { 'content-length': length, ...headers } = Object.fromEntries(answer.headers);
      response.writeHead(answer.status, { ...headers, etag: '"changed"' }).end(change(await answer.text()));
    };
    const isOurs = (incoming, answer) => {
      if (incoming.url.startsWith(`${path}/`)) return true;
      answer();
      return false;
    };
    proxy.server = createHttpServer((incoming, response) => {
      if (!isOurs(incoming, () => response.writeHead(404).end())) return;
      if (proxy.down) {
        response.writeHead(502).end();
        return;
      }
      if (proxy.holds?.(incoming)) return;
      const change = proxy.instead.get(incoming.url.slice(path.length + 1));
      if (change) {
        changed(change, incoming.url.slice(path.length), response);
        return;
      }
      incoming.pipe(forward(incoming)
        .on('response', (answer) => {
          // Whoever does not want the answer any more is not asked for on either side.
          response.on('close', () => answer.destroy());
          answer.pipe(response.writeHead(answer.statusCode, answer.headers));
        })
        .on('error', () => response.destroy()));
    });
    proxy.server.on('upgrade', (incoming, socket) => {
      socket.on('error', () => {});
      const end = (answer) => socket.end(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nConnection: close\r\n\r\n`);
      if (proxy.down || !isOurs(incoming, () => socket.destroy())) {
        socket.destroy();
        return;
      }
      forward(incoming)
        .on('response', end)
        .on('upgrade', (answer, outer) => {
          const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`);
          socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`);
          outer.on('error', () => socket.destroy());
          socket.on('close', () => outer.destroy());
          outer.pipe(socket).pipe(outer);
        })
        .on('error', () => socket.destroy())
        .end();
    });
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}${path}`;
    return proxy;
  }
  close() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

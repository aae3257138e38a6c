// A way to a server that a test can cut and mend: a TCP proxy on loopback.

import { connect, createServer } from 'node:net';
import { once } from 'node:events';

export class Proxy {
  // Forwards to the server at `url`; `proxy.url` is where it listens itself.
  static async to(url) {
    const proxy = new Proxy();
    proxy.sockets = new Set();
    proxy.mended = true;
    const { hostname, port } = new URL(url);
    proxy.server = createServer((inner) => {
      if (!proxy.mended) return inner.destroy();
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
  mend() { this.mended = true; }
  close() {
    this.cut();
    this.server.close();
  }
}

// Bare sockets towards kyuud, able to say what no well-behaved client says: HTTP,
// WebSocket frames, STUN and TURN messages.

import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';

const WAIT = 20_000;

// Rejects unless `promise` settles in time.
export async function within(promise, what, ms = WAIT) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// A TCP connection; `received` grows, `ended` resolves when the server is done.
export class Stream {
  static async open(port) {
    const stream = new Stream();
    stream.socket = connect(port, '127.0.0.1');
    stream.received = Buffer.alloc(0);
    stream.socket.on('error', () => {}); // A reset is an end, too.
    stream.ended = new Promise((resolve) => stream.socket.on('close', resolve));
    stream.socket.on('data', (part) => {
      stream.received = Buffer.concat([stream.received, part]);
      stream.onData?.();
    });
    await within(once(stream.socket, 'connect'), `connecting to ${port}`);
    return stream;
  }
  write(data) { if (this.socket.writable) this.socket.write(data); }
  destroy() { this.socket.destroy(); }
}

// Sends bytes as they are and reads until the server closes: {status, text}.
// The status is 0 when it closed without a word.
export async function http(port, bytes, ms) {
  const stream = await Stream.open(port);
  stream.write(bytes);
  await within(stream.ended, `the end of ${JSON.stringify(String(bytes).slice(0, 60))}`, ms);
  const text = stream.received.toString('latin1');
  return { status: Number(text.match(/^HTTP\/1\.1 (\d+)/)?.[1] ?? 0), text };
}

export const get = (port, path) =>
  http(port, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);

export const upgrade = (fields = {}) => {
  const all = {
    Host: '127.0.0.1', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'), 'Sec-WebSocket-Protocol': 'kyuu.v1', ...fields,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET /v1/ws HTTP/1.1\r\n${lines.join('')}\r\n`;
};

// One WebSocket frame of a client (RFC 6455 section 5.2). `length` may lie.
export function frame(opcode, payload = '', { fin = true, rsv = 0, masked = true, length } = {}) {
  const data = Buffer.from(payload);
  const size = length ?? BigInt(data.length);
  const head = [(fin ? 0x80 : 0) | rsv << 4 | opcode];
  const mask = masked ? 0x80 : 0;
  if (size < 126n) head.push(mask | Number(size));
  else if (size < 65536n) head.push(mask | 126, Number(size >> 8n), Number(size & 255n));
  else {
    head.push(mask | 127);
    for (let shift = 56n; shift >= 0n; shift -= 8n) head.push(Number(size >> shift & 255n));
  }
  if (!masked) return Buffer.concat([Buffer.from(head), data]);
  const key = randomBytes(4);
  return Buffer.concat([Buffer.from(head), key, data.map((byte, i) => byte ^ key[i % 4])]);
}
export const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9;

// A signaling session over a bare WebSocket.
export class Session {
  static async open(port) {
    const session = new Session();
    session.messages = [];
    session.stream = await Stream.open(port);
    session.buffer = Buffer.alloc(0);
    session.stream.onData = () => session.#parse();
    session.stream.ended.then(() => session.#wake());
    session.stream.write(upgrade());
    await session.#until(() => session.upgraded, 'the upgrade');
    assert.match(session.upgraded, /^HTTP\/1\.1 101 /);
    return session;
  }
  // Opened, greeted, and, with a name, joined.
  static async start(port, name, room) {
    const session = await Session.open(port);
    session.send({ type: 'hello', version: 1 });
    session.welcome = await session.next('welcome');
    if (name) {
      session.send({ type: 'join', name, room });
      await session.next('joined');
    }
    return session;
  }
  #parse() {
    let rest = this.stream.received;
    if (!this.upgraded) {
      const end = rest.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.upgraded = rest.subarray(0, end).toString();
      rest = rest.subarray(end + 4);
    }
    while (rest.length >= 2) {
      let [size, at] = [rest[1] & 127, 2];
      if (size === 126) {
        if (rest.length < 4) break;
        [size, at] = [rest.readUInt16BE(2), 4];
      }
      if (rest.length < at + size) break;
      const payload = rest.subarray(at, at + size);
      const opcode = rest[0] & 15;
      if (opcode === TEXT) this.messages.push(JSON.parse(payload));
      else if (opcode === CLOSE) {
        this.closeCode = size >= 2 ? payload.readUInt16BE(0) : 1005;
        this.stream.write(frame(CLOSE, payload.subarray(0, 2)));
      }
      else if (opcode === PING) this.stream.write(frame(10, payload));
      rest = rest.subarray(at + size);
    }
    this.stream.received = rest;
    this.#wake();
  }
  #wake() { this.onChange?.(); }
  async #until(condition, what) {
    let over = false;
    this.stream.ended.then(() => { over = true; });
    await within(new Promise((resolve, reject) => {
      this.onChange = () => {
        if (condition()) resolve();
        else if (over) reject(new Error(`the server closed (${this.closeCode}) before ${what}`));
      };
      this.onChange();
    }), what);
  }
  send(message) { this.stream.write(frame(TEXT, typeof message === 'string' ? message : JSON.stringify(message))); }
  // The next message of this type; others before it are kept.
  async next(type) {
    const find = () => this.messages.findIndex((message) => message.type === type);
    await this.#until(() => find() >= 0, type);
    return this.messages.splice(find(), 1)[0];
  }
  // Waits for the end; the code of the server's Close frame, 1006 without one.
  async end() {
    await within(this.stream.ended, 'the end of the session');
    return this.closeCode ?? 1006;
  }
  close() { this.stream.destroy(); }
}

// A UDP socket towards kyuud's TURN port.
export class TurnSocket {
  static async open(port) {
    const turn = new TurnSocket();
    turn.port = port;
    turn.socket = createSocket('udp4');
    turn.socket.bind(0, '127.0.0.1');
    await once(turn.socket, 'listening');
    return turn;
  }
  send(bytes) {
    return new Promise((resolve) => this.socket.send(bytes, this.port, '127.0.0.1', resolve));
  }
  // Sends a request; the answer is {type, attributes}. UDP may lose it when
  // the server is flooded, so that it is asked again, as RFC 8489 has it.
  async ask(type, attributes = [], key) {
    const transaction = randomBytes(12);
    const message = stunMessage(type, transaction, attributes, key);
    let retry;
    try {
      return await within(new Promise((resolve) => {
        this.socket.on('message', (bytes) => {
          if (bytes.length >= 20 && bytes.subarray(8, 20).equals(transaction)) resolve(parseStun(bytes));
        });
        this.send(message);
        retry = setInterval(() => this.send(message), 500);
      }), 'an answer from the TURN port');
    } finally {
      clearInterval(retry);
      this.socket.removeAllListeners('message');
    }
  }
  // Allocates with long-term credentials; the error code, or 0.
  async allocate(username, password) {
    const udp = [0x0019, Buffer.from([17, 0, 0, 0])];
    const first = await this.ask(ALLOCATE, [udp]);
    assert.equal(first.error, 401, 'an Allocate without credentials');
    const [realm, nonce] = [first.attributes.get(0x0014), first.attributes.get(0x0015)];
    const key = createHash('md5').update(`${username}:${realm}:${password}`).digest();
    const answer = await this.ask(ALLOCATE, [udp, [0x0006, Buffer.from(username)], [0x0014, realm], [0x0015, nonce]], key);
    return answer.error;
  }
  close() { this.socket.close(); }
}
export const BINDING = 0x0001, ALLOCATE = 0x0003;

// A STUN message (RFC 8489 section 5), signed if there is a key.
export function stunMessage(type, transaction, attributes, key) {
  const parts = attributes.map(([kind, value]) => {
    const padded = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
    padded.writeUInt16BE(kind, 0);
    padded.writeUInt16BE(value.length, 2);
    value.copy(padded, 4);
    return padded;
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(20);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(body.length + (key ? 24 : 0), 2);
  head.writeUInt32BE(0x2112a442, 4);
  transaction.copy(head, 8);
  const message = Buffer.concat([head, body]);
  if (!key) return message;
  const mac = createHmac('sha1', key).update(message).digest();
  return Buffer.concat([message, Buffer.from([0, 8, 0, 20]), mac]);
}

function parseStun(bytes) {
  const attributes = new Map();
  for (let at = 20; at + 4 <= bytes.length;) {
    const size = bytes.readUInt16BE(at + 2);
    const kind = bytes.readUInt16BE(at);
    if (!attributes.has(kind)) attributes.set(kind, bytes.subarray(at + 4, at + 4 + size));
    at += 4 + Math.ceil(size / 4) * 4;
  }
  const code = attributes.get(0x0009);
  return { type: bytes.readUInt16BE(0), attributes, error: code ? code[2] * 100 + code[3] : 0 };
}

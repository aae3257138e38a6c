// Bad input against a running kyuud over real sockets. Meanwhile two
// well-behaved clients are in a call, and none of it may disturb them.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { killLeftovers, kyuu, kyuud, Program, sleep, startKyuud } from './lib.mjs';
import {
  ALLOCATE, BINARY, BINDING, CLOSE, frame, get, http, PING, Session, Stream, stunMessage, TEXT, TurnSocket, upgrade, within,
} from './sockets.mjs';

const BOUND = { timeout: 120_000 };
let server;
let port;
let wellBehaved;
let unheard; // Programs that ask a port where nobody listens: they try for a while.
before(async () => {
  server = await startKyuud('--user', 'alice:secret', '--log-level', 'debug');
  port = Number(new URL(server.url).port);
  wellBehaved = await WellBehaved.start();
  const closed = await closedPort();
  unheard = [
    { program: new Program(kyuu, ['stun', `127.0.0.1:${closed}`]), closed },
    { program: new Program(kyuu, ['turn', `a:b@127.0.0.1:${closed}`]), closed },
  ];
}, BOUND);
after(async () => {
  try {
    await wellBehaved?.stop();
    // It ends as it should, and none of its own checks has failed.
    assert.equal(await server.stop(), 0, server.transcript());
    const log = server.errors.join('\n');
    assert.doesNotMatch(log, /check failed/);
    // What was no STUN and no channel data was counted: most of the noise below.
    const malformed = Number(log.match(/turn: in all .*\bmalformed=(\d+)/)?.[1]);
    assert.ok(malformed > 500, `${malformed} malformed datagrams were counted`);
  } finally {
    killLeftovers();
  }
}, BOUND);

// Two clients who pass numbered candidates to each other all the time.
class WellBehaved {
  static async start() {
    const pair = new WellBehaved();
    pair.ada = await Session.start(port, 'Ada', 'quiet');
    pair.bob = await Session.start(port, 'Bob', 'quiet');
    pair.ada.send({ type: 'call', to: 'Bob' });
    const { call } = await pair.ada.next('calling');
    await pair.bob.next('incoming');
    pair.bob.send({ type: 'accept', call });
    await Promise.all([pair.ada.next('accepted'), pair.bob.next('accepted')]);
    pair.call = call;
    pair.count = 0;
    pair.running = pair.#talk();
    pair.running.catch(() => {}); // stop() and check() tell.
    return pair;
  }
  async #talk() {
    while (!this.stopping) {
      await this.#pass(this.ada, this.bob);
      await this.#pass(this.bob, this.ada);
      this.count++;
      await sleep(50); // Within the rate that the server allows.
    }
  }
  async #pass(from, to) {
    const text = `candidate:${++this.number} 1 udp 1 192.0.2.1 1 typ host`;
    from.send({ type: 'signal', call: this.call, kind: 'candidate', candidate: { candidate: text } });
    assert.equal((await to.next('signal')).candidate.candidate, text);
  }
  number = 0;
  // One exchange at least since now; nothing else has reached them.
  async check() {
    const begin = this.count;
    while (this.count < begin + 2) await Promise.race([sleep(50), this.running]);
    assert.deepEqual([...this.ada.messages, ...this.bob.messages].filter((m) => m.type !== 'presence'), []);
  }
  async stop() {
    this.stopping = true;
    await this.running;
    this.ada.close();
    this.bob.close();
  }
}

const hostile = (name, run) => test(name, BOUND, async () => {
  await run();
  await wellBehaved.check();
});

// ------------------------------------------------------------------- HTTP

const HOST = 'Host: 127.0.0.1\r\n';
for (const [name, request, ...statuses] of [
  ['no request line', 'nonsense\r\n\r\n', 400],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400],
  ['another version', `GET / HTTP/3.0\r\n${HOST}\r\n`, 400, 505],
  ['a blank before the colon', `GET / HTTP/1.1\r\n${HOST}A : b\r\n\r\n`, 400],
  ['a folded line', `GET / HTTP/1.1\r\n${HOST}A: b\r\n c\r\n\r\n`, 400],
  ['NUL in a value', `GET / HTTP/1.1\r\n${HOST}A: b\0c\r\n\r\n`, 400],
  ['a bare carriage return', `GET / HTTP/1.1\r\n${HOST}A: b\rc\r\n\r\n`, 400],
  ['a target that is no path', `GET evil HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a wrong escape', `GET /%zz HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, 400],
  ['a way out of the root', `GET /..%2f..%2fetc%2fpasswd HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, 400, 404],
  ['two lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`, 400],
  ['a length and a coding', `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['a negative length', `POST / HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`, 400],
  ['a coding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 501],
  ['a huge body', `POST / HTTP/1.1\r\n${HOST}Content-Length: 99999999999\r\n\r\n`, 413],
  ['a method of others', `DELETE / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, 405, 501],
  ['a header of 20 KB', `GET / HTTP/1.1\r\n${HOST}A: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
  ['a header of 1 MB', `GET / HTTP/1.1\r\n${HOST}${'A: b\r\n'.repeat(170_000)}\r\n`, 431, 0],
  ['a request line without end', 'G'.repeat(100_000), 400, 431, 0],
  ['a TLS ClientHello', Buffer.concat([Buffer.from('16030100c8010000c40303', 'hex'), randomBytes(193), Buffer.from('\r\n\r\n')]), 400],
  ['an upgrade without a key', upgrade({ 'Sec-WebSocket-Key': undefined }), 400],
  ['an upgrade with a short key', upgrade({ 'Sec-WebSocket-Key': 'YQ==' }), 400],
  ['an upgrade of another version', upgrade({ 'Sec-WebSocket-Version': '8' }), 426],
  ['an upgrade by a foreign page', upgrade({ Origin: 'https://evil.example', Connection: 'Upgrade, close' }), 403],
]) {
  hostile(`HTTP: ${name}`, async () => {
    const answer = await http(port, request);
    assert.ok(statuses.includes(answer.status), `${answer.status}: ${answer.text.slice(0, 200)}`);
  });
}

hostile('HTTP: 300 half-open connections are cut after their time, and others are served meanwhile', async () => {
  const half = [];
  for (let i = 0; i < 300; ++i) half.push(await Stream.open(port));
  half.forEach((stream, i) => { if (i % 3) stream.write(i % 3 === 1 ? 'GET / HTTP/1.1\r\nHost:' : upgrade().slice(0, -2)); });
  assert.equal((await get(port, '/healthz')).status, 200);
  await wellBehaved.check();
  // The server gives a request's header 10 s.
  await within(Promise.all(half.map((stream) => stream.ended)), 'the end of half-open connections', 60_000);
});

hostile('HTTP: connections that are reset at any moment', async () => {
  const request = upgrade();
  for (let size = 0; size <= request.length; size += 7) {
    const stream = await Stream.open(port);
    stream.write(request.slice(0, size));
    stream.socket.resetAndDestroy();
    await stream.ended;
  }
});

// -------------------------------------------------------------- WebSocket

for (const [name, bytes, ...codes] of [
  ['an unmasked frame', frame(TEXT, '{}', { masked: false }), 1002],
  ['a reserved bit', frame(TEXT, '{}', { rsv: 4 }), 1002],
  ['a reserved opcode', frame(3, 'x'), 1002],
  ['a reserved control opcode', frame(11, 'x'), 1002],
  ['a ping in fragments', frame(PING, 'x', { fin: false }), 1002],
  ['a long ping', frame(PING, 'x'.repeat(126)), 1002],
  ['a continuation of nothing', frame(0, 'x'), 1002],
  ['a message inside another', Buffer.concat([frame(TEXT, '{', { fin: false }), frame(TEXT, '}')]), 1002],
  ['text that is no UTF-8', frame(TEXT, Buffer.from([0x7b, 0xff, 0xfe])), 1007],
  ['text cut inside a character', frame(TEXT, Buffer.from([0xe2, 0x82])), 1007],
  ['a binary message', frame(BINARY, 'x'), 1003],
  ['a message of 64 KiB and one byte', frame(TEXT, 'x'.repeat(65537)), 1009],
  ['a frame of 2^62 bytes', frame(TEXT, 'x', { length: 1n << 62n }), 1009],
  ['a frame of 2^64 - 1 bytes', frame(TEXT, 'x', { length: (1n << 64n) - 1n }), 1002, 1009],
  ['fragments beyond 64 KiB', Buffer.concat([frame(TEXT, 'x'.repeat(40_000), { fin: false }), frame(0, 'x'.repeat(40_000))]), 1009],
  ['a Close of one byte', frame(CLOSE, 'x'), 1002],
  ['a Close with a code that is never sent', frame(CLOSE, Buffer.from([0x03, 0xed])), 1002],
  ['a Close that is no UTF-8', frame(CLOSE, Buffer.from([0x03, 0xe8, 0xff])), 1007],
]) {
  hostile(`WebSocket: ${name}`, async () => {
    const session = await Session.start(port, 'Eve');
    session.stream.write(bytes);
    const code = await session.end();
    assert.ok(codes.includes(code), `closed with ${code}`);
  });
}

hostile('WebSocket: random bytes after the upgrade', async () => {
  for (let i = 0; i < 40; ++i) {
    const session = await Session.open(port);
    // The first byte is no valid frame's, so that the server need not wait for more.
    session.stream.write(Buffer.concat([Buffer.from([0xf3]), randomBytes(1 + i * 50)]));
    assert.equal(await session.end(), 1002);
  }
});

hostile('WebSocket: valid frames with one bit flipped', async () => {
  const original = frame(TEXT, '{"type":"ping","id":1}');
  for (let bit = 0; bit < original.length * 8; bit += 3) {
    const session = await Session.start(port);
    const flipped = Buffer.from(original);
    flipped[bit >> 3] ^= 1 << (bit & 7);
    session.stream.write(flipped);
    session.stream.socket.end();
    await session.end();
  }
});

hostile('WebSocket: a client that never says hello is closed', async () => {
  const silent = await Session.open(port);
  assert.equal(await silent.end(), 1008);
});

// ---------------------------------------------------------------- messages

for (const [name, message, code] of [
  ['nothing', '', 'bad_message'],
  ['half an object', '{"type":"ping"', 'bad_message'],
  ['an array', '[]', 'bad_message'],
  ['null', 'null', 'bad_message'],
  ['a number for a type', '{"type":7}', 'bad_message'],
  ['no type', '{"id":1}', 'bad_message'],
  ['something behind the object', '{"type":"ping"}{}', 'bad_message'],
  ['a member twice', '{"type":"ping","type":"leave"}', 'bad_message'],
  ['NaN', '{"type":"ping","id":NaN}', 'bad_message'],
  ['an id of a wrong type', '{"type":"ping","id":{}}', 'bad_message'],
  ['half a surrogate', '{"type":"call","to":"\\ud800"}', 'bad_message'],
  ['nesting beyond 16', `{"type":"ping","x":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 'too_large'],
  ['members beyond 64', JSON.stringify({ type: 'update', meta: Object.fromEntries([...Array(65)].map((_, i) => [`m${i}`, i])) }), 'too_large'],
  ['meta beyond 2 KiB', JSON.stringify({ type: 'update', meta: { x: 'x'.repeat(2048) } }), 'too_large'],
  ['an unknown type', '{"type":"format-disk","id":9}', 'unknown_type'],
  ['hello again', '{"type":"hello","version":1}', 'bad_state'],
  ['join again', '{"type":"join","name":"Eve2"}', 'bad_state'],
  ['a callee who is not there', '{"type":"call","to":"nobody"}', 'not_found'],
  ['a call without a callee', '{"type":"call"}', 'bad_message'],
  ['a call that does not exist', '{"type":"accept","call":"xxxxxxxxxxxxxxxx"}', 'unknown_call'],
  ['a signal to a call of others', () => ({ type: 'signal', call: wellBehaved.call, kind: 'offer', sdp: 'v=0' }), 'unknown_call'],
  ['a hangup of a call of others', () => ({ type: 'hangup', call: wellBehaved.call }), 'unknown_call'],
]) {
  hostile(`message: ${name}`, async () => {
    const session = await Session.start(port, 'Eve');
    session.send(typeof message === 'function' ? message() : message);
    const error = await session.next('error');
    assert.equal(error.code, code, JSON.stringify(error));
    assert.ok(error.message.length > 5);
    // The connection goes on.
    session.send({ type: 'ping', id: 'after' });
    assert.equal((await session.next('pong')).id, 'after');
    session.close();
  });
}

for (const [name, joinName, code] of [
  ['empty', '', 'invalid_name'], ['of nothing but blanks', '   ', 'invalid_name'],
  ['of 65 bytes', 'e'.repeat(65), 'invalid_name'], ['with a line end', 'E\nve', 'invalid_name'],
  ['of somebody who is there', 'Ada', 'name_taken'],
]) {
  hostile(`join: a name ${name}`, async () => {
    const session = await Session.start(port);
    session.send({ type: 'join', name: joinName, room: 'quiet', id: 5 });
    const error = await session.next('error');
    assert.deepEqual([error.code, error.id], [code, 5]);
    session.send({ type: 'join', name: 'Eve', room: 'elsewhere' });
    await session.next('joined');
    session.close();
  });
}

hostile('messages before hello, and of another version', async () => {
  const session = await Session.open(port);
  session.send({ type: 'join', name: 'Eve' });
  assert.equal((await session.next('error')).code, 'bad_state');
  session.send({ type: 'hello', version: 99 });
  assert.equal((await session.next('error')).code, 'unsupported_version');
  session.send({ type: 'hello', version: 1 });
  await session.next('welcome');
  session.close();
});

hostile('a flood of messages is dropped, then cut', async () => {
  const session = await Session.start(port, 'Eve');
  const ping = frame(TEXT, '{"type":"ping"}');
  session.stream.write(Buffer.concat(Array(3000).fill(ping)));
  const error = await session.next('error');
  assert.equal(error.code, 'rate_limited');
  assert.ok(error.retry_after_ms > 0);
  assert.equal(await session.end(), 1008);
});

// --------------------------------------------------------------------- UDP

hostile('TURN: random, truncated and bit-flipped datagrams are dropped', async () => {
  const noise = await TurnSocket.open(server.turnPort);
  const udp = [0x0019, Buffer.from([17, 0, 0, 0])];
  const request = stunMessage(ALLOCATE, randomBytes(12), [udp, [0x0006, Buffer.from('alice')]], randomBytes(16));
  for (let round = 0; round < 4; ++round) {
    for (let i = 0; i < 250; ++i) {
      const bytes = randomBytes(Math.floor(Math.random() * 1400));
      if (bytes.length) bytes[0] = i % 4 === 0 ? 0 : i % 4 === 1 ? 0x40 : bytes[0]; // STUN- and channel-like ones, too.
      await noise.send(bytes);
    }
    for (let size = 0; size < request.length; ++size) await noise.send(request.subarray(0, size));
    for (let bit = round; bit < request.length * 8; bit += 4) {
      const flipped = Buffer.from(request);
      flipped[bit >> 3] ^= 1 << (bit & 7);
      await noise.send(flipped);
    }
    // It still answers, and others.
    assert.equal((await noise.ask(BINDING)).type, 0x0101);
    const other = await TurnSocket.open(server.turnPort);
    assert.equal(await other.allocate('alice', 'secret'), 0);
    other.close();
  }
  noise.close();
});

hostile('TURN: wrong credentials get 401', async () => {
  for (const [user, password] of [['alice', 'wrong'], ['bob', 'secret'], ['', ''], ['a'.repeat(500), 'secret']]) {
    const client = await TurnSocket.open(server.turnPort);
    assert.equal(await client.allocate(user, password), 401, `${user}:${password}`);
    client.close();
  }
});

hostile("TURN: a session's credentials end with the session", async () => {
  const session = await Session.start(port);
  const { username, credential } = session.welcome.ice_servers.find((s) => s.credential);
  const client = await TurnSocket.open(server.turnPort);
  assert.equal(await client.allocate(username, credential), 0);
  client.close();
  session.stream.write(frame(CLOSE, Buffer.from([0x03, 0xe8])));
  assert.equal(await session.end(), 1000);
  // The relay's threads learn of it a moment after the client has.
  let late;
  const deadline = Date.now() + 10_000;
  do {
    const other = await TurnSocket.open(server.turnPort);
    late = await other.allocate(username, credential);
    other.close();
  } while (late === 0 && Date.now() < deadline);
  assert.equal(late, 401);
});

// ---------------------------------------------------------------- programs

// A UDP port of which the kernel says that nobody has it.
async function closedPort() {
  const socket = await TurnSocket.open(0);
  const { port: number } = socket.socket.address();
  socket.close();
  return number;
}

// Waits for a program that has to fail with status 1 and one line about it,
// besides those of a log and warnings.
async function fails(program, pattern, seconds = 60) {
  assert.equal(await program.finish(seconds), 1, program.transcript());
  const lines = program.errors.filter((line) => line.trim() && !/^\d{4}-\d\d-\d\dT|a password on the command line/.test(line));
  assert.equal(lines.length, 1, program.transcript());
  assert.match(lines[0], pattern);
}

test('a second kyuud on a port in use says which', BOUND, async () => {
  for (const [flag, used] of [['--http-listen', port], ['--turn-listen', server.turnPort]]) {
    const other = flag === '--http-listen' ? '--turn-listen' : '--http-listen';
    const second = new Program(kyuud, [flag, `127.0.0.1:${used}`, other, '127.0.0.1:0'], { env: {} });
    await fails(second, new RegExp(`127\\.0\\.0\\.1:${used}.*in use`));
  }
});

test('kyuu turn with a wrong password says so', BOUND, () =>
  fails(new Program(kyuu, ['turn', `alice:wrong@${server.turn}`]), /401|credentials|[Uu]nauthorized/));

test('kyuu stun and turn towards a port where nobody listens', BOUND, () =>
  Promise.all(unheard.map(({ program, closed }) => fails(program, new RegExp(`127\\.0\\.0\\.1:${closed}`)))));

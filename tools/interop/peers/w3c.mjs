// A foreign peer with the W3C interface, speaking the same lines on stdin and
// stdout as `kyuu peer` (docs/kyuu.md), so that either can be either end.
//
//   node peers/w3c.mjs --impl node-datachannel|wrtc|werift --role offer|answer
//     [--echo] [--send N --size BYTES [--text]] [--expect N] [--unordered]
//     [--max-retransmits N] [--label L] [--protocol P] [--stun H:P]
//     [--turn USER:PASSWORD@H:P] [--relay] [--channels N] [--negotiated ID]
//     [--interval MS]

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values: o } = parseArgs({
  options: {
    impl: { type: 'string', default: 'node-datachannel' },
    role: { type: 'string', default: 'offer' },
    echo: { type: 'boolean', default: false },
    send: { type: 'string', default: '0' },
    size: { type: 'string', default: '64' },
    text: { type: 'boolean', default: false },
    expect: { type: 'string', default: '0' },
    unordered: { type: 'boolean', default: false },
    'max-retransmits': { type: 'string' },
    'max-packet-life-time': { type: 'string' },
    label: { type: 'string', default: 'data' },
    protocol: { type: 'string', default: '' },
    negotiated: { type: 'string' },
    channels: { type: 'string', default: '1' },
    stun: { type: 'string' },
    turn: { type: 'string' },
    relay: { type: 'boolean', default: false },
    interval: { type: 'string', default: '0' },
  },
});

const { RTCPeerConnection } = await {
  'node-datachannel': () => import('node-datachannel/polyfill'),
  wrtc: async () => (await import('@roamhq/wrtc')).default,
  werift: () => import('werift'),
}[o.impl]();

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const write = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const event = (name, more = {}) => write({ event: name, ...more });

const iceServers = [];
if (o.stun) iceServers.push({ urls: `stun:${o.stun}` });
if (o.turn) {
  const [, username, credential, host] = o.turn.match(/^([^:]*):(.*)@([^@]*)$/);
  iceServers.push({ urls: `turn:${host}?transport=udp`, username, credential });
}
const pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: o.relay ? 'relay' : 'all' });

// Message i of size n: byte j is i + j modulo 256, or 'a' + (i + j) % 26. Both
// are cut out of, and compared with, a longer run of the pattern: a loop over
// the bytes in JavaScript would cost as much as the stack that is measured.
const size = +o.size;
const run = o.text
  ? Array.from({ length: size + 26 }, (_, j) => String.fromCharCode(97 + (j % 26))).join('')
  : Buffer.from(Array.from({ length: size + 256 }, (_, j) => j & 255));
function makeMessage(i) {
  if (o.text) return run.slice(i % 26, (i % 26) + size);
  const bytes = run.subarray(i & 255, (i & 255) + size);
  return o.impl === 'werift' ? Buffer.from(bytes) : new Uint8Array(bytes);
}
function isIntact(i, data) {
  if (typeof data === 'string') {
    if (!o.text || data.length !== size) return false;
    const first = o.unordered && size ? data.charCodeAt(0) - 97 : i % 26;
    return data === run.slice(first, first + size);
  }
  const bytes = Buffer.from(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength);
  if (o.text || bytes.length !== size) return false;
  const first = o.unordered && size ? bytes[0] : i & 255;
  return bytes.equals(run.subarray(first, first + size));
}

const started = Date.now();
let firstAt, lastAt; // When the first and the last message arrived.
let sent = 0, received = 0, bytes = 0, ok = true, finished = false, opened = 0;
function finish() {
  if (finished) return;
  finished = true;
  const complete = ok && received >= +o.expect && opened > 0;
  event('result', { sent, received, bytes, opened, ok: complete, transfer_ms: lastAt - firstAt, total_ms: Date.now() - started });
  // Everything sent must have left before the end closes the channel.
  const leave = () => {
    if (channels.some((c) => c.readyState === 'open' && c.bufferedAmount > 0)) return setTimeout(leave, 10);
    setTimeout(() => { pc.close(); setTimeout(() => process.exit(complete ? 0 : 1), 100); }, 300);
  };
  leave();
}
const isDone = () =>
  !o.echo && sent === +o.send * +o.channels && received >= +o.expect && (+o.send > 0 || +o.expect > 0);

const channels = [];
function use(channel) {
  channels.push(channel);
  channel.binaryType = 'arraybuffer';
  let count = 0;
  const onOpen = async () => {
    opened++;
    event('channel', { id: channel.id, label: channel.label, protocol: channel.protocol, ordered: channel.ordered });
    for (let i = 0; i < +o.send; i++) {
      if (i > 0 && +o.interval > 0) await sleep(+o.interval);
      while (channel.bufferedAmount > 1 << 20) await sleep(2);
      const message = makeMessage(i);
      channel.send(message);
      sent++;
    }
    if (isDone()) finish();
  };
  channel.onmessage = ({ data }) => {
    if (data instanceof Blob) throw new Error('a Blob came');
    received++;
    bytes += typeof data === 'string' ? data.length : data.byteLength;
    lastAt = performance.now();
    firstAt ??= lastAt;
    if (o.echo) {
      channel.send(typeof data === 'string' ? data : new Uint8Array(data));
    } else if (!isIntact(count, data)) {
      ok = false;
      event('damaged', { index: count });
    }
    count++;
    if (isDone()) finish();
  };
  channel.onclose = () => { event('closed', { label: channel.label }); finish(); };
  if (channel.readyState === 'open') onOpen(); else channel.onopen = onOpen;
}

pc.onicecandidate = ({ candidate }) =>
  write(candidate && candidate.candidate
    ? { candidate: candidate.candidate, sdpMid: candidate.sdpMid ?? '0', sdpMLineIndex: candidate.sdpMLineIndex ?? 0 }
    : { candidate: '' });
pc.onconnectionstatechange = () => {
  event('state', { connection: pc.connectionState });
  if (['failed', 'closed'].includes(pc.connectionState)) finish();
};
pc.ondatachannel = ({ channel }) => use(channel);

const init = { ordered: !o.unordered, protocol: o.protocol };
if (o['max-retransmits']) init.maxRetransmits = +o['max-retransmits'];
if (o['max-packet-life-time']) init.maxPacketLifeTime = +o['max-packet-life-time'];
if (o.negotiated !== undefined) Object.assign(init, { negotiated: true, id: +o.negotiated });
if (o.role === 'offer' || o.negotiated !== undefined) {
  for (let i = 0; i < +o.channels; i++) use(pc.createDataChannel(o.label + (i || ''), init));
}

const early = [];
let described = false;
async function take(line) {
  const message = JSON.parse(line);
  if (message.type === 'restart') {
    await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
    write({ type: 'offer', sdp: pc.localDescription.sdp });
  } else if (message.type === 'offer' || message.type === 'answer') {
    await pc.setRemoteDescription(message);
    described = true;
    if (message.type === 'offer') {
      const answer = await pc.createAnswer();
      await pc.setLocalDescription(answer);
      write({ type: 'answer', sdp: pc.localDescription.sdp });
    }
    for (const c of early.splice(0)) await pc.addIceCandidate(c);
  } else if (message.candidate !== undefined) {
    if (message.candidate === '') return;
    if (described) await pc.addIceCandidate(message); else early.push(message);
  }
}
let queue = Promise.resolve();
createInterface({ input: process.stdin }).on('line', (line) => {
  if (!line.trim()) return;
  queue = queue.then(() => take(line)).catch((e) => event('error', { message: String(e) }));
});
if (o.role === 'offer') {
  const offer = await pc.createOffer();
  await pc.setLocalDescription(offer);
  write({ type: 'offer', sdp: pc.localDescription.sdp });
}

// A foreign peer with the W3C interface, speaking the same lines on stdin and
// stdout as `kyuu peer` (docs/kyuu_peer.md), so that either can be either end.
//
//   node peers/w3c.mjs --impl node-datachannel|wrtc --role offer|answer
//     [--echo] [--send N --size BYTES [--text]] [--expect N] [--unordered]
//     [--max-retransmits N] [--label L] [--protocol P] [--stun H:P]
//     [--turn USER:PASSWORD@H:P] [--relay] [--channels N] [--negotiated ID]

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
  },
});

const { RTCPeerConnection } = await {
  'node-datachannel': () => import('node-datachannel/polyfill'),
  wrtc: async () => (await import('@roamhq/wrtc')).default,
}[o.impl]();

const write = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const event = (name, more = {}) => write({ event: name, ...more });

const iceServers = [];
if (o.stun) iceServers.push({ urls: `stun:${o.stun}` });
if (o.turn) {
  const [, username, credential, host] = o.turn.match(/^([^:]*):(.*)@([^@]*)$/);
  iceServers.push({ urls: `turn:${host}?transport=udp`, username, credential });
}
const pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: o.relay ? 'relay' : 'all' });

// Message i of size n: byte j is i + j modulo 256, or 'a' + (i + j) % 26.
function makeMessage(i, size) {
  if (o.text) {
    return Array.from({ length: size }, (_, j) => String.fromCharCode(97 + ((i + j) % 26))).join('');
  }
  const bytes = new Uint8Array(size);
  for (let j = 0; j < size; j++) bytes[j] = i + j;
  return bytes;
}
function isIntact(i, data) {
  if (typeof data === 'string') {
    if (data.length !== +o.size) return false;
    const first = o.unordered && data.length ? data.charCodeAt(0) - 97 : i;
    for (let j = 0; j < data.length; j++) {
      if (data.charCodeAt(j) !== 97 + ((first + j) % 26)) return false;
    }
    return true;
  }
  const bytes = new Uint8Array(data);
  if (bytes.length !== +o.size) return false;
  const first = o.unordered && bytes.length ? bytes[0] : i;
  return bytes.every((b, j) => b === ((first + j) & 255));
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
  setTimeout(() => { pc.close(); setTimeout(() => process.exit(complete ? 0 : 1), 100); }, 300);
}
const isDone = () =>
  !o.echo && sent === +o.send * +o.channels && received >= +o.expect && (+o.send > 0 || +o.expect > 0);

function use(channel) {
  channel.binaryType = 'arraybuffer';
  let count = 0;
  const onOpen = async () => {
    opened++;
    event('channel', { id: channel.id, label: channel.label, protocol: channel.protocol, ordered: channel.ordered });
    for (let i = 0; i < +o.send; i++) {
      while (channel.bufferedAmount > 1 << 20) await new Promise((r) => setTimeout(r, 2));
      const message = makeMessage(i, +o.size);
      channel.send(message);
      sent++;
    }
    if (isDone()) finish();
  };
  channel.onmessage = ({ data }) => {
    if (data instanceof Blob) throw new Error('a Blob came');
    const size = typeof data === 'string' ? data.length : data.byteLength;
    received++;
    bytes += size;
    lastAt = performance.now();
    firstAt ??= lastAt;
    if (o.echo) {
      channel.send(typeof data === 'string' ? data : new Uint8Array(data));
    } else if (!isIntact(count, data)) {
      ok = false;
      event('damaged', { index: count, size });
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
  if (message.type === 'offer' || message.type === 'answer') {
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

// A foreign peer with the W3C interface that does with its channels what its stdin
// says, by the lines of `kyuu peer --scripted` (docs/kyuu.md).
//
//   node peers/scripted.mjs --impl node-datachannel|wrtc|werift --role offer|answer
//
// scriptedPeer() is all of it, and needs nothing of this module: tests give it to
// pages, too.

import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

// Returns what takes a line of stdin; lines of stdout are given to `write`, as
// objects. The offerer opens a channel "data". `own` makes of bytes what `send` takes.
export function scriptedPeer({ RTCPeerConnection, role, write, own = (bytes) => bytes }) {
  const PRIORITIES = { 128: 'very-low', 256: 'low', 512: 'medium', 1024: 'high' };
  const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
  const pc = new RTCPeerConnection({ iceServers: [] });
  const channels = new Map(); // The newest of each label.

  // Message `number` of the pattern: byte j is number + j modulo 256, or the letter
  // 'a' + (number + j) % 26.
  const letters = 'abcdefghijklmnopqrstuvwxyz';
  function makeMessage(text, number, size) {
    if (text) return letters.repeat(size / 26 + 2).slice(number % 26, (number % 26) + size);
    const bytes = new Uint8Array(size);
    for (let j = 0; j < Math.min(size, 256); ++j) bytes[j] = number + j;
    for (let filled = 256; filled < size; filled *= 2) bytes.copyWithin(filled, 0, filled);
    return own(bytes);
  }
  function isIntact(text, number, data, size) {
    if (text) return data === makeMessage(true, number, size);
    for (let j = 0; j < size; ++j) if (data[j] !== ((number + j) & 255)) return false;
    return true;
  }

  function use(channel, incoming) {
    const { label } = channel;
    channels.set(label, { channel, sent: 0, turn: Promise.resolve() });
    channel.binaryType = 'arraybuffer';
    let index = 0;
    channel.onmessage = ({ data }) => {
      const text = typeof data === 'string';
      const bytes = text ? data : ArrayBuffer.isView(data) ? data : new Uint8Array(data);
      const size = text ? unescape(encodeURIComponent(data)).length : bytes.length;
      const first = size === 0 ? null : text ? data.charCodeAt(0) - 97 : bytes[0];
      write({
        event: 'message', label, index: index++, size, text, number: first, intact: isIntact(text, first, bytes, size),
        ...(text && size <= 1024 && { said: data }),
      });
    };
    const opened = () => {
      const { id, protocol, ordered, priority } = channel;
      write({
        event: 'channel', label, id, protocol, ordered, incoming, ...(priority && { priority }),
        maxRetransmits: channel.maxRetransmits ?? undefined, maxPacketLifeTime: channel.maxPacketLifeTime ?? undefined,
      });
    };
    if (channel.readyState === 'open') opened(); else channel.onopen = opened;
    channel.onerror = (event) => write({ event: 'error', label, message: String(event?.error?.message ?? event?.message ?? event) });
    channel.onclose = () => write({ event: 'closed', label });
  }

  async function send(entry, { sizes = [], text = false, say = [] }) {
    const { channel } = entry;
    for (const next of [...sizes, ...say]) {
      while (channel.bufferedAmount > 1 << 20) await sleep(2);
      try {
        channel.send(typeof next === 'string' ? next : makeMessage(text, entry.sent, next));
        ++entry.sent;
      } catch (error) {
        write({ event: 'refused', label: channel.label, size: next.length ?? next, reason: String(error) });
      }
    }
  }

  pc.onicecandidate = ({ candidate }) =>
    write(candidate?.candidate
      ? { candidate: candidate.candidate, sdpMid: candidate.sdpMid ?? '0', sdpMLineIndex: candidate.sdpMLineIndex ?? 0 }
      : { candidate: '' });
  pc.onconnectionstatechange = () => write({ event: 'state', connection: pc.connectionState });
  pc.ondatachannel = ({ channel }) => use(channel, true);

  async function describe(kind) {
    await pc.setLocalDescription(await (kind === 'offer' ? pc.createOffer() : pc.createAnswer()));
    write({ type: kind, sdp: pc.localDescription.sdp });
  }
  const early = [];
  let described = false;
  async function take(line) {
    const { type, label } = line;
    if (type === 'offer' || type === 'answer') {
      await pc.setRemoteDescription(line);
      described = true;
      if (type === 'offer') await describe('answer');
      for (const candidate of early.splice(0)) await pc.addIceCandidate(candidate);
    } else if (type === 'start') {
      use(pc.createDataChannel('data'), false);
      await describe('offer');
    } else if (type === 'open') {
      const { type: _, label: __, priority, ...init } = line;
      use(pc.createDataChannel(label, priority ? { ...init, priority: PRIORITIES[priority] } : init), false);
    } else if (type === 'send') {
      const entry = channels.get(label);
      entry.turn = entry.turn.then(() => send(entry, line));
    } else if (type === 'close') {
      const entry = channels.get(label);
      entry.turn = entry.turn.then(() => entry.channel.close());
    } else if (type === 'bye') {
      pc.close();
      write({ event: 'bye' });
    } else if (line.candidate) {
      if (described) await pc.addIceCandidate(line); else early.push(line);
    }
  }
  let queue = Promise.resolve();
  const takeLine = (line) => {
    queue = queue.then(() => take(line)).catch((error) => write({ event: 'error', message: `${line.type}: ${error}` }));
  };
  if (role === 'offer') takeLine({ type: 'start' });
  return takeLine;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values: o } = parseArgs({ options: { impl: { type: 'string' }, role: { type: 'string' } } });
  const { RTCPeerConnection } = await {
    'node-datachannel': () => import('node-datachannel/polyfill'),
    wrtc: async () => (await import('@roamhq/wrtc')).default,
    werift: () => import('werift'),
  }[o.impl]();
  const write = (line) => {
    process.stdout.write(JSON.stringify(line) + '\n');
    if (line.event === 'bye') setTimeout(() => process.exit(0), 200);
  };
  const take = scriptedPeer({ RTCPeerConnection, role: o.role, write, ...(o.impl === 'werift' && { own: (bytes) => Buffer.from(bytes) }) });
  createInterface({ input: process.stdin }).on('line', (line) => { if (line.trim()) take(JSON.parse(line)); });
}

// MB/s and CPU over one ordered, reliable data channel between two processes,
// for kyuu and for rivals in the same run. CPU is that of both processes since
// the channel opened, so that neither Node's start nor the handshake is in it.

import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { foreignPeer, join2, kyuuPeer } from './lib.mjs';

const ticks = +execFileSync('getconf', ['CLK_TCK']);
function cpuSeconds(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
    return (+fields[11] + +fields[12]) / ticks;
  } catch {
    return 0;
  }
}

// Runs a sender and a receiver; resolves to what the sender's bytes took.
async function measure(sender, receiver, count, size) {
  // Now, and when the channel had just opened at both ends.
  const now = () => [sender, receiver].map((p) => cpuSeconds(p.child.pid));
  const isOpen = (p) => p.lines.some((line) => line.includes('"event":"channel"'));
  let before, after = [0, 0];
  const sample = setInterval(() => {
    if (isOpen(sender) && isOpen(receiver)) before ??= now();
    after = now().map((seconds, i) => Math.max(seconds, after[i]));
  }, 10);
  join2(sender, receiver);
  await Promise.all([sender.finish(120), receiver.finish(120)]);
  clearInterval(sample);
  const result = receiver.event('result');
  if (!result?.ok) throw new Error(`${sender.transcript()}\n${receiver.transcript()}`);
  const bytes = count * size;
  const seconds = result.mb_per_s ? bytes / 1e6 / result.mb_per_s : result.transfer_ms / 1000;
  const total = after[0] + after[1] - before[0] - before[1];
  return {
    mb_per_s: +(bytes / 1e6 / seconds).toFixed(1),
    cpu_ns_per_byte: +((total * 1e9) / bytes).toFixed(2),
    cpu_us_per_1143_byte_packet: +((total * 1e6 * 1143) / bytes).toFixed(2),
  };
}

// Loopback is the widest of paths: with jumbo frames, and with Ethernet's.
const impls = { 'kyuu, 8192': (...args) => kyuuPeer('--max-datagram', '8192', ...args), kyuu: kyuuPeer, 'node-datachannel': foreignPeer['node-datachannel'], wrtc: foreignPeer.wrtc };
for (const [size, count] of [[65536, 3000], [1024, 50000], [64, 200000]]) {
  for (let round = 0; round < 3; round++) {
    for (const [name, peer] of Object.entries(impls)) {
      const args = ['--size', String(size)];
      try {
        const r = await measure(
          peer('--role', 'offer', '--send', String(count), ...args),
          peer('--role', 'answer', '--expect', String(count), ...args), count, size);
        console.log(JSON.stringify({ name, size, count, ...r }));
      } catch (e) {
        console.log(JSON.stringify({ name, size, count, error: e.message.slice(0, 3000) }));
        process.exitCode = 1;
      }
    }
  }
}

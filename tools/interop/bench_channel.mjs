// MB/s and CPU over one ordered, reliable data channel between two processes,
// for kyuu and for rivals in the same run. CPU is that of both processes.

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
  const cpu = { a: 0, b: 0 };
  const sample = setInterval(() => {
    cpu.a = Math.max(cpu.a, cpuSeconds(sender.child.pid));
    cpu.b = Math.max(cpu.b, cpuSeconds(receiver.child.pid));
  }, 20);
  let opened;
  join2(sender, receiver);
  const forward = receiver.onLine;
  receiver.onLine = (line) => {
    forward(line);
    if (line.includes('"event":"channel"') || line.includes('"open"')) opened ??= performance.now();
  };
  await Promise.all([sender.finish(120), receiver.finish(120)]);
  clearInterval(sample);
  const result = receiver.event('result');
  if (!result?.ok) throw new Error(`${sender.transcript()}\n${receiver.transcript()}`);
  const bytes = count * size;
  const seconds = result.mb_per_s ? bytes / 1e6 / result.mb_per_s : result.transfer_ms / 1000;
  const total = cpu.a + cpu.b;
  return {
    mb_per_s: +(bytes / 1e6 / seconds).toFixed(1),
    cpu_ns_per_byte: +((total * 1e9) / bytes).toFixed(2),
    cpu_us_per_1143_byte_packet: +((total * 1e6 * 1143) / bytes).toFixed(2),
  };
}

const impls = { kyuu: kyuuPeer, 'node-datachannel': foreignPeer['node-datachannel'], wrtc: foreignPeer.wrtc };
for (const [size, count] of [[65536, 3000], [1024, 50000]]) {
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

// Pairs of one process that connect on one machine, from nothing to an open channel: kyuu and
// rivals in turn: medians of KYUU_BENCH_ROUNDS rounds (3) of 500 pairs, and of 50 of a rival,
// which may take a second each; and how many times what kyuu takes in the same way.
// KYUU_CONNECT names bench/peer_connect.

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const [PAIRS, FOREIGN_PAIRS] = ['500', '50'];
const ROUNDS = +(process.env.KYUU_BENCH_ROUNDS ?? 3);
const connects = fileURLToPath(new URL('peers/connects.mjs', import.meta.url));
const kyuu = (...words) => [process.env.KYUU_CONNECT, PAIRS, ...words];
const foreign = (name) => [process.execPath, connects, name, FOREIGN_PAIRS];
const kinds = {
  'kyuu, one thread': kyuu(),
  'kyuu, a thread each': kyuu('own-threads'),
  'kyuu, one thread, a certificate each': kyuu('own-certificates'),
  'node-datachannel': foreign('node-datachannel'),
  'wrtc, a certificate each': foreign('wrtc'),
};

const results = Object.fromEntries(Object.keys(kinds).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; ++round) {
  for (const [name, [program, ...args]] of Object.entries(kinds)) {
    try {
      results[name].push(JSON.parse(execFileSync(program, args, { timeout: 300_000, stdio: ['ignore', 'pipe', 'inherit'] })));
    } catch (e) {
      console.error(`${name}: ${e.message}`);
      process.exitCode = 1;
    }
  }
}
const median = (name, field) => {
  const values = results[name].map((result) => result[field]).sort((a, b) => a - b);
  return values[Math.floor(values.length / 2)];
};
for (const name of Object.keys(kinds)) {
  if (results[name].length === 0) continue;
  const row = Object.fromEntries(['p50_ms', 'p95_ms', 'max_ms', 'cpu_ms'].map((field) => [field, median(name, field)]));
  const ours = name.includes('certificate each') ? 'kyuu, one thread, a certificate each' : 'kyuu, one thread';
  for (const field of ['p50_ms', 'cpu_ms']) row[`ratio_${field}`] = +(row[field] / median(ours, field)).toFixed(2);
  console.log(JSON.stringify({ name, ...row }));
}

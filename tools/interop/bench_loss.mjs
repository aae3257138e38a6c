// 1.6 MB from foreign senders to kyuu and to themselves where one packet of 20 is lost,
// alternating: medians of milliseconds from the first message to the last, and how many
// runs stalled. One line of JSON a stack; KYUU_BENCH_ROUNDS rounds (7).

import { fileURLToPath } from 'node:url';
import { foreignPeer, inNetwork, join2, killLeftovers, kyuuPeer, LOSES_5_PERCENT, weriftPeer } from './lib.mjs';

const peers = { ...foreignPeer, werift: weriftPeer };
const [COUNT, SIZE] = [400, 4096];
const ROUNDS = +(process.env.KYUU_BENCH_ROUNDS ?? 7);
const SECONDS = 60;
const stacks = process.argv.slice(2).filter((name) => name !== '--here');

if (!process.argv.includes('--here')) {
  const run = inNetwork(LOSES_5_PERCENT, 'node', fileURLToPath(import.meta.url), '--here', ...stacks);
  run.onLine = (line) => console.log(line);
  process.exitCode = await run.finish(3600);
  if (process.exitCode) console.error(run.transcript());
} else {
  for (const name of stacks.length ? stacks : ['node-datachannel', 'wrtc', 'aiortc', 'pion', 'werift']) {
    const took = { kyuu: [], itself: [] };
    const stalled = { kyuu: 0, itself: 0 };
    for (let round = 0; round < ROUNDS; ++round) {
      for (const [to, peer] of [['kyuu', kyuuPeer], ['itself', peers[name]]]) {
        const args = ['--size', String(SIZE)];
        // A packet that tries how large they may be ends werift.
        const small = to === 'kyuu' && name === 'werift' ? ['--max-datagram', '0'] : [];
        try {
          const receiver = peer('--role', 'answer', '--expect', String(COUNT), ...args, ...small);
          // Waits for a message that nobody sends: it must not end before all has come.
          const sender = peers[name]('--role', 'offer', '--send', String(COUNT), ...args, '--expect', '1');
          join2(sender, receiver);
          await receiver.finish(SECONDS).catch(() => {});
          await sender.stop('SIGKILL');
          const result = receiver.event('result');
          if (result?.received === COUNT) {
            took[to].push(result.transfer_ms ?? (COUNT * SIZE) / 1000 / result.mb_per_s);
          } else {
            ++stalled[to];
            took[to].push(Infinity);
          }
        } finally {
          killLeftovers();
        }
      }
    }
    const median = (list) => [...list].sort((x, y) => x - y)[list.length >> 1];
    const [ours, theirs] = [median(took.kyuu), median(took.itself)];
    console.log(JSON.stringify({
      name, ms_to_kyuu: +ours.toFixed(1), ms_to_itself: +theirs.toFixed(1), ratio: +(theirs / ours).toFixed(2), stalled,
      all: { kyuu: took.kyuu.map(Math.round), itself: took.itself.map(Math.round) },
    }));
  }
}

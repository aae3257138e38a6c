// What ../channels.test.mjs plays in a network of its own that loses packets: calls of
// kyuu and a stack in both roles, and a line of JSON with what went wrong.
//
//   node peers/lossy_channels.mjs STACK

import { closeBrowsers, play } from '../channel_cases.mjs';

const CASES = ['binary messages', 'unordered', 'no retransmissions', 'unordered and a lifetime of 500 ms',
  'closed behind the last message, by who opened it', 'closed behind the last message, by the other side',
  'ids used again at once', 'negotiated ids used again at once'];
const stack = process.argv[2];
const all = [];
for (const [offerer, answerer] of stack === 'kyuu' ? [['kyuu', 'kyuu']] : [['kyuu', stack], [stack, 'kyuu']]) {
  const { failures, seconds } = await play(offerer, answerer, CASES, { lossy: true, ms: 30_000, expectable: true });
  all.push(...[...failures].map(([what, why]) => `${offerer} and ${answerer}, ${what}: ${why}`));
  for (const [what, took] of seconds) if (took > 3) console.error(`${what}: ${took.toFixed(1)} s`);
}
await closeBrowsers();
console.log(JSON.stringify({ event: 'result', failures: all }));
process.exit(0);

// What ../channels.test.mjs plays in a network of its own that loses packets: calls of
// kyuu and a stack in both roles, and a line of JSON with what went wrong.
//
//   node peers/lossy_channels.mjs STACK

import { closeBrowsers, play } from '../channel_cases.mjs';

// Each list is a call of its own: they wait for repairs at the same time.
const CASES = [
  ['binary messages', 'unordered', 'no retransmissions', 'unordered and a lifetime of 500 ms'],
  ['closed behind the last message, by who opened it', 'closed behind the last message, by the other side'],
  ['ids used again at once', 'negotiated ids used again at once'],
];
const stack = process.argv[2];
const roles = stack === 'kyuu' ? [['kyuu', 'kyuu']] : [['kyuu', stack], [stack, 'kyuu']];
const all = await Promise.all(roles.flatMap((role) => CASES.map(async (cases) => {
  const { failures, seconds } = await play(...role, cases, { lossy: true, ms: 30_000, expectable: true });
  for (const [what, took] of seconds) if (took > 3) console.error(`${what}: ${took.toFixed(1)} s`);
  return [...failures].map(([what, why]) => `${role.join(' and ')}, ${what}: ${why}`);
})));
await closeBrowsers();
console.log(JSON.stringify({ event: 'result', failures: all.flat() }));
process.exit(0);

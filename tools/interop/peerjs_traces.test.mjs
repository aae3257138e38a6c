// The same traces to npm `peer`, the reference server of PeerJS, and to kyuud: they
// answer alike, word for word, but for what docs/dialects.md says.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { freePort, here, killLeftovers, Program, startKyuud } from './lib.mjs';
import { DIFFERENCES } from './peerjs_differences.mjs';
import { Stage, TRACES } from './peerjs_traces.mjs';

const MINUTE = { timeout: 60_000 };
after(killLeftovers);

// The program as npm has it, in a process of its own.
async function startReference({ allowsDiscovery }) {
  const port = await freePort();
  const server = new Program(process.execPath, [join(here, 'node_modules/peer/dist/bin/peerjs.js'),
    '--host', '127.0.0.1', '--port', `${port}`, ...(allowsDiscovery ? ['--allow_discovery'] : [])]);
  await server.waitFor(/Started PeerServer/);
  return Object.assign(server, { url: `http://127.0.0.1:${port}` });
}
const startOurs = ({ allowsDiscovery, origins = '*' }) => startKyuud(
  ...(origins === 'none' ? [] : ['--dialect-origin', origins]), '--peerjs-discovery', allowsDiscovery ? 'allow' : 'forbid');

async function played(start, trace) {
  const server = await start(trace);
  const stage = new Stage(server.url);
  try {
    await trace.play(stage);
    return stage.steps;
  } finally {
    stage.end();
    // Connections that `peer` has become deaf to keep it from ending by itself.
    await server.stop('SIGKILL');
  }
}

// [what peer does, what kyuud does] at a step.
const documented = (trace, step) => DIFFERENCES.map(({ at }) => at[trace]?.[step]).find((pair) => pair);

for (const [name, trace] of Object.entries(TRACES)) {
  test(name, MINUTE, async () => {
    const [reference, ours] = await Promise.all([played(startReference, trace), played(startOurs, trace)]);
    assert.deepEqual(Object.keys(reference), Object.keys(ours));
    for (const [step, done] of Object.entries(reference)) {
      const pair = documented(name, step) ?? [done, done];
      assert.deepEqual({ peer: done, kyuud: ours[step] }, { peer: pair[0], kyuud: pair[1] },
        `at "${step}", where ${documented(name, step) ? 'another difference is documented' : 'none is documented'}`);
    }
    for (const { at } of DIFFERENCES) {
      for (const step of Object.keys(at[name] ?? {})) assert.ok(step in reference, `no step "${step}"`);
    }
  });
}

test('each difference is one, stands in the documentation, and is of a trace', () => {
  const page = readFileSync(join(here, '../../docs/dialects.md'), 'utf8').replace(/\s+/g, ' ');
  for (const { line, at } of DIFFERENCES) {
    assert.ok(page.includes(line), `docs/dialects.md does not say: ${line}`);
    for (const [name, steps] of Object.entries(at)) {
      assert.ok(name in TRACES, name);
      for (const [step, [peer, kyuud]] of Object.entries(steps)) assert.notDeepEqual(peer, kyuud, `${name}: ${step}`);
    }
  }
});

// Ports side by side (EVEN-PORT, RESERVATION-TOKEN) and datagrams that are not to be cut
// (DONT-FRAGMENT): `kyuu turn` at kyuud.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kyuu, Program, startKyuud } from './lib.mjs';

const MINUTE = { timeout: 60_000 };

for (const threads of [1, 2]) {
  test(`kyuu turn has two ports side by side of ${threads} threads`, MINUTE, async (t) => {
    const server = await startKyuud('--user', 'alice:secret', '--threads', String(threads));
    t.after(() => server.stop('SIGKILL'));
    for (const url of [`turn:alice:secret@${server.turn}`, `turn:alice:secret@${new URL(server.url).host}?transport=tcp`]) {
      for (const more of [[], ['--dont-fragment'], ['--move']]) {
        const run = new Program(kyuu, ['turn', '--port-pair', ...more, url]);
        assert.equal(await run.finish(30), 0, run.transcript());
        const [first, second] = run.lines.join('\n').match(/(?<=^allocated 127\.0\.0\.1:)\d+/gm).map(Number);
        assert.deepEqual([first % 2, second], [0, first + 1], run.transcript());
      }
    }
  });
}

test('where no ports are side by side, kyuu turn says so', MINUTE, async (t) => {
  const server = await startKyuud('--user', 'alice:secret', '--relay-ports', '50001-50002');
  t.after(() => server.stop('SIGKILL'));
  const run = new Program(kyuu, ['turn', '--port-pair', `turn:alice:secret@${server.turn}`]);
  assert.equal(await run.finish(30), 1, run.transcript());
  assert.match(run.errors.join('\n'), /508/, run.transcript());
});

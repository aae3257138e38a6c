// What the page keeps of files, without a page: journals of all kinds, the places
// where a part may go on, and the bounds of what is kept (web/parts.js).

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as parts from '../../web/parts.js';

const MiB = 1024 * 1024;
const CHUNK = 4 * MiB;

const part = { name: 'größe "1".bin', size: 20 * MiB, mime: 'image/png', source: 'abc', version: '1-2', data: 'd0' };
const hash = (letter) => letter.repeat(64);

test('a journal is read as it was written', () => {
  const text = parts.writeJournal(part, [hash('a'), hash('b')]);
  assert.deepEqual(parts.readJournal(text), { part, prefixes: [hash('a'), hash('b')] });
  // A longer name than any, and a type of our length, still fit.
  const long = { ...part, name: '"'.repeat(255), mime: '\u0001'.repeat(100) };
  assert.deepEqual(parts.readJournal(parts.writeJournal(long)).part, long);
});

test('a journal that is torn at any byte is one up to there, or none', () => {
  const text = parts.writeJournal(part, [hash('a'), hash('b')]);
  const header = text.indexOf('\n') + 1;
  for (let end = 0; end < text.length; end++) {
    const read = parts.readJournal(text.slice(0, end));
    if (end < header) assert.equal(read, undefined, `${end}`);
    else assert.equal(read.prefixes.length, Math.floor((end - header) / 65), `${end}`);
  }
});

test('what is no journal is none', () => {
  const header = (changes) => `${JSON.stringify({ ...JSON.parse(parts.writeJournal(part)), ...changes })}\n`;
  assert.ok(parts.readJournal(header({})));
  for (const changes of [{ kyuu: 'part 1' }, { name: 7 }, { mime: null }, { size: -1 }, { size: 1.5 }, { size: 2 ** 53 }, { chunk: 1 },
    { source: '' }, { source: '../x' }, { source: 'a'.repeat(65) }, { version: {} }, { data: '../../secret' }, { data: 'a/b' }, { data: 5 }]) {
    assert.equal(parts.readJournal(header(changes)), undefined, JSON.stringify(changes));
  }
  for (const text of ['', '\n', 'null\n', '[]\n', '7\n', '{\n', `${'{'.repeat(5000)}\n`, header({ name: 'a'.repeat(5000) }),
    parts.writeJournal(part, Array(6).fill(hash('a'))), parts.writeJournal(part) + '\n'.repeat(parts.JOURNAL_MAX)]) {
    assert.equal(parts.readJournal(text), undefined, text.slice(0, 40));
  }
  // Behind a line that is no hash nothing is believed.
  assert.deepEqual(parts.readJournal(parts.writeJournal(part, [hash('a'), hash('A'), hash('b')])).prefixes, [hash('a')]);
  for (const text of ['', '{}', 'null', JSON.stringify({ kyuu: 'kyuu page part 1', name: 'a', size: 1, mime: '', sha256: hash('a'), data: '../x', savedAt: 0 })]) {
    assert.equal(parts.readComplete(text), undefined, text);
  }
});

test('a version of an offer is taken only by its rules', () => {
  assert.deepEqual(parts.versionIn({ source: 'a', version: 'b', more: 1 }), { source: 'a', version: 'b' });
  for (const resume of [undefined, null, 7, 'x', {}, { source: 'a' }, { source: 'a', version: '' }, { source: ['a'], version: 'b' }, { source: 'a b', version: 'c' }]) {
    assert.equal(parts.versionIn(resume), undefined, JSON.stringify(resume));
  }
});

test('the places that are told are few, ascending, and end at what is there', () => {
  assert.deepEqual(parts.planCheckpoints(0, CHUNK), []);
  assert.deepEqual(parts.planCheckpoints(5, CHUNK), [5]);
  assert.deepEqual(parts.planCheckpoints(2 * CHUNK, CHUNK), [CHUNK, 2 * CHUNK]);
  for (const have of [CHUNK + 1, 62 * CHUNK, 63 * CHUNK + 9, 64 * 1024 * MiB, 2 ** 53 - 1]) {
    const plan = parts.planCheckpoints(have, parts.chunkBytes(have));
    assert.ok(plan.length <= parts.CHECKPOINTS_MAX, `${plan.length} of ${have}`);
    assert.equal(plan.at(-1), have);
    assert.ok(plan.every((offset, i) => offset > (plan[i - 1] ?? 0)));
  }
  assert.ok((2 ** 53) / parts.chunkBytes(2 ** 53 - 1) <= 16384);
});

test('a part is believed as far as its journal has it so', async () => {
  const bytes = randomBytes(11 * MiB);
  const at = (end) => createHash('sha256').update(bytes.subarray(0, end)).digest('hex');
  const prefixes = [at(CHUNK), at(2 * CHUNK)];
  const check = async (content, expected) => {
    const { intact, places } = await parts.checkPart({ have: content.length, size: 20 * MiB, expected,
      read: (offset, most) => content.subarray(offset, offset + Math.min(most, MiB)), pause: () => {} });
    assert.deepEqual(places.map(({ sha256 }) => sha256), places.map(({ offset }) => createHash('sha256').update(content.subarray(0, offset)).digest('hex')));
    for (const place of places) assert.equal(place.hash.clone().hex(), place.sha256);
    return [intact, places.map(({ offset }) => offset)];
  };
  assert.deepEqual(await check(bytes, prefixes), [11 * MiB, [CHUNK, 2 * CHUNK, 11 * MiB]]);
  assert.deepEqual(await check(bytes, []), [11 * MiB, [CHUNK, 2 * CHUNK, 11 * MiB]]);
  assert.deepEqual(await check(bytes, [prefixes[0], prefixes[0]]), [CHUNK, [CHUNK]]);
  assert.deepEqual(await check(bytes, [prefixes[1]]), [0, []]);
  const damaged = Buffer.from(bytes);
  damaged[CHUNK] ^= 1;
  assert.deepEqual(await check(damaged, prefixes), [CHUNK, [CHUNK]]);
  // One that ends before it should.
  assert.deepEqual((await parts.checkPart({ have: 9 * MiB, size: 20 * MiB, expected: prefixes, pause: () => {},
    read: (offset, most) => bytes.subarray(0, 7 * MiB).subarray(offset, offset + most) })).intact, CHUNK);
});

test('what is kept is bounded, and the oldest goes first', () => {
  const entry = (i, fields = {}) => ({ id: `p${i}`, bytes: 10, complete: false, savedAt: 0, changedAt: i, ...fields });
  const now = 1_000_000_000;
  const gone = (kept, quota = 1e9) => parts.outlived(kept, { quota, now });
  const many = Array.from({ length: 70 }, (_, i) => entry((i * 37) % 70));
  assert.deepEqual(gone(many), ['p0', 'p1', 'p2', 'p3', 'p4', 'p5']);
  assert.deepEqual(gone(many.slice(0, 64)), []);
  // Half of the quota is for others.
  assert.deepEqual(gone([entry(3), entry(1), entry(2)], 40), ['p1']);
  // The newest one stays, whatever its size.
  assert.deepEqual(gone([entry(1, { bytes: 1000 }), entry(2, { bytes: 1000 })], 40), ['p1']);
  // What was saved goes once the copy must be made.
  assert.deepEqual(gone([entry(1, { complete: true, savedAt: now - 9 * 60_000 }), entry(2, { complete: true, savedAt: now - 11 * 60_000 }),
    entry(3, { complete: true })]), ['p2']);
});

test('what comes faster than it is stored ends, and what is stored stays', async () => {
  // A worker that takes all and stores nothing.
  const orders = [];
  globalThis.Worker = class {
    postMessage({ ask, request, order, ...fields }) {
      orders.push(order ?? ask);
      const answers = { receive: { found: 0, lasts: true, places: [] }, leave: { kept: 5 } };
      if (request) queueMicrotask(() => this.onmessage({ data: { request, answer: answers[ask] } }));
    }
  };
  const { Receiving } = await import('../../web/receiving.js');
  const sent = [];
  let transfer;
  const receiving = new Receiving({ send: (message) => sent.push(message) }, (announced) => { transfer = announced; });
  const size = 300 * MiB;
  receiving.handle({ type: 'file-offer', id: 'f1', name: 'a', size, resume: { source: 's', version: 'v' } });
  await receiving.accept(transfer);
  assert.deepEqual(sent.at(-1), { type: 'file-accept', id: 'f1', resume: [] });
  const channel = { label: 'file:f1', close() {} };
  receiving.takeChannel(channel);
  channel.onmessage({ data: '{"type":"start","offset":0}' });
  const bytes = new ArrayBuffer(65536);
  let taken = 0;
  for (; !transfer.over; taken += bytes.byteLength) channel.onmessage({ data: bytes });
  assert.equal(taken, 256 * MiB + bytes.byteLength);
  assert.equal(orders.filter((order) => order === 'chunk').length, (256 * MiB) / bytes.byteLength);
  assert.deepEqual(sent.at(-1), { type: 'file-cancel', id: 'f1', reason: 'io_error' });
  await new Promise(setImmediate);
  assert.equal(transfer.kept, 5);
});

test('a sender that breaks the rules is stopped at once', async () => {
  const { Receiving } = await import('../../web/receiving.js');
  const chunk = (bytes) => new ArrayBuffer(bytes);
  for (const [what, messages] of [
    ['bytes before where they begin', [chunk(1)]],
    ['an end before the beginning', ['{"type":"end","size":10,"sha256":""}']],
    ['a beginning that is none', ['{"type":"start"}']],
    ['a beginning in the middle', ['{"type":"start","offset":5}']],
    ['a text that is no JSON', ['{']],
    ['null', ['null']],
    ['two beginnings', ['{"type":"start","offset":0}', '{"type":"start","offset":0}']],
    ['a chunk that is too large', ['{"type":"start","offset":0}', chunk(65537)]],
    ['more than was said', ['{"type":"start","offset":0}', chunk(11)]],
  ]) {
    const sent = [];
    let transfer;
    const receiving = new Receiving({ send: (message) => sent.push(message) }, (announced) => { transfer = announced; });
    receiving.handle({ type: 'file-offer', id: 'f1', name: 'a', size: what === 'a chunk that is too large' ? 1e6 : 10, resume: { source: 's', version: 'v' } });
    await receiving.accept(transfer);
    const channel = { label: 'file:f1', close() {} };
    receiving.takeChannel(channel);
    for (const data of messages) channel.onmessage({ data });
    assert.deepEqual(sent.at(-1), { type: 'file-cancel', id: 'f1', reason: 'protocol_error' }, what);
    assert.equal(transfer.state, 'failed', what);
  }
});

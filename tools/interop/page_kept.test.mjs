// What the page receives is kept, and goes on after a reload or a crash: no byte
// that was stored is sent again, whatever lies there is believed only as far as
// the sender has the same, and what is kept is bounded.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { goodbye, mainThreadTasks, makeFile, Person, sha256, sharedStage, startFirefox, startProfile, TRANSFER, WAIT } from './browser.mjs';
import { kyuu, Program, sleep } from './lib.mjs';

const MINUTES = { timeout: 5 * 60_000 };
const MiB = 1024 * 1024;
const stage = sharedStage();

// Counts what a page sends of files, by the text that begins each: [{offset,
// bytes}]. What is sent is as slow as `pace` bytes in a millisecond, and stops at
// `holdAt` of a file: that one never ends before a test ends it, however late that
// is on a busy machine.
const counted = (pace) => (page) => page.addInitScript((perMillisecond) => {
  globalThis.sentFiles = [];
  globalThis.holdAt = Infinity;
  const send = RTCDataChannel.prototype.send;
  const began = new Map();
  RTCDataChannel.prototype.send = function (data) {
    if (this.label.startsWith('file:')) {
      if (typeof data === 'string' && JSON.parse(data).type === 'start') sentFiles.push({ offset: JSON.parse(data).offset, bytes: 0 });
      if (typeof data !== 'string') {
        sentFiles.at(-1).bytes += data.byteLength;
        if (!began.has(this)) began.set(this, { at: performance.now(), bytes: 0 });
        began.get(this).bytes += data.byteLength;
      }
    }
    return send.call(this, data);
  };
  if (!perMillisecond) return;
  const isHeld = (channel) => began.has(channel) && sentFiles.at(-1).offset + sentFiles.at(-1).bytes >= holdAt;
  // A queue that looks full is waited for.
  const amount = Object.getOwnPropertyDescriptor(RTCDataChannel.prototype, 'bufferedAmount').get;
  Object.defineProperty(RTCDataChannel.prototype, 'bufferedAmount', { get() {
    if (isHeld(this)) return 1e9;
    const { at, bytes } = began.get(this) ?? { at: 0, bytes: 0 };
    const ahead = bytes / perMillisecond - (performance.now() - at);
    if (ahead <= 0) return amount.call(this);
    setTimeout(() => {
      // What the network has not taken yet has an event of its own.
      if (isHeld(this) || amount.call(this) > this.bufferedAmountLowThreshold) return;
      this.dispatchEvent(new Event('bufferedamountlow'));
    }, ahead);
    return 1e9;
  } });
}, pace);
const sentFiles = (person) => person.page.evaluate(() => sentFiles);
// A little behind `share` percent of `file`; or nowhere.
const hold = (person, file, share) =>
  person.page.evaluate((bytes) => { holdAt = bytes ?? Infinity; }, share && ((share + 15) / 100) * file.size);

async function talking(ada, bob) {
  await ada.sees('Bob').waitFor();
  await ada.call('Bob');
  await bob.accept('Ada');
  await Promise.all([ada.connected(), bob.connected()]);
}

// The files that a page keeps: {name: bytes}.
const disk = (person) => person.page.evaluate(async () => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('kyuu', { create: true });
  const sizes = {};
  for await (const [name, handle] of folder.entries()) sizes[name] = (await handle.getFile()).size;
  return sizes;
});
// The bytes of the one part that it has, once the page that was there has let go
// of it.
async function partBytes(person) {
  for (let before = -1; ;) {
    const parts = Object.entries(await disk(person)).filter(([name]) => name.endsWith('.part'));
    assert.ok(parts.length < 2, JSON.stringify(parts));
    const bytes = parts[0]?.[1] ?? 0;
    if (bytes === before) return bytes;
    before = bytes;
    await sleep(200);
  }
}

async function until(condition, what) {
  for (const deadline = Date.now() + TRANSFER; !(await condition());) {
    assert.ok(Date.now() < deadline, what);
    await sleep(20);
  }
}

const progress = async (person, file) => Number(await person.card(file, 'in').getByTestId('file-progress').getAttribute('aria-valuenow'));

test('a page that is reloaded again and again in the middle of a file has it in the end, and no byte comes twice', MINUTES, async (t) => {
  const file = makeFile('big.bin', 24 * MiB);
  const [ada, bob] = await slowly();
  let stored = 0;
  for (const share of [10, 30, 50, 75]) {
    await talking(ada, bob);
    await hold(ada, file, share);
    await ada.offer(file);
    await bob.card(file, 'in').getByTestId('file-accept').click();
    await until(async () => (await progress(bob, file)) >= share, `not at ${share} %`);
    assert.equal((await sentFiles(ada)).at(-1).offset, stored, 'it goes on where it was');
    await bob.page.reload();
    await ada.state('over').waitFor();
    await bob.page.locator('body[data-view=lobby]').waitFor();
    stored = await partBytes(bob);
    assert.ok(stored >= (share * file.size) / 100, `${stored} bytes at ${share} %`);
  }
  await talking(ada, bob);
  await hold(ada, file);
  await ada.offer(file);
  await Promise.all([bob.receives(file), ada.sent(file)]);
  const sent = await sentFiles(ada);
  assert.equal(sent.at(-1).offset, stored);
  assert.equal(sent.at(-1).bytes, file.size - stored);
  t.diagnostic(`sent ${sent.map(({ offset, bytes }) => `${bytes} from ${offset}`).join(', ')}`);
  await goodbye([ada, bob]);
});

// Ada sends Bob about `share` percent of `file`; then `end(bob)` ends it.
async function breakOff(ada, bob, file, share, end) {
  await talking(ada, bob);
  await hold(ada, file, share);
  await ada.offer(file);
  await bob.card(file, 'in').getByTestId('file-accept').click();
  await until(async () => (await progress(bob, file)) >= share, `not at ${share} %`).catch(async (error) => {
    for (const person of [ada, bob]) {
      error.message += ` ${person.name}: ${await person.at('connection-state').textContent()}, ${await person.at('file-status').allTextContents()} ${person.problems}`;
    }
    throw error;
  });
  await end();
  await ada.state('over').waitFor({ timeout: TRANSFER });
}
const reload = (person) => async () => {
  await person.page.reload();
  await person.page.locator('body[data-view=lobby]').waitFor();
};
const slowly = (pace = 40_000) => stage.people(['Ada', 'Bob'], {}, [{ prepare: counted(pace) }, {}]);

// The two talk, and Bob has the file in the end. Returns where it went on.
async function goOn(ada, bob, file) {
  await talking(ada, bob);
  await hold(ada, file);
  await ada.offer(file);
  await Promise.all([bob.receives(file), ada.sent(file)]);
  const { offset, bytes } = (await sentFiles(ada)).at(-1);
  assert.equal(bytes, file.size - offset);
  return offset;
}

test('a tab that crashes in the middle of a file goes on when it is opened again', MINUTES, async () => {
  const file = makeFile('crash.bin', 16 * MiB);
  const [ada, bob] = await slowly();
  await breakOff(ada, bob, file, 40, async () => {
    const session = await bob.context.newCDPSession(bob.page);
    session.send('Page.crash').catch(() => {}); // Nobody is left to answer.
    await bob.page.waitForEvent('crash');
    await ada.at('hangup').click(); // It would notice after a minute.
  });
  const again = await bob.context.newPage();
  await again.goto(bob.page.url());
  bob.page = again;
  await bob.joinAs('Bob 2');
  const stored = await partBytes(bob);
  assert.ok(stored >= 6 * MiB, `${stored} bytes`);
  await ada.at('hangup').click();
  await ada.call('Bob 2');
  await bob.accept('Ada');
  await ada.connected();
  await hold(ada, file);
  await ada.offer(file);
  await Promise.all([bob.receives(file), ada.sent(file)]);
  assert.equal((await sentFiles(ada)).at(-1).offset, stored);
  await goodbye([ada, bob]);
});

test('what is kept is listed with its size, and can be discarded', MINUTES, async () => {
  const file = makeFile('listed.bin', 16 * MiB);
  const [ada, bob] = await slowly();
  assert.equal(await bob.at('kept').isVisible(), false);
  // A person who cancels loses nothing either.
  await breakOff(ada, bob, file, 40, async () => {
    await bob.card(file, 'in').getByTestId('file-cancel').click();
    await bob.card(file, 'in').getByTestId('file-status').filter({ hasText: /Cancelled\. [\d.]+ MB of it are kept for when it is sent again/ }).waitFor();
    await bob.hangUp();
  });
  await bob.at('hangup').click();
  await bob.at('kept').locator('summary').click();
  const row = bob.at('kept-file');
  assert.match(await row.textContent(), /listed\.bin[\d.]+ MB of 16\.8 MB/);
  const stored = await partBytes(bob);
  assert.equal(Number(await bob.at('kept-bytes').getAttribute('data-bytes')), stored);
  await row.getByTestId('kept-discard').click();
  await bob.at('kept').waitFor({ state: 'hidden' });
  await bob.page.waitForFunction(() => document.activeElement.id === 'leave');
  assert.deepEqual(await disk(bob), {});
  await ada.at('hangup').click();
  assert.equal(await goOn(ada, bob, file), 0);

  // Complete, it stays until it was saved and some minutes are over.
  await bob.page.reload();
  await bob.at('kept').locator('summary').click();
  assert.match(await bob.at('kept-file').textContent(), /16\.8 MB, complete/);
  const download = bob.page.waitForEvent('download');
  await bob.at('kept-save').click();
  assert.equal(await sha256(await (await download).path()), file.sha256);
  await alter(bob, '.done', (bytes) => {
    const entry = JSON.parse(new TextDecoder().decode(bytes));
    if (!entry.savedAt) throw new Error('it was saved');
    return JSON.stringify({ ...entry, savedAt: entry.savedAt - 11 * 60_000 });
  });
  await bob.page.reload();
  await until(async () => Object.keys(await disk(bob)).length === 0, 'it is still there');
  await goodbye([ada, bob]);
});

// Changes the files whose names have this end, by `change(bytes)`.
const alter = (person, end, change) => person.page.evaluate(`(async () => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('kyuu');
  for await (const [name, handle] of folder.entries()) {
    if (!name.endsWith('${end}')) continue;
    const changed = (${change})(new Uint8Array(await (await handle.getFile()).arrayBuffer()));
    const writer = await handle.createWritable();
    await writer.write(changed);
    await writer.close();
  }
})()`);

const CHUNK = 4 * MiB;
// Two whose pages were loaded for the one before, if that went well.
let spare;
for (const [what, end, change, expected, isLast] of [
  ['a part that was written to', '.part', (bytes) => { bytes[9 * 1024 * 1024] ^= 1; return bytes; }, 2 * CHUNK],
  ['a part that is another one from its first byte', '.part', (bytes) => { bytes[0] ^= 1; return bytes; }, 0],
  ['a part that is empty', '.part', () => new Uint8Array(0), 0],
  ['a part that is longer than the file', '.part', (bytes) => { const longer = new Uint8Array(40 * 1024 * 1024); longer.set(bytes); return longer; }, 3 * CHUNK],
  ['a journal that is none', '.journal', () => new TextEncoder().encode('{"kyuu":7}\n'), 0],
  ['a journal of megabytes', '.journal', () => new Uint8Array(5 * 1024 * 1024), 0],
  // Another digit: what is no hash is a torn line.
  ['a journal whose hash is another', '.journal', (bytes) => { const at = bytes.indexOf(10) + 1; bytes[at] = bytes[at] === 0x30 ? 0x31 : 0x30; return bytes; }, 0],
  ['a journal that is torn', '.journal', (bytes) => bytes.subarray(0, bytes.length - 3), undefined],
].map((row, i, rows) => [...row, i + 1 === rows.length])) {
  test(`${what} costs no more than itself`, MINUTES, async () => {
    const file = makeFile('altered.bin', (expected ? 4 : 2) * CHUNK);
    const [ada, bob] = spare ?? await slowly();
    spare = undefined;
    await breakOff(ada, bob, file, 80, reload(bob));
    const stored = await partBytes(bob);
    await alter(bob, end, change);
    assert.equal(await goOn(ada, bob, file), expected === 3 * CHUNK ? Math.floor(stored / CHUNK) * CHUNK : (expected ?? stored));
    if (isLast) return goodbye([ada, bob]);
    for (const person of [ada, bob]) person.noProblems();
    await bob.hangUp();
    for (const person of [ada, bob]) await person.at('hangup').click();
    await bob.at('kept').locator('summary').click();
    await bob.at('kept-discard').click();
    await bob.at('kept').waitFor({ state: 'hidden' });
    spare = [ada, bob];
  });
}

test('a file that has changed goes on as far as it is the same', MINUTES, async () => {
  const file = makeFile('changed.bin', 16 * MiB);
  const [ada, bob] = await slowly();
  await breakOff(ada, bob, file, 60, reload(bob));
  const content = readFileSync(file.path);
  content[9 * MiB] ^= 1;
  writeFileSync(file.path, content);
  file.sha256 = await sha256(file.path);
  assert.equal(await goOn(ada, bob, file), 2 * CHUNK);
  await goodbye([ada, bob]);
});

test('a file for which there is no room is not begun, and both sides read why', MINUTES, async (t) => {
  const file = makeFile('quota.bin', 16 * MiB);
  // What is in memory alone has no quota.
  const profile = await startProfile();
  t.after(() => profile.close());
  const room = stage.newRoom();
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room, prepare: counted(40_000) });
  const bob = await Person.join(profile, stage.server.url, 'Bob', { room });
  const session = await bob.context.newCDPSession(bob.page);
  const { origin } = new URL(bob.page.url());
  const quota = (bytes) => session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: bytes });
  await quota(12 * MiB);
  await talking(ada, bob);
  await ada.offer(file);
  await bob.card(file, 'in').getByTestId('file-accept').click();
  await bob.card(file, 'in').getByTestId('file-status').filter({ hasText: 'no room for it in this browser' }).waitFor();
  await ada.card(file, 'out').getByTestId('file-status').filter({ hasText: 'Declined: no room for it there' }).waitFor();
  assert.deepEqual(await disk(bob), {});
  await quota(100 * MiB);
  await bob.hangUp();
  for (const person of [ada, bob]) await person.at('hangup').click();
  assert.equal(await goOn(ada, bob, file), 0);
  await goodbye([ada, bob]);
});

test('a disk that is full in the middle of a file is said on both sides, and nothing is lost', MINUTES, async () => {
  const file = makeFile('full.bin', 16 * MiB);
  const [ada, bob] = await slowly();
  await bob.page.route('**/disk.js', async (route) => {
    const answer = await route.fetch();
    const full = (await answer.text()).replace('writing(() => access.write(bytes, { at }))',
      `writing(() => {
        if (at > ${9 * MiB}) throw new DOMException('', 'QuotaExceededError');
        return access.write(bytes, { at });
      })`);
    await route.fulfill({ response: answer, body: full });
  });
  await reload(bob)();
  await breakOff(ada, bob, file, 50, async () => {
    await bob.card(file, 'in').getByTestId('file-status').filter({ hasText: /Failed: there is no room for it in this browser\. [\d.]+ MB of it are kept/ }).waitFor();
    await ada.card(file, 'out').getByTestId('file-status').filter({ hasText: 'no room for it there' }).waitFor();
    await bob.hangUp();
  });
  await bob.page.unroute('**/disk.js');
  await reload(bob)();
  const stored = await partBytes(bob);
  assert.ok(stored >= 9 * MiB && stored < 10 * MiB, `${stored} bytes`);
  await ada.at('hangup').click();
  assert.equal(await goOn(ada, bob, file), stored);
  await goodbye([ada, bob]);
});

test('a sender that goes on where it was not told to is stopped, and what was kept stays', MINUTES, async () => {
  const file = makeFile('elsewhere.bin', 16 * MiB);
  const [ada, bob] = await slowly();
  await breakOff(ada, bob, file, 40, reload(bob));
  const stored = await partBytes(bob);
  await ada.page.evaluate(() => {
    const { send } = RTCDataChannel.prototype;
    RTCDataChannel.prototype.send = function (data) {
      send.call(this, typeof data === 'string' && data.includes('"start"') ? '{"type":"start","offset":4194305}' : data);
    };
  });
  await talking(ada, bob);
  await ada.offer(file);
  await bob.card(file, 'in').getByTestId('file-accept').click();
  await bob.card(file, 'in').getByTestId('file-status').filter({ hasText: 'does not keep to the protocol' }).waitFor();
  assert.equal(await partBytes(bob), stored);
  await goodbye([ada, bob]);
});

test('two tabs of one browser do not write into the same part', MINUTES, async () => {
  const file = makeFile('twice.bin', 30 * MiB);
  const [ada, bob] = await slowly(8_000);
  const eve = await Person.adopt(await bob.context.newPage(), bob, 'Eve');
  await talking(ada, bob);
  await ada.offer(file);
  await bob.card(file, 'in').getByTestId('file-accept').click();
  await until(async () => (await progress(bob, file)) >= 20, 'not under way');
  // A second sender with the first one's secret: the same source.
  const twin = await Person.adopt(await ada.context.newPage(), ada, 'Twin');
  await twin.call('Eve');
  await eve.accept('Twin');
  await twin.connected();
  await twin.offer(file);
  await Promise.all([eve.receives(file), twin.sent(file), bob.settled(bob.card(file, 'in'), file)]);
  await goodbye([ada, bob]);
});

test('nothing of a file keeps the main thread for long', MINUTES, async (t) => {
  const [ada, bob] = await stage.people(['Ada', 'Bob'], {}, [{ prepare: counted() }, {}]);
  await talking(ada, bob);
  // A machine that others keep busy may spoil one measurement, not each of three.
  const late = new Set([ada, bob]);
  for (let i = 0; i < 6 && late.size > 0; i++) {
    const person = [...late][i % late.size];
    const file = makeFile(`smooth ${i}.bin`, 20 * MiB);
    await stage.browser.startTracing(person.page, { categories: ['toplevel'] });
    await ada.offer(file);
    await Promise.all([bob.receives(file), ada.sent(file)]);
    const tasks = mainThreadTasks(JSON.parse(await stage.browser.stopTracing()));
    assert.ok(tasks.length > 100, 'the trace is of no use');
    t.diagnostic(`${person.name}: longest task ${Math.max(...tasks).toFixed(1)} ms`);
    if (Math.max(...tasks) < 50) late.delete(person);
  }
  assert.deepEqual([...late].map(({ name }) => name), []);
  await goodbye([ada, bob]);
});

test('a page that is reloaded in the middle of a file of kyuu send goes on where it was', MINUTES, async () => {
  const file = makeFile('from a terminal.bin', 120 * MiB);
  const [bob] = await stage.people(['Bob']);
  const room = new URL(bob.page.url()).searchParams.get('room');
  const send = () => new Program(kyuu, ['send', stage.server.url, file.path, '--to', 'Bob', '--name', 'Kim', '--room', room]);
  let sender = send();
  await bob.accept('Kim');
  await bob.card(file, 'in').getByTestId('file-accept').click();
  await until(async () => (await progress(bob, file)) >= 20, 'not under way');
  await reload(bob)();
  assert.equal(await sender.finish(60), 1, sender.transcript());
  const stored = await partBytes(bob);
  assert.ok(stored > 24 * MiB, `${stored} bytes`);
  sender = send();
  await bob.accept('Kim');
  await bob.receives(file);
  assert.equal(await sender.finish(60), 0, sender.transcript());
  const [, megabytes] = await sender.waitFor(/from a terminal\.bin goes on at ([\d.]+) MB/);
  assert.ok(Math.abs(megabytes * 1e6 - stored) <= 5e5, `at ${megabytes} MB of ${stored} bytes`);
  await goodbye([bob]);
});

test('Firefox keeps what it receives, too', MINUTES, async (t) => {
  const file = makeFile('to Firefox.bin', 16 * MiB);
  const firefox = await startFirefox();
  t.after(() => firefox.close());
  const room = stage.newRoom();
  const page = await firefox.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('dialog', (dialog) => dialog.accept()); // "Leave this page?"
  await page.goto(`${stage.server.url}/?room=${room}&name=Finn`);
  const click = (id) => page.locator(`[data-testid=${id}]`).setTimeout(WAIT).click();
  const there = (selector) => page.waitForSelector(selector, { timeout: TRANSFER });
  await there('[data-testid=server-status][data-state=online]');
  await click('join-button');
  await there('body[data-view=lobby]');
  const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { room, prepare: counted(40_000) });
  const finn = { page };
  let stored = 0;
  for (const share of [30, 60, 100]) {
    await ada.sees('Finn').waitFor();
    await ada.call('Finn');
    await click('accept-call');
    await ada.connected();
    await hold(ada, file, share < 100 ? share : undefined);
    await ada.offer(file);
    await click('file-accept');
    if (share === 100) break;
    await page.waitForFunction((least) => document.querySelector('[data-testid=file-progress]').getAttribute('aria-valuenow') >= least, { timeout: TRANSFER }, share);
    assert.equal((await sentFiles(ada)).at(-1).offset, stored);
    await page.reload();
    await there('body[data-view=lobby]');
    await ada.state('over').waitFor();
    stored = await partBytes(finn);
    assert.ok(stored >= (share * file.size) / 100, `${stored} bytes at ${share} %`);
  }
  await ada.sent(file);
  await there('[data-testid=file-card][data-state=done]');
  assert.equal(await page.$eval('[data-testid=file-card]', (card) => card.dataset.sha256), file.sha256);
  assert.deepEqual((await sentFiles(ada)).at(-1), { offset: stored, bytes: file.size - stored });
  assert.deepEqual(errors, []);
  await goodbye([ada]);
});

for (const [what, breaks] of [
  ['has no files of its own', () => { delete FileSystemFileHandle.prototype.createSyncAccessHandle; }],
  ['cannot open them', () => { FileSystemFileHandle.prototype.createSyncAccessHandle = async () => { throw new DOMException('', 'UnknownError'); }; }],
]) {
  test(`a browser that ${what} receives files all the same`, MINUTES, async () => {
    const file = makeFile('in memory.bin', 20 * MiB);
    const [ada, bob] = await stage.people(['Ada', 'Bob'], {}, [{}, { prepare: (page) => page.route('**/file_worker.js', async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: (await answer.text()).replace('const disk =', `(${breaks})();\nconst disk =`) });
    }) }]);
    await talking(ada, bob);
    await ada.offer(file);
    await Promise.all([bob.receives(file), ada.sent(file)]);
    assert.equal(await bob.at('kept').isVisible(), false);
    await goodbye([ada, bob], /storing/);
  });
}

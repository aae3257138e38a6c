// Files that go straight into a folder which a person chooses. No program can press
// the buttons of the browser's own dialogue: in its place the page gets a folder of
// its private file system, which has the same interface.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goodbye, makeFile, sharedStage, TRANSFER } from './browser.mjs';
import { sleep } from './lib.mjs';

const MINUTES = { timeout: 5 * 60_000 };
const MiB = 1024 * 1024;
const stage = sharedStage();

// What the dialogue, and the question whether the page may write, are answered by:
// `page.answers`, which a test may change: {choose: name of the folder, or of the
// error, may: "granted" or "denied"}. What was asked is kept.
async function choosing(page) {
  await page.addInitScript(() => {
    globalThis.answers = { choose: 'chosen', may: 'granted' };
    globalThis.asked = [];
    globalThis.downloads = 0;
    globalThis.showDirectoryPicker = async (options) => {
      asked.push(`choose ${options.mode}`);
      if (/Error$/.test(answers.choose)) throw new DOMException('', answers.choose);
      return (await navigator.storage.getDirectory()).getDirectoryHandle(answers.choose, { create: true });
    };
    FileSystemHandle.prototype.queryPermission = async () => 'prompt';
    FileSystemHandle.prototype.requestPermission = async function () {
      asked.push(`may ${this.name}`);
      return answers.may;
    };
  });
  page.on('download', (download) => { page.downloads = [...page.downloads ?? [], download.suggestedFilename()]; });
}
// What leaves of a file ends with `most` bytes of it, as long as nothing else is said
// in globalThis.most; where each begins is kept.
const halting = (most) => (page) => page.addInitScript((bytes) => {
  globalThis.most = bytes;
  globalThis.starts = [];
  const send = RTCDataChannel.prototype.send;
  const sent = new Map();
  RTCDataChannel.prototype.send = function (data) {
    if (this.label.startsWith('file:')) {
      if (typeof data === 'string' && JSON.parse(data).type === 'start') starts.push(JSON.parse(data).offset);
      if (typeof data !== 'string') sent.set(this, (sent.get(this) ?? 0) + data.byteLength);
    }
    return send.call(this, data);
  };
  // A queue that looks full is waited for.
  const amount = Object.getOwnPropertyDescriptor(RTCDataChannel.prototype, 'bufferedAmount').get;
  Object.defineProperty(RTCDataChannel.prototype, 'bufferedAmount', { get() {
    return (sent.get(this) ?? 0) >= most ? 1e9 : amount.call(this);
  } });
}, most);

const people = (most, options = {}) =>
  stage.people(['Ada', 'Bob'], {}, [most ? { prepare: halting(most) } : {}, { prepare: choosing, ...options }]);
async function talking(ada, bob) {
  await ada.sees('Bob').waitFor();
  await ada.call('Bob');
  await bob.accept('Ada');
  await Promise.all([ada.connected(), bob.connected()]);
}
// {name: [bytes, SHA-256]} of a folder.
const folder = (person, name = 'chosen') => person.page.evaluate(async (wanted) => {
  const there = {};
  const handle = await (await navigator.storage.getDirectory()).getDirectoryHandle(wanted, { create: true });
  for await (const [entry, file] of handle.entries()) {
    const bytes = await (await file.getFile()).arrayBuffer();
    there[entry] = [bytes.byteLength, [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].map((b) => b.toString(16).padStart(2, '0')).join('')];
  }
  return there;
}, name);
const asked = (person) => person.page.evaluate(() => asked.splice(0));
const answer = (person, answers) => person.page.evaluate((given) => Object.assign(globalThis.answers, given), answers);
const as = (file) => [file.size, file.sha256];
const into = (person, file) => person.card(file, 'in').getByTestId('file-accept-folder');
const status = (person, file) => person.card(file, 'in').getByTestId('file-status');
const kept = (person) => person.at('kept-file').evaluateAll((rows) => rows.map((row) => [row.dataset.name, Number(row.querySelector('small').dataset.bytes)]));
async function until(condition, what) {
  for (const deadline = Date.now() + TRANSFER; !(await condition());) {
    assert.ok(Date.now() < deadline, what);
    await sleep(20);
  }
}
const share = async (person, file) => Number(await person.card(file, 'in').getByTestId('file-progress').getAttribute('aria-valuenow'));

// Ada offers the file, Bob takes it into the folder, and `end` ends it when half of
// it has come, and no more comes.
async function breakOff(ada, bob, file, end) {
  await talking(ada, bob);
  await ada.offer(file);
  await into(bob, file).click();
  await until(async () => (await share(bob, file)) >= 50, 'not half of it came').catch(async (error) => {
    for (const person of [ada, bob]) error.message += ` ${person.name}: ${await person.at('file-status').allTextContents()} ${person.problems}`;
    throw error;
  });
  await end();
  await ada.state('over').waitFor({ timeout: TRANSFER });
}
async function goOn(ada, bob, file, button = 'file-accept') {
  await ada.page.evaluate(() => { globalThis.most = Infinity; });
  await talking(ada, bob);
  await ada.offer(file);
  await bob.card(file, 'in').getByTestId(button).click();
  await Promise.all([bob.settled(bob.card(file, 'in'), file), ada.sent(file)]);
  return ada.page.evaluate(() => starts.at(-1));
}

test('a file goes into the folder by the keyboard, and nothing else gets a copy', MINUTES, async () => {
  const [ada, bob] = await people();
  await talking(ada, bob);
  const file = makeFile('photo.bin', 5 * MiB);
  for (const name of ['photo.bin', 'photo (1).bin', 'photo (2).bin']) {
    await ada.offer(file);
    const card = bob.page.locator('[data-testid=file-card][data-direction=in]').last();
    await card.getByTestId('file-accept-folder').press('Enter');
    await bob.settled(card, file);
    assert.match(await card.getByTestId('file-status').textContent(), new RegExp(`saved in chosen as ${name.replace(/[()]/g, '\\$&')}`));
    assert.equal(await card.getByTestId('file-save').count(), 0);
  }
  const all = Object.fromEntries(['photo.bin', 'photo (1).bin', 'photo (2).bin'].map((name) => [name, as(file)]));
  assert.deepEqual(await folder(bob), all);
  assert.deepEqual(await folder(bob, 'kyuu'), {});
  assert.deepEqual(bob.page.downloads ?? [], []);
  assert.deepEqual(await asked(bob), Array(3).fill('choose readwrite'));
  await goodbye([ada, bob]);
});

test('one choice is for all of a batch, small files and odd names, too', MINUTES, async () => {
  const [ada, bob] = await people();
  await talking(ada, bob);
  const files = [makeFile('one.bin', 3 * MiB), makeFile('two.txt', 10), makeFile('.hidden', 0), makeFile('a:b?.txt', 1000), makeFile('ä ö.bin', 2 * MiB)];
  await ada.at('file-input').setInputFiles(files.map(({ path }) => path));
  await into(bob, files[0]).click();
  for (const file of files) await bob.settled(bob.card(file, 'in'), file);
  const there = await folder(bob);
  assert.equal(Object.keys(there).length, files.length, Object.keys(there).join(', '));
  for (const file of files) assert.ok(Object.values(there).some(([bytes, hash]) => bytes === file.size && hash === file.sha256), file.name);
  assert.ok(!Object.keys(there).some((name) => name.startsWith('.') || name.endsWith('.part')), Object.keys(there).join(', '));
  assert.deepEqual(await asked(bob), ['choose readwrite']);
  await goodbye([ada, bob]);
});

test('a call that ends loses nothing: the same file goes on in the folder, which is asked for again', MINUTES, async () => {
  const [ada, bob] = await people(18 * MiB);
  const file = makeFile('call.bin', 30 * MiB);
  await breakOff(ada, bob, file, () => bob.hangUp());
  await until(async () => (await kept(bob)).length > 0, 'nothing is kept');
  const [[name, bytes]] = await kept(bob);
  assert.equal(name, file.name);
  assert.ok(bytes >= file.size / 2, `${bytes} bytes`);
  await bob.at('kept').locator('summary').click();
  assert.match(await bob.at('kept-bytes').textContent(), /in chosen/);
  await asked(bob);
  assert.equal(await goOn(ada, bob, file), bytes);
  assert.deepEqual(await asked(bob), ['may chosen']);
  assert.deepEqual(await folder(bob), { 'call.bin': as(file) });
  assert.deepEqual(await kept(bob), []);
  assert.deepEqual(bob.page.downloads ?? [], []);
  await goodbye([ada, bob]);
});

test('a page that is reloaded goes on where it last made an end', MINUTES, async (t) => {
  const [ada, bob] = await people(36 * MiB);
  const file = makeFile('reload.bin', 60 * MiB);
  await breakOff(ada, bob, file, async () => {
    await bob.page.reload();
    await bob.page.locator('body[data-view=lobby]').waitFor();
  });
  const from = await goOn(ada, bob, file, 'file-accept-folder');
  assert.ok(from >= 16 * MiB, `from ${from}`);
  t.diagnostic(`went on from ${from} of ${file.size}`);
  // What Chromium had beside the file for the page that is gone it removes at a time
  // of its own.
  const there = await folder(bob);
  for (const name of Object.keys(there)) if (name.endsWith('.crswap')) delete there[name];
  assert.deepEqual(there, { 'reload.bin': as(file) });
  // It was asked whether the page may, not where.
  assert.deepEqual(await asked(bob), ['may chosen']);
  await goodbye([ada, bob]);
});

test('a folder that is refused the second time is done without, and a part of it can be discarded', MINUTES, async () => {
  const [ada, bob] = await people(12 * MiB);
  const file = makeFile('refused.bin', 20 * MiB);
  await breakOff(ada, bob, file, () => bob.hangUp());
  await answer(bob, { may: 'denied' });
  assert.equal(await goOn(ada, bob, file), 0);
  await until(() => bob.page.downloads?.includes(file.name), 'it is not downloaded');
  await bob.hangUp();
  await answer(bob, { may: 'granted' });
  await bob.at('kept').locator('summary').click();
  const part = bob.page.locator('[data-testid=kept-file]').filter({ hasText: 'in chosen' });
  assert.equal(Object.keys(await folder(bob)).length, 1);
  await part.getByTestId('kept-discard').click();
  await part.waitFor({ state: 'detached' });
  assert.deepEqual(await folder(bob), {});
  await goodbye([ada, bob]);
});

test('who chooses nothing may still choose otherwise, and a browser that refuses says so', MINUTES, async () => {
  const [ada, bob] = await people();
  await talking(ada, bob);
  const file = makeFile('later.bin', 2 * MiB);
  await ada.offer(file);
  await answer(bob, { choose: 'AbortError' });
  // A double click is one question. The page looks for a part of the file first.
  await into(bob, file).evaluate((button) => { button.click(); button.click(); });
  await until(async () => (await asked(bob)).join() === 'choose readwrite', 'no folder was asked for');
  await answer(bob, { choose: 'SecurityError' });
  await into(bob, file).click();
  await bob.at('notice-text').filter({ hasText: 'lets no folder be chosen' }).waitFor();
  assert.deepEqual(await asked(bob), ['choose readwrite']);
  assert.equal(await bob.card(file, 'in').getAttribute('data-state'), 'offered');
  await bob.receives(file);
  await goodbye([ada, bob]);
});

test('a full disk and a folder that is gone are told to both', MINUTES, async () => {
  // The writer of the worker fails from 3 MB on, as a full disk does.
  const full = async (page) => {
    await choosing(page);
    await page.route('**/folders.js', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `${await response.text()}
        const write = FileSystemWritableFileStream.prototype.write;
        let bytes = 0;
        FileSystemWritableFileStream.prototype.write = function (piece) {
          bytes += piece.length;
          return bytes > 3e6 ? Promise.reject(new DOMException("", "QuotaExceededError")) : write.call(this, piece);
        };` });
    });
  };
  const [ada, bob] = await people(0, { prepare: full });
  await talking(ada, bob);
  const file = makeFile('full.bin', 5 * MiB);
  await ada.offer(file);
  await into(bob, file).click();
  await bob.card(file, 'in').and(bob.page.locator('[data-state=failed]')).waitFor();
  assert.match(await status(bob, file).textContent(), /not enough room|no room|full/i);
  await ada.card(file, 'out').and(ada.page.locator(':is([data-state=failed],[data-state=cancelled])')).waitFor();
  // A folder that is not there any more.
  await bob.page.evaluate(() => {
    globalThis.showDirectoryPicker = async () => {
      const root = await navigator.storage.getDirectory();
      const gone = await root.getDirectoryHandle('gone', { create: true });
      await root.removeEntry('gone');
      return gone;
    };
  });
  const other = makeFile('other.bin', 5 * MiB);
  await ada.offer(other);
  await into(bob, other).click();
  await bob.card(other, 'in').and(bob.page.locator('[data-state=failed]')).waitFor();
  await ada.card(other, 'out').and(ada.page.locator('[data-state=declined]')).waitFor();
  await goodbye([ada, bob], /storing|receive/);
});

test('as many parts are remembered as elsewhere, and as many names are tried as is sensible', MINUTES, async () => {
  const [ada, bob] = await people();
  const names = await bob.page.evaluate(async () => {
    const { store } = await import('./store.js');
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('chosen', { create: true });
    const opening = indexedDB.open('kyuu-folders', 1);
    await new Promise((resolve) => { opening.onsuccess = resolve; });
    const parts = opening.result.transaction('parts', 'readwrite').objectStore('parts');
    for (let i = 0; i < 66; i++) parts.put({ key: `key${i}`, folder, data: `kyuu-${i}.part`, name: `n${i}`, size: 9, mime: '', bytes: 5, changedAt: i, prefixes: [] });
    await new Promise((resolve) => { parts.transaction.oncomplete = resolve; });
    for (const i of [0, 65]) await folder.getFileHandle(`kyuu-${i}.part`, { create: true });
    await store.sweep();
    for (let i = 0; i < 1000; i++) await folder.getFileHandle(i === 0 ? 'many.bin' : `many (${i}).bin`, { create: true });
    return (await store.list()).map(({ name }) => name).sort();
  });
  assert.equal(names.length, 64);
  assert.ok(!names.includes('n0') && !names.includes('n1') && names.includes('n65'), names.join(', '));
  await talking(ada, bob);
  const file = makeFile('many.bin', 2 * MiB);
  await ada.offer(file);
  await into(bob, file).click();
  await bob.card(file, 'in').and(bob.page.locator('[data-state=failed]')).waitFor();
  const there = Object.keys(await folder(bob));
  assert.ok(!there.includes('kyuu-0.part') && there.includes('kyuu-65.part'), 'the part of what is forgotten goes, too');
  await goodbye([ada, bob], /no name is free/);
});

test('where a browser has no such choice, none is offered', MINUTES, async () => {
  const [ada, bob] = await people(0, { prepare: (page) => page.addInitScript(() => { delete globalThis.showDirectoryPicker; }) });
  await talking(ada, bob);
  const file = makeFile('plain.bin', 2 * MiB);
  await ada.offer(file);
  await bob.card(file, 'in').waitFor();
  assert.equal(await into(bob, file).count(), 0);
  await bob.receives(file);
  await goodbye([ada, bob]);
});

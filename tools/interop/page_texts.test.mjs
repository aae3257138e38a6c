// The page in the language of who reads it: every text has a place in each table
// and is nowhere else, the language is chosen and remembered, and German, whose
// words are long, fits on a phone.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { goodbye, makeFile, Person, PHONE, sharedStage } from './browser.mjs';
import { LANGUAGES } from '../../web/texts.js';

const MINUTES = { timeout: 5 * 60_000 };
const web = new URL('../../web/', import.meta.url);
const files = readdirSync(web).filter((name) => /\.(js|html)$/.test(name) && !/^texts_/.test(name));
const read = (name) => readFileSync(new URL(name, web), 'utf8');
const stage = sharedStage();

const places = (entry) => [...new Set(JSON.stringify(entry).match(/\{\w+\}/g))].sort();

test('each language has every text, with the same places, and no others', () => {
  const { en } = LANGUAGES;
  for (const [tag, { name, dir, texts }] of Object.entries(LANGUAGES)) {
    assert.ok(name && ['ltr', 'rtl'].includes(dir));
    assert.deepEqual(Object.keys(texts), Object.keys(en.texts), tag);
    for (const [key, entry] of Object.entries(texts)) {
      const other = en.texts[key];
      assert.equal(Array.isArray(entry), Array.isArray(other), `${tag} ${key}`);
      if (Array.isArray(entry)) continue;
      assert.ok(JSON.stringify(entry).length > 2, `${tag} ${key} is empty`);
      assert.deepEqual(places(entry), places(other), `${tag} ${key}`);
      // Every form that the language has, and the one for all others.
      if (typeof other !== 'string') {
        assert.deepEqual(Object.keys(entry).sort(), new Intl.PluralRules(tag).resolvedOptions().pluralCategories.sort(), `${tag} ${key}`);
      }
    }
  }
});

test('every text that is used is in the tables, every one there is used, and the document has the same', () => {
  const { texts } = LANGUAGES.en;
  const sources = files.map(read).join('\n');
  const used = [...sources.matchAll(/data-text(?:-[a-z-]+)?="(\w+)"|\b(?:text|textOf|words|about)\((?:\w+(?:\.\w+)*, )?"(\w+)"/g)].map((m) => m[1] ?? m[2]);
  assert.ok(used.length > 100);
  for (const key of used) assert.ok(Object.hasOwn(texts, key), `${key} is in no table`);
  for (const key of Object.keys(texts)) {
    const made = /^(candidate|device|any)_|_(rtt|again)$/.test(key); // Keys that are put together.
    assert.ok(made || sources.includes(`"${key}"`), `${key} is not used`);
  }
  const html = read('index.html').replaceAll('&amp;', '&');
  for (const [, key, said] of html.matchAll(/data-text="(\w+)"[^>]*>([^<]*)</g)) assert.equal(said, texts[key], key);
  for (const [, attribute, key, tag] of html.matchAll(/data-text-([a-z-]+)="(\w+)"([^>]*)>/g)) {
    const said = new RegExp(` ${attribute}="([^"]*)"`).exec(tag)?.[1];
    assert.equal(said, texts[key], `${attribute} ${key}`);
  }
});

// German, each text of which is marked: what is seen without a mark is outside the
// tables.
const marked = (page) => page.route('**/texts_de.js', async (route) => {
  const answer = await route.fetch();
  await route.fulfill({ response: answer, body: `${await answer.text()}
    const mark = (entry) => typeof entry === "string" ? "⟦" + entry + "⟧"
      : Array.isArray(entry) ? entry : Object.fromEntries(Object.entries(entry).map(([form, said]) => [form, mark(said)]));
    for (const key of Object.keys(de)) if (!key.startsWith("suggested")) de[key] = mark(de[key]);` });
});

// What is seen or read aloud and is no text of ours, nor what somebody has chosen.
const unmarked = (person) => person.page.evaluate(() => {
  const found = [];
  const foreign = 'bdi, .avatar, [dir=auto], time, noscript, #dtls, #language, .brand, figcaption, option';
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data, parentElement } = walker.currentNode;
    if (!/\p{L}/u.test(data) || parentElement.closest(foreign)) continue;
    const all = parentElement.closest('[data-text]')?.textContent ?? data;
    if (!/^⟦.*⟧$/s.test(all)) found.push(data);
  }
  for (const attribute of ['title', 'aria-label', 'placeholder', 'alt']) {
    for (const element of document.querySelectorAll(`body [${attribute}]`)) {
      const said = element.getAttribute(attribute);
      if (/\p{L}/u.test(said) && !/^⟦.*⟧$/s.test(said) && !element.closest('bdi, b[title], .avatar, .preview')) found.push(`${attribute}: ${said}`);
    }
  }
  if (!document.title.startsWith('⟦')) found.push(document.title);
  return found;
});

test('no text of the page is outside the tables, in any of its views', MINUTES, async () => {
  const german = { locale: 'de-AT', prepare: marked };
  const open = await Person.open(stage.browser, stage.server.url, german);
  const seen = async (person, what) => assert.deepEqual(await unmarked(person), [], what);
  await open.at('name-input').fill(' ');
  await open.at('join-button').click();
  await open.at('join-error').waitFor();
  await seen(open, 'joining');
  const [ada, bob] = await stage.people(['Ada', 'Bob'], german);
  await ada.sees('Bob').waitFor();
  await seen(ada, 'people');
  await ada.call('Bob');
  await bob.at('incoming-dialog').waitFor();
  await Promise.all([seen(ada, 'calling'), seen(bob, 'being called')]);
  await bob.accept('Ada');
  await Promise.all([ada.connected(), bob.connected()]);
  await bob.at('panel-toggle').click();
  await bob.page.locator('[data-testid=connection-panel][data-way]').waitFor();
  await bob.at('devices-toggle').click();
  await seen(bob, 'the panel');
  for (const name of ['one.bin', 'two.bin']) await ada.offer(makeFile(name, 3_000_000));
  await ada.at('file-input').setInputFiles(['a', 'b'].map((name) => makeFile(name, 100).path));
  await bob.at('file-accept-all').waitFor();
  await Promise.all([seen(ada, 'offering'), seen(bob, 'being offered')]);
  await bob.at('file-accept').first().click();
  await bob.page.locator('[data-testid=file-card][data-state=done]').waitFor();
  await bob.at('file-decline-all').click();
  await Promise.all([seen(ada, 'sent'), seen(bob, 'received')]);
  await bob.hangUp();
  await ada.state('over').waitFor();
  await Promise.all([seen(ada, 'over'), seen(bob, 'over')]);
  await bob.at('hangup').click();
  await bob.at('kept').locator('summary').click();
  await bob.at('kept-file').first().waitFor();
  await seen(bob, 'what is kept');
  await goodbye([ada, bob, open]);
});

test('the language is that of the browser, until another one is chosen, which is remembered', MINUTES, async () => {
  const room = stage.newRoom();
  const ada = await Person.open(stage.browser, stage.server.url, { room, locale: 'de-CH' });
  const lang = () => ada.page.evaluate(() => [document.documentElement.lang, document.documentElement.dir]);
  assert.deepEqual(await lang(), ['de', 'ltr']);
  assert.equal(await ada.at('join-button').textContent(), 'Beitreten');
  await ada.joinAs('Ada');
  const bob = await Person.join(stage.browser, stage.server.url, 'Bob', { room, locale: 'fr-FR' });
  assert.equal(await bob.page.evaluate(() => document.documentElement.lang), 'en');
  await bob.call('Ada');
  await ada.at('incoming-title').filter({ hasText: 'Bob ruft an' }).waitFor();
  assert.equal(await ada.page.title(), 'Bob ruft an · kyuu');
  await ada.accept('Bob');
  await ada.connected();
  const file = makeFile('größe.bin', 1_500_000);
  await bob.offer(file);
  const card = ada.card(file, 'in');
  await card.filter({ hasText: '1,5 MB' }).waitFor();
  // What stands there already follows, in the middle of a call.
  await ada.at('language').selectOption('en');
  await card.filter({ hasText: '1.5 MB' }).waitFor();
  assert.match(await card.getByTestId('file-status').textContent(), /^Do you want this file\?$/);
  assert.equal(await ada.at('hangup').textContent().then((said) => said.trim()), 'Hang up');
  assert.deepEqual(await lang(), ['en', 'ltr']);
  await bob.hangUp();
  await ada.at('connection-state').filter({ hasText: 'Bob hung up' }).waitFor();
  assert.equal(await ada.at('connection-state').locator('bdi').textContent(), 'Bob');
  await ada.page.reload();
  await ada.page.locator('body[data-view=lobby]').waitFor();
  assert.deepEqual(await lang(), ['en', 'ltr']);
  await goodbye([ada, bob]);
});

test('German fits on a phone, in every view', MINUTES, async () => {
  const phone = { ...PHONE, locale: 'de-DE' };
  const open = await Person.open(stage.browser, stage.server.url, phone);
  await open.fits();
  const [ada, bob] = await stage.people(['Ada mit einem langen Namen, der kaum passt', 'Bob'], {}, [{ locale: 'de-DE' }, phone]);
  await bob.fits();
  await bob.sees(ada.name).getByTestId('call').tap();
  await bob.fits();
  await ada.accept('Bob');
  await bob.connected();
  await bob.at('panel-toggle').tap();
  await bob.at('devices-toggle').tap();
  await bob.fits();
  await ada.at('file-input').setInputFiles(['a.bin', 'b.bin'].map((name) => makeFile(name, 3_000_000).path));
  await bob.at('file-accept-all').waitFor();
  await bob.fits();
  for (const id of ['file-accept-all', 'file-decline-all', 'file-accept', 'chat-send', 'hangup', 'panel-toggle']) {
    const box = await bob.at(id).first().boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 390, `${id} ${JSON.stringify(box)}`);
  }
  await goodbye([ada, bob, open]);
});

test('what is said of a connection moves no button, in any language and on any screen', MINUTES, async () => {
  const { viewport } = PHONE;
  const widths = [viewport.width, 800, 1200]; // The one column of a phone, two narrow ones, two.
  for (const [tag, { texts }] of Object.entries(LANGUAGES)) {
    const [ada, bob] = await stage.people(['Ada', 'Bob'], { locale: tag });
    await ada.call('Bob');
    await bob.accept('Ada');
    await ada.connected();
    for (const width of widths) {
      await ada.page.setViewportSize({ ...viewport, width });
      const places = new Set();
      for (const key of ['connecting', 'connected', 'connected_directly', 'connected_directly_rtt', 'connected_relayed', 'connected_relayed_rtt']) {
        places.add(await ada.page.evaluate((said) => {
          document.getElementById('state').textContent = said;
          return Math.round(document.getElementById('camera').getBoundingClientRect().y);
        }, texts[key].replace('{rtt}', '234 ms')));
      }
      assert.equal(places.size, 1, `${tag}, ${width} px: ${[...places]}`);
    }
    await goodbye([ada, bob]);
  }
});

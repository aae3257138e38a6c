// The way of somebody who has never seen kyuu, from a server that is built to a file
// that arrives in a second browser: on one machine, and on two (network namespaces),
// with what README.md has him type and nothing else. The lines of `# newcomer` say what
// it took: commands, what he does with the mouse, and seconds, of which most are ours.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeFile, Person, startBrowser } from './browser.mjs';
import { certificate, inOwnNetwork, otherMachine } from './cable.mjs';
import { killLeftovers, kyuud, Program } from './lib.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const MiB = 1024 * 1024;
after(killLeftovers);

// Two who have their pages before them take the names that these propose.
async function sendAFile(ada, bob) {
  const names = [];
  for (const person of [ada, bob]) {
    names.push(person.name = await person.at('name-input').inputValue());
    await person.at('join-button').click();
    await person.page.locator('body[data-view=lobby]').waitFor();
  }
  await ada.call(names[1]);
  await bob.accept(names[0]);
  await ada.connected();
  const file = makeFile('photo.jpg', 5 * MiB);
  await ada.offer(file);
  await Promise.all([bob.receives(file), ada.sent(file)]);
  // Join, join, call, accept; the file's button and its name; accept.
  return 4 + 2 + 1;
}

const tell = (t, where, commands, acts, began) => {
  const line = `# newcomer: ${where}: ${commands} commands behind the clone, ${acts} clicks, ${((Date.now() - began) / 1000).toFixed(1)} s from the start of kyuud to the file`;
  console.log(line);
  t.diagnostic(line);
};

test('on one machine', MINUTES, async (t) => {
  const began = Date.now();
  const server = new Program(kyuud, ['--http-listen=127.0.0.1:0', '--turn-listen=127.0.0.1:0']);
  t.after(() => server.stop());
  const [, url] = await server.waitFor(/at (http:\S+?)\/ /);
  const browser = await startBrowser();
  t.after(() => browser.close());
  const [ada, bob] = [await Person.open(browser, url), await Person.open(browser, url)];
  const acts = await sendAFile(ada, bob);
  tell(t, 'one machine', 1, acts, began);
  for (const person of [ada, bob]) person.noProblems();
});

// This process is the machine of the server and of Ada; Bob's is another one, behind a
// cable. What `tools/dev serve --lan` does but for the building is done here.
async function onTwo(t) {
  const { chromium } = await otherMachine(t);
  const [file, key] = certificate();
  const began = Date.now();
  const server = new Program(kyuud, ['--http-listen=0.0.0.0:9000', '--turn-listen=0.0.0.0:3478',
    `--tls-certificate=${file}`, `--tls-key=${key}`]);
  t.after(() => server.stop());
  const [, url] = await server.waitFor(/from other machines (https:\S+)\//);
  assert.equal(url, 'https://192.168.77.1:9000');
  const near = await startBrowser({ loopback: false });
  t.after(() => near.close());
  process.env.KYUU_CHROMIUM = chromium;
  const far = await startBrowser({ loopback: false });
  t.after(() => far.close());
  const trusting = { ignoreHTTPSErrors: true };
  const [ada, bob] = [await Person.open(near, url, trusting), await Person.open(far, url, trusting)];
  // And two clicks each through the browser's warning.
  const acts = await sendAFile(ada, bob) + 4;
  tell(t, 'two machines', 1, acts, began);
  // What Chromium says of a certificate that it does not know is no fault of the page.
  for (const person of [ada, bob]) person.noProblems(/certificate|SSL/i);
}

test('on two machines', MINUTES, async (t) => {
  const lines = await inOwnNetwork(fileURLToPath(import.meta.url), 'on two machines');
  if (!lines) return onTwo(t);
  for (const line of lines) if (line.includes('newcomer:')) t.diagnostic(line.trim());
});

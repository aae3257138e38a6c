// Audio and video at the page where a firewall lets nothing out but TCP to port 443 of
// the server: what is sent is seen and heard all the same, through its relay.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { expectWay, Person, startBrowser } from './browser.mjs';
import { certificate, inOwnNetwork, otherMachine } from './cable.mjs';
import { killLeftovers, kyuud, Program } from './lib.mjs';
import { expectPictures, expectSound, FAKE_DEVICES, watchMedia } from './media.mjs';

const NAME = 'two browsers see and hear each other where UDP is blocked';
after(killLeftovers);

// Of the way that is used: how the browser reaches its relay.
const relayProtocols = (page) => page.evaluate(async () => {
  const stats = await globalThis.seen.pcs.at(-1).getStats();
  const used = [...stats.values()].filter(({ type }) => type === 'transport').map(({ selectedCandidatePairId }) => stats.get(selectedCandidatePairId));
  return used.map(({ localCandidateId }) => stats.get(localCandidateId)).map(({ candidateType, relayProtocol }) => `${candidateType} ${relayProtocol}`);
});

test(NAME, { timeout: 5 * 60_000 }, async (t) => {
  if (await inOwnNetwork(fileURLToPath(import.meta.url), NAME, 280)) return;
  const { there, chromium } = await otherMachine(t);
  there('nft', `table inet wall { chain out { type filter hook output priority 0;
    meta l4proto udp counter drop; oifname "end" tcp dport != 443 counter drop; }; }`);
  const [file, key] = certificate();
  const server = new Program(kyuud, ['--http-listen=192.168.77.1:443', '--turn-listen=192.168.77.1:3478', `--tls-certificate=${file}`, `--tls-key=${key}`]);
  t.after(() => server.stop());
  await server.waitFor(/STUN and TURN on udp/);
  process.env.KYUU_CHROMIUM = chromium;
  const browser = await startBrowser({ flags: FAKE_DEVICES });
  t.after(() => browser.close());
  const options = { ignoreHTTPSErrors: true, prepare: (page) => page.addInitScript(watchMedia) };
  const ada = await Person.join(browser, 'https://192.168.77.1', 'Ada', options);
  const bob = await Person.join(browser, 'https://192.168.77.1', 'Bob', options);
  await ada.sees('Bob').getByTestId('call-video').click();
  await bob.at('incoming-dialog').waitFor();
  await bob.at('accept-camera').click();
  await expectWay('relayed', ada, bob);
  for (const { page } of [ada, bob]) {
    await expectPictures(page, 'camera');
    await expectSound(page);
    assert.deepEqual(await relayProtocols(page), ['relay tcp']);
  }
  // It was tried, and nothing of it came through.
  assert.match(there('nft', 'list', 'table', 'inet', 'wall'), /l4proto udp counter packets [1-9]\d*/);
  await ada.hangUp();
  await bob.state('over').waitFor();
  // What Chromium says of a certificate that it does not know is no fault of the page.
  for (const person of [ada, bob]) person.noProblems(/certificate|SSL|Failed to load/i);
});

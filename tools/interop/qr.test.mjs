// The QR codes of page and terminal, read by a reader of somebody else (zbarimg of
// Debian's zbar-tools).

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { goodbye, Person, PHONE, sharedStage, WAIT } from './browser.mjs';
import { kyuu, Program, sleep, temporaryFolder } from './lib.mjs';

const MINUTES = { timeout: 3 * 60_000 };
const stage = sharedStage();
const folder = temporaryFolder();

function read(file) {
  return execFileSync('zbarimg', ['--raw', '--quiet', file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trimEnd();
}

for (const [name, options] of Object.entries({ 'on a desktop': {}, 'on a phone': PHONE, 'in the dark': { colorScheme: 'dark' } })) {
  test(`the page's picture, as it is seen ${name}`, MINUTES, async () => {
    const room = stage.newRoom();
    const ada = await Person.join(stage.browser, stage.server.url, 'Ada', { ...options, room });
    await ada.at('invite').locator('summary').click();
    const picture = ada.at('invite-qr');
    await ada.page.waitForFunction(() => { const image = document.getElementById('invite-qr'); return image.complete && image.naturalWidth > 0; });
    const file = join(folder, `${room}.png`);
    await picture.screenshot({ path: file });
    assert.equal(read(file), await ada.at('invite-link').textContent());
    await goodbye([ada]);
  });
}

// What a terminal shows of lines of half blocks, white on black, as a picture of 8
// by 16 dots for a character. Around it all is black, as on most terminals.
function picture(lines) {
  const rows = lines.flatMap((line) => {
    const characters = [...line];
    return ['█▀', '█▄'].map((light) => characters.map((c) => light.includes(c)));
  });
  const margin = 4;
  const width = rows[0].length + 2 * margin;
  const dark = Array(width).fill(false);
  const sides = Array(margin).fill(false);
  const all = [...Array(margin).fill(dark), ...rows.map((row) => [...sides, ...row, ...sides]), ...Array(margin).fill(dark)];
  const body = all.flatMap((row) => Array(8).fill(row.flatMap((light) => Array(8).fill(light ? 255 : 0))).flat());
  return Buffer.concat([Buffer.from(`P5 ${width * 8} ${all.length * 8} 255\n`), Buffer.from(body)]);
}

test('the one of a terminal', MINUTES, async () => {
  const file = join(folder, 'a.txt');
  writeFileSync(file, 'a');
  const sender = new Program('script', ['-qefc', `stty cols 100; exec '${kyuu}' send '${stage.server.url}' '${file}'`, '/dev/null'],
    { env: { ...process.env, LC_ALL: 'C.UTF-8' } });
  const [, code] = await sender.waitFor(/the code is {2}(\d{4}-\w+-\w+)/);
  const image = join(folder, 'terminal.pgm');
  let found = '';
  for (const end = Date.now() + WAIT; !found.includes(code); await sleep(50)) {
    assert.ok(Date.now() < end, `no ${code} in "${found}"\n${sender.transcript()}`);
    const drawn = sender.lines.filter((line) => line.includes('\x1b[97;40m'))
      .map((line) => line.replace(/^.*\x1b\[97;40m/, '').replace(/\x1b\[0m.*$/, '').trimEnd());
    if (drawn.length < 10) continue;
    // Blanks at the end are dark.
    const width = Math.max(...drawn.map((line) => [...line].length));
    writeFileSync(image, picture(drawn.map((line) => line + ' '.repeat(width - [...line].length))));
    try { found = read(image); } catch { /* Not all of it is there. */ }
  }
  await sender.stop('SIGINT');
});

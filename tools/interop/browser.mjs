// People at real pages: headless Chromium driven by playwright-core. A Person is
// one page in a browser context of its own, joined under a name.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { killLeftovers, startKyuud, temporaryFolder } from './lib.mjs';

// All in milliseconds. The machine may be small and busy: these bound a hang,
// they do not measure.
export const WAIT = 45_000;
export const TRANSFER = 120_000;

const FLAGS = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
// Tests stay on loopback, which browsers offer only when told to.
const LOOPBACK = ['--disable-features=WebRtcHideLocalIpsWithMdns', '--allow-loopback-in-peer-connection'];

export const DESKTOP = { viewport: { width: 1200, height: 800 } };
export const PHONE = {
  viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'dark',
};

// Starts Chromium; `loopback: false` leaves its privacy settings as people have
// them. `trials` are names of field trials to be enabled, `flags` more of the
// command line.
export function startBrowser(options = {}) { return chromium.launch(launch(options)); }

// Chromium with a profile on the disk, in a folder that goes away. It has one
// context, which newContext() returns.
export async function startProfile({ serviceWorkers = 'block', ...options } = {}) {
  const context = await chromium.launchPersistentContext(temporaryFolder(), { ...launch(options), acceptDownloads: true, serviceWorkers, ...DESKTOP });
  return { newContext: async () => context, close: () => context.close() };
}

function launch({ loopback = true, trials = [], flags = [] }) {
  const executablePath = process.env.KYUU_CHROMIUM ??
    ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
  if (!executablePath) throw new Error('no Chromium here: apt-get install chromium');
  return {
    executablePath, chromiumSandbox: false,
    args: [...FLAGS, ...flags, ...(loopback ? LOOPBACK : []),
      ...(trials.length ? [`--force-fieldtrials=${trials.map((name) => `${name}/Enabled/`).join('')}`] : [])],
  };
}

// Firefox by puppeteer: playwright's needs one of its own.
export async function startFirefox(preferences = {}) {
  const executablePath = process.env.KYUU_FIREFOX ?? ['/usr/bin/firefox-esr', '/usr/bin/firefox'].find(existsSync);
  if (!executablePath) throw new Error('no Firefox here: apt-get install firefox-esr');
  return puppeteer.launch({
    browser: 'firefox', executablePath, headless: true,
    extraPrefsFirefox: {
      'media.peerconnection.ice.loopback': true,
      'media.peerconnection.ice.obfuscate_host_addresses': false,
      ...preferences,
    },
  });
}

export class Person {
  // Opens the page of the kyuud at `url`. `prepare(page)` runs before that;
  // `options` are those of a context. Without others the page is not kept by its
  // service worker, whose requests no test could intercept.
  static async open(browser, url, { relay = false, room, prepare, ...options } = {}) {
    const person = new Person();
    person.problems = [];
    person.context = await browser.newContext({ acceptDownloads: true, serviceWorkers: 'block', ...DESKTOP, ...options });
    person.context.setDefaultTimeout(WAIT);
    const page = person.page = await person.context.newPage();
    // Errors, warnings of our own, and whatever the Content-Security-Policy stops.
    page.on('console', (m) => {
      if (m.text() === 'Service Worker registration blocked by Playwright') return;
      if (m.type() === 'error' || m.type() === 'warning') person.problems.push(`${m.type()}: ${m.text()}`);
    });
    page.on('pageerror', (error) => person.problems.push(`uncaught: ${error.stack ?? error}`));
    await page.addInitScript(() => addEventListener('securitypolicyviolation', (event) =>
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`)));
    await prepare?.(page);
    const query = new URLSearchParams({ ...(relay && { relay: '1' }), ...(room && { room }) });
    await page.goto(`${url}/?${query}`);
    await page.locator('[data-testid=server-status][data-state=online]').waitFor();
    return person;
  }

  static async join(browser, url, name, options) {
    const person = await Person.open(browser, url, options);
    await person.joinAs(name);
    return person;
  }

  // One more page of the same browser as `other`, in the same room.
  static async adopt(page, other, name) {
    const person = Object.assign(new Person(), { page, context: other.context, problems: [] });
    await page.goto(other.page.url());
    await page.locator('[data-testid=server-status][data-state=online]').waitFor();
    await person.joinAs(name);
    return person;
  }

  at(id) { return this.page.getByTestId(id); }

  async joinAs(name) {
    this.name = name;
    await this.at('name-input').fill(name);
    await this.at('join-button').click();
    await this.page.locator('body[data-view=lobby]').waitFor();
    assert.equal((await this.at('my-name').textContent()).trim(), name);
  }

  sees(name) { return this.page.locator(`[data-testid=person][data-name="${name}"]`); }

  async call(name) { await this.sees(name).getByTestId('call').click(); }

  async accept(name) {
    await this.at('incoming-dialog').waitFor();
    assert.equal(await this.at('incoming-name').textContent(), name);
    await this.at('accept-call').click();
  }

  state(name) { return this.page.locator(`[data-testid=connection-state][data-state=${name}]`); }

  // Waits for the connection; returns its way, "direct" or "relayed".
  async connected() {
    await this.page.locator('[data-testid=connection-state][data-state=connected][data-way]').waitFor();
    return this.at('connection-state').getAttribute('data-way');
  }

  async say(text) {
    await this.at('chat-input').fill(text);
    await this.at('chat-send').click();
  }

  async hears(text) {
    const message = this.page.locator('[data-testid=chat-message][data-from=peer]').filter({ hasText: text });
    await message.waitFor();
  }

  async offer(file) { await this.at('file-input').setInputFiles(file.path); }

  card(file, direction) {
    return this.page.locator(`[data-testid=file-card][data-direction=${direction}][data-name="${file.name}"]`);
  }

  // The sender's end of a transfer that is under way.
  async sent(file) { await this.settled(this.card(file, 'out'), file); }

  // Accepts the file that the other side offers, and compares what the browser
  // has downloaded with it.
  async receives(file) {
    const card = this.card(file, 'in');
    await card.waitFor();
    const download = this.page.waitForEvent('download', { timeout: TRANSFER });
    download.catch(() => {}); // settled() tells better what went wrong.
    await card.getByTestId('file-accept').click();
    await this.settled(card, file);
    const saved = await download;
    assert.equal(saved.suggestedFilename(), file.name);
    assert.equal(await sha256(await saved.path()), file.sha256, 'the downloaded file differs');
    await saved.delete();
  }

  async settled(card, file) {
    await card.and(this.page.locator(':is([data-state=done],[data-state=failed],[data-state=declined],[data-state=cancelled])'))
      .waitFor({ timeout: TRANSFER });
    assert.equal(await card.getAttribute('data-state'), 'done', await card.getByTestId('file-status').textContent());
    assert.equal(await card.getAttribute('data-sha256'), file.sha256);
  }

  // What the connection panel says, by test id.
  async panel() {
    if (!(await this.at('connection-panel').isVisible())) await this.at('panel-toggle').click();
    await this.page.locator('[data-testid=connection-panel][data-way]').waitFor();
    const text = {};
    for (const id of ['way', 'rtt', 'local-candidate', 'remote-candidate', 'volume', 'dtls', 'number']) {
      text[id] = await this.at(id).textContent();
    }
    return text;
  }

  async hangUp() {
    await this.at('hangup').click();
    await this.state('over').waitFor();
  }

  // No error, warning or violation was logged, but for `allowed` ones.
  noProblems(allowed = /^$/) {
    assert.deepEqual(this.problems.filter((line) => !allowed.test(line)), [], `console of ${this.name}`);
  }

  // Nothing is wider than the window.
  async fits() {
    const [content, window] = await this.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= window, `${content} px of content in ${window} px`);
  }

  async leave() { await this.context.close(); }
}

// What the tests of a file share: one Chromium and one kyuud, from before the
// first test to behind the last one. Each newRoom() is another one, so that no
// test sees another's people.
export function sharedStage(browserOptions) {
  let rooms = 0;
  const stage = {
    browser: undefined,
    server: undefined,
    newRoom: () => `room-${++rooms}`,
    // Joins `names` to a new room; `each` has options for single ones.
    async people(names, options = {}, each = []) {
      const room = stage.newRoom();
      // Their pages load at the same time; they come in one after the other.
      const opened = await Promise.all(names.map((_, i) => Person.open(stage.browser, stage.server.url, { room, ...options, ...each[i] })));
      for (const [i, person] of opened.entries()) await person.joinAs(names[i]);
      return opened;
    },
  };
  before(async () => {
    [stage.browser, stage.server] = await Promise.all([startBrowser(browserOptions), startKyuud()]);
  }, { timeout: WAIT });
  after(async () => {
    try {
      await stage.browser?.close();
      assert.equal(await stage.server?.stop(), 0);
    } finally {
      killLeftovers();
    }
  }, { timeout: WAIT });
  return stage;
}

// They leave, and nothing was wrong but what `allowed` matches.
export async function goodbye(people, allowed) {
  for (const person of people) person.noProblems(allowed);
  for (const person of people) await person.leave();
}

// What both see of a connection whose way is `way`, or comes to be: ICE may have
// the relay first, and leave it for a direct way that was checked later. The page
// looks each second.
export async function expectWay(way, ...people) {
  for (const person of people) {
    await person.page.locator(`[data-testid=connection-state][data-state=connected][data-way=${way}]`).waitFor();
    assert.equal(await person.connected(), way);
    const panel = await person.panel();
    if (way === 'relayed') {
      assert.match(panel.way, /relayed/i);
      assert.match(`${panel['local-candidate']} ${panel['remote-candidate']}`, /relay of the server/);
    } else {
      assert.match(panel.way, /direct/i);
      assert.doesNotMatch(`${panel['local-candidate']} ${panel['remote-candidate']}`, /relay/);
    }
    assert.match(panel.rtt, /ms$/);
    assert.match(panel.dtls, /DTLS/);
  }
}

export function sha256(path) {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    createReadStream(path).on('data', (part) => hash.update(part)).on('error', reject)
      .on('end', () => resolve(hash.digest('hex')));
  });
}

// A file of random bytes in a folder that goes away: {path, name, size, sha256}.
let folder;
export function makeFile(name, bytes = 50 * 1024 * 1024) {
  folder ??= temporaryFolder();
  const content = randomBytes(bytes);
  const path = join(folder, name);
  writeFileSync(path, content);
  return { path, name, size: bytes, sha256: createHash('sha256').update(content).digest('hex') };
}

// How long the page's main thread worked on each task, in milliseconds of its own
// CPU: what others do on this machine does not count.
export function mainThreadTasks({ traceEvents }) {
  const main = new Set(traceEvents.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map((e) => `${e.pid} ${e.tid}`));
  return traceEvents.filter((e) => e.name === 'ThreadControllerImpl::RunTask' && e.tdur !== undefined && main.has(`${e.pid} ${e.tid}`))
    .map((e) => e.tdur / 1000);
}

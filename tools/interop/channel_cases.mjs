// What data channels are tried with, and the stacks that try it: any two of them
// make a call, and each case is played on it with either end as the opener. Both
// ends speak the lines of `kyuu peer --scripted` (docs/kyuu.md).

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { startBrowser, startFirefox } from './browser.mjs';
import { foreignPeer, here, kyuuPeer, Program } from './lib.mjs';
import { scriptedPeer } from './peers/scripted.mjs';

// The largest message that is tried on those who take larger ones.
const LARGEST = +(process.env.KYUU_CHANNELS_LARGEST ?? 4 << 20);
const CHANNELS = 1000;
const FEWER = 900; // For who cannot open so many.
const ROUNDS = +(process.env.KYUU_CHANNELS_ROUNDS ?? 2);

const MANY = `${CHANNELS} channels, closed at once`;
const HALVES = `${FEWER} channels, half of them by each side, closed at once`;
const SCRIPTS = 'label and protocol in other scripts';

// A page of a browser as the other kinds of end are: lines in and out.
class PageEnd {
  static async start(browser, role) {
    const end = new PageEnd();
    Object.assign(end, { name: `a page, ${role}`, lines: [], errors: [], page: await browser.newPage() });
    await end.page.evaluate(`{
      const lines = [];
      let wake = () => {};
      const write = (line) => { lines.push(JSON.stringify(line)); wake(); };
      globalThis.next = async () => {
        if (!lines.length) await new Promise((resolve) => { wake = resolve; });
        return lines.splice(0);
      };
      globalThis.take = (${scriptedPeer})({ RTCPeerConnection, role: '${role}', write });
    }`);
    end.reading = end.#read();
    return end;
  }
  async #read() {
    while (!this.over) {
      for (const line of await this.page.evaluate(() => globalThis.next())) {
        if (line === '{"event":"bye"}') this.over = true;
        this.lines.push(line);
        this.onLine?.(line);
      }
    }
  }
  // Lines of one turn go together: a call of a page takes a millisecond.
  write(text) {
    this.waiting ??= [];
    if (this.waiting.push(text) > 1) return;
    setImmediate(() => {
      this.page.evaluate((lines) => lines.forEach((line) => globalThis.take(JSON.parse(line))), this.waiting.splice(0))
        .catch((error) => this.errors.push(String(error)));
    });
  }
  async finish() {
    await this.reading;
    await this.page.close();
    return 0;
  }
  transcript() { return `--- ${this.name}\n${this.lines.slice(-40).map((l) => l.slice(0, 300)).join('\n')}\n${this.errors.join('\n')}`; }
}

const browsers = new Map();
const page = (name, start) => async (role) => {
  if (!browsers.has(name)) browsers.set(name, start());
  return PageEnd.start(await browsers.get(name), role);
};
export async function closeBrowsers() {
  for (const browser of browsers.values()) await (await browser).close();
  browsers.clear();
}
const w3c = (impl) => (role) => new Program('node', [join(here, 'peers/scripted.mjs'), '--impl', impl, '--role', role]);

// `cannot` names what a stack does not do with itself either, and why, `cannotOpen`
// what it does not do with channels that it opens; both are tried with itself, so that
// the lists stay true. `largest` bounds what else is sent to it and by it; who is `hasty`
// loses what it sent just before it closes, to itself as well; `closes` is how many
// channels it can close at once; `inBrief`: BRIEFLY is what is tried by default, and
// `slow`: nothing is; `silent` are members of its channels that say nothing of the peer's,
// and `none` is a number that means none.
export const STACKS = {
  kyuu: {
    start: (role, other) => kyuuPeer('--role', role, '--scripted', ...(STACKS[other].probes === false ? ['--max-datagram', '0'] : [])),
    prioritizes: true,
  },
  chromium: {
    start: page('chromium', () => startBrowser({ flags: ['--enable-blink-features=RTCDataChannelPriority'] })),
    prioritizes: true,
    // All that wait for the answer to its last request go into the next one, and of more than some 580
    // (2 bytes each) it makes a packet beyond its own limit of 1191 bytes, which it never sends. Whether they
    // wait depends on how busy the machine is.
    closes: 500,
  },
  firefox: { start: page('firefox', startFirefox) },
  'node-datachannel': {
    start: w3c('node-datachannel'),
    silent: ['ordered', 'maxRetransmits', 'maxPacketLifeTime'],
    cannot: { [MANY]: 'it agrees to 1024 streams, and each side has half of them' },
  },
  wrtc: {
    start: w3c('wrtc'),
    none: 65535,
    hasty: true,
    cannot: { [MANY]: 'it uses 1024 streams, and each side has half of them' },
  },
  aiortc: {
    start: (role) => foreignPeer.aiortc('--role', role, '--scripted'),
    hasty: true,
    inBrief: true,
    cannotOpen: { [SCRIPTS]: 'it writes how many characters there are where the OPEN has a number of bytes' },
  },
  pion: {
    start: (role) => foreignPeer.pion('--role', role, '--scripted'),
    largest: 65535,
    inBrief: true,
    cannot: { 'the largest message that is announced': 'it announces nothing, which is 65536, and takes 65535' },
  },
  werift: {
    start: w3c('werift'),
    slow: true,
    largest: 65536,
    // A chunk that it does not know, PAD, ends its process, against RFC 9260 section 3.2. None of werift, aiortc
    // and pion lists PAD among its extensions, so that waiting for that would end the probing of others; and a peer may
    // answer a long HEARTBEAT, in its place, only up to a packet of its own, as kyuu does.
    probes: false,
    cannot: {
      'empty messages': 'one of no bytes ends its association',
      'negotiated ids used again at once': 'its stream keeps its numbers when it is reset',
      [MANY]: 'it stops answering',
      [HALVES]: 'it stops answering',
    },
    cannotOpen: {
      [SCRIPTS]: 'it writes how many characters there are where the OPEN has a number of bytes',
      'unordered and no retransmissions': 'its OPEN says that such a channel is ordered',
      'unordered and a lifetime of 500 ms': 'its OPEN says that such a channel is ordered',
      'ids used again at once': 'it waits for an acknowledgement that it has overlooked',
    },
  },
};

// One end of a call, with what it has told.
class End {
  constructor(stack, peer) {
    Object.assign(this, { stack, peer, events: new Map(), wakers: new Set(), maxMessage: 65536 });
    this.errors = [];
  }
  // What has come of `event` on the channel `label`.
  all(event, label) { return this.events.get(`${event} ${label}`) ?? []; }
  take(line) {
    if (line.sdp) this.maxMessage = +(line.sdp.match(/a=max-message-size:(\d+)/)?.[1] ?? 65536) || Infinity;
    if (!line.event) return;
    if (line.event === 'error' || line.event === 'refused') this.errors.push(line);
    const key = `${line.event} ${line.label}`;
    if (!this.events.has(key)) this.events.set(key, []);
    this.events.get(key).push(line);
    for (const wake of this.wakers) wake();
  }
  tell(line) { this.peer.write(JSON.stringify(line) + '\n'); }
  async until(what, holds, ms) {
    let wake;
    const late = setTimeout(() => wake(new Error(`${this.stack}: never ${what()}`)), this.peer.code === undefined ? ms : 0);
    try {
      await new Promise((resolve, reject) => {
        wake = (error) => { if (error) reject(error); else if (holds()) resolve(); };
        this.wakers.add(wake);
        wake();
      });
    } finally {
      this.wakers.delete(wake);
      clearTimeout(late);
    }
  }
}

// A connection of two stacks, the first of which has offered it.
export class Call {
  // `lossy`: the network loses packets, `ms`: how long anything may take.
  static async open(offerer, answerer, { lossy = false, ms = 20_000 } = {}) {
    const call = new Call();
    Object.assign(call, { lossy, ms, labels: 0 });
    // The answerer first: an offer must find somebody.
    const answering = new End(answerer, await STACKS[answerer].start('answer', offerer));
    const offering = new End(offerer, await STACKS[offerer].start('offer', answerer));
    call.ends = [offering, answering];
    for (const [from, to] of [[offering, answering], [answering, offering]]) {
      const forward = (text) => {
        if (!text.startsWith('{')) return;
        const line = JSON.parse(text);
        from.take(line);
        if (!line.event) to.peer.write(text + '\n');
      };
      from.peer.lines.forEach(forward);
      from.peer.onLine = forward;
    }
    try {
      for (const end of call.ends) await call.until(end, 'channel', 'data', 1, 20_000);
    } catch (error) {
      error.message += `\n${call.transcript()}`;
      await call.close();
      throw error;
    }
    return call;
  }
  transcript() { return this.ends.map((end) => end.peer.transcript()).join('\n'); }
  until(end, event, label, count = 1, ms = this.ms) {
    return end.until(() => `${count} of ${event} ${label}, only ${end.all(event, label).length}`,
      () => end.all(event, label).length >= count, ms);
  }
  newLabel(what) { return `${what} ${++this.labels}`; }
  other(end) { return this.ends.find((one) => one !== end); }
  async close() {
    for (const end of this.ends) end.tell({ type: 'bye' });
    await Promise.all(this.ends.map((end) => end.peer.finish(5).catch(() => end.peer.stop?.('SIGKILL').catch(() => {}))));
  }

  // Opens `label` and waits until both ends have it.
  async channel(opener, label, init = {}) {
    const other = this.other(opener);
    for (const end of init.negotiated ? this.ends : [opener]) end.tell({ type: 'open', label, ...init });
    for (const end of this.ends) await this.until(end, 'channel', label);
    const [told] = other.all('channel', label);
    if (init.negotiated) return;
    assert.equal(told.protocol, init.protocol ?? '');
    const { silent = [], none } = STACKS[other.stack];
    for (const [member, otherwise] of [['ordered', true], ['maxRetransmits', undefined], ['maxPacketLifeTime', undefined]]) {
      const value = told[member] === none ? undefined : told[member] ?? undefined;
      if (!silent.includes(member)) assert.equal(value, init[member] ?? otherwise, member);
    }
    const { priority } = init;
    if (!priority || !this.ends.every(({ stack }) => STACKS[stack].prioritizes)) return;
    assert.equal(told.priority, other.stack === 'kyuu' ? priority : PRIORITIES[priority]);
  }

  // Has `from` send, and compares what comes.
  async send(from, label, { sizes = [], text = false, say = [], ordered = true, reliable = true }) {
    const to = this.other(from);
    const before = to.all('message', label).length;
    from.tell({ type: 'send', label, sizes, text, say });
    const expected = [
      ...sizes.map((size, i) => ({ size, text, number: size ? (before + i) % (text ? 26 : 256) : null, intact: true })),
      ...say.map((said) => ({ said, text: true })),
    ];
    if (this.lossy && !reliable) return { expected, before };
    await this.until(to, 'message', label, before + expected.length);
    const heard = to.all('message', label).slice(before).map((line, i) =>
      Object.fromEntries(Object.keys(expected[Math.min(i, expected.length - 1)]).map((key) => [key, line[key]])));
    const sorted = (list) => (ordered ? list : list.map((line) => JSON.stringify(line)).sort());
    assert.deepEqual(sorted(heard), sorted(expected), label);
    return { expected, before };
  }
  // Both ends at once.
  both(label, messages) { return Promise.all(this.ends.map((end) => this.send(end, label, messages))); }

  async closed(closer, label) {
    closer.tell({ type: 'close', label });
    for (const end of this.ends) await this.until(end, 'closed', label);
  }
}

// W3C's names of RFC 8831's numbers (section 6.4).
const PRIORITIES = { 128: 'very-low', 256: 'low', 512: 'medium', 1024: 'high' };
const repeat = (count, size) => Array(count).fill(size);
// What both take, bounded by what is tried at all.
function fits(call) {
  const bound = Math.min(...call.ends.map((end) => Math.min(end.maxMessage, STACKS[end.stack].largest ?? Infinity)));
  return (size) => size <= bound;
}
const SIZES = [1, 1200, 16 << 10, 64 << 10, 256 << 10];

// Messages that need not wait for anything; each when the one before has come.
async function oneByOne(call, opener) {
  const label = call.newLabel('one by one');
  await call.channel(opener, label, { maxPacketLifeTime: 0 });
  for (let i = 0; i < 20; ++i) await call.both(label, { sizes: [1000] });
}

// More than a packet or a first window at once. On a busy machine an end may be asleep for longer than they live.
async function burst(call, opener) {
  for (let tries = 1; ; ++tries) {
    const label = call.newLabel('burst');
    await call.channel(opener, label, { maxPacketLifeTime: 0 });
    const to = call.other(opener);
    opener.tell({ type: 'send', label, sizes: repeat(100, 100) });
    await call.closed(opener, label);
    const { length } = to.all('message', label);
    if (length === 100) return;
    assert.ok(tries < 3, `${length} of 100`);
  }
}

function withInit(init, messages) {
  return async (call, opener) => {
    const label = call.newLabel('channel');
    await call.channel(opener, label, init);
    const ordered = init.ordered ?? true;
    const reliable = init.maxRetransmits === undefined && init.maxPacketLifeTime === undefined;
    if (reliable || !call.lossy) {
      await call.both(label, { ...messages(call), ordered, reliable });
      return;
    }
    // Some of it comes, once and in its order, and the channel lives on.
    const { expected } = await call.send(opener, label, { ...messages(call), ordered, reliable });
    await call.closed(opener, label);
    const heard = call.other(opener).all('message', label).map(({ number, size, intact }) => {
      assert.ok(intact && size === expected[0].size);
      return number;
    });
    assert.equal(new Set(heard).size, heard.length, 'none twice');
    // Who is hasty closes before the last ones have left.
    assert.ok(STACKS[opener.stack].hasty || heard.length >= expected.length / 2, `${heard.length} of ${expected.length}`);
    if (ordered) assert.deepEqual(heard, [...heard].sort((a, b) => a - b));
  };
}
const some = () => ({ sizes: repeat(40, 1000) });

export const CASES = {
  'binary messages': withInit({}, (call) => ({ sizes: SIZES.filter(fits(call)) })),
  'text messages': withInit({}, (call) => ({ sizes: SIZES.filter(fits(call)), text: true })),
  'empty messages': async (call, opener) => {
    const label = call.newLabel('empty');
    await call.channel(opener, label);
    for (const text of [false, true]) await call.both(label, { sizes: [0, 1, 0, 0], text });
  },
  'the largest message that is announced': async (call, opener) => {
    const label = call.newLabel('largest');
    await call.channel(opener, label);
    for (const end of call.ends) {
      await call.send(end, label, { sizes: [Math.min(call.other(end).maxMessage, end.stack === 'kyuu' ? LARGEST : 256 << 10)] });
    }
  },
  unordered: withInit({ ordered: false }, some),
  'no retransmissions': withInit({ maxRetransmits: 0 }, some),
  'unordered and no retransmissions': withInit({ ordered: false, maxRetransmits: 0 }, some),
  'three retransmissions': withInit({ maxRetransmits: 3 }, some),
  'a lifetime of 0': oneByOne,
  'a burst with a lifetime of 0': burst,
  'unordered and a lifetime of 500 ms': withInit({ ordered: false, maxPacketLifeTime: 500 }, some),
  priorities: async (call, opener) => {
    for (const priority of [128, 256, 512, 1024]) {
      const label = call.newLabel('priority');
      await call.channel(opener, label, { priority });
      await call.both(label, { sizes: [1000, 1000] });
    }
  },
  [SCRIPTS]: async (call, opener) => {
    const label = call.newLabel('žluťoučký 日本 🚲');
    await call.channel(opener, label, { protocol: 'протокол.v1 ✓' });
    await call.both(label, { say: ['žluťoučký kůň', '日本語', '🚲'.repeat(50)] });
  },
  negotiated: async (call, opener) => {
    const label = call.newLabel('negotiated');
    await call.channel(opener, label, { negotiated: true, id: 300 + call.labels });
    await call.both(label, { sizes: [1, 16 << 10] });
  },
  'closed behind the last message, by who opened it': (call, opener) => closing(call, opener, opener),
  'closed behind the last message, by the other side': (call, opener) => closing(call, opener, call.other(opener)),
  'ids used again at once': async (call, opener) => {
    for (let round = 0; round <= ROUNDS; ++round) {
      const label = call.newLabel('again');
      await call.channel(opener, label);
      await call.both(label, { sizes: [10, 1000, 3000] });
      opener.tell({ type: 'close', label });
      // The other side may not know yet.
      await call.until(opener, 'closed', label);
    }
  },
  'negotiated ids used again at once': async (call, opener) => {
    const id = 600 + call.labels;
    for (let round = 0; round < ROUNDS; ++round) {
      const label = call.newLabel('negotiated again');
      await call.channel(opener, label, { negotiated: true, id });
      await call.both(label, { sizes: [10, 1000, 3000] });
      await call.closed(round % 2 ? opener : call.other(opener), label);
    }
  },
  // Last, since these stay open: libdatachannel loses some of many resets.
  [MANY]: (call, opener) => (opener === call.ends[0] ? many(call, [opener], CHANNELS) : undefined),
  [HALVES]: (call, opener) => (opener === call.ends[0] ? many(call, call.ends, FEWER) : undefined),
};

// Which wait most of their time: for the delay of a reset, and for its answer.
const CLOSED = ['closed behind the last message, by who opened it', 'closed behind the last message, by the other side'];
const WAITING = [...CLOSED, 'ids used again at once', 'negotiated ids used again at once'];

// What says most about a stack in little time.
export const BRIEFLY = [
  ...WAITING, 'binary messages', 'text messages', 'empty messages', 'unordered and no retransmissions', 'a lifetime of 0', 'negotiated',
];

async function many(call, openers, count) {
  const labels = Array.from({ length: count }, () => call.newLabel('one of many'));
  for (const [i, label] of labels.entries()) openers[i % openers.length].tell({ type: 'open', label });
  const each = async (event, of = labels) => {
    for (const label of of) for (const end of call.ends) await call.until(end, event, label);
  };
  await each('channel');
  for (const label of labels) for (const end of call.ends) end.tell({ type: 'send', label, sizes: [100], text: true });
  await each('message');
  const closes = Math.min(...openers.map(({ stack }) => STACKS[stack].closes ?? count));
  for (let first = 0; first < count; first += closes) {
    const part = labels.slice(first, first + closes);
    for (const [i, label] of part.entries()) openers[i % openers.length].tell({ type: 'close', label });
    await each('closed', part);
  }
}

async function closing(call, opener, closer) {
  const { hasty } = STACKS[closer.stack];
  if (hasty) return;
  for (let round = 1; round < ROUNDS; ++round) {
    const label = call.newLabel('closed');
    await call.channel(opener, label);
    await Promise.all([call.send(closer, label, { sizes: repeat(30, 2000) }), call.closed(closer, label)]);
  }
}

function canDo(call, name, opener) {
  if (name === HALVES && !call.ends.some(({ stack }) => STACKS[stack].cannot?.[MANY])) return false;
  return !STACKS[opener.stack].cannotOpen?.[name] && !call.ends.some(({ stack }) => STACKS[stack].cannot?.[name]);
}

// What is left out of the tests with this stack, by name, and why.
export const declared = (stack) => ({ ...STACKS[stack].cannot, ...STACKS[stack].cannotOpen });

// Plays `names` on one call, with `expectable` only what both can do; returns what went wrong, by "case, opener".
// What waits for ends of channels goes together, unless packets are lost: libdatachannel loses some of
// several resets then.
export async function play(offerer, answerer, names, options = {}) {
  const failures = new Map();
  const seconds = new Map();
  const call = await Call.open(offerer, answerer, options);
  const playCase = async ({ name, opener }) => {
    const began = performance.now();
    const key = `${name}, opened by ${opener === call.ends[0] ? `${offerer}, the offerer` : `${answerer}, the answerer`}`;
    try {
      await CASES[name](call, opener);
    } catch (error) {
      failures.set(key, error.message);
    }
    seconds.set(key, (performance.now() - began) / 1000);
  };
  try {
    const all = names.flatMap((name) => call.ends.map((opener) => ({ name, opener })))
      .filter(({ name, opener }) => !options.expectable || canDo(call, name, opener));
    const together = all.filter(({ name }) => !call.lossy && WAITING.includes(name));
    const inTurn = async (ones) => { for (const one of ones) await playCase(one); };
    await Promise.all([
      inTurn(together.filter(({ name }) => CLOSED.includes(name))),
      ...together.filter(({ name }) => !CLOSED.includes(name)).map(playCase),
    ]);
    await inTurn(all.filter((one) => !together.includes(one)));
    // An error tells the label of its channel, which begins as its case says.
    for (const end of call.ends) {
      if (end.errors.length) failures.set(`errors of ${end.stack}`, end.errors.map((error) => JSON.stringify(error)).join('\n'));
    }
    if (failures.size) failures.set('transcript', call.transcript());
  } finally {
    await call.close();
  }
  return { failures, seconds };
}

// Scripted traces of PeerJS's protocol, and what a server answers to each step.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import WebSocket from 'ws';
import { sleep } from './lib.mjs';

const ORIGIN = 'https://app.example';
const HEADERS = ['content-type', 'access-control-allow-origin', 'access-control-allow-methods',
  'access-control-allow-headers', 'access-control-allow-credentials', 'vary'];
const DEAF_AFTER_MS = 3000;

// One WebSocket; `heard` is what came of it: texts, "binary ...", "closed CODE".
class Client {
  constructor(url) {
    this.heard = [];
    this.socket = new WebSocket(url);
    this.socket.on('message', (data, isBinary) => this.#take(`${isBinary ? 'binary ' : ''}${data}`));
    this.socket.on('close', (code) => this.#take(`closed ${code}`));
    this.socket.on('error', (error) => this.#take(error.message));
    this.began = Promise.race([once(this.socket, 'open'), once(this.socket, 'close')]).catch(() => {});
    this.ended = new Promise((resolve) => { this.socket.on('close', resolve); });
  }
  #take(what) {
    this.heard.push(what);
    this.onHeard?.();
  }
  // Resolves when the server has answered a ping, or has closed, or does neither.
  async ping() {
    if (this.isDeaf || this.socket.readyState === WebSocket.CLOSED) return;
    const pong = new Promise((resolve) => { this.socket.once('pong', resolve); });
    if (this.socket.readyState === WebSocket.OPEN) this.socket.ping();
    let timer;
    const late = new Promise((resolve) => { timer = setTimeout(resolve, DEAF_AFTER_MS, true); });
    this.isDeaf = await Promise.race([pong, this.ended, late]) === true;
    clearTimeout(timer);
    if (this.isDeaf) this.#take('no answer to a ping');
  }
  // Waits until something has come.
  async hears(what) {
    const end = Date.now() + 20_000;
    while (!this.heard.some((text) => text.includes(what))) {
      assert.ok(Date.now() < end, `no ${what}`);
      await Promise.race([new Promise((resolve) => { this.onHeard = resolve; }), sleep(1000)]);
    }
  }
}

// A server that a trace is played to, and what it did: {step: what was heard}.
export class Stage {
  constructor(url) {
    this.url = url;
    this.clients = {};
    this.steps = {};
  }
  // A WebSocket called `name`, that says who it is by `query`; undefined leaves
  // a parameter out.
  async join(name, query = {}, path = '/peerjs') {
    const all = { key: 'peerjs', id: name, token: `${name}1`, version: '1.5.5', ...query };
    const given = Object.entries(all).filter(([, value]) => value !== undefined);
    const client = new Client(`${this.url.replace('http', 'ws')}${path}?${new URLSearchParams(given)}`);
    this.clients[name] = client;
    await client.began;
    return client;
  }
  say(name, what) {
    this.clients[name].socket.send(typeof what === 'string' || Buffer.isBuffer(what) ? what : JSON.stringify(what));
  }
  // All that was heard since the last step, when all is said and done: what a
  // server sent before a pong has come before it.
  async step(label) {
    assert.ok(!(label in this.steps), label);
    for (let round = 0; round < 3; ++round) {
      for (const client of Object.values(this.clients)) await client.ping();
    }
    this.steps[label] = Object.fromEntries(Object.entries(this.clients)
      .filter(([, { heard }]) => heard.length > 0).map(([name, { heard }]) => [name, heard.splice(0)]));
  }
  async leave(name) {
    this.clients[name].socket.close();
    await this.clients[name].ended;
  }
  // A request over HTTP, of a page unless `headers` name no Origin.
  async ask(method, path, headers = { Origin: ORIGIN }) {
    const asked = request(`${this.url}${path}`, { method, headers, agent: false }).end();
    const [response] = await once(asked, 'response');
    let body = '';
    for await (const part of response.setEncoding('utf8')) body += part;
    this.steps[[method, path, ...Object.entries(headers).flat()].join(' ')] = {
      status: response.statusCode,
      // Of lists, as Vary is one, the order says nothing.
      ...Object.fromEntries(HEADERS.filter((name) => name in response.headers)
        .map((name) => [name, name === 'vary' ? response.headers[name].split(', ').sort().join(', ') : response.headers[name]])),
      // What a person reads is each server's own.
      body: body.replace(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, 'a UUID')
        .replace(/^<!DOCTYPE html>[^]*/, 'a page'),
    };
  }
  end() {
    for (const { socket } of Object.values(this.clients)) socket.terminate();
  }
}

const offer = (dst, payload = { sdp: { type: 'offer', sdp: 'v=0\r\n' }, type: 'data', connectionId: 'dc_1' }) =>
  ({ type: 'OFFER', dst, payload });
const deep = (levels) => `${'['.repeat(levels)}${']'.repeat(levels)}`;

async function requests(stage) {
  await stage.ask('GET', '/peerjs/id');
  await stage.ask('GET', '/peerjs/id?ts=1&version=1.5.5', {});
  await stage.ask('HEAD', '/peerjs/id');
  await stage.ask('POST', '/peerjs/id');
  await stage.ask('OPTIONS', '/peerjs/id', { Origin: ORIGIN, 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'traceparent,x-own' });
  await stage.ask('GET', '/other/id');
  await stage.ask('GET', '/peerjs/peers');
  await stage.ask('GET', '/other/peers');
  await stage.ask('GET', '/peerjs');
  await stage.ask('GET', '/peerjs/nothing');
  await stage.ask('GET', '/', { Origin: ORIGIN, Accept: 'application/json' });
  await stage.ask('GET', '/', { Origin: ORIGIN, Accept: 'text/html' });
}

async function greet(stage, ...names) {
  for (const name of names) await stage.join(name);
  await stage.step('they open');
}

// Of each: {allowsDiscovery, origins, play}.
export const TRACES = {
  'HTTP': { play: requests },
  'HTTP, the list of peers is allowed': {
    allowsDiscovery: true,
    async play(stage) {
      await stage.ask('GET', '/peerjs/peers');
      await greet(stage, 'bob', 'ada');
      await stage.ask('GET', '/peerjs/peers', {});
      await stage.ask('GET', '/other/peers', {});
      await stage.leave('bob');
      await stage.step('one leaves');
      await stage.ask('GET', '/peerjs/peers', { Accept: '*/*' });
    },
  },
  'a page that is not named': {
    origins: 'none',
    async play(stage) {
      await stage.ask('GET', '/peerjs/id');
    },
  },
  'who is let in': {
    async play(stage) {
      for (const missing of ['id', 'token', 'key']) {
        await stage.join(missing, { [missing]: undefined });
        await stage.step(`no ${missing}`);
        await stage.join(missing, { [missing]: '' });
        await stage.step(`an empty ${missing}`);
      }
      await stage.join('eve', { key: 'other' });
      await stage.step('another key');
      await stage.join('ada', { version: undefined });
      await stage.step('no version');
      await stage.join('thief', { id: 'ada' });
      await stage.step('a taken id');
      await stage.join('kim', { id: 'Kim Novak_1-2 ü+&' });
      stage.say('kim', offer('Kim Novak_1-2 ü+&'));
      await stage.step('an id of many characters');
      await stage.join('long', { id: 'x'.repeat(128) });
      await stage.step('an id of 128 bytes');
      await stage.join('longer', { id: 'x'.repeat(129) });
      await stage.step('an id of 129 bytes');
      await stage.join('control', { id: 'a\nb' });
      await stage.step('an id with a line break');
      await stage.join('lost', {}, '/peerjs/');
      await stage.step('another path');
    },
  },
  'what is passed on': {
    async play(stage) {
      await greet(stage, 'ada', 'bob');
      for (const type of ['OFFER', 'ANSWER', 'CANDIDATE', 'LEAVE', 'EXPIRE']) {
        stage.say('ada', { type, dst: 'bob', payload: { a: [1, null, 'ü\u2028'], connectionId: 'dc_1' } });
        await stage.step(type);
      }
      for (const type of ['HEARTBEAT', 'OPEN', 'ERROR', 'ID-TAKEN', 'HELLO', '', 'offer']) {
        stage.say('ada', { type, dst: 'bob', payload: 1 });
        await stage.step(`the type "${type}"`);
      }
      stage.say('ada', { type: 'HEARTBEAT' });
      await stage.step('HEARTBEAT');
      stage.say('ada', { dst: 'bob', payload: 1 });
      stage.say('ada', { type: 7, dst: 'bob', payload: 1 });
      stage.say('ada', {});
      await stage.step('no type');
      stage.say('ada', { payload: 1, dst: 'bob', more: 2, type: 'OFFER' });
      await stage.step('members in another order, and one more');
      stage.say('ada', { type: 'OFFER', dst: 'bob', src: 'eve', payload: 1 });
      await stage.step('a forged src');
      for (const payload of [undefined, null, 0, 'text', [], true]) {
        stage.say('ada', { type: 'ANSWER', dst: 'bob', payload });
        await stage.step(`payload: ${JSON.stringify(payload)}`);
      }
      stage.say('ada', '{"type":"OFFER","dst":"bob","payload":{ "n": 1.0, "e": "\\u00fc\\/" }}');
      await stage.step('a payload that JSON can write otherwise');
      stage.say('ada', Buffer.from(JSON.stringify(offer('bob', 2))));
      await stage.step('a binary message');
      stage.say('ada', offer('ada', 3));
      await stage.step('to oneself');
      for (let i = 0; i < 20; ++i) stage.say(i % 2 ? 'ada' : 'bob', { type: 'CANDIDATE', dst: i % 2 ? 'bob' : 'ada', payload: i });
      await stage.step('twenty of two');
      stage.say('ada', offer('bob', 'x'.repeat(60_000)));
      await stage.step('60 KB');
      stage.say('ada', offer('bob', 'x'.repeat(70_000)));
      await stage.step('70 KB');
    },
  },
  'for whom is not there': {
    async play(stage) {
      await greet(stage, 'ada', 'eve');
      for (const type of ['OFFER', 'LEAVE', 'CANDIDATE', 'EXPIRE', 'ANSWER']) stage.say('ada', { type, dst: 'bob', payload: type });
      await stage.step('ada speaks');
      stage.say('eve', offer('bob', 'of eve'));
      await stage.step('eve speaks');
      await stage.join('bob');
      await stage.step('bob comes');
      await stage.leave('bob');
      await stage.step('bob goes');
      stage.say('ada', offer('bob', 'again'));
      await stage.step('ada speaks again');
      await stage.leave('ada');
      await stage.step('ada goes');
      await stage.join('bob');
      await stage.step('bob comes, ada is gone');
    },
  },
  'what nobody came for': {
    async play(stage) {
      await greet(stage, 'ada', 'eve', 'kim');
      stage.say('ada', offer('bob', 1));
      stage.say('ada', { type: 'CANDIDATE', dst: 'bob', payload: 2 });
      stage.say('eve', { type: 'ANSWER', dst: 'bob', payload: 3 });
      stage.say('kim', { type: 'LEAVE', dst: 'bob' });
      stage.say('kim', { type: 'EXPIRE', dst: 'bob' });
      await stage.step('they speak');
      for (const name of ['ada', 'eve']) await stage.clients[name].hears('EXPIRE');
      await stage.step('it is told');
      await stage.join('bob');
      await stage.step('bob comes later');
    },
  },
  'a dst that is no text': {
    async play(stage) {
      await greet(stage, 'ada');
      stage.say('ada', { type: 'OFFER', payload: 1 });
      stage.say('ada', { type: 'OFFER', dst: '', payload: 1 });
      stage.say('ada', { type: 'OFFER', dst: null, payload: 1 });
      stage.say('ada', offer('bob', 1));
      await stage.clients.ada.hears('"src":"bob"');
      await stage.step('none');
      stage.say('ada', { type: 'OFFER', dst: 5, payload: 1 });
      stage.say('ada', offer('bob', 1));
      await stage.clients.ada.hears('"src":"bob"');
      await stage.step('a number');
    },
  },
  'the same token while connected': {
    async play(stage) {
      await greet(stage, 'ada', 'bob');
      await stage.join('ada again', { id: 'ada', token: 'ada1' });
      await stage.step('ada comes again');
      stage.say('bob', offer('ada', 1));
      await stage.step('bob calls her');
      stage.say('ada again', { type: 'ANSWER', dst: 'bob', payload: 2 });
      await stage.step('she answers');
      await stage.leave('ada again');
      await stage.join('new', { id: 'ada', token: 'another' });
      await stage.step('she goes, and another comes');
    },
  },
  'the same token later': {
    async play(stage) {
      await greet(stage, 'ada', 'bob');
      await stage.leave('ada');
      await stage.step('ada goes');
      stage.say('bob', offer('ada', 1));
      await stage.step('bob calls nobody');
      await stage.join('ada');
      await stage.step('ada comes back');
      stage.say('bob', offer('ada', 2));
      await stage.step('bob calls her');
    },
  },
  'LEAVE to nobody': {
    allowsDiscovery: true,
    async play(stage) {
      await greet(stage, 'ada', 'bob');
      stage.say('ada', { type: 'LEAVE' });
      await stage.step('ada leaves');
      await stage.ask('GET', '/peerjs/peers', {});
    },
  },
};

// Messages that one connection each is tried with: what comes of it, and of an
// offer behind it.
const BROKEN = {
  'no JSON': 'garbage',
  'half of JSON': '{"type":"OFFER"',
  'null': 'null',
  'a number': '5',
  'an array': '[]',
  'empty': '',
  'a name twice': '{"type":"OFFER","dst":"bob","dst":"bob","payload":1}',
  'half of a surrogate pair': '{"type":"OFFER","dst":"bob","payload":"\\ud800"}',
  '63 deep': `{"type":"OFFER","dst":"bob","payload":${deep(62)}}`,
  '66 deep': `{"type":"OFFER","dst":"bob","payload":${deep(65)}}`,
};
for (const [name, text] of Object.entries(BROKEN)) {
  TRACES[`a message: ${name}`] = {
    async play(stage) {
      await greet(stage, 'ada', 'bob');
      stage.say('ada', text);
      await stage.step('it is sent');
      if (stage.clients.ada.socket.readyState === WebSocket.OPEN) stage.say('ada', offer('bob', 'behind it'));
      await stage.step('an offer behind it');
    },
  };
}

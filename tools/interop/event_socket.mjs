// Signaling without WebSockets, as docs/signaling_protocol.md has it, with the
// part of the interface of `ws` that tests use.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';

export class EventSocket extends EventEmitter {
  #url;
  #ended = new AbortController();
  #posts = 0;
  #last = Promise.resolve();

  // `url` is that of the WebSocket.
  constructor(url) {
    super();
    this.#url = String(url).replace(/^ws/, 'http');
    this.#read();
  }
  send(text) {
    this.#last = this.#last.then(() => this.#post(text)).catch((error) => {
      if (!this.#ended.signal.aborted) this.emit('error', error);
    });
  }
  terminate() { this.#ended.abort(); }

  async #read() {
    let text = '';
    try {
      const { body } = await fetch(new URL('events', this.#url), { headers: { accept: 'text/event-stream' }, signal: this.#ended.signal });
      for await (const part of body.pipeThrough(new TextDecoderStream())) {
        text += part;
        for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) this.#take(text.slice(0, end));
      }
    } catch (error) {
      if (error.name !== 'AbortError') this.emit('error', error);
    }
    this.emit('close');
  }
  #take(event) {
    const kind = event.match(/^event: (.*)$/m)?.[1];
    const data = [...event.matchAll(/^data: ?(.*)$/gm)].map((match) => match[1]).join('\n');
    if (kind === 'stream') {
      this.name = data;
      this.emit('open');
    } else if (kind === 'ping') {
      this.send('');
      this.emit('ping');
    } else if (kind === undefined && data) {
      this.emit('message', data);
    }
  }
  async #post(body) {
    const headers = { 'Kyuu-Stream': this.name, 'Kyuu-Post': String(++this.#posts) };
    const answer = await fetch(new URL('messages', this.#url), { method: 'POST', headers, body });
    assert.equal(answer.status, 204, await answer.text());
  }
}

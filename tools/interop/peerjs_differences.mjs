// Where kyuud does not do as npm `peer`: {the line of docs/dialects.md that says so,
// [what peer does, what kyuud does] at each step of each trace}.

const OPEN = '{"type":"OPEN"}';
const told = (type, msg) => JSON.stringify({ type, payload: { msg } });
const offerOf = (src, dst, payload) => JSON.stringify({ type: 'OFFER', src, dst, payload });

// Who is turned away: peer says `text` and closes without a code, kyuud with one.
const turnedAway = (name, text, ofOurs = text) => [{ [name]: [text, 'closed 1005'] }, { [name]: [ofOurs, 'closed 1008'] }];
const incomplete = (name) => turnedAway(name, told('ERROR', 'No id, token, or key supplied to websocket server'));
// Who gets in at peer, and not here.
const notLetIn = (name) => [{ [name]: [OPEN] }, { [name]: [told('ERROR', 'Invalid id or token'), 'closed 1008'] }];

const isNoObject = told('ERROR', 'Message is not an object of JSON');
// A message that makes peer deaf.
const wedges = {
  'it is sent': [{ ada: ['no answer to a ping'] }, { ada: [isNoObject] }],
  'an offer behind it': [{}, { bob: [offerOf('ada', 'bob', 'behind it')] }],
};
// A message that peer passes on to Bob as `text`.
const isPassedOn = (text) => ({ 'it is sent': [{ bob: [text] }, { ada: [isNoObject] }] });

const HTML = { 'content-type': 'text/html; charset=utf-8' };
const TEXT = { 'content-type': 'text/plain; charset=utf-8' };
const JSON_LIST = { 'content-type': 'application/json; charset=utf-8' };
const READABLE = { 'access-control-allow-origin': 'https://app.example', vary: 'Origin' };
const noSuchPage = { status: 404, ...HTML, ...READABLE, body: 'a page' };
const upgradeRequired = 'A WebSocket is spoken here. If this was one, a proxy in front has not passed on its Upgrade and Connection headers, ' +
  'or speaks HTTP/1.0.\n';
const greeting = '{"name":"PeerJS Server","description":"A server side element to broker connections between PeerJS clients.","website":"https://peerjs.com/"}';
const PREFLIGHT = 'OPTIONS /peerjs/id Origin https://app.example Access-Control-Request-Method GET Access-Control-Request-Headers traceparent,x-own';

export const DIFFERENCES = [
  {
    line: 'a connection with the same id and token takes its place, is told `OPEN`, and the old one is closed and says nothing more.',
    at: { 'the same token while connected': { 'ada comes again': [{}, { ada: ['closed 1000'], 'ada again': [OPEN] }] } },
  },
  {
    line: '- A message that is no object of JSON is answered by `ERROR`, and the connection goes on, to which `peer` listens no more.',
    at: {
      'a message: no JSON': wedges,
      'a message: half of JSON': wedges,
      'a message: null': wedges,
      'a message: a number': wedges,
      'a message: empty': wedges,
      'a message: an array': { 'it is sent': [{}, { ada: [isNoObject] }] },
    },
  },
  {
    line: '- `LEAVE` without a `dst` ends the connection.',
    at: { 'LEAVE to nobody': { 'ada leaves': [{}, { ada: ['closed 1000'] }] } },
  },
  {
    line: 'The key is asked for everywhere: a wrong one gets `INVALID-KEY`, which PeerJS tells as `invalid-key`, or 401.',
    at: {
      'who is let in': {
        'another key': turnedAway('eve', told('ERROR', 'Invalid key provided'), told('INVALID-KEY', 'Invalid key provided')),
      },
      HTTP: {
        'GET /other/id Origin https://app.example': [
          { status: 200, ...HTML, ...READABLE, body: 'a UUID' }, { status: 401, ...TEXT, ...READABLE, body: 'Invalid key provided\n' }],
        'GET /other/peers Origin https://app.example': [
          { status: 401, ...TEXT, ...READABLE, body: 'Unauthorized' }, { status: 401, ...TEXT, ...READABLE, body: 'Invalid key provided\n' }],
      },
      'HTTP, the list of peers is allowed': {
        'GET /other/peers': [
          { status: 200, ...JSON_LIST, vary: 'Origin', body: '["bob","ada"]' },
          { status: 401, ...TEXT, vary: 'Origin', body: 'Invalid key provided\n' }],
      },
    },
  },
  {
    line: '- A `Peer` whose page may not come (below) gets 403.',
    at: {
      'a page that is not named': {
        'GET /peerjs/id Origin https://app.example': [
          { status: 200, ...HTML, ...READABLE, body: 'a UUID' },
          { status: 403, ...TEXT, body: 'Pages of "https://app.example" may not connect here. If they should, start kyuud with --dialect-origin.\n' }],
      },
    },
  },
  {
    line: '- A message whose outer object names a member twice, with half of a surrogate pair as an escape, or nested more than 64 deep is no message.',
    at: {
      'a message: a name twice': isPassedOn(offerOf('ada', 'bob', 1)),
      'a message: half of a surrogate pair': isPassedOn(offerOf('ada', 'bob', '\ud800')),
      'a message: 66 deep': isPassedOn(`{"type":"OFFER","src":"ada","dst":"bob","payload":${'['.repeat(65)}${']'.repeat(65)}}`),
    },
  },
  {
    line: '- A message of more than 64 KiB closes its connection (1009), before it is read.',
    at: { 'what is passed on': { '70 KB': [{ bob: [offerOf('ada', 'bob', 'x'.repeat(70_000))] }, { ada: ['closed 1009'] }] } },
  },
  {
    line: '- An id of more than 128 bytes, or with control characters, is refused.',
    at: { 'who is let in': { 'an id of 129 bytes': notLetIn('longer'), 'an id with a line break': notLetIn('control') } },
  },
  {
    line: 'A `dst` that is no text is nobody, of whom no `EXPIRE` tells.',
    at: {
      'a dst that is no text': {
        'a number': [
          { ada: ['{"type":"EXPIRE","src":5,"dst":"ada"}', '{"type":"EXPIRE","src":"bob","dst":"ada"}'] },
          { ada: ['{"type":"EXPIRE","src":"bob","dst":"ada"}'] }],
      },
    },
  },
  {
    line: '- Who is turned away is closed with a code: 1008, or 1013 when all is full. `peer` gives none (1005).',
    at: {
      'who is let in': {
        ...Object.fromEntries(['id', 'token', 'key'].flatMap((name) => [
          [`no ${name}`, incomplete(name)], [`an empty ${name}`, incomplete(name)]])),
        'a taken id': turnedAway('thief', told('ID-TAKEN', 'ID is taken')),
      },
    },
  },
  {
    line: '- A payload is passed on byte for byte, not as JavaScript would write it.',
    at: {
      'what is passed on': {
        'a payload that JSON can write otherwise': [
          { bob: [offerOf('ada', 'bob', { n: 1, e: 'ü/' })] },
          { bob: ['{"type":"OFFER","src":"ada","dst":"bob","payload":{ "n": 1.0, "e": "\\u00fc\\/" }}'] }],
      },
    },
  },
  {
    line: '- `/peerjs/peers` is sorted.',
    at: {
      'HTTP, the list of peers is allowed': {
        'GET /peerjs/peers': [
          { status: 200, ...JSON_LIST, vary: 'Origin', body: '["bob","ada"]' },
          { status: 200, ...JSON_LIST, vary: 'Origin', body: '["ada","bob"]' }],
      },
    },
  },
  {
    line: '- Over HTTP, other methods get 405, a preflight allows `GET` and `HEAD`, `/peerjs` without the upgrade gets 426.',
    at: {
      HTTP: {
        'POST /peerjs/id Origin https://app.example': [noSuchPage, { status: 405, ...TEXT, ...READABLE, body: 'Only GET and HEAD.\n' }],
        [PREFLIGHT]: ['GET,HEAD,PUT,PATCH,POST,DELETE', 'GET, HEAD'].map((methods) => ({
          status: 204, 'access-control-allow-origin': 'https://app.example', 'access-control-allow-methods': methods,
          'access-control-allow-headers': 'traceparent,x-own', vary: 'Access-Control-Request-Headers, Origin', body: '',
        })),
        'GET /peerjs Origin https://app.example': [noSuchPage, { status: 426, ...TEXT, ...READABLE, body: upgradeRequired }],
      },
    },
  },
  {
    line: "Other paths are not PeerJS's: 404 without leave to read it, for WebSockets also, and the page at `/`.",
    at: {
      HTTP: {
        'GET /peerjs/nothing Origin https://app.example': [noSuchPage, { status: 404, ...TEXT, body: 'There is nothing here.\n' }],
        'GET / Origin https://app.example Accept text/html': [
          { status: 200, ...JSON_LIST, ...READABLE, body: greeting }, { status: 200, ...HTML, body: 'a page' }],
      },
      'who is let in': {
        'another path': [
          { lost: ['Unexpected server response: 400', 'closed 1006'] }, { lost: ['Unexpected server response: 404', 'closed 1006'] }],
      },
    },
  },
];

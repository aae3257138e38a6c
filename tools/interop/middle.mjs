// A signaling server's own way into calls, which its tests write: between the
// clients and a real kyuud, it sees and changes what they say to each other.

import { once } from 'node:events';
import WebSocket, { WebSocketServer } from 'ws';
import wrtc from '@roamhq/wrtc';

const { RTCPeerConnection } = wrtc;

// Clients that connect to `url` talk to the kyuud of `server`, without sessions
// that are resumed: those count messages. `change` gets each message of a client,
// and `say`, which sends one to the client of the other side; it returns what the
// server gets to see, or nothing.
export class Middle {
  static async before(server, change) {
    const middle = new Middle();
    middle.clients = [];
    middle.server = new WebSocketServer({
      host: '127.0.0.1', port: 0, handleProtocols: (names) => [...names][0],
    });
    await once(middle.server, 'listening');
    middle.url = `http://127.0.0.1:${middle.server.address().port}`;
    middle.server.on('connection', (inner) => {
      const outer = new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws`, 'kyuu.v1');
      const client = { say: (message) => inner.send(JSON.stringify(message)), early: [] };
      middle.clients.push(client);
      const pass = (text) => (outer.readyState === WebSocket.OPEN ? outer.send(text) : client.early.push(text));
      inner.on('message', async (data) => {
        const message = JSON.parse(data);
        if (message.type === 'hello') delete message.resume;
        const seen = await change(message, client, (m) => middle.clients.find((c) => c !== client).say(m));
        if (seen) pass(JSON.stringify(seen));
      });
      outer.on('open', () => client.early.splice(0).forEach(pass));
      outer.on('message', (data) => inner.send(data.toString()));
      for (const [one, other] of [[inner, outer], [outer, inner]]) {
        one.on('close', () => other.close());
        one.on('error', () => {});
      }
    });
    return middle;
  }
  close() {
    for (const client of this.server.clients) client.terminate();
    this.server.close();
  }
}

async function gathered(pc) {
  while (pc.iceGatheringState !== 'complete') await once(pc, 'icegatheringstatechange');
  return pc.localDescription.sdp;
}

// For a Middle: answers the caller's offer itself and makes one to the callee, so
// that there are two connections in place of one, and passes on what they say by
// their channels. `heard` is all of it.
export function sitInTheMiddle() {
  const heard = [];
  const pcs = [];
  let callee;
  const change = async (message, client, sayToOther) => {
    if (message.type !== 'signal') return message;
    const { call, kind } = message;
    if (kind === 'offer') {
      const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
      pcs.push(near, far);
      const channel = far.createDataChannel('kyuu', { protocol: 'kyuu.app.v1' });
      const waiting = [];
      near.ondatachannel = (event) => {
        event.channel.onmessage = ({ data }) => {
          heard.push(data);
          channel.readyState === 'open' ? channel.send(data) : waiting.push(data);
        };
        channel.onopen = () => waiting.splice(0).forEach((data) => channel.send(data));
        channel.onmessage = ({ data }) => {
          heard.push(data);
          event.channel.send(data);
        };
        event.channel.onclose = () => channel.close();
        channel.onclose = () => event.channel.close();
      };
      callee = far;
      client.pc = near;
      await near.setRemoteDescription({ type: 'offer', sdp: message.sdp });
      await near.setLocalDescription(await near.createAnswer());
      client.say({ type: 'signal', call, kind: 'answer', sdp: await gathered(near) });
      await far.setLocalDescription(await far.createOffer());
      sayToOther({ type: 'signal', call, kind: 'offer', sdp: await gathered(far) });
    } else if (kind === 'answer') {
      client.pc = callee;
      await callee.setRemoteDescription({ type: 'answer', sdp: message.sdp });
      for (const candidate of client.candidates?.splice(0) ?? []) await callee.addIceCandidate(candidate);
    } else if (kind === 'candidate') {
      if (client.pc?.remoteDescription) await client.pc.addIceCandidate(message.candidate).catch(() => {});
      else (client.candidates ??= []).push(message.candidate);
    }
    return undefined;
  };
  return { change, heard, close: () => pcs.forEach((pc) => pc.close()) };
}

// How pages of others use this server: lines to copy, with its address in them.

import { byId, make } from "./elements.js";

const base = () => new URL("./", location.href);
const ws = (path) => new URL(path, base()).href.replace(/^http/, "ws");
const stun = () => `stun:${location.hostname}:3478`;

const SNIPPETS = {
  peerjs: () => `const peer = new Peer(undefined, {
  host: '${location.hostname}', port: ${location.port || (location.protocol === "https:" ? 443 : 80)}, secure: ${location.protocol === "https:"}, path: '${base().pathname}',
  config: { iceServers: [{ urls: '${stun()}' }] },
});`,
  "y-webrtc": () => `new WebrtcProvider('room', doc, {
  signaling: ['${ws("y-webrtc")}'],
  peerOpts: { config: { iceServers: [{ urls: '${stun()}' }] } },
});`,
  "simple-peer": () => `const ws = new WebSocket('${ws("v1/ws")}', 'kyuu.v1');
const say = (message) => ws.send(JSON.stringify(message));
ws.onopen = () => say({ type: 'hello', version: 1 });
// After "welcome" (ice_servers) and "joined" (peers), for each peer:
const peer = new SimplePeer({ initiator, config: { iceServers } });
peer.on('signal', (data) => say({ type: 'message', to: name, data }));
// {"type":"message","from":name,"data":...} -> peer.signal(data)`,
  RTCPeerConnection: () => `const ws = new WebSocket('${ws("v1/ws")}', 'kyuu.v1');
// hello, welcome, join, call, accepted; then
const pc = new RTCPeerConnection({ iceServers });
pc.onicecandidate = ({ candidate }) => candidate &&
  say({ type: 'signal', call, kind: 'candidate', candidate: candidate.toJSON() });
await pc.setLocalDescription();
say({ type: 'signal', call, kind: 'offer', sdp: pc.localDescription.sdp });`,
};

export function showSnippets() {
  byId("snippets-list").replaceChildren(...Object.entries(SNIPPETS).map(([name, lines]) => make(
    "li",
    { testid: "snippet", "data-name": name },
    make("b", {}, make("bdi", { text: name })),
    make("pre", { tabindex: 0 }, make("bdi", { text: lines() })),
  )));
}

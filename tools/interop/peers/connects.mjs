// How long two RTCPeerConnections of one Node process take to connect, from nothing to a
// channel that is open at both ends, pair after pair; and the CPU of it. One line of JSON, as
// bench/peer_connect.cc writes.
//
//   node peers/connects.mjs node-datachannel|wrtc PAIRS

const [impl, count] = process.argv.slice(2);
const { RTCPeerConnection } = await {
  'node-datachannel': () => import('node-datachannel/polyfill'),
  wrtc: async () => (await import('@roamhq/wrtc')).default,
}[impl]();
const pair = async () => {
  const start = performance.now();
  const [a, b] = [0, 1].map(() => new RTCPeerConnection());
  // Candidates that are found before the other one has the description wait for that.
  const add = (to, candidate) => to.addIceCandidate(candidate).catch(() => {});
  const early = new Map([[a, []], [b, []]]);
  for (const [from, to] of [[a, b], [b, a]]) {
    from.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate) return;
      if (early.has(to)) early.get(to).push(candidate);
      else add(to, candidate);
    };
  }
  const describe = async (to, description) => {
    await to.setRemoteDescription(description);
    const waiting = early.get(to);
    early.delete(to);
    for (const candidate of waiting) add(to, candidate);
  };
  const open = (channel) => new Promise((resolve) => {
    if (channel.readyState === 'open') resolve();
    else channel.onopen = resolve;
  });
  const incoming = new Promise((resolve) => { b.ondatachannel = ({ channel }) => resolve(open(channel)); });
  const outgoing = open(a.createDataChannel('connect'));
  // Without candidates, which follow.
  const offer = await a.createOffer();
  await a.setLocalDescription(offer);
  await describe(b, offer);
  const answer = await b.createAnswer();
  await b.setLocalDescription(answer);
  await describe(a, answer);
  await Promise.all([incoming, outgoing]);
  const took = performance.now() - start;
  a.close();
  b.close();
  return took;
};

await pair();
const before = process.cpuUsage();
const took = [];
while (took.length < +count) took.push(await pair());
const cpu = process.cpuUsage(before);
took.sort((x, y) => x - y);
const at = (part) => +took[Math.floor(part * (took.length - 1))].toFixed(2);
console.log(JSON.stringify({
  pairs: took.length, p50_ms: at(0.5), p95_ms: at(0.95), max_ms: at(1),
  cpu_ms: +((cpu.user + cpu.system) / 1000 / took.length).toFixed(2),
}));
process.exit(0);

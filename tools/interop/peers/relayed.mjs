// In a page: two of its connections that may only relay, with a channel between
// them. What each has heard, and the protocols of the relays in use. To be given
// to page.evaluate(), so that nothing of this module is within its reach.
export async function relayed(iceServers) {
  const pcs = [0, 1].map(() => new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' }));
  pcs.forEach((pc, i) => { pc.onicecandidate = ({ candidate }) => { if (candidate) pcs[1 - i].addIceCandidate(candidate); }; });
  const channel = pcs[0].createDataChannel('chat');
  const open = new Promise((resolve) => { channel.onopen = resolve; });
  const theirs = new Promise((resolve) => { pcs[1].ondatachannel = (event) => resolve(event.channel); });
  await pcs[0].setLocalDescription();
  await pcs[1].setRemoteDescription(pcs[0].localDescription);
  await pcs[1].setLocalDescription();
  await pcs[0].setRemoteDescription(pcs[1].localDescription);
  const other = await theirs;
  await open;
  const heard = (c) => new Promise((resolve) => { c.onmessage = ({ data }) => resolve(data.length); });
  const both = [heard(channel), heard(other)];
  channel.send('x'.repeat(60_000));
  other.send('y'.repeat(50_000));
  const lengths = await Promise.all(both);
  // Statistics are kept for a moment, and may be older than the pair in use.
  const protocolOf = async (pc) => {
    for (;;) {
      const stats = [...(await pc.getStats()).values()];
      const pair = stats.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
      const local = stats.find((s) => s.id === pair?.localCandidateId);
      if (local) return local.relayProtocol;
      await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
  };
  const protocols = await Promise.all(pcs.map(protocolOf));
  for (const pc of pcs) pc.close();
  return { lengths, protocols };
}

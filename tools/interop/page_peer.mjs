// A page as a foreign peer that takes and tells the lines of `kyuu peer`
// (docs/kyuu.md), so that it can be joined with one: the W3C interface as it is
// in the browser, with perfect negotiation (webrtc-pc section 10.7).

import { sleep } from './lib.mjs';

// Runs in the page.
function install() {
  globalThis.start = ({ offers, polite, media = [], echo }) => {
    const pc = globalThis.pc = new RTCPeerConnection();
    const tell = (line) => globalThis.told(JSON.stringify(line));
    const heard = globalThis.heard = [];
    let making = false;
    let settingAnswer = false;
    let ignoring = false;
    const use = (channel) => {
      globalThis.channel = channel;
      channel.binaryType = 'arraybuffer';
      channel.onmessage = ({ data }) => {
        if (echo) channel.send(data); else heard.push(data);
      };
      channel.onopen = () => tell({ event: 'channel' });
      channel.onclose = () => tell({ event: 'closed' });
    };
    pc.ondatachannel = ({ channel }) => use(channel);
    pc.onconnectionstatechange = () => tell({ event: 'state', connection: pc.connectionState });
    pc.onicecandidate = ({ candidate }) => { if (candidate) tell(candidate.toJSON()); };
    const describe = async () => {
      making = true;
      try {
        await pc.setLocalDescription();
        tell({ type: pc.localDescription.type, sdp: pc.localDescription.sdp });
      } finally {
        making = false;
      }
    };
    const take = async (message) => {
      if (message.type === 'restart') pc.restartIce();
      if (message.type === 'restart' || message.type === 'negotiate') return describe();
      if (message.sdp) {
        // An answer that is being set is as good as set, for the offer behind it.
        const busy = making || !(pc.signalingState === 'stable' || settingAnswer);
        ignoring = !polite && message.type === 'offer' && busy;
        if (ignoring) return tell({ event: 'ignored' });
        settingAnswer = message.type === 'answer';
        await pc.setRemoteDescription(message).finally(() => { settingAnswer = false; });
        if (message.type === 'offer') await describe();
      } else if (message.candidate) {
        await pc.addIceCandidate(message).catch((error) => { if (!ignoring) throw error; });
      }
    };
    globalThis.take = (line) => take(JSON.parse(line)).catch((error) => tell({ event: 'error', error: String(error) }));
    for (const [kind, direction] of media) pc.addTransceiver(kind, { direction });
    if (offers) {
      use(pc.createDataChannel('data'));
      describe();
    }
  };
}

export class PagePeer {
  // `options`: offers (else it answers), polite, echo, and media to offer, as [kind,
  // direction]. A new page of `browser` for each.
  static async start(browser, options) {
    const peer = new PagePeer();
    Object.assign(peer, { lines: [], errors: [] });
    peer.page = await browser.newPage();
    await peer.page.exposeFunction('told', (line) => {
      if (line.includes('"event":"error"')) peer.errors.push(line);
      peer.lines.push(line);
      peer.onLine?.(line);
    });
    await peer.page.evaluate(install);
    await peer.page.evaluate((o) => globalThis.start(o), options);
    return peer;
  }

  write(line) {
    this.page.evaluate((l) => { globalThis.take(l); }, line).catch((error) => this.errors.push(String(error)));
  }

  // Asks until `holds` is true in the page.
  async until(holds, argument, seconds = 30) {
    for (const end = Date.now() + seconds * 1000; !(await this.page.evaluate(holds, argument));) {
      if (Date.now() > end) throw new Error(`never: ${holds}\n${this.transcript()}`);
      await sleep(5);
    }
  }

  transcript() {
    return `--- page\n${this.lines.slice(-40).map((line) => line.slice(0, 300)).join('\n')}\n${this.errors.join('\n')}`;
  }
}

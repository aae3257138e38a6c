// What tests have pages do: functions to be given to page.evaluate(), so that
// nothing of this module is within their reach.

// One end of a call in globalThis.pc that echoes: its description with all
// candidates in it, an answer to `theirs` or else an offer of a channel.
export async function describeCall(theirs) {
  const pc = globalThis.pc = new RTCPeerConnection();
  const echo = (channel) => { channel.onmessage = ({ data }) => channel.send(data); };
  const gathered = new Promise((resolve) => {
    pc.onicecandidate = ({ candidate }) => { if (!candidate) resolve(); };
  });
  if (theirs) {
    pc.ondatachannel = ({ channel }) => echo(channel);
    await pc.setRemoteDescription(theirs);
  } else {
    echo(pc.createDataChannel('data'));
  }
  await pc.setLocalDescription();
  await gathered;
  return pc.localDescription.toJSON();
}

"""Writes one JSON object, {kind: sdp}: what aiortc says in SDP, for capture_sdp.mjs.

aiortc has no bundlePolicy, and restarts, stops and recycles nothing.
"""

import asyncio
import json

from aiortc import RTCConfiguration, RTCPeerConnection

said = {}


def new():
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def exchange(a, b, kind):
    await a.setLocalDescription(await a.createOffer())
    said[f"offer-{kind}"] = a.localDescription.sdp
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription(await b.createAnswer())
    said[f"answer-{kind}"] = b.localDescription.sdp
    await a.setRemoteDescription(b.localDescription)


async def main():
    a, b = new(), new()
    a.addTransceiver("audio")
    a.addTransceiver("video")
    a.createDataChannel("x")
    await exchange(a, b, "audio-video-data")
    # What it has instead of stopping.
    a.getTransceivers()[1].direction = "inactive"
    await exchange(a, b, "inactive-video")
    a.addTransceiver("audio", direction="recvonly")
    await exchange(a, b, "one-more-audio")
    # The form of RFC 8841, which it writes when a peer does.
    c, d = new(), new()
    c._sctpLegacySdp = False
    c.addTransceiver("audio")
    c.createDataChannel("x")
    await exchange(c, d, "sctp-port")
    print(json.dumps(said))
    for pc in (a, b, c, d):
        await pc.close()


asyncio.run(main())

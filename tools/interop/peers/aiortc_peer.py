"""aiortc as a foreign peer, speaking the lines of `kyuu peer` on stdin and stdout.

Options: --role offer|answer [--echo] [--send N --size BYTES [--text]] [--expect N]
"""

import argparse
import asyncio
import json
import sys

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

parser = argparse.ArgumentParser()
parser.add_argument("--role", default="offer")
parser.add_argument("--echo", action="store_true")
parser.add_argument("--send", type=int, default=0)
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--text", action="store_true")
parser.add_argument("--expect", type=int, default=0)
parser.add_argument("--label", default="data")
parser.add_argument("--unordered", action="store_true")
parser.add_argument("--max-retransmits", type=int, default=None)
o = parser.parse_args()


def write(line):
    print(json.dumps(line), flush=True)


def make(i):
    if o.text:
        return "".join(chr(97 + (i + j) % 26) for j in range(o.size))
    return bytes((i + j) & 255 for j in range(o.size))


async def main():
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    done = asyncio.Event()
    count = {"sent": 0, "received": 0, "bytes": 0, "opened": 0}
    good = [True]

    def check():
        if not o.echo and count["sent"] == o.send and count["received"] >= o.expect:
            done.set()

    def use(channel):
        def opened():
            count["opened"] += 1
            write({"event": "channel", "id": channel.id, "label": channel.label})
            for i in range(o.send):
                channel.send(make(i))
                count["sent"] += 1
            check()

        @channel.on("message")
        def message(data):
            size = len(data)
            if o.echo:
                channel.send(data)
            elif data != make(count["received"]):
                good[0] = False
                write({"event": "damaged", "index": count["received"], "size": size})
            count["received"] += 1
            count["bytes"] += size
            check()

        @channel.on("close")
        def closed():
            done.set()

        if channel.readyState == "open":
            opened()
        else:
            channel.on("open", opened)

    @pc.on("datachannel")
    def incoming(channel):
        use(channel)

    @pc.on("connectionstatechange")
    def state():
        write({"event": "state", "connection": pc.connectionState})
        if pc.connectionState in ("failed", "closed"):
            done.set()

    async def describe(kind):
        description = await (pc.createOffer() if kind == "offer" else pc.createAnswer())
        await pc.setLocalDescription(description)
        write({"type": kind, "sdp": pc.localDescription.sdp})
        write({"candidate": ""})

    async def read():
        reader = asyncio.StreamReader(limit=1 << 20)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        early = []
        while line := await reader.readline():
            message = json.loads(line)
            if message.get("type") in ("offer", "answer"):
                await pc.setRemoteDescription(RTCSessionDescription(**message))
                if message["type"] == "offer":
                    await describe("answer")
                for candidate in early:
                    await pc.addIceCandidate(candidate)
                early = None
            elif message.get("candidate"):
                candidate = candidate_from_sdp(message["candidate"].split(":", 1)[1])
                candidate.sdpMid = message["sdpMid"]
                candidate.sdpMLineIndex = message["sdpMLineIndex"]
                if early is None:
                    await pc.addIceCandidate(candidate)
                else:
                    early.append(candidate)

    reading = asyncio.ensure_future(read())
    if o.role == "offer":
        use(pc.createDataChannel(o.label, ordered=not o.unordered, maxRetransmits=o.max_retransmits))
        await describe("offer")
    await done.wait()
    await asyncio.sleep(0.3)  # what was sent last must leave first
    ok = good[0] and count["opened"] > 0 and count["received"] >= o.expect
    write({"event": "result", **count, "ok": ok})
    reading.cancel()
    await pc.close()
    return 0 if ok else 1


sys.exit(asyncio.run(main()))

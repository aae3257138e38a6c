"""aiortc as a foreign peer, speaking the lines of `kyuu peer` on stdin and stdout.

Options: --role offer|answer [--echo] [--send N --size BYTES [--text]] [--expect N]
[--scripted]
"""

import argparse
import asyncio
import json
import sys
import time

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
parser.add_argument("--scripted", action="store_true")
o = parser.parse_args()


def write(line):
    print(json.dumps(line), flush=True)


LETTERS = "abcdefghijklmnopqrstuvwxyz"
BYTES = bytes(range(256))


def make(i, size=o.size, text=o.text):
    """Message `i`: byte j is i + j modulo 256, or a letter 'a' + (i + j) % 26."""
    period = LETTERS if text else BYTES
    first = i % len(period)
    return (period * (size // len(period) + 2))[first:first + size]


class Script:
    """What stdin asks of single channels: peers/scripted.mjs in aiortc's terms."""

    def __init__(self, pc):
        self.pc = pc
        self.channels = {}  # The newest of each label.
        self.sent = {}

    def use(self, channel, incoming):
        label = channel.label
        self.channels[label] = channel
        self.sent[label] = 0
        index = [0]

        def opened():
            write({"event": "channel", "label": label, "id": channel.id, "protocol": channel.protocol,
                   "ordered": channel.ordered, "incoming": incoming, "maxRetransmits": channel.maxRetransmits,
                   "maxPacketLifeTime": channel.maxPacketLifeTime})

        @channel.on("message")
        def message(data):
            text = isinstance(data, str)
            size = len(data.encode() if text else data)
            first = None if size == 0 else ord(data[0]) - 97 if text else data[0]
            line = {"event": "message", "label": label, "index": index[0], "size": size, "text": text,
                    "number": first, "intact": size == 0 or data == make(first, size, text)}
            if text and size <= 1024:
                line["said"] = data
            index[0] += 1
            write(line)

        @channel.on("close")
        def closed():
            write({"event": "closed", "label": label})

        if channel.readyState == "open":
            opened()
        else:
            channel.on("open", opened)

    async def take(self, line):
        kind, label = line["type"], line.get("label")
        if kind == "open":
            self.use(self.pc.createDataChannel(
                label, protocol=line.get("protocol", ""), ordered=line.get("ordered", True),
                maxRetransmits=line.get("maxRetransmits"), maxPacketLifeTime=line.get("maxPacketLifeTime"),
                negotiated=line.get("negotiated", False), id=line.get("id")), False)
        elif kind == "send":
            channel = self.channels[label]
            text = line.get("text", False)
            for message in [*line.get("sizes", []), *line.get("say", [])]:
                while channel.bufferedAmount > 1 << 20:
                    await asyncio.sleep(0.002)
                if isinstance(message, int):
                    message = make(self.sent[label], message, text)
                try:
                    channel.send(message)
                    self.sent[label] += 1
                except Exception as error:
                    write({"event": "refused", "label": label, "reason": repr(error)})
        elif kind == "close":
            self.channels[label].close()


async def main():
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    done = asyncio.Event()
    count = {"sent": 0, "received": 0, "bytes": 0, "opened": 0}
    good = [True]
    times = []  # When the first and the newest message came.

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
            times[1:] = [time.monotonic()]
            if len(times) == 1:
                times.append(times[0])
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

    script = Script(pc)

    @pc.on("datachannel")
    def incoming(channel):
        if o.scripted:
            script.use(channel, True)
        else:
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
            elif message.get("type") == "bye":
                done.set()
            elif message.get("type"):
                try:
                    await script.take(message)
                except Exception as error:
                    write({"event": "error", "message": repr(error)})
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
        channel = pc.createDataChannel(o.label, ordered=not o.unordered, maxRetransmits=o.max_retransmits)
        if o.scripted:
            script.use(channel, False)
        else:
            use(channel)
        await describe("offer")
    await done.wait()
    await asyncio.sleep(0.3)  # what was sent last must leave first
    ok = good[0] and count["opened"] > 0 and count["received"] >= o.expect
    took = {"transfer_ms": (times[-1] - times[0]) * 1000} if times else {}
    write({"event": "result", **count, **took, "ok": ok})
    reading.cancel()
    await pc.close()
    return 0 if ok else 1


sys.exit(asyncio.run(main()))

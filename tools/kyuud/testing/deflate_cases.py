"""Autobahn's cases 12 and 13, of compressed messages (RFC 7692), by its numbers,
and a client that plays them.

Autobahn wants an echo: kyuud's is a topic of y-webrtc, whose subscribers hear what
they publish. Its sets of data are Autobahn's in kind; of each size two messages
are said, not a thousand.
"""

import json
import os
import struct
import zlib

from testing.kyuud import WebSocket

TAIL = b"\x00\x00\xff\xff"
TOPIC = "t"
# (octets, octets of a fragment, or 0), .1 to .18 of each group.
SIZES = [(16, 0), (64, 0), (256, 0), (1024, 0), (4096, 0), (8192, 0), (16384, 0), (32768, 0), (65536, 0),
         (131072, 0), (8192, 256), (16384, 256), (32768, 256), (65536, 256), (131072, 256), (131072, 1024),
         (131072, 4096), (131072, 32768)]
MOST = 65536  # Beyond it 1009.

GERMAN = ("Habe nun, ach! Philosophie, Juristerei und Medizin, und leider auch Theologie durchaus studiert, "
          "mit heißem Bemühn. Da steh ich nun, ich armer Tor! Und bin so klug als wie zuvor; ")
PARAGRAPH = "<p class=\"x\">A <b>message</b> of <a href=\"https://example.org/{0}\">number {0}</a>.</p>\n"
DATA = {
    "12.1": "".join(json.dumps({"id": i, "sdpMid": str(i % 7), "candidate": f"candidate:{i * 7919}"})
                    for i in range(3000)),
    "12.2": os.urandom(100_000).hex(),
    "12.3": GERMAN * 1000,
    "12.4": "".join(json.dumps({"u": os.urandom(9).hex(), "n": [i, -i, i / 8]}) for i in range(3000)),
    "12.5": "".join(PARAGRAPH.format(i) for i in range(2500)),
}

NO_TAKEOVER = "; server_no_context_takeover; client_no_context_takeover"
GRANTED = "permessage-deflate" + NO_TAKEOVER
BITS = "; server_max_window_bits={0}; client_max_window_bits={0}"
# What is offered, what is granted, and the server's window.
OFFERS = {
    "13.1": ("permessage-deflate; client_max_window_bits", GRANTED, 15),
    "13.2": (f"permessage-deflate{NO_TAKEOVER}; client_max_window_bits", GRANTED, 15),
    "13.3": ("permessage-deflate" + BITS.format(9), GRANTED + "; server_max_window_bits=9", 9),
    "13.4": ("permessage-deflate" + BITS.format(15), GRANTED + "; server_max_window_bits=15", 15),
    "13.5": ("permessage-deflate" + NO_TAKEOVER + BITS.format(9), GRANTED + "; server_max_window_bits=9", 9),
    "13.6": ("permessage-deflate" + NO_TAKEOVER + BITS.format(15), GRANTED + "; server_max_window_bits=15", 15),
    "13.7": (f"permessage-deflate{NO_TAKEOVER}{BITS.format(9)}, permessage-deflate{NO_TAKEOVER}, "
             "permessage-deflate", GRANTED + "; server_max_window_bits=9", 9),
}


def deflated(data, bits=15, level=9):
    """The payload of a message."""
    by = zlib.compressobj(level, zlib.DEFLATED, -bits)
    whole = by.compress(data) + by.flush(zlib.Z_SYNC_FLUSH)
    assert whole.endswith(TAIL)
    return whole[:-4]


def inflated(payload, bits=15):
    """By a receiver that has a window of so many bits: bytes are taken out few at a time, or
    zlib looks into what it has put out instead."""
    by = zlib.decompressobj(-bits)
    message, rest = b"", payload + TAIL
    while rest:
        message += by.decompress(rest, 64)
        rest = by.unconsumed_tail
    return message + by.flush()


class Compressing(WebSocket):
    """A WebSocket whose client offers compression, and sees what it was granted."""

    def __init__(self, port, path, offer, protocol="", window=15, origin=None):
        self.window = window
        super().__init__(port, path, f"Sec-WebSocket-Extensions: {offer}\n" + protocol, origin)

    def opened(self):
        super().opened()
        self.granted = next((line[26:].decode() for line in self.head.split(b"\r\n")
                             if line.lower().startswith(b"sec-websocket-extensions: ")), None)

    def put(self, first, data):
        """A frame; `first` is its first octet."""
        mask = os.urandom(4)
        size = (bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
                if len(data) < 65536 else struct.pack("!BQ", 0xFF, len(data)))
        key = int.from_bytes((mask * (len(data) // 4 + 1))[:len(data)], "big")
        masked = (int.from_bytes(data, "big") ^ key).to_bytes(len(data), "big")
        try:
            self.socket.sendall(bytes([first]) + size + mask + masked)
        except OSError:
            pass  # It has closed already; what it said is read below.

    def say_deflated(self, data, fragment=0, opcode=1, bits=15):
        """In fragments of so many octets, with pings between."""
        payload = deflated(data, bits)
        parts = [payload[i:i + fragment] for i in range(0, len(payload), fragment)] if fragment else [payload]
        for i, part in enumerate(parts):
            if i % 16 == 1:
                self.put(0x89, b"between")
            self.put((0x80 if i == len(parts) - 1 else 0) | (0 if i else 0x40 | opcode), part)

    def hear(self):
        """(whether it was compressed, its text) of the next message, or ("close", code)."""
        while True:
            first, size = self.take(2)
            if size >= 126:
                size, = struct.unpack("!H" if size == 126 else "!Q", self.take(2 if size == 126 else 8))
            data = self.take(size)
            if first & 15 == 8:
                return "close", struct.unpack("!H", data[:2])[0]
            if first & 15 in (9, 10):
                assert first & 0x70 == 0, first
                continue
            assert first & 0xB0 == 0x80, first
            compressed = bool(first & 0x40)
            return compressed, inflated(data, self.window) if compressed else data


def cases():
    """Yields (name, offer, what is granted, the window, data, size, fragment)."""
    for name, data in DATA.items():
        for number, (size, fragment) in enumerate(SIZES, 1):
            yield (f"{name}.{number}", *OFFERS["13.1"], data, size, fragment)
    for name, offer in OFFERS.items():
        for number, (size, fragment) in enumerate(SIZES, 1):
            yield (f"{name}.{number}", *offer, DATA["12.1"], size, fragment)


def message(data, size):
    """(a message of so many octets, what its echo has as data)"""
    if size < 40:
        return b'{"type":"ping"' + b" " * (size - 15) + b"}", None
    head, tail = b'{"type":"publish","topic":"t","data":"', b'"}'
    body, room = b"", size - len(head) - len(tail)
    body = json.dumps(data, ensure_ascii=False)[1:-1].encode()[:room]
    while body.endswith(b"\\") or body.decode(errors="ignore").encode() != body:
        body = body[:-1]  # Not in the middle of a character.
    body += b"." * (room - len(body))
    return head + body + tail, json.loads(b'"' + body + b'"')


def play(port, offer, granted, window, data, size, fragment):
    """None, or what came instead of what was expected."""
    client = Compressing(port, "/y-webrtc", offer, window=window)
    with client.socket:
        if client.granted != granted:
            return client.granted
        client.say_deflated(json.dumps({"type": "subscribe", "topics": [TOPIC]}).encode())
        text, expected = message(data, size)
        assert len(text) == size
        for level in (1, 2):
            client.say_deflated(text, fragment, bits=window)
            compressed, heard = client.hear()
            if size > MOST:
                return None if (compressed, heard) == ("close", 1009) else (compressed, heard)
            if compressed == "close":
                return compressed, heard, level
            answer = json.loads(heard)
            if expected is None:
                if (compressed, answer) != (False, {"type": "pong"}):
                    return compressed, answer
            elif answer["data"] != expected or compressed != (size >= 512):
                return compressed, answer
    return None

"""The cases of Autobahn's testsuite for WebSockets, by its numbers, and some more
of RFC 6455, for either end: what is said to it, and what it has to answer.

kyuu's ends are no echo servers, so that `End` says by which text they show that a
message has arrived ("answer"). Binary messages are none of the protocol.
Not here: 12 and 13, compression (deflate_cases.py; the client offers none), and 9.1
to 9.8 above 64 KiB, which are refused.
"""

import os
import struct

CHUNKS = 997  # Of what is written in pieces.


class End:
    """The end under test. `message` is a JSON object that it answers by a text; it
    takes `idle` and answers nothing. What is no JSON it answers by `refusal`, what is
    binary by `binary`."""

    def __init__(self, masked, message, idle, refusal, binary):
        self.masked, self.message, self.idle = masked, message, idle
        self.refusal, self.binary = refusal, binary

    def frame(self, opcode, data=b"", fin=True, rsv=0, masked=None, length=None, form=None):
        masked = self.masked if masked is None else masked
        size = len(data) if length is None else length
        bit = 0x80 if masked else 0
        form = form or (7 if size < 126 else 16 if size < 65536 else 64)
        head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        head += (bytes([bit | size]) if form == 7 else struct.pack("!BH", bit | 126, size)
                 if form == 16 else struct.pack("!BQ", bit | 127, size))
        if not masked:
            return head + data
        mask = os.urandom(4)
        return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))

    def padded(self, size):
        """(a message of so many bytes, what shows that it has arrived)."""
        for text, shows in ((self.message, ["answer"]), (self.idle, [])):
            room = size - len(text) - len(b',"x":""')
            if room >= 0:
                return text[:-1] + b',"x":"' + b"y" * room + b'"}', shows
        raise ValueError(size)

    def holding(self, data):
        return self.message[:-1] + b',"x":"' + data + b'"}'


def fragments(end, data, size):
    """`data` in frames of `size` bytes."""
    parts = [data[i:i + size] for i in range(0, len(data), size)]
    return [end.frame(0 if i else 1, part, fin=i == len(parts) - 1) for i, part in enumerate(parts)]


def closing(code, reason=b""):
    return struct.pack("!H", code) + reason


KOSME = "κόσμε".encode()
MIXED = "Hello-µ@ßöäüàá-UTF-8!!".encode()
SURROGATE = bytes.fromhex("cebae1bdb9cf83cebcceb5eda080656469746564")

# 6.5, 6.7, 6.9, 6.11, 6.22, 6.23: what is UTF-8.
NONCHARACTERS = [chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF)]
VALID = {
    "6.5.1 kosme": KOSME.hex(), "6.7.1 U+0080": "c280", "6.7.2 U+0800": "e0a080",
    "6.7.3 U+10000": "f0908080", "6.9.1 U+007F": "7f", "6.9.2 U+07FF": "dfbf",
    "6.9.3 U+FFFF": "efbfbf", "6.9.4 U+10FFFF": "f48fbfbf", "6.11.1 U+D7FF": "ed9fbf",
    "6.11.2 U+E000": "ee8080", "6.11.3 U+FFFD": "efbfbd", "6.11.4 U+10FFFF": "f48fbfbf",
    **{f"6.22.{i + 1} U+{ord(c):04X}": c.encode().hex() for i, c in enumerate(NONCHARACTERS)},
    **{f"6.23.{i + 1} U+FFF{n:X}": chr(0xFFF0 + n).encode().hex() for i, n in enumerate(range(9, 14))},
}
# 6.8, 6.10, 6.11.5 to 6.21: what is none.
INVALID = {
    "6.8.1 five bytes": "f888808080", "6.8.2 six bytes": "fc8480808080",
    "6.10.1 U+1FFFFF": "f7bfbfbf", "6.10.2 U+3FFFFFF": "fbbfbfbfbf",
    "6.10.3 U+7FFFFFFF": "fdbfbfbfbfbf", "6.11.5 U+110000": "f4908080",
    "6.12.1 80": "80", "6.12.2 BF": "bf", "6.12.3 80BF": "80bf", "6.12.4 80BF80": "80bf80",
    "6.12.5 80BF80BF": "80bf80bf", "6.12.6 80BF80BF80": "80bf80bf80",
    "6.12.7 80BF80BF80BF": "80bf80bf80bf",
    "6.12.8 all continuations": bytes(range(0x80, 0xC0)).hex(),
    "6.13.1 C0 to DF": "".join(f"{b:02x}20" for b in range(0xC0, 0xE0)),
    "6.13.2 E0 to EF": "".join(f"{b:02x}20" for b in range(0xE0, 0xF0)),
    "6.13.3 F0 to F7": "".join(f"{b:02x}20" for b in range(0xF0, 0xF8)),
    "6.13.4 F8 to FB": "".join(f"{b:02x}20" for b in range(0xF8, 0xFC)), "6.13.5 FC, FD": "fc20fd20",
    "6.14.1 C0": "c0", "6.14.2 E080": "e080", "6.14.3 F08080": "f08080", "6.14.4 F8808080": "f8808080",
    "6.14.5 FC80808080": "fc80808080", "6.14.6 DF": "df", "6.14.7 EFBF": "efbf",
    "6.14.8 F7BFBF": "f7bfbf", "6.14.9 FBBFBFBF": "fbbfbfbf", "6.14.10 FDBFBFBFBF": "fdbfbfbfbf",
    "6.15.1 all of them": "c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf",
    "6.16.1 FE": "fe", "6.16.2 FF": "ff", "6.16.3 FEFEFFFF": "fefeffff",
    "6.17.1 C0AF": "c0af", "6.17.2 E080AF": "e080af", "6.17.3 F08080AF": "f08080af",
    "6.17.4 F8808080AF": "f8808080af", "6.17.5 FC80808080AF": "fc80808080af",
    "6.18.1 C1BF": "c1bf", "6.18.2 E09FBF": "e09fbf", "6.18.3 F08FBFBF": "f08fbfbf",
    "6.18.4 F887BFBFBF": "f887bfbfbf", "6.18.5 FC83BFBFBFBF": "fc83bfbfbfbf",
    "6.19.1 C080": "c080", "6.19.2 E08080": "e08080", "6.19.3 F0808080": "f0808080",
    "6.19.4 F880808080": "f880808080", "6.19.5 FC8080808080": "fc8080808080",
    "6.20.1 U+D800": "eda080", "6.20.2 U+DB7F": "edadbf", "6.20.3 U+DB80": "edae80",
    "6.20.4 U+DBFF": "edafbf", "6.20.5 U+DC00": "edb080", "6.20.6 U+DF80": "edbe80",
    "6.20.7 U+DFFF": "edbfbf", "6.21.1": "eda080edb080", "6.21.2": "eda080edbfbf",
    "6.21.3": "edadbfedb080", "6.21.4": "edadbfedbfbf", "6.21.5": "edae80edb080",
    "6.21.6": "edae80edbfbf", "6.21.7": "edafbfedb080", "6.21.8": "edafbfedbfbf",
}


def cases(end):
    """Yields (name, what to say in writes, what comes of it). Of it an "answer" may
    be missing where the connection is closed for what follows."""
    frame, message = end.frame, end.message
    text = frame(1, message)

    def closed(code):
        return [("close", code)]

    # 1: frames of any size.
    yield "1.1.1", [frame(1)], end.refusal
    for number, size in enumerate((125, 126, 127, 128, 65535, 65536), 2):
        data, shows = end.padded(size)
        yield f"1.1.{number}", [frame(1, data)], shows
        pieces = frame(1, data)
        yield f"1.1.{number} in pieces", [pieces[i:i + CHUNKS] for i in range(0, len(pieces), CHUNKS)], shows
    for number, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), 1):
        yield f"1.2.{number}", [frame(2, b"\xfe" * size)], end.binary

    # 2: pings.
    for number, data in enumerate((b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125), 1):
        yield f"2.{number}", [frame(9, data)], [("pong", data)]
    yield "2.5", [frame(9, b"\xfe" * 126)], closed(1002)
    yield "2.6", [bytes([b]) for b in frame(9, b"\xfe" * 125)], [("pong", b"\xfe" * 125)]
    yield "2.7", [frame(10)], []
    yield "2.8", [frame(10, b"x" * 10)], []
    yield "2.9", [frame(10, b"x") + frame(9, b"y")], [("pong", b"y")]
    # Of pings that come together the last one may be answered alone (5.5.3).
    pings = b"".join(frame(9, b"payload-%d" % i) for i in range(10))
    yield "2.10", [pings], [("pongs to", b"payload-9")]
    yield "2.11", [bytes([b]) for b in pings], [("pongs to", b"payload-9")]

    # 3: reserved bits.
    yield "3.1", [frame(1, message, rsv=4)], closed(1002)
    yield "3.2", [text + frame(1, message, rsv=2) + frame(9)], closed(1002)
    yield "3.3", [text, frame(1, message, rsv=6), frame(9)], closed(1002)
    yield "3.4", [bytes([b]) for b in text + frame(1, message, rsv=1)], closed(1002)
    yield "3.5", [frame(2, b"x", rsv=5)], closed(1002)
    yield "3.6", [frame(9, b"x", rsv=6)], closed(1002)
    yield "3.7", [frame(8, closing(1000), rsv=7)], closed(1002)

    # 4: opcodes that there are not.
    for number, opcode in enumerate((3, 4, 5, 6, 7), 1):
        yield f"4.1.{number}", [frame(opcode, b"" if number == 1 else b"x")], closed(1002)
    for number, opcode in enumerate((11, 12, 13, 14, 15), 1):
        yield f"4.2.{number}", [text + frame(opcode, b"" if number == 1 else b"x")], closed(1002)

    # 5: fragments.
    half = len(message) // 2
    one, two = frame(1, message[:half], fin=False), frame(0, message[half:])
    yield "5.1", [frame(9, b"a", fin=False) + frame(0, b"b")], closed(1002)
    yield "5.2", [frame(10, b"a", fin=False) + frame(0, b"b")], closed(1002)
    yield "5.3", [one + two], ["answer"]
    yield "5.4", [one, two], ["answer"]
    yield "5.5", [bytes([b]) for b in one + two], ["answer"]
    between = one + frame(9, b"z") + two
    yield "5.6", [between], [("pong", b"z"), "answer"]
    yield "5.7", [one, frame(9, b"z"), two], [("pong", b"z"), "answer"]
    yield "5.8", [bytes([b]) for b in between], [("pong", b"z"), "answer"]
    for number, fin in ((9, True), (12, False)):
        lone = frame(0, b"non", fin=fin) + text
        yield f"5.{number}", [lone], closed(1002)
        yield f"5.{number + 1}", [lone[:4], lone[4:]], closed(1002)
        yield f"5.{number + 2}", [bytes([b]) for b in lone], closed(1002)
    yield "5.15", [one + two + frame(0, b"x", fin=False) + text], closed(1002)
    yield "5.16", [(frame(0, b"x", fin=False) + one + two) * 2], closed(1002)
    yield "5.17", [(frame(0, b"x") + one + two) * 2], closed(1002)
    yield "5.18", [one + frame(1, message[half:])], closed(1002)
    fifth = max(1, len(message) // 5 + 1)
    five = fragments(end, message, fifth)
    mixed = five[:2] + [frame(9, b"z")] + five[2:4] + [frame(9, b"z")] + five[4:]
    yield "5.19", mixed, [("pongs to", b"z"), "answer"]
    yield "5.20", [b"".join(mixed)], [("pongs to", b"z"), "answer"]

    # 6: UTF-8.
    yield "6.1.1", [frame(1)], end.refusal
    yield "6.1.2", [frame(1, fin=False) + frame(0, fin=False) + frame(0)], end.refusal
    yield "6.1.3", [frame(1, fin=False) + frame(0, message, fin=False) + frame(0)], ["answer"]
    held = end.holding(MIXED)
    cut = held.index("ß".encode())
    yield "6.2.1", [frame(1, held)], ["answer"]
    yield "6.2.2", [frame(1, held[:cut], fin=False) + frame(0, held[cut:])], ["answer"]
    yield "6.2.3", [b"".join(fragments(end, held, 1))], ["answer"]
    yield "6.2.4", [b"".join(fragments(end, end.holding(KOSME), 1))], ["answer"]
    yield "6.3.1", [frame(1, SURROGATE)], closed(1007)
    yield "6.3.2", [b"".join(fragments(end, SURROGATE, 1))], closed(1007)
    # As soon as it can be known: the rest is never said.
    yield "6.4.1", [frame(1, KOSME, fin=False), frame(0, bytes.fromhex("f4908080"), fin=False)], closed(1007)
    yield "6.4.2", [frame(1, KOSME + b"\xf4", fin=False), frame(0, b"\x90", fin=False)], closed(1007)
    whole = frame(1, KOSME + bytes.fromhex("f4908080") + b"edited")
    head = len(whole) - 4 - len("edited")
    yield "6.4.3", [whole[:head], whole[head:head + 4]], closed(1007)
    yield "6.4.4", [whole[:head + 1], whole[head + 1:head + 2]], closed(1007)
    for name, data in VALID.items():
        yield name, [frame(1, end.holding(bytes.fromhex(data)))], ["answer"]
    for size in range(1, len(KOSME)):
        part = KOSME[:size]
        whole = part.decode(errors="ignore").encode() == part
        yield f"6.6.{size}", [frame(1, end.holding(part))], ["answer"] if whole else closed(1007)
        if not whole:
            yield f"6.6.{size} at the end", [frame(1, part)], closed(1007)
    for name, data in INVALID.items():
        yield name, [frame(1, end.holding(bytes.fromhex(data)))], closed(1007)

    # 7: closing.
    yield "7.1.1", [text + frame(8)], closed(1005)
    yield "7.1.2", [frame(8, closing(1000)) * 2], closed(1000)
    yield "7.1.3", [frame(8, closing(1000)) + frame(9, b"x")], closed(1000)
    yield "7.1.4", [frame(8, closing(1000)) + text], closed(1000)
    yield "7.1.5", [one + frame(8, closing(1000)) + two], closed(1000)
    yield "7.1.6", [frame(1, end.padded(60000)[0]) + frame(8, closing(1000)) + frame(9)], closed(1000)
    yield "7.3.1", [frame(8)], closed(1005)
    yield "7.3.2", [frame(8, b"a")], closed(1002)
    yield "7.3.3", [frame(8, closing(1000))], closed(1000)
    yield "7.3.4", [frame(8, closing(1000, b"Hello World!"))], closed(1000)
    yield "7.3.5", [frame(8, closing(1000, b"*" * 123))], closed(1000)
    yield "7.3.6", [frame(8, closing(1000, b"*" * 124))], closed(1002)
    yield "7.5.1", [frame(8, closing(1000, SURROGATE))], closed(1007)
    for number, code in enumerate((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999), 1):
        yield f"7.7.{number}", [frame(8, closing(code))], closed(code)
    for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield f"7.9.{number}", [frame(8, closing(code))], closed(1002)
    for code in (1012, 1013, 1014):  # Registered since.
        yield f"7.7 {code}", [frame(8, closing(code))], closed(code)
    for number, code in enumerate((1015, 5000, 65535)):
        yield f"7.13.{number}", [frame(8, closing(code))], closed(1002)

    # 9 and 10: sizes.
    yield "9.1 above 64 KiB", [frame(1, b"", length=65537)], closed(1009)
    yield "9.2 above it in fragments", [frame(1, b" " * 40000, fin=False), frame(0, b"", length=25537)], closed(1009)
    data, shows = end.padded(65536)
    for number, size in enumerate((64, 256, 1024, 4096, 16384), 1):
        yield f"9.3.{number}", [b"".join(fragments(end, data, size))], shows
    small, shows = end.padded(4000)
    for number, size in enumerate((1, 3, 64, 997), 1):
        whole = b"".join(fragments(end, small, size))
        yield f"9.7.{number}", [whole[i:i + size * 8] for i in range(0, len(whole), size * 8)], shows
    yield "10.1.1", [b"".join(fragments(end, data, 1300))], shows

    # RFC 6455 sections 5.1 and 5.2.
    yield "masks of the other kind: text", [frame(1, message, masked=not end.masked)], closed(1002)
    yield "masks of the other kind: ping", [frame(9, b"x", masked=not end.masked)], closed(1002)
    yield "masks of the other kind: close", [frame(8, masked=not end.masked)], closed(1002)
    yield "16 bits for 5", [frame(1, b"{   }", form=16)], closed(1002)
    yield "64 bits for 15", [frame(1, b"{             }", form=64)], closed(1002)
    yield "length of 2^63", [frame(1, b"", length=1 << 63)], closed(1002)
    yield "length of 2^62", [frame(1, b"", length=1 << 62)], closed(1009)

#!/usr/bin/env python3
"""WebSockets of kyuud, the server, and of kyuu, the client, case by case
(testing/websocket_cases.py), plain and inside of TLS.
"""

import base64
import hashlib
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import unittest

KYUU = os.path.abspath(sys.argv.pop(1))

from testing.kyuud import KyuudTestCase, WAIT, upgrade  # noqa: E402 (it takes the last argument)
from testing.websocket_cases import End, cases  # noqa: E402

SERVER = End(True, b'{"type":"ping","id":1}', b'{"type":"ack","received":0}', ["error"],
             [("close", 1003)])
WELCOME = (b'{"type":"welcome","version":1,"server":"s","session":"a","ice_servers":[],"limits":'
           b'{"message_bytes":65536,"name_bytes":64,"meta_bytes":2048,"depth":16,"members":64},'
           b'"ping_interval_s":25,"id":1}')
# It leaves a server that says what is no message, and ends.
LEFT = [("close", 1002)]
CLIENT = End(False, WELCOME, b'{"type":"pong"}', LEFT, LEFT)
LAST = b"last"  # Of a ping that is answered if the connection is still there.


class Peer:
    """The other end of what is tested."""

    def __init__(self, stream, end):
        self.stream, self.end, self.buffer = stream, end, b""

    def take(self, size):
        while len(self.buffer) < size:
            part = self.stream.recv(65536)
            if not part:
                raise EOFError
            self.buffer += part
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def head(self):
        """Of HTTP."""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.stream.recv(65536)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head.decode()

    def event(self):
        first, size = self.take(2)
        masked, size = size & 0x80, size & 0x7F
        if size >= 126:
            size, = struct.unpack("!H" if size == 126 else "!Q", self.take(2 if size == 126 else 8))
        mask = self.take(4) if masked else bytes(4)
        data = bytes(b ^ mask[i % 4] for i, b in enumerate(self.take(size)))
        if first & 0xF0 != 0x80 or bool(masked) == self.end.masked:
            return ("a frame that must not be", first, masked)
        kind = first & 15
        if kind == 1:
            return "error" if b'"error"' in data else "answer"
        if kind == 8:
            return ("close", struct.unpack("!H", data[:2])[0] if data else 1005)
        return ({9: "ping", 10: "pong"}.get(kind, kind), data)

    def play(self, writes, expected):
        """None, or what came instead of what was expected."""
        ends = bool(expected) and expected[-1][0] == "close"
        events = []
        try:
            for part in writes:
                self.stream.sendall(part)
            if not ends:
                self.stream.sendall(self.end.frame(9, LAST) if not expected else b"")
        except OSError:
            pass  # It has closed already; what it said is read below.
        try:
            while True:
                event = self.event()
                if event == ("pong", LAST):
                    break
                events.append(event)
                if event[0] == "close":
                    code = event[1]
                    self.say(self.end.frame(8, b"" if code == 1005 else struct.pack("!H", code)))
                    while self.stream.recv(65536):
                        pass
                    break
                # All pings that came together are answered when the last one is.
                if not ends and same(events, expected):
                    self.say(self.end.frame(9, LAST))
        except (EOFError, OSError) as error:
            if not (ends and events and events[-1][0] == "close"):
                events.append(type(error).__name__)
        if ends:
            events = [event for event in events if event != "answer"]
        return None if same(events, expected) else events

    def say(self, data):
        try:
            self.stream.sendall(data)
        except OSError:
            pass


def same(events, expected):
    """Whether those are what was expected, or, of pings, may be."""
    events = list(events)
    for want in expected:
        if want[0] == "pongs to":
            while events and events[0][0] == "pong" and events[0][1] != want[1]:
                events.pop(0)
            while events and events[0] == ("pong", want[1]):
                events.pop(0)
            continue
        got = events.pop(0) if events else None
        if got != want:
            return False
    return not events


class KyuudWebSocketTest(KyuudTestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.certificate, cls.key = (os.path.join(cls.folder.name, n) for n in ("c.pem", "k.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-out", cls.certificate,
                        "-keyout", cls.key], check=True, capture_output=True)

    def run_cases(self, end, open_one, others=()):
        """`others` come of some of the cases, by their names."""
        wrong, count = [], 0
        for name, writes, expected in cases(end):
            expected = dict(others).get(name, expected)
            count += 1
            with open_one() as peer:
                came = peer.play(writes, expected)
            if came is not None:
                wrong.append(f"{name}: {came[:4]} instead of {expected}")
        self.assertGreater(count, 260)
        self.assertEqual(wrong, [], f"of {count} cases")

    # --- The server ---

    def server(self, *flags, wrap=lambda stream: stream):
        server = self.start("--max-connections=2000", *flags)

        class Opened(Peer):
            def __init__(self):
                stream = wrap(socket.create_connection(("127.0.0.1", server.http_port), WAIT))
                super().__init__(stream, SERVER)
                port = server.http_port
                extra = ("Sec-WebSocket-Protocol: kyuu.v1\n"
                         "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\n")
                stream.sendall(upgrade(port, "/v1/ws", extra, wrap.origin(port)).replace("\n", "\r\n").encode())
                head = self.head()
                # Offered, and not taken unless it is told, so that RSV1 is 1002 (3.1).
                if " 101 " not in head or ("extensions" in head.lower()) != ("--compression=on" in flags):
                    raise AssertionError(head)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.stream.close()
        return Opened

    def test_the_server(self):
        def plain(stream):
            return stream
        plain.origin = lambda port: f"http://127.0.0.1:{port}"
        self.run_cases(SERVER, self.server(wrap=plain))

    def test_the_server_that_compresses(self):
        def plain(stream):
            return stream
        plain.origin = lambda port: f"http://127.0.0.1:{port}"
        # It says that the text is compressed, which it is not.
        others = {"3.1": [("close", 1007)]}
        self.run_cases(SERVER, self.server("--compression=on", wrap=plain), others)

    def test_the_server_over_tls(self):
        context = ssl.create_default_context(cafile=self.certificate)

        def secure(stream):
            return context.wrap_socket(stream, server_hostname="127.0.0.1")
        secure.origin = lambda port: f"https://127.0.0.1:{port}"
        self.run_cases(SERVER, self.server(
            f"--tls-certificate={self.certificate}", f"--tls-key={self.key}", wrap=secure))

    # --- The client ---

    def client(self, scheme, wrap=lambda stream: stream):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(WAIT)
        self.addCleanup(listener.close)
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"
        certificate = self.certificate

        class Opened(Peer):
            def __enter__(self):
                self.process = subprocess.Popen(
                    [KYUU, "find", url, "--ca-file", certificate], stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL)
                stream, _ = listener.accept()
                stream.settimeout(WAIT)
                stream = wrap(stream)
                Peer.__init__(self, stream, CLIENT)
                head = self.head()
                if "extensions" in head.lower():  # 12 and 13.
                    raise AssertionError(head)
                key = re.search(r"(?i)sec-websocket-key: (\S+)", head)[1]
                accept = base64.b64encode(hashlib.sha1(
                    (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
                stream.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Protocol: kyuu.v1\r\n"
                                f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode())
                if self.event() != "answer":
                    raise AssertionError("no hello")
                return self

            def __exit__(self, *_):
                self.process.kill()
                self.process.wait()
                self.stream.close()

            def __init__(self):
                pass
        return Opened

    def test_the_client(self):
        self.run_cases(CLIENT, self.client("http"))

    def test_the_client_says_a_word_before_it_goes(self):
        for answers in (True, False):
            with self.subTest(answers=answers), self.client("http")() as peer:
                peer.say(CLIENT.frame(1, b"no JSON") + CLIENT.frame(1, CLIENT.message) * 100)
                self.assertEqual(peer.event(), ("close", 1002))
                if answers:
                    peer.say(CLIENT.frame(8, struct.pack("!H", 1002)))
                # In two seconds at most, whatever the server does.
                self.assertEqual(peer.process.wait(WAIT), 1)
                self.assertEqual(peer.stream.recv(1), b"")  # Not reset: the word has come.

    def test_the_client_over_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        self.run_cases(CLIENT, self.client(
            "https", lambda stream: context.wrap_socket(stream, server_side=True)))


if __name__ == "__main__":
    unittest.main()

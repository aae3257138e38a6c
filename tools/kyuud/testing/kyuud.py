"""A kyuud of one's own, and just enough of its clients to speak to it.

For the tests of tools/kyuud, which bazel runs with the binary's path as
argument; Python's own library only.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import unittest

from testing import kernel_path

KYUUD = os.path.abspath(sys.argv.pop())
COOKIE = 0x2112A442
WAIT = 20  # Seconds until a test gives up; nothing waits for time to pass.


def memory_kb(pid, kind="VmRSS"):
    """What is resident of a process, or of that RssAnon, which is not a file's; 0 under a
    sanitizer, which keeps books of memory and what was freed: that is not the server's."""
    if {"ASAN_OPTIONS", "TSAN_OPTIONS"} & os.environ.keys():
        return 0
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"{kind}:\s+(\d+)", file.read())[1])


class Kyuud:
    """A running kyuud on ports of the kernel's choice."""

    processes = []

    def __init__(self, *flags, stderr=subprocess.PIPE, files=None, listen="127.0.0.1"):
        flags = ("--http-listen=127.0.0.1:0", f"--turn-listen={listen}:0") + flags
        flags += kernel_path.flags(flags)
        kernel_path.take_off(Kyuud.processes)
        limit = files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, files))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KYUU_")}
        self.process = subprocess.Popen([KYUUD, *flags], stdout=subprocess.PIPE,
                                        stderr=stderr, text=True, env=environment,
                                        preexec_fn=limit)
        self.lines = []
        while not self.lines or (self.lines[-1] and " on udp " not in self.lines[-1]):
            self.lines.append(self.process.stdout.readline())
        page = re.search(r"https?://127\.0\.0\.1:(\d+)/", self.lines[0])
        turn = re.search(rf"STUN.* on udp {re.escape(listen)}:(\d+)", self.lines[-1])
        if not page or not turn:
            raise AssertionError(f"{self.lines}\n{self.process.communicate()[1]}")
        self.http_port, self.turn_port = int(page[1]), int(turn[1])
        Kyuud.processes.append(self.process)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        _, self.errors = self.process.communicate(timeout=WAIT)
        kernel_path.report(self.errors or "")
        return self.process.returncode


def http(port, request):
    with socket.create_connection(("127.0.0.1", port), WAIT) as s:
        s.sendall(request.replace("\n", "\r\n").encode())
        answer = b""
        while True:
            part = s.recv(65536)
            if not part:
                break
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


def get(port, path, extra=""):
    return http(port, f"GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nConnection: close\n{extra}\n")


def upgrade(port, path, extra="", origin=None):
    """A handshake, for http() or a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (f"GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}\n"
            f"Origin: {origin or f'http://127.0.0.1:{port}'}\n"
            "Upgrade: websocket\nConnection: Upgrade\n"
            f"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: {key}\n{extra}\n")


class WebSocket:
    """Just enough of RFC 6455 to speak to kyuud."""

    def __init__(self, port, path="/v1/ws", extra="Sec-WebSocket-Protocol: kyuu.v1\n", origin=None):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT)
        self.socket.sendall(upgrade(port, path, extra, origin).replace("\n", "\r\n").encode())
        self.opened()

    def opened(self):
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        self.head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in self.head.split(b"\r\n")[0]:
            raise AssertionError(self.head)

    def fill(self):
        part = self.socket.recv(65536)
        if not part:
            raise EOFError
        self.buffer += part

    def take(self, size):
        while len(self.buffer) < size:
            self.fill()
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def send(self, **message):
        self.say(json.dumps(message).encode())

    def say(self, data, opcode=1):
        mask = os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
        self.socket.sendall(bytes([0x80 | opcode]) + size + mask +
                            bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def close(self):
        """Says goodbye (RFC 6455 section 5.5.1, code 1000): the session ends."""
        self.socket.sendall(b"\x88\x82\0\0\0\0" + struct.pack("!H", 1000))
        self.socket.close()

    def frame(self):
        first, size = self.take(2)
        if size == 126:
            size, = struct.unpack("!H", self.take(2))
        return first & 15, self.take(size)

    def receive(self):
        opcode, data = self.frame()
        assert opcode == 1, (opcode, data)
        return json.loads(data)


class Turn:
    """Just enough of a TURN client to ask kyuud."""

    def __init__(self, port, user="", password=""):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(WAIT)
        self.server = ("127.0.0.1", port)
        self.user, self.password = user, password
        self.realm, self.nonce = "", b""

    @staticmethod
    def attribute(kind, value):
        return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)

    @staticmethod
    def address(host, port):
        ip, = struct.unpack("!I", socket.inet_aton(host))
        return struct.pack("!BBHI", 0, 1, port ^ COOKIE >> 16, ip ^ COOKIE)

    def ask(self, kind, *attributes, sign=True):
        """Sends a request; returns (class, attributes) of the answer."""
        body = b"".join(attributes)
        if sign and self.nonce:
            body += self.attribute(0x0006, self.user.encode())
            body += self.attribute(0x0014, self.realm.encode())
            body += self.attribute(0x0015, self.nonce)
        transaction = os.urandom(12)
        header = struct.pack("!HHI", kind, len(body) + (24 if sign and self.nonce else 0), COOKIE)
        message = header + transaction + body
        if sign and self.nonce:
            key = hashlib.md5(f"{self.user}:{self.realm}:{self.password}".encode()).digest()
            message += self.attribute(0x0008, hmac.new(key, message, hashlib.sha1).digest())
        self.send(message)
        while True:
            answer = self.receive()
            if answer[8:20] == transaction:
                break
        found, rest = {}, answer[20:]
        while rest:
            number, size = struct.unpack("!HH", rest[:4])
            found.setdefault(number, rest[4:4 + size])
            rest = rest[4 + size + -size % 4:]
        return struct.unpack("!H", answer[:2])[0], found

    def send(self, message):
        self.socket.sendto(message, self.server)

    def receive(self):
        while True:
            message, source = self.socket.recvfrom(65536)
            if source == self.server:
                return message

    def error(self, answer):
        code = answer[1].get(0x0009)
        return code[2] * 100 + code[3] if code else 0

    def allocate(self, *attributes):
        """Asks as clients do: bare, then signed. Returns the error code or 0."""
        udp = self.attribute(0x0019, b"\x11\0\0\0")
        if not self.nonce:
            answer = self.ask(0x0003, udp)
            assert self.error(answer) == 401, answer
            self.realm, self.nonce = answer[1][0x0014].decode(), answer[1][0x0015]
        answer = self.ask(0x0003, udp, *attributes)
        if self.error(answer) == 0:
            self.token, self.ticket = answer[1].get(0x0022), answer[1].get(0x8030)
            port, ip = struct.unpack("!HI", answer[1][0x0016][2:8])
            self.relayed = (socket.inet_ntoa(struct.pack("!I", ip ^ COOKIE)), port ^ COOKIE >> 16)
        return self.error(answer)

    def release(self):
        return self.error(self.ask(0x0004, self.attribute(0x000D, bytes(4))))

    def close(self):
        self.socket.close()

    def bind(self, peer, channel=0x4001):
        return self.error(self.ask(0x0009, self.attribute(0x000C, struct.pack("!HH", channel, 0)),
                                   self.attribute(0x0012, self.address(*peer))))


class TcpTurn(Turn):
    """The same over TCP (RFC 8656 section 12.5), to the HTTP port."""

    def __init__(self, port, user="", password="", piece=None, tls=None, name="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name)
        self.server = ("127.0.0.1", port)
        self.user, self.password = user, password
        self.realm, self.nonce = "", b""
        self.buffer, self.piece = b"", piece

    def send(self, message):
        step = self.piece or len(message)
        for at in range(0, len(message), step):
            self.socket.sendall(message[at:at + step])

    def take(self, size):
        while len(self.buffer) < size:
            part = self.socket.recv(65536)
            if not part:
                raise EOFError
            self.buffer += part
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def receive(self):
        head = self.take(4)
        size, = struct.unpack("!H", head[2:])
        if head[0] & 0xC0:
            return head + self.take(size) + self.take(-size % 4)
        return head + self.take(16 + size)


class DtlsTurn(TcpTurn):
    """The same over DTLS, by openssl; each message is a record."""

    def __init__(self, port, user="", password="", name="127.0.0.1"):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-quiet",
             *(["-servername", name] if name[0] not in "0123456789" else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        self.user, self.password = user, password
        self.realm, self.nonce, self.buffer = "", b"", b""

    def send(self, message):
        self.process.stdin.write(message)

    def take(self, size):
        while len(self.buffer) < size:
            part = self.process.stdout.read(65536)
            if not part:
                raise EOFError
            self.buffer += part
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def close(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait(WAIT)
        self.process.stdout.close()


def minted(server):
    """Opens a signaling session; returns it and its TURN client."""
    session = WebSocket(server.http_port)
    session.send(type="hello", version=1)
    welcome = session.receive()
    assert welcome["type"] == "welcome", welcome
    servers = [s for s in welcome["ice_servers"] if "credential" in s]
    return session, welcome, Turn(server.turn_port, servers[0]["username"], servers[0]["credential"])


class KyuudTestCase(unittest.TestCase):
    def start(self, *flags, **options):
        server = Kyuud(*flags, **options)
        self.addCleanup(self.end, server)
        return server

    def end(self, server):
        """However it was treated, it ends when told to, and as it should."""
        if server.process.poll() is None:
            self.assertEqual(server.stop(), 0)
        self.assertNotIn("check failed", server.errors or "")

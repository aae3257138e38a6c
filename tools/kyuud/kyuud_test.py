#!/usr/bin/env python3
"""Starts kyuud as people do and looks at what it does from outside.

Run by bazel with the binary's path as argument; Python's own library only.
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
import time
import unittest

KYUUD = os.path.abspath(sys.argv.pop())
COOKIE = 0x2112A442
WAIT = 20  # Seconds until a test gives up; nothing waits for time to pass.


class Kyuud:
    """A running kyuud on ports of the kernel's choice."""

    def __init__(self, *flags, stderr=subprocess.PIPE, files=None):
        flags = ("--http-listen=127.0.0.1:0", "--turn-listen=127.0.0.1:0") + flags
        limit = files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, files))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KYUU_")}
        self.process = subprocess.Popen([KYUUD, *flags], stdout=subprocess.PIPE,
                                        stderr=stderr, text=True, env=environment,
                                        preexec_fn=limit)
        self.lines = []
        while not self.lines or (self.lines[-1] and "TURN on udp" not in self.lines[-1]):
            self.lines.append(self.process.stdout.readline())
        page = re.search(r"http://127\.0\.0\.1:(\d+)/", self.lines[0])
        turn = re.search(r"TURN on udp 127\.0\.0\.1:(\d+)", self.lines[-1])
        if not page or not turn:
            raise AssertionError(f"{self.lines}\n{self.process.communicate()[1]}")
        self.http_port, self.turn_port = int(page[1]), int(turn[1])

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        _, self.errors = self.process.communicate(timeout=WAIT)
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


class WebSocket:
    """Just enough of RFC 6455 to speak to kyuud."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((
            "GET /v1/ws HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Protocol: kyuu.v1\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise AssertionError(head)

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
        data = json.dumps(message).encode()
        mask = os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
        self.socket.sendall(b"\x81" + size + mask +
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
        self.socket.sendto(message, self.server)
        while True:
            answer, source = self.socket.recvfrom(65536)
            if source == self.server and answer[8:20] == transaction:
                break
        found, rest = {}, answer[20:]
        while rest:
            number, size = struct.unpack("!HH", rest[:4])
            found.setdefault(number, rest[4:4 + size])
            rest = rest[4 + size + -size % 4:]
        return struct.unpack("!H", answer[:2])[0], found

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
            self.token = answer[1].get(0x0022)
            port, ip = struct.unpack("!HI", answer[1][0x0016][2:8])
            self.relayed = (socket.inet_ntoa(struct.pack("!I", ip ^ COOKIE)), port ^ COOKIE >> 16)
        return self.error(answer)

    def release(self):
        return self.error(self.ask(0x0004, self.attribute(0x000D, bytes(4))))

    def bind(self, peer, channel=0x4001):
        return self.error(self.ask(0x0009, self.attribute(0x000C, struct.pack("!HH", channel, 0)),
                                   self.attribute(0x0012, self.address(*peer))))


def minted(server):
    """Opens a signaling session; returns it and its TURN client."""
    session = WebSocket(server.http_port)
    session.send(type="hello", version=1)
    welcome = session.receive()
    assert welcome["type"] == "welcome", welcome
    servers = [s for s in welcome["ice_servers"] if "credential" in s]
    return session, welcome, Turn(server.turn_port, servers[0]["username"], servers[0]["credential"])


class KyuudTest(unittest.TestCase):
    def start(self, *flags, **options):
        server = Kyuud(*flags, **options)
        self.addCleanup(self.end, server)
        return server

    def end(self, server):
        """However it was treated, it ends when told to, and as it should."""
        if server.process.poll() is None:
            self.assertEqual(server.stop(), 0)
        self.assertNotIn("check failed", server.errors or "")

    def test_the_page_is_served_strictly(self):
        server = self.start()
        status, headers, body = get(server.http_port, "/")
        self.assertEqual(status, 200)
        self.assertIn(b"<title>", body)
        self.assertIn("default-src 'none'", headers["content-security-policy"])
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        again = get(server.http_port, "/", f"If-None-Match: {headers['etag']}\n")
        self.assertEqual((again[0], again[2]), (304, b""))
        self.assertEqual(get(server.http_port, "/healthz")[::2], (200, b"ok\n"))
        self.assertEqual(get(server.http_port, "/absent")[0], 404)
        self.assertEqual(get(server.http_port, "/../../etc/passwd")[0], 404)
        self.assertEqual(http(server.http_port, "nonsense\n\n")[0], 400)

    def test_a_client_may_end_its_side_behind_its_request(self):
        with socket.create_connection(("127.0.0.1", self.start().http_port), WAIT) as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            s.shutdown(socket.SHUT_WR)
            self.assertIn(b"200 OK", s.recv(65536))

    def test_both_signals_end_it_with_status_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.start("--threads=3")
            session, _, _ = minted(server)
            self.assertEqual(server.stop(number), 0, server.process)
            self.assertEqual(session.frame()[0], 8)  # Told by a Close frame.

    def test_a_second_server_on_the_same_port_says_which(self):
        for threads in ("--threads=1", "--threads=2"):
            first = self.start(threads)
            for flag, port in (("--http-listen", first.http_port), ("--turn-listen", first.turn_port)):
                flags = ["--http-listen=127.0.0.1:0", "--turn-listen=127.0.0.1:0", threads,
                         f"{flag}=127.0.0.1:{port}"]
                flags = [f for f in flags if not f.startswith(flag) or f.endswith(str(port))]
                second = subprocess.run([KYUUD, *flags], capture_output=True, text=True, timeout=WAIT)
                self.assertNotEqual(second.returncode, 0)
                self.assertIn(f"127.0.0.1:{port}", second.stderr)
            self.assertEqual(first.stop(), 0)

    def test_what_it_does_not_understand_is_an_error(self):
        for flags in (["--colour=red"], ["--http-listen=localhost"], ["--user=nocolon"]):
            run = subprocess.run([KYUUD, *flags], capture_output=True, text=True, timeout=WAIT)
            self.assertEqual(run.returncode, 2)
            self.assertIn(flags[0].split("=")[0], run.stderr)

    def test_only_its_own_page_opens_a_websocket(self):
        server = self.start()
        upgrade = ("GET {} HTTP/1.1\nHost: 127.0.0.1\nUpgrade: websocket\nConnection: Upgrade\n"
                   "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n"
                   "Sec-WebSocket-Protocol: {}\nOrigin: {}\n\n")
        port, own = server.http_port, "http://127.0.0.1"
        self.assertEqual(http(port, upgrade.format("/v1/ws", "kyuu.v1", "http://evil.test"))[0], 403)
        self.assertEqual(http(port, upgrade.format("/v1/ws", "kyuu.v1", "null"))[0], 403)
        self.assertEqual(http(port, upgrade.format("/other", "kyuu.v1", own))[0], 404)
        self.assertEqual(http(port, upgrade.format("/v1/ws", "other", own))[0], 400)

    def upgrade(self, port, host, origin=""):
        origin = origin and f"Origin: {origin}\n"
        with socket.create_connection(("127.0.0.1", port), WAIT) as s:
            s.sendall(("GET /v1/ws HTTP/1.1\n"
                       f"Host: {host}\nUpgrade: websocket\nConnection: Upgrade\n{origin}"
                       "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n"
                       "Sec-WebSocket-Protocol: kyuu.v1\n\n").replace("\n", "\r\n").encode())
            return int(s.recv(65536).split()[1])

    def test_names_and_origins_are_judged_by_what_they_mean(self):
        server = self.start()
        port = server.http_port
        self.assertEqual(self.upgrade(port, f"localhost:{port}", f"http://localhost:{port}"), 101)
        # DNS rebinding: a name of somebody else that leads here.
        self.assertEqual(self.upgrade(port, "evil.test", "http://evil.test"), 421)
        self.assertEqual(http(port, "GET / HTTP/1.1\nHost: evil.test\nConnection: close\n\n")[0], 421)
        self.assertEqual(server.stop(), 0)
        # Who was refused, from where and why, is in the log.
        self.assertRegex(server.errors, r"127\.0\.0\.1:\d+ is refused: 421 .*evil\.test")
        server = self.start("--public-url=https://example.org/kyuu", "--origin=https://app.test")
        port = server.http_port
        self.assertEqual(self.upgrade(port, "example.org", "https://example.org:443"), 101)
        self.assertEqual(self.upgrade(port, "example.org:9000", "https://example.org"), 101)
        self.assertEqual(self.upgrade(port, "example.org", "https://app.test"), 101)
        self.assertEqual(self.upgrade(port, "example.org", "https://evil.test"), 403)
        below = "GET /kyuu/ HTTP/1.1\nHost: example.org\nConnection: close\n\n"
        self.assertIn(b"<title>", http(port, below)[2])

    def test_a_request_that_a_proxy_has_stripped_is_told_so(self):
        server = self.start()
        status, headers, body = get(server.http_port, "/v1/ws")
        self.assertEqual((status, headers["upgrade"]), (426, "websocket"))
        self.assertIn(b"proxy", body)
        self.assertIn("date", headers)

    def test_it_listens_on_both_families_at_once(self):
        server = self.start("--http-listen=[::1]:0", "--log-level=debug")
        port = int(re.search(r"http://\[::1\]:(\d+)/", server.lines[1])[1])
        with socket.create_connection(("::1", port), WAIT) as s:
            s.sendall(f"GET /healthz HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n".encode())
            self.assertIn(b"200 OK", s.recv(65536))

    def test_without_descriptors_it_sheds_and_recovers(self):
        for limit in (64, 1024):
            server = self.start("--threads=1", files=(limit, limit))
            crowd = []
            for _ in range(limit + 10):
                try:
                    crowd.append(socket.create_connection(("127.0.0.1", server.http_port), WAIT))
                except OSError:
                    break
            self.assertEqual(Turn(server.turn_port).ask(0x0001)[0], 0x0101)
            for s in crowd:
                s.close()
            deadline = time.monotonic() + WAIT
            while True:
                try:
                    self.assertEqual(get(server.http_port, "/healthz")[0], 200)
                    break
                except (OSError, IndexError):
                    self.assertLess(time.monotonic(), deadline)
            self.assertEqual(server.stop(), 0)

    def test_the_soft_limit_is_raised_and_divided(self):
        server = self.start(files=(256, 4096))
        self.assertEqual(server.stop(), 0)
        self.assertRegex(server.errors, r"4096 descriptors \(the limit was 256.*connections, \d+ relays")
        self.assertIn("is low", server.errors)

    def test_one_address_leaves_room_for_others(self):
        server = self.start("--connections-per-address=50")
        crowd = []
        for _ in range(300):
            try:
                crowd.append(socket.create_connection(("127.0.0.1", server.http_port), WAIT))
            except ConnectionError:  # Refused while it still connects.
                pass
        with socket.create_connection(("127.0.0.1", server.http_port), WAIT,
                                      source_address=("127.0.0.9", 0)) as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", s.recv(65536))
        for s in crowd:
            s.close()
        self.assertEqual(server.stop(), 0)
        self.assertIn("its address has its share", server.errors)

    def established(self, s):
        return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1

    def test_who_does_not_read_a_websocket_is_cut(self):
        server = self.start()
        ada, bob = minted(server)[0], minted(server)[0]
        for name, session in (("ada", ada), ("bob", bob)):
            session.send(type="join", name=name)
        self.until(ada, "joined"), self.until(bob, "joined")
        ada.send(type="call", to="bob")
        call = self.until(ada, "calling")["call"]
        self.until(bob, "incoming")
        bob.send(type="accept", call=call)
        self.until(ada, "accepted")
        # Six MB for bob, who reads nothing from now on: more than queue, kernel
        # and his window hold.
        for _ in range(200):
            ada.send(type="signal", call=call, kind="offer", sdp="v" * 30_000)
        self.until(ada, "hangup")
        deadline = time.monotonic() + WAIT
        while self.established(bob.socket):
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(server.stop(), 0)
        self.assertIn("is refused: slow reader", server.errors)

    def test_who_does_not_read_answers_costs_little(self):
        server = self.start()
        request = f"GET /app.js HTTP/1.1\r\nHost: 127.0.0.1:{server.http_port}\r\n\r\n".encode()
        def memory():
            with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
                return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])
        before, readers = memory(), []
        for _ in range(20):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", server.http_port))
            s.setblocking(False)
            try:
                while True:
                    s.send(request * 100)
            except BlockingIOError:
                readers.append(s)
        self.assertEqual(get(server.http_port, "/healthz")[0], 200)
        self.assertLess(memory() - before, 20 * 500)
        for s in readers:
            s.close()

    def until(self, session, kind):
        while True:
            message = session.receive()
            if message["type"] == kind:
                return message

    def test_a_log_that_nobody_reads_stops_nothing(self):
        for gone in (False, True):
            reader, writer = os.pipe()
            server = self.start("--user=a:1", "--threads=1", "--log-level=debug", stderr=writer)
            os.close(writer)
            if gone:
                os.close(reader)
            # More lines than a pipe holds.
            for _ in range(1000):
                self.assertEqual(get(server.http_port, "/healthz")[0], 200)
            self.assertEqual(Turn(server.turn_port, "a", "1").allocate(), 0)
            self.assertEqual(server.stop(), 0)
            if not gone:
                os.close(reader)

    def test_signals_that_are_no_order_to_end(self):
        server = self.start()
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
            server.process.send_signal(number)
            self.assertEqual(get(server.http_port, "/healthz")[0], 200)
        self.assertEqual(server.stop(), 0)
        self.assertIn("configuration of the start is kept", server.errors)
        self.assertRegex(server.errors, r"\d+ connections, \d+ sessions")

    def test_what_is_no_http_is_told_at_once(self):
        server = self.start()
        for noise in (b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\nHost: x\n\n"):
            with socket.create_connection(("127.0.0.1", server.http_port), 5) as s:
                s.sendall(noise)
                self.assertIn(b" 400 ", s.recv(65536))
        with socket.create_connection(("127.0.0.1", server.http_port), 5) as s:
            s.sendall(b"\0\1\0\0")  # TURN is not served here.
            try:
                self.assertEqual(s.recv(10), b"")
            except ConnectionError:
                pass

    def test_people_find_each_other(self):
        server = self.start()
        ada, bob = minted(server)[0], minted(server)[0]
        ada.send(type="join", name="ada")
        self.assertEqual(ada.receive()["type"], "joined")
        bob.send(type="join", name="ada")
        self.assertEqual(bob.receive()["code"], "name_taken")
        bob.send(type="join", name="bob")
        self.assertEqual([p["name"] for p in bob.receive()["peers"]], ["ada"])
        self.assertEqual(ada.receive()["type"], "presence")
        bob.socket.sendall(b"\xff\xff\xff\xff")  # Not WebSocket: only bob is cut.
        gone = ada.receive()
        self.assertEqual(gone["type"], "presence")
        ada.send(type="ping")
        self.assertEqual(ada.receive()["type"], "pong")

    def test_stun_tells_where_one_comes_from(self):
        client = Turn(self.start().turn_port)
        kind, found = client.ask(0x0001)
        self.assertEqual(kind, 0x0101)
        port, ip = struct.unpack("!HI", found[0x0020][2:8])
        self.assertEqual(port ^ COOKIE >> 16, client.socket.getsockname()[1])
        self.assertEqual(ip ^ COOKIE, 0x7F000001)

    def test_static_users_relay_and_others_do_not(self):
        server = self.start("--user=alice:secret", "--realm=example.org",
                            "--relay-ports=50000-50099")
        self.assertEqual(Turn(server.turn_port, "alice", "wrong").allocate(), 401)
        self.assertEqual(Turn(server.turn_port, "bob", "secret").allocate(), 401)
        alice = Turn(server.turn_port, "alice", "secret")
        self.assertEqual(alice.allocate(), 0)
        self.assertEqual(alice.realm, "example.org")
        self.assertEqual(alice.relayed[0], "127.0.0.1")
        self.assertIn(alice.relayed[1], range(50000, 50100))

    def relay(self, client, peer):
        """Sends both ways through a channel."""
        client.socket.sendto(struct.pack("!HH", 0x4001, 5) + b"there\0\0\0", client.server)
        self.assertEqual(peer.recvfrom(100), (b"there", client.relayed))
        peer.sendto(b"back", client.relayed)
        self.assertEqual(client.socket.recv(100), struct.pack("!HH", 0x4001, 4) + b"back")

    def test_a_session_that_hangs_up_allocates_no_more_and_its_relays_go_on(self):
        server = self.start("--threads=3")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(WAIT)
            # Several clients, so that every thread meets some.
            for _ in range(6):
                session, welcome, client = minted(server)
                urls = sum((s["urls"] for s in welcome["ice_servers"]), [])
                self.assertIn(f"stun:127.0.0.1:{server.turn_port}", urls)
                self.assertIn(f"turn:127.0.0.1:{server.turn_port}?transport=udp", urls)
                self.assertEqual(client.allocate(), 0)
                self.assertEqual(client.bind(peer.getsockname()), 0)
                self.relay(client, peer)
                session.close()
                # The server learns of it in its own time.
                deadline = time.monotonic() + WAIT
                while True:
                    fresh = Turn(server.turn_port, client.user, client.password)
                    refused = fresh.allocate() == 401
                    fresh.socket.close()
                    if refused or time.monotonic() > deadline:
                        break
                self.assertTrue(refused)
                # A call over a relay in use does not hang on signaling.
                self.assertEqual(client.bind(peer.getsockname()), 0)
                self.relay(client, peer)

    def test_two_relayed_clients_meet(self):
        server = self.start("--user=a:1", "--threads=2")
        one, two = (Turn(server.turn_port, "a", "1") for _ in range(2))
        self.assertEqual((one.allocate(), two.allocate()), (0, 0))
        self.assertEqual((one.bind(two.relayed), two.bind(one.relayed)), (0, 0))
        one.socket.sendto(struct.pack("!HH", 0x4001, 2) + b"hi\0\0", one.server)
        self.assertEqual(two.socket.recv(100)[:6], struct.pack("!HH", 0x4001, 2) + b"hi")

    def test_an_end_is_logged_with_what_was_relayed_also_at_sigterm(self):
        for threads in (1, 3):
            server = self.start("--user=a:1", f"--threads={threads}")
            clients = [Turn(server.turn_port, "a", "1") for _ in range(6)]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.bind(("127.0.0.1", 0))
                peer.settimeout(WAIT)
                for client in clients:
                    self.assertEqual((client.allocate(), client.bind(peer.getsockname())), (0, 0))
                    self.relay(client, peer)
            self.assertEqual(clients[0].release(), 0)
            self.assertEqual(server.stop(), 0)
            ends = re.findall(r"turn: (\S+) for a at (\S+) ended: ([a-z ]+); \d+ s, to peers 5 bytes "
                              r"in 1 datagrams, to the client 4 bytes in 1 datagrams", server.errors)
            self.assertEqual({f"127.0.0.1:{c.relayed[1]}" for c in clients}, {e[0] for e in ends})
            self.assertEqual({f"127.0.0.1:{c.socket.getsockname()[1]}" for c in clients},
                             {e[1] for e in ends})
            self.assertEqual(sorted(e[2] for e in ends), ["released"] + 5 * ["server closed"])

    def test_pairs_of_ports_whichever_thread_meets_the_second_client(self):
        # Four pairs of ports for the two threads. Each round makes one: were a
        # port lost, or kept for the 30 s of a reservation, a few rounds would
        # use them up.
        server = self.start("--user=a:1", "--threads=2", "--relay-ports=50200-50207",
                            "--log-level=warning")
        pair = Turn.attribute(0x0018, b"\x80")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(WAIT)
            for _ in range(24):
                rtp, rtcp, late = (Turn(server.turn_port, "a", "1") for _ in range(3))
                # A port comes back to its thread in that one's own time.
                deadline = time.monotonic() + WAIT
                while (error := rtp.allocate(pair)) == 508 and time.monotonic() < deadline:
                    pass
                self.assertEqual(error, 0)
                token = Turn.attribute(0x0022, rtp.token)
                self.assertEqual(rtcp.allocate(token), 0)
                self.assertEqual(rtcp.relayed[1], rtp.relayed[1] + 1)
                self.assertEqual(late.allocate(token), 508)
                for client in (rtp, rtcp):
                    self.assertEqual(client.bind(peer.getsockname()), 0)
                    self.relay(client, peer)
                    self.assertEqual(client.release(), 0)
                for client in (rtp, rtcp, late):
                    client.socket.close()

    def test_special_peers_are_refused_unless_allowed(self):
        flags = ("--http-listen=127.0.0.1:0", "--turn-listen=0.0.0.0:0", "--user=a:1",
                 "--relay-address=127.0.0.1")
        for allowed, expected in (((), 403), (("--allow-peer=127.0.0.0/8",), 0)):
            server = subprocess.Popen([KYUUD, *flags, *allowed], stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True)
            try:
                server.stdout.readline()
                port = int(re.search(r"udp 0\.0\.0\.0:(\d+)", server.stdout.readline())[1])
                client = Turn(port, "a", "1")
                self.assertEqual(client.allocate(), 0)
                self.assertEqual(client.bind(("127.0.0.2", 9)), expected)
                self.assertEqual(client.bind(("10.0.0.1", 9)), 403)
                self.assertEqual(client.bind(("127.0.0.1", port)), 403)  # Itself.
            finally:
                server.kill()
                server.wait()

    def test_garbage_at_the_doors_does_no_harm(self):
        server = self.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            for size in range(0, 200):
                noise.sendto(os.urandom(size), ("127.0.0.1", server.turn_port))
        for size in (1, 100, 100_000):
            with socket.create_connection(("127.0.0.1", server.http_port), WAIT) as s:
                try:
                    s.sendall(os.urandom(size))
                except ConnectionError:
                    pass
        self.assertEqual(get(server.http_port, "/healthz")[0], 200)
        self.assertEqual(Turn(server.turn_port).ask(0x0001)[0], 0x0101)


if __name__ == "__main__":
    unittest.main(warnings="ignore")

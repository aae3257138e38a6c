#!/usr/bin/env python3
"""kyuud's HTTP port with a certificate: HTTP, WebSocket and TURN inside of TLS,
and what comes without.
"""

import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

from testing.kyuud import COOKIE, KYUUD, DtlsTurn, KyuudTestCase, TcpTurn, Turn, WAIT, get


class KyuudTlsTest(KyuudTestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.certificate, cls.key = (os.path.join(cls.folder.name, n) for n in ("c.pem", "k.pem"))
        cls.make(cls.certificate, cls.key)

    @staticmethod
    def make(certificate, key, names="IP:127.0.0.1"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                        "-addext", f"subjectAltName={names}", "-out", certificate,
                        "-keyout", key], check=True, capture_output=True)

    def start_tls(self, *flags):
        return self.start(f"--tls-certificate={self.certificate}", f"--tls-key={self.key}", *flags)

    def context(self, *protocols):
        context = ssl.create_default_context(cafile=self.certificate)
        if protocols:
            context.set_alpn_protocols(protocols)
        return context

    def connect(self, server, *protocols):
        plain = socket.create_connection(("127.0.0.1", server.http_port), WAIT)
        return self.context(*protocols).wrap_socket(plain, server_hostname="127.0.0.1")

    def test_a_client_on_dtls_gets_the_certificate_that_it_asks_for(self):
        pairs = {}
        for name in ("one.test", "two.test", "three.test"):
            pairs[name] = [os.path.join(self.folder.name, f"{name}.{end}") for end in ("crt", "key")]
            self.make(*pairs[name], names=f"DNS:{name}")
        server = self.start(*(f"--tls-certificate={c}" for c, _ in pairs.values()),
                            *(f"--tls-key={k}" for _, k in pairs.values()), "--user=a:1")
        for asked, shown in (("one.test", "one.test"), ("two.test", "two.test"),
                             ("three.test", "three.test"), ("nobodys.test", "one.test"),
                             (None, "one.test")):
            run = subprocess.run(
                ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{server.turn_port}",
                 "-showcerts", *(("-servername", asked) if asked else ("-noservername",))],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT, check=False)
            with open(pairs[shown][0], encoding="ascii") as file:
                self.assertIn(file.read().strip(), run.stdout, asked)
        client = DtlsTurn(server.turn_port, "a", "1", name="two.test")
        self.addCleanup(client.close)
        self.assertEqual(client.allocate(), 0)

    def test_one_connection_goes_to_one_thread_after_another(self):
        """It shows the tickets (RFC 8016) of allocations all over them."""
        server = self.start_tls("--user=a:1", "--threads=4")
        ten_minutes = Turn.attribute(0x000D, struct.pack("!I", 600))
        for make in (lambda: TcpTurn(server.http_port, "a", "1"),
                     lambda: DtlsTurn(server.turn_port, "a", "1")):
            client = make()
            self.addCleanup(client.close)
            self.assertEqual((client.allocate(), client.release()), (0, 0))
            for _ in range(12):
                other = Turn(server.turn_port, "a", "1")
                self.addCleanup(other.socket.close)
                self.assertEqual(other.allocate(Turn.attribute(0x8030, b"")), 0)
                moved = client.ask(0x0004, ten_minutes, Turn.attribute(0x8030, other.ticket))
                self.assertEqual((client.error(moved), client.release()), (0, 0))

    def test_logs_tell_what_carries_a_client(self):
        for threads in (1, 2):
            server = self.start_tls("--user=a:1", "--log-format=json", f"--threads={threads}")
            clients = {"udp": Turn(server.turn_port, "a", "1"),
                       "dtls": DtlsTurn(server.turn_port, "a", "1"),
                       "tcp": TcpTurn(server.http_port, "a", "1"),
                       "tls": TcpTurn(server.http_port, "a", "1", tls=self.context())}
            self.addCleanup(clients["dtls"].close)
            for client in clients.values():
                self.assertEqual(client.allocate(), 0)
            for name in ("udp", "dtls"):
                self.assertEqual(clients[name].release(), 0)
            for name in ("tcp", "tls"):
                clients[name].socket.close()
            self.assertEqual(server.stop(), 0)
            lines = [json.loads(line) for line in server.errors.splitlines()]
            for event in ("allocation_made", "allocation_ended"):
                told = {line["relay"]: line["transport"] for line in lines
                        if line.get("event") == event}
                self.assertEqual(told, {"%s:%d" % client.relayed: name
                                        for name, client in clients.items()})

    def test_the_page_and_websockets_are_inside(self):
        server = self.start_tls()
        self.assertIn("https://127.0.0.1:", server.lines[0])
        with self.connect(server, "h2", "http/1.1") as s:
            self.assertEqual(s.selected_alpn_protocol(), "http/1.1")
            s.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            self.assertIn(b" 200 ", s.recv(65536))
        with self.connect(server) as s:
            host = f"127.0.0.1:{server.http_port}"
            s.sendall(f"GET /v1/ws HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\n"
                      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                      "Sec-WebSocket-Protocol: kyuu.v1\r\n\r\n".encode())
            self.assertIn(b" 101 ", s.recv(65536))
            hello = b'{"type":"hello","version":1}'
            s.sendall(bytes([0x81, 0x80 | len(hello), 0, 0, 0, 0]) + hello)
            welcome = s.recv(65536)
            self.assertIn(f"turns:{host}?transport=tcp".encode(), welcome)
            self.assertIn(f"turn:{host}?transport=tcp".encode(), welcome)

    def test_turn_is_inside_and_beside(self):
        server = self.start_tls("--user=a:1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(WAIT)
            for tls in (self.context("stun.turn"), self.context(), None):
                client = TcpTurn(server.http_port, "a", "1", tls=tls)
                kind, found = client.ask(0x0001)
                self.assertEqual(kind, 0x0101)
                port, = struct.unpack("!H", found[0x0020][2:4])
                self.assertEqual(port ^ COOKIE >> 16, client.socket.getsockname()[1])
                self.assertEqual((client.allocate(), client.bind(peer.getsockname())), (0, 0))
                # More than a record of TLS, both ways.
                for size in (1, 1000, 30000):
                    data = os.urandom(size)
                    message = struct.pack("!HH", 0x4001, size) + data + bytes(-size % 4)
                    client.send(message)
                    self.assertEqual(peer.recvfrom(40000), (data, client.relayed))
                    peer.sendto(data, client.relayed)
                    self.assertEqual(client.receive(), message)
                client.socket.close()

    def test_bursts_into_a_narrow_tls_client_are_whole(self):
        """What 40 ms of way hold back: 100 datagrams come at once, as of a key frame, and
        few fit the client's window before it reads."""
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(peer.close)
        peer.bind(("127.0.0.1", 0))
        peer.setsockopt(socket.IPPROTO_UDP, 103, 1200)  # UDP_SEGMENT: as one train.
        for threads in (1, 2):
            server = self.start_tls("--user=a:1", f"--threads={threads}")
            client = TcpTurn(server.http_port, "a", "1", tls=self.context())
            self.addCleanup(client.close)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
            self.assertEqual((client.allocate(), client.bind(peer.getsockname())), (0, 0))
            for _ in range(10):
                burst = [os.urandom(1200) for _ in range(100)]
                for at in range(0, 100, 50):
                    peer.sendto(b"".join(burst[at:at + 50]), client.relayed)
                for one in burst:
                    self.assertEqual(client.receive(), struct.pack("!HH", 0x4001, 1200) + one)

    def test_the_host_that_is_asked_for_has_its_realm(self):
        path = os.path.join(self.folder.name, "kyuud.toml")

        def write(a, b):
            with open(path, "w", encoding="utf-8") as file:
                file.write("[turn]\nrealm = 'main'\n[auth]\nusers = ['u:main']\n[limits]\n"
                           "allocations-per-user = 9\n"
                           f"[[realm]]\nname = 'a.test'\nhosts = {a}\nusers = ['u:a']\n"
                           "allocations-per-user = 1\n"
                           f"[[realm]]\nname = 'b.test'\nhosts = {b}\nusers = ['u:b']\n")
        write(["turn.a.test"], ["turn.b.test"])
        blind = self.context()
        blind.check_hostname = False
        for threads in (1, 3):
            server = self.start_tls(f"--config={path}", f"--threads={threads}")

            def allocate(name, password, tls=blind):
                client = TcpTurn(server.http_port, "u", password, tls=tls, name=name)
                udp = client.attribute(0x0019, b"\x11\0\0\0")
                answer = client.ask(0x0003, udp)
                client.realm, client.nonce = answer[1][0x0014].decode(), answer[1][0x0015]
                return client.realm, client.error(client.ask(0x0003, udp)), client
            for _ in range(2 * threads):
                self.assertEqual(allocate("turn.b.test", "b")[:2], ("b.test", 0))
            for name in ("Turn.A.Test", "turn.a.test"):
                # Its one allocation, and no other's user.
                realm, code, client = allocate(name, "a")
                self.assertEqual((realm, code), ("a.test", 0))
                self.assertEqual(allocate(name, "a")[:2], ("a.test", 486))
                self.assertEqual(allocate(name, "main")[:2], ("a.test", 401))
                self.assertEqual(client.release(), 0)
            for name in ("b.test", None):
                self.assertEqual(allocate(name, "main")[:2], ("main", 0), name)
            self.assertEqual(allocate("turn.a.test", "main", None)[:2], ("main", 0))
            udp = Turn(server.turn_port, "u", "main")
            self.assertEqual((udp.allocate(), udp.realm), (0, "main"))
            for name, realm, password in (("turn.b.test", "b.test", "b"), ("Turn.A.test", "a.test", "a"),
                                          ("b.test", "main", "main"), ("127.0.0.1", "main", "main")):
                dtls = DtlsTurn(server.turn_port, "u", password, name)
                self.assertEqual((dtls.allocate(), dtls.realm), (0, realm), name)
                self.assertEqual(dtls.release(), 0)
                dtls.close()
            # As a file says that is read again.
            write(["turn.b.test"], ["turn.a.test"])
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + WAIT
            while allocate("turn.a.test", "b")[:2] != ("b.test", 0):
                self.assertLess(time.monotonic(), deadline)
            write(["turn.a.test"], ["turn.b.test"])
            self.assertEqual(server.stop(), 0)
        write(["turn.a.test"], ["TURN.A.test."])
        run = subprocess.run([KYUUD, "check-config", path], capture_output=True, text=True,
                             timeout=WAIT, check=False)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertIn("the host TURN.A.test. is of two realms", run.stdout + run.stderr)

    def test_plain_http_is_told_so(self):
        server = self.start_tls()
        for path in ("/", "/healthz", "/v1/ws", "/metrics"):
            status, _, body = get(server.http_port, path)
            self.assertEqual(status, 400)
            self.assertIn(b"TLS is spoken here", body)
        self.assertEqual(server.stop(), 0)
        self.assertIn("TLS is spoken here", server.errors)

    def test_renewed_certificates_are_taken_and_end_nothing(self):
        certificate, key = (os.path.join(self.folder.name, n) for n in ("r.pem", "rk.pem"))
        self.make(certificate, key)
        server = self.start(f"--tls-certificate={certificate}", f"--tls-key={key}", "--user=a:1")
        client = TcpTurn(server.http_port, "a", "1",
                         tls=ssl.create_default_context(cafile=certificate))
        self.assertEqual(client.allocate(), 0)
        # Half a renewal: the old pair stays.
        before = ssl.create_default_context(cafile=certificate)
        os.replace(self.certificate, certificate)
        server.process.send_signal(signal.SIGHUP)
        TcpTurn(server.http_port, "a", "1", tls=before).socket.close()
        os.replace(self.key, key)
        server.process.send_signal(signal.SIGHUP)
        after = ssl.create_default_context(cafile=certificate)
        TcpTurn(server.http_port, "a", "1", tls=after).socket.close()
        self.assertEqual(client.ask(0x0001)[0], 0x0101)
        self.assertEqual(server.stop(), 0)
        self.assertIn("not reloaded, all is as it was", server.errors)
        type(self).make(self.certificate, self.key)

    def test_a_bad_certificate_ends_the_start(self):
        for certificate, key in ((self.certificate, "/nowhere.pem"), (self.key, self.key),
                                 ("/nowhere.pem", self.key)):
            run = subprocess.run([KYUUD, "--http-listen=127.0.0.1:0", "--turn-listen=127.0.0.1:0",
                                  f"--tls-certificate={certificate}", f"--tls-key={key}"],
                                 capture_output=True, text=True, timeout=WAIT)
            self.assertEqual(run.returncode, 1)
            self.assertIn(".pem", run.stderr)


if __name__ == "__main__":
    unittest.main(warnings="ignore")

#!/usr/bin/env python3
"""Starts kyuud as people do and looks at it from outside: its page, its doors, its
limits, and how it ends.
"""

import os
import re
import signal
import socket
import subprocess
import time
import unittest

from testing.kyuud import KYUUD, KyuudTestCase, Turn, WAIT, WebSocket, get, http, memory_kb, minted


class KyuudTest(KyuudTestCase):
    def test_the_page_is_served_strictly(self):
        server = self.start()
        status, headers, body = get(server.http_port, "/")
        self.assertEqual(status, 200)
        self.assertIn(b"<title ", body)
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
            self.assertIn(b'"drain"', session.frame()[1])
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
        self.assertIn(b"<title ", http(port, below)[2])

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
        before, readers = memory_kb(server.process.pid), []
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
        self.assertLess(memory_kb(server.process.pid) - before, 20 * 500)
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
        self.assertIn("reloaded; changed: nothing", server.errors)
        self.assertRegex(server.errors, r"\d+ connections, \d+ sessions")

    def test_what_is_no_http_is_told_at_once(self):
        server = self.start()
        for noise in (b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\nHost: x\n\n"):
            with socket.create_connection(("127.0.0.1", server.http_port), 5) as s:
                s.sendall(noise)
                self.assertIn(b" 400 ", s.recv(65536))
        # The reason is in the log.
        self.assertEqual(server.stop(), 0)
        self.assertIn("speaks TLS to a port of plain HTTP", server.errors)

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

"""What machines and strangers do to a server, each with its outcome.

Every method named test_* is one scenario and stands alone: `run` gives each a
process of its own, several at a time.
"""

import contextlib
import os
import signal
import socket
import threading
import time
import unittest

from kyuud import until
from scenario import CLIENT, FRIEND, HTTP, PROMPT, Scenario, TURN, USER, WILDCARD, connect
from web_client import WebSocket


class Descriptors(Scenario):
    """The limit of open files is reached by connections that say nothing."""

    def exhaust(self, limit, connections):
        kyuud = self.start(*WILDCARD, USER, "--threads=1", files=(limit, limit))
        idle = self.open_idle(connections, FRIEND)
        self.assertTrue(self.turn().binding(), "STUN stands still")
        self.assertLess(kyuud.cpu_share(1.0), 0.3, "it spins")
        self.assertTrue(self.healthy(), "one address shuts another one out")
        for s in idle:
            s.close()
        self.assertTrue(until(self.healthy), "it does not recover")
        self.assertEqual(self.turn().allocate(), 0)
        self.assertEqual(kyuud.stop(), 0)

    def test_limit_of_64_files(self):
        self.exhaust(64, 100)

    def test_limit_of_1024_files(self):
        self.exhaust(1024, 1100)

    def test_soft_limit_is_raised(self):
        kyuud = self.start(*WILDCARD, files=(64, 4096))
        idle = self.open_idle(60, CLIENT) + self.open_idle(60, FRIEND)
        self.assertEqual(len(idle), 120)
        self.assertTrue(until(lambda: kyuud.descriptors() > 120))

    def test_allocations_leave_room_for_the_page(self):
        kyuud = self.start(*WILDCARD, USER, "--threads=1", files=(128, 128))
        clients = [self.turn() for _ in range(150)]
        codes = [c.allocate() for c in clients]
        self.assertIn(0, codes)
        self.assertLessEqual(set(codes), {0, 486, 508})
        self.assertTrue(self.healthy())
        for c, code in zip(clients, codes):
            if code == 0:
                self.assertEqual(c.refresh(0), 0)
        self.assertTrue(until(lambda: self.turn().allocate() == 0), "nothing comes back")
        self.assertEqual(kyuud.stop(), 0)


class Crowd(Scenario):
    def test_ten_thousand_connections_of_one_address(self):
        kyuud = self.start(*WILDCARD, USER, files=(1024, 20_000))
        idle = self.open_idle(10_000, FRIEND)
        self.assertTrue(self.healthy(CLIENT))
        with self.client:
            friend = WebSocket(HTTP, source=CLIENT)
            self.assertEqual(friend.status, 101)
            friend.hello()
            friend.join("honest")
        self.assertLess(kyuud.rss_mb(), 300)
        for s in idle:
            s.close()
        self.assertEqual(kyuud.stop(), 0)

    def test_one_address_cannot_take_every_port(self):
        self.start(*WILDCARD, USER, "--relay-ports=50000-50199", "--threads=2")
        greedy = [self.turn(bind=(FRIEND, 0)) for _ in range(240)]
        codes = [c.allocate() for c in greedy]
        self.assertLessEqual(set(codes), {0, 486, 508})
        self.assertGreater(codes.count(0), 50)
        self.assertEqual(self.turn(bind=(CLIENT, 0)).allocate(), 0)

    def test_small_port_range_serves_as_many_as_it_has(self):
        self.start(*WILDCARD, USER, "--relay-ports=50000-50003", "--threads=8")
        for _ in range(40):
            with self.turn() as c:
                self.assertEqual(c.allocate(), 0)
                self.assertEqual(c.refresh(0), 0)

    def test_a_user_s_quota_does_not_grow_with_the_threads(self):
        counts = []
        for threads in (1, 4):
            kyuud = self.start(*WILDCARD, USER, f"--threads={threads}", files=(4096, 4096))
            clients = [self.turn() for _ in range(600)]
            counts.append([c.allocate() for c in clients].count(0))
            for c in clients:
                c.close()
            self.assertEqual(kyuud.stop(), 0)
        self.assertEqual(counts[0], counts[1])


class Streams(Scenario):
    """TURN over TCP, on the port of HTTP."""

    BINDING = b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)

    def test_strangers_on_streams_go_after_their_time(self):
        kyuud = self.start(*WILDCARD, USER)
        before = kyuud.descriptors()
        strangers = []
        with self.client:
            for number in range(400):
                s = connect(HTTP, FRIEND)
                # Half of them are answered, half have begun something.
                s.sendall(self.BINDING if number % 2 else self.BINDING[:19])
                strangers.append(s)
        self.assertTrue(until(lambda: kyuud.descriptors() >= before + 400))
        for s in strangers[1::2]:
            self.assertEqual(s.recv(100)[:4], b"\1\1\0\x0c")
        self.assertTrue(self.healthy(CLIENT))
        self.assertLess(kyuud.rss_mb(), 100)
        self.assertTrue(until(lambda: kyuud.descriptors() <= before + 1, wait=45, every=0.5),
                        "strangers stay for ever")
        self.assertEqual(kyuud.stop(), 0)


class Readers(Scenario):
    """Peers that do not read what they asked for."""

    def test_stalled_http_readers_are_cut_and_cheap(self):
        kyuud = self.start(*WILDCARD)
        request = b"GET /app.js HTTP/1.1\r\nHost: 11.1.1.1:9000\r\n\r\n"
        stalled = []
        with self.client:
            for _ in range(60):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.settimeout(PROMPT)
                s.connect(HTTP)
                s.setblocking(False)
                with contextlib.suppress(OSError):
                    s.send(request * 6000)
                stalled.append(s)
        self.assertTrue(self.healthy())
        self.assertLess(kyuud.rss_mb(), 120)
        idle = kyuud.descriptors() - 60
        self.assertTrue(until(lambda: kyuud.descriptors() <= idle + 2, wait=90, every=0.5),
                        "connections that nobody reads are never closed")
        self.assertEqual(kyuud.stop(), 0)

    def test_stalled_websocket_readers_are_cut_and_cheap(self):
        kyuud = self.start(*WILDCARD)
        with self.client:
            sources = [CLIENT, FRIEND]
            stalled = []
            for i in range(80):
                w = WebSocket(HTTP, source=sources[i % 2], receive_buffer=4096)
                w.hello()
                w.join(f"sleeper {i}")
                stalled.append(w)
            before = kyuud.descriptors()
            pair = WebSocket(HTTP, source=FRIEND)
            pair.hello()
            pair.join("awake", room="elsewhere")
            writers = []
            for i in range(4):
                w = WebSocket(HTTP, source=sources[i % 2])
                w.hello()
                w.join(f"writer {i}")
                writers.append(w)
        end = time.monotonic() + 30
        worst = 0.0
        text = "x" * 1900
        while time.monotonic() < end and kyuud.descriptors() > before - 60:
            for w in writers:
                w.send(type="update", meta={"t": text})
                with contextlib.suppress(OSError):
                    w.socket.setblocking(False)
                    while w.socket.recv(1 << 20):
                        pass
                w.socket.settimeout(PROMPT)
            began = time.monotonic()
            pair.send(type="ping")
            pair.wait_for("pong")
            worst = max(worst, time.monotonic() - began)
            time.sleep(0.02)
        self.assertLess(worst, 1.0)
        self.assertLess(kyuud.rss_mb(), 200)
        for w in stalled:
            w.socket.setblocking(True)
        self.assertTrue(until(lambda: kyuud.descriptors() <= 40, wait=45, every=0.5),
                        "slow readers are still there")
        self.assertEqual(kyuud.stop(), 0)

    def test_nobody_reads_the_log(self):
        reading, writing = os.pipe()
        kyuud = self.start(*WILDCARD, USER, "--threads=1", "--log-level=debug", stderr=writing)
        os.close(writing)
        for _ in range(1500):
            with self.turn() as c:
                self.assertEqual(c.allocate(), 0)
                self.assertEqual(c.refresh(0), 0)
        self.assertTrue(self.healthy())
        os.close(reading)
        self.assertEqual(self.turn().allocate(), 0)
        self.assertTrue(self.healthy(), "it died of a broken pipe")
        self.assertEqual(kyuud.stop(), 0)


class Signals(Scenario):
    def test_signals_that_are_no_order_to_end(self):
        kyuud = self.start(*WILDCARD, USER)
        c = self.turn()
        self.assertEqual(c.allocate(), 0)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGHUP):
            kyuud.signal(number)
            self.assertTrue(self.healthy(), number)
        self.assertEqual(c.refresh(600), 0)
        self.assertEqual(kyuud.stop(), 0)

    def test_term_under_load(self):
        kyuud = self.start(*WILDCARD, USER)
        c = self.turn()
        self.assertEqual(c.allocate(), 0)
        self.assertEqual(c.bind_channel(0x4000, (CLIENT, 9)), 0)
        stop = threading.Event()

        def flood():
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    c.send_channel(0x4000, bytes(1000))
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            time.sleep(0.5)
            self.assertEqual(kyuud.stop(), 0)
        finally:
            stop.set()
            thread.join()


class Calls(Scenario):
    def test_a_relay_in_use_outlives_its_signaling(self):
        self.start(*WILDCARD)
        with self.client:
            web = WebSocket(HTTP)
            turn = web.hello()["ice_servers"][-1]
            web.join("ada")
            peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            peer.bind((CLIENT, 0))
            peer.settimeout(PROMPT)
        c = self.turn(TURN, turn["username"], turn["credential"])
        self.assertEqual((c.allocate(), c.bind_channel(0x4000, peer.getsockname())), (0, 0))
        web.reset()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            c.send_channel(0x4000, b"still here")
            self.assertEqual(peer.recv(100), b"still here")
            time.sleep(0.2)
        self.assertEqual(c.refresh(600), 0)
        self.assertEqual(c.permit((FRIEND, 1)), 0)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""kyuud's STUN and TURN from outside.
"""

import contextlib
import os
import re
import socket
import struct
import subprocess
import time
import unittest

from testing.kernel_path import RELAYED
from testing.kyuud import COOKIE, KYUUD, KyuudTestCase, TcpTurn, Turn, WAIT, get, http, minted


class KyuudRelayTest(KyuudTestCase):
    def test_stun_tells_where_one_comes_from(self):
        client = Turn(self.start().turn_port)
        kind, found = client.ask(0x0001)
        self.assertEqual(kind, 0x0101)
        port, ip = struct.unpack("!HI", found[0x0020][2:8])
        self.assertEqual(port ^ COOKIE >> 16, client.socket.getsockname()[1])
        self.assertEqual(ip ^ COOKIE, 0x7F000001)

    def test_a_client_of_rfc_3489_hears_where_it_comes_from(self):
        """Its transaction id has 128 bits, and its address is as it is."""
        for threads in (1, 2):
            client, transaction = Turn(self.start(f"--threads={threads}").turn_port), os.urandom(16)
            self.addCleanup(client.close)
            client.send(struct.pack("!HH", 0x0001, 0) + transaction)
            port = client.socket.getsockname()[1]
            self.assertEqual(client.receive(), struct.pack("!HH", 0x0101, 12) + transaction + struct.pack(
                "!HHBBH4s", 0x0001, 8, 0, 1, port, socket.inet_aton("127.0.0.1")))

    def test_static_users_relay_and_others_do_not(self):
        server = self.start("--user=alice:secret", "--realm=example.org",
                            "--relay-ports=50000-50099")
        self.assertEqual(Turn(server.turn_port, "alice", "wrong").allocate(), 401)
        self.assertEqual(Turn(server.turn_port, "bob", "secret").allocate(), 401)
        alice = Turn(server.turn_port, "alice", "secret")
        self.assertEqual(alice.allocate(), 0)
        self.assertEqual(alice.realm, "example.org")
        self.assertEqual(alice.relayed[0], RELAYED)
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
                self.assertIn(f"turn:127.0.0.1:{server.http_port}?transport=tcp", urls)
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
            self.assertEqual({f"{RELAYED}:{c.relayed[1]}" for c in clients}, {e[0] for e in ends})
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

    def test_clients_on_tcp_relay_by_the_http_port(self):
        for threads in (1, 3):
            server = self.start("--user=a:1", f"--threads={threads}")
            # However the stream is cut.
            clients = [TcpTurn(server.http_port, "a", "1", piece) for piece in (None, 1, 3)]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.bind(("127.0.0.1", 0))
                peer.settimeout(WAIT)
                for client in clients:
                    kind, found = client.ask(0x0001)
                    self.assertEqual(kind, 0x0101)
                    port, = struct.unpack("!H", found[0x0020][2:4])
                    self.assertEqual(port ^ COOKIE >> 16, client.socket.getsockname()[1])
                    self.assertEqual((client.allocate(), client.bind(peer.getsockname())), (0, 0))
                    for size in (0, 1, 2, 3, 4, 1000, 9000):
                        data = os.urandom(size)
                        client.send(struct.pack("!HH", 0x4001, size) + data + bytes(-size % 4))
                        self.assertEqual(peer.recvfrom(10000), (data, client.relayed))
                        peer.sendto(data, client.relayed)
                        self.assertEqual(client.receive(), struct.pack("!HH", 0x4001, size) + data +
                                         bytes(-size % 4))
            # One on UDP and one on TCP meet.
            other = Turn(server.turn_port, "a", "1")
            self.assertEqual(other.allocate(), 0)
            self.assertEqual((clients[0].bind(other.relayed, 0x4002), other.bind(clients[0].relayed)),
                             (0, 0))
            other.send(b"\x40\x01\0\2hi\0\0")
            self.assertEqual(clients[0].receive(), b"\x40\x02\0\2hi\0\0")
            clients[0].send(b"\x40\x02\0\3you\0")
            self.assertEqual(other.receive(), b"\x40\x01\0\3you")
            # The stream's end is the allocation's.
            clients[0].socket.close()
            self.assertEqual(clients[1].release(), 0)
            self.assertEqual(server.stop(), 0)
            ends = dict(re.findall(r"turn: \S+ for a at (\S+) ended: ([a-z ]+);", server.errors))
            self.assertEqual(sorted(ends.values()), ["connection ended", "released"] +
                             2 * ["server closed"])

    def test_what_is_no_turn_on_a_stream_is_cut(self):
        server = self.start("--user=a:1")
        for noise in (b"\0\1\0\0", b"\0\1\0\0\x21\x12\xa4\x43" + bytes(12),
                      b"\0\1\0\3\x21\x12\xa4\x42" + bytes(15),
                      b"\0\1\xff\xfc\x21\x12\xa4\x42" + bytes(12)):
            with socket.create_connection(("127.0.0.1", server.http_port), WAIT) as s:
                s.sendall(noise)
                if len(noise) == 4:
                    s.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionError):
                    self.assertEqual(s.recv(100), b"", noise)
        self.assertEqual(TcpTurn(server.http_port, "a", "2").allocate(), 401)
        client = TcpTurn(server.http_port, "a", "1")
        self.assertEqual(client.allocate(), 0)
        # Behind a good beginning it is no better.
        client.send(b"\xff\xff\xff\xff")
        with self.assertRaises((EOFError, ConnectionError)):
            client.receive()

    def test_who_does_not_read_a_relayed_stream_loses_data_and_costs_little(self):
        server = self.start("--user=a:1", "--threads=1")
        client = TcpTurn(server.http_port, "a", "1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            self.assertEqual((client.allocate(), client.bind(peer.getsockname())), (0, 0))
            before = self.memory(server)
            dropped = 0
            deadline = time.monotonic() + WAIT
            while not dropped and time.monotonic() < deadline:
                for _ in range(200):
                    peer.sendto(bytes(1400), client.relayed)
                text = get(server.http_port, "/metrics")[2].decode()
                dropped = int(re.search(r"^kyuu_relay_stream_drops_total (\d+)", text, re.M)[1])
            self.assertGreater(dropped, 0)
            self.assertLess(self.memory(server) - before, 8 << 10)
            self.assertEqual(Turn(server.turn_port).ask(0x0001)[0], 0x0101)
            # It reads on, and what it gets is whole.
            for _ in range(50):
                self.assertEqual(client.receive(), b"\x40\x01" + struct.pack("!H", 1400) + bytes(1400))

    def memory(self, server):
        """In kB."""
        with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

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


if __name__ == "__main__":
    unittest.main(warnings="ignore")

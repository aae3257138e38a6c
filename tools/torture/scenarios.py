"""What the internet and its machines do to a server, each with its outcome.

Every method named test_* is one scenario and stands alone: `run` gives each a
process of its own, several at a time.
"""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

import hosts
from kyuud import Kyuud, until
from turn_client import TurnClient
from web_client import WebSocket, http_get

SERVER, OTHER = "11.1.1.1", "11.1.1.9"
CLIENT, FRIEND = "11.1.1.2", "11.1.1.3"
TURN, HTTP = (SERVER, 3478), (SERVER, 9000)
WILDCARD = ("--http-listen=0.0.0.0:9000", "--turn-listen=0.0.0.0:3478")
USER = "--user=u:p"
# What a person calls "at once" on a machine that is busy with other tests.
PROMPT = 3.0


def connect(address, source=None):
    s = socket.socket()
    s.settimeout(PROMPT)
    if source is not None:
        s.bind((source, 0))
    s.connect(address)
    return s


class Scenario(unittest.TestCase):
    """A server and a client on one cable; both have a second address."""

    mtu = 1500

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.stack = stack
        network = stack.enter_context(hosts.Network())
        self.network = network
        self.server, self.client = network.host("server"), network.host("client")
        self.cables = network.cable(self.server, f"{SERVER}/24", self.client, f"{CLIENT}/24",
                                    mtu=self.mtu)
        self.server.ip("addr", "add", f"{OTHER}/24", "dev", self.cables[0])
        self.client.ip("addr", "add", f"{FRIEND}/24", "dev", self.cables[1])

    def start(self, *flags, **options):
        return self.stack.enter_context(Kyuud(self.server, *flags, **options))

    def turn(self, *arguments, **options):
        with self.client:
            return self.stack.enter_context(TurnClient(*(arguments or (TURN,)), **options))

    def healthy(self, source=None):
        """Whether HTTP and STUN answer a newcomer promptly."""
        with self.client:
            try:
                with connect(HTTP, source) as s:
                    s.sendall(b"GET /healthz HTTP/1.1\r\nHost: 11.1.1.1:9000\r\nConnection: close\r\n\r\n")
                    page = s.recv(1000).startswith(b"HTTP/1.1 200")
            except OSError:
                page = False
        return page and self.turn(bind=(source or CLIENT, 0)).binding()

    def open_idle(self, count, source=None):
        """TCP connections that say nothing; as many of `count` as come about."""
        opened = []
        with self.client:
            for _ in range(count):
                s = socket.socket()
                s.settimeout(0.2)
                if source is not None:
                    s.bind((source, 0))
                try:
                    s.connect(HTTP)
                except OSError:
                    s.close()
                    if len(opened) > 1 and opened[-1] is None:
                        break  # Twice in a row: the server takes no more.
                    opened.append(None)
                    continue
                opened.append(s)
        return [s for s in opened if s is not None]


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


class Addresses(Scenario):
    def test_wildcard_listener_relays_to_nothing_of_its_own(self):
        self.server.ip("addr", "add", "10.9.9.1/24", "dev", self.cables[0])
        self.server.ip("addr", "add", "fd00:9::1/64", "dev", self.cables[0])
        self.start(*WILDCARD, USER, "--turn-listen=[::]:3478")
        c, other = self.turn(), self.turn()
        self.assertEqual((c.allocate(), other.allocate()), (0, 0))
        free = other.relayed[1] ^ 1
        forbidden = [("127.0.0.1", 50000), ("127.0.0.1", 3478), ("10.9.9.1", 50000),
                     ("10.9.9.2", 50000), (SERVER, 22), (SERVER, 3478), (SERVER, 9000),
                     (OTHER, 50000), (OTHER, 22), ("169.254.169.254", 80), ("0.0.0.0", 80),
                     (SERVER, free)]
        for number, peer in enumerate(forbidden):
            with self.subTest(peer=peer):
                self.assertEqual(c.bind_channel(0x4000 + number, peer), 403)
        for peer in forbidden[:-1]:
            # A permission is for an address: that of relays in use is given,
            # and what it may reach is decided for each datagram.
            if peer[0] != SERVER:
                with self.subTest(permission=peer):
                    self.assertEqual(c.permit(peer), 403)
        self.assertEqual(c.permit((CLIENT, 1)), 0)
        # Two clients that can only relay reach each other.
        self.assertEqual((c.permit(other.relayed), other.permit(c.relayed)), (0, 0))
        c.send(other.relayed, b"hello")
        self.assertEqual(other.receive_data(), (c.relayed, b"hello"))

    def test_what_listens_on_the_server_is_not_reached_by_a_relay(self):
        self.start(*WILDCARD, USER)
        with self.server:
            victims = []
            for ip in ("127.0.0.1", SERVER, OTHER):
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                s.bind((ip, 50111))
                s.settimeout(0.3)
                victims.append(s)
        c = self.turn()
        self.assertEqual(c.allocate(), 0)
        for s in victims:
            c.permit(s.getsockname())
            c.send(s.getsockname(), b"intruder")
            with self.assertRaises(TimeoutError, msg=s.getsockname()):
                s.recv(100)
            s.close()

    def test_two_networks_each_gets_the_address_it_reached(self):
        far = self.network.host("far")
        self.network.cable(self.server, "12.2.2.1/24", far, "12.2.2.2/24")
        self.start(*WILDCARD, USER, "--threads=2")
        for host, ip in ((self.client, SERVER), (far, "12.2.2.1"), (self.client, OTHER)):
            for _ in range(6):
                with host:
                    c = self.stack.enter_context(TurnClient((ip, 3478)))
                    self.assertEqual(c.allocate(), 0)
                    self.assertEqual(c.relayed[0], ip)

    def test_address_that_comes_after_the_start(self):
        self.server.ip("addr", "flush", "dev", self.cables[0])
        self.start(*WILDCARD, USER)
        self.server.ip("addr", "add", f"{SERVER}/24", "dev", self.cables[0])

        def relays():
            with self.turn(wait=0.5) as c:
                return c.allocate() == 0 and c.relayed[0] == SERVER
        self.assertTrue(until(relays))
        c = self.turn()
        self.assertEqual((c.allocate(), c.permit(("127.0.0.1", 50000))), (0, 403))

    def test_address_that_changes(self):
        self.start(*WILDCARD, USER, "--threads=2")
        self.assertEqual(self.turn().allocate(), 0)
        self.server.ip("addr", "flush", "dev", self.cables[0])
        self.server.ip("addr", "add", "11.1.1.7/24", "dev", self.cables[0])

        def relays():
            with self.turn(("11.1.1.7", 3478), wait=0.5) as c:
                return c.allocate() == 0 and c.relayed[0] == "11.1.1.7"
        self.assertTrue(until(relays))
        c = self.turn(("11.1.1.7", 3478))
        self.assertEqual(c.allocate(), 0)
        self.assertEqual(c.permit((CLIENT, 1)), 0)
        with self.client:
            peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            peer.bind((CLIENT, 0))
            peer.settimeout(PROMPT)
        c.send(peer.getsockname(), b"over the new address")
        data, source = peer.recvfrom(100)
        self.assertEqual((data, source), (b"over the new address", c.relayed))
        self.assertEqual(c.bind_channel(0x4000, ("11.1.1.7", 22)), 403)


class BehindNat(unittest.TestCase):
    """A server with a private address behind a router that translates 1:1 and
    sends nothing back inside (no hairpinning)."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        network = self.stack.enter_context(hosts.Network())
        self.server, router, self.client = (
            network.host(role) for role in ("server", "router", "client"))
        inner = network.cable(self.server, "10.5.5.2/24", router, "10.5.5.1/24")
        outer = network.cable(router, f"{SERVER}/24", self.client, f"{CLIENT}/24")
        self.server.ip("route", "add", "default", "via", "10.5.5.1")
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        rules = f"""
          table ip nat {{
            chain in {{ type nat hook prerouting priority -100;
                        iifname "{outer[0]}" ip daddr {SERVER} dnat to 10.5.5.2; }}
            chain out {{ type nat hook postrouting priority 100;
                         oifname "{outer[0]}" ip saddr 10.5.5.2 snat to {SERVER}; }}
          }}
          table ip filter {{
            chain in {{ type filter hook input priority 0;
                        iifname "{inner[1]}" ip daddr {SERVER} drop; }}
          }}"""
        subprocess.run(router.command("nft", "-f", "-"), input=rules, text=True, check=True)
        self.stack.enter_context(Kyuud(self.server, *WILDCARD, USER, f"--relay-address={SERVER}"))

    def test_two_relayed_clients_reach_each_other(self):
        with self.client:
            a, b = (self.stack.enter_context(TurnClient(TURN)) for _ in range(2))
        self.assertEqual((a.allocate(), b.allocate()), (0, 0))
        self.assertEqual((a.relayed[0], b.relayed[0]), (SERVER, SERVER))
        self.assertEqual((a.permit(b.relayed), b.bind_channel(0x4001, a.relayed)), (0, 0))
        a.send(b.relayed, b"ping")
        self.assertEqual(b.receive(PROMPT), b"\x40\x01\x00\x04ping")
        b.send_channel(0x4001, b"pong")
        self.assertEqual(a.receive_data(PROMPT), (b.relayed, b"pong"))

    def test_peer_outside(self):
        with self.client:
            c = self.stack.enter_context(TurnClient(TURN))
            peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            peer.bind((CLIENT, 0))
            peer.settimeout(PROMPT)
        self.assertEqual((c.allocate(), c.permit((CLIENT, 1))), (0, 0))
        c.send(peer.getsockname(), b"out")
        data, source = peer.recvfrom(100)
        self.assertEqual((data, source), (b"out", c.relayed))
        peer.sendto(b"in", c.relayed)
        self.assertEqual(c.receive_data(PROMPT), (peer.getsockname(), b"in"))


class Trains(Scenario):
    """One client's full datagrams are nobody else's loss."""

    def largest_read(self, victim, peer):
        """Bytes of the largest piece in which 20 datagrams arrive: the kernel
        hands a train to a UDP_GRO socket in one."""
        peer.setsockopt(socket.IPPROTO_UDP, 103, 1000)  # UDP_SEGMENT
        peer.sendto(bytes(20_000), victim.relayed)
        peer.setsockopt(socket.IPPROTO_UDP, 103, 0)
        largest = total = 0
        while total < 20 * 1004:
            part = victim.receive(PROMPT)
            self.assertIsNotNone(part, f"{total} bytes came")
            largest, total = max(largest, len(part)), total + len(part)
        return largest

    def check_trains(self, mtu):
        self.start(*WILDCARD, USER, "--threads=1")
        victim, other = self.turn(), self.turn()
        with self.client:
            peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            peer.bind((CLIENT, 0))
        for c in (victim, other):
            c.socket.setsockopt(socket.IPPROTO_UDP, 104, 1)  # UDP_GRO
            self.assertEqual(c.allocate(), 0)
            self.assertEqual(c.bind_channel(0x4000, peer.getsockname()), 0)
        self.assertGreater(self.largest_read(victim, peer), 10_000)
        # With four bytes of ChannelData in front these exceed the MTU.
        size = mtu - 28
        peer.setsockopt(socket.IPPROTO_UDP, 103, size)
        for _ in range(30):
            peer.sendto(bytes(4 * size), other.relayed)
            arrived = 0
            while arrived < 4 * (size + 4):
                part = other.receive(PROMPT)
                self.assertIsNotNone(part, "a full datagram is lost")
                arrived += len(part)
        self.assertGreater(self.largest_read(victim, peer), 10_000)

    def test_full_datagrams_at_mtu_1500(self):
        self.check_trains(1500)


class SmallMtu(Trains):
    mtu = 1280
    test_full_datagrams_at_mtu_1500 = None

    def test_full_datagrams_at_mtu_1280(self):
        self.check_trains(1280)


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

"""What networks do to a server, each with its outcome.

Every method named test_* is one scenario and stands alone: `run` gives each a
process of its own, several at a time.
"""

import contextlib
import socket
import subprocess
import tempfile
import unittest

import hosts
from kyuud import Kyuud, until
from scenario import CLIENT, OTHER, PROMPT, SERVER, Scenario, TURN, USER, WILDCARD
from turn_client import TurnClient


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

    def test_listeners_whose_address_comes_after_the_start(self):
        """As with DHCP: not a wildcard, which waits for nothing."""
        self.server.ip("addr", "flush", "dev", self.cables[0])
        log = self.stack.enter_context(tempfile.TemporaryFile("w+"))
        kyuud = self.start(f"--http-listen={SERVER}:9000", "--http-listen=127.0.0.1:9000",
                           f"--turn-listen={SERVER}:3478", "--turn-listen=127.0.0.1:3478",
                           USER, "--threads=2", stderr=log)
        with self.server, TurnClient(("127.0.0.1", 3478)) as local:
            # What is there is served at once, and from there.
            self.assertEqual(local.allocate(), 0)
            self.assertEqual(local.relayed[0], "127.0.0.1")
        for _ in range(2):  # It comes, goes, and comes again.
            self.server.ip("addr", "add", f"{SERVER}/24", "dev", self.cables[0])

            def relays():
                with self.turn(wait=0.5) as c:
                    return c.allocate() == 0 and c.relayed[0] == SERVER
            self.assertTrue(until(relays))
            self.assertTrue(self.healthy())
            with self.turn() as c:
                self.assertEqual((c.allocate(), c.permit(("127.0.0.1", 50000))), (0, 403))
                self.assertEqual(c.permit((SERVER, 22)), 0)  # Of relays in use only.
                self.assertEqual(c.bind_channel(0x4000, (SERVER, 22)), 403)
            self.server.ip("addr", "flush", "dev", self.cables[0])
        self.assertEqual(kyuud.stop(), 0)
        log.seek(0)
        self.assertEqual(log.read().count(f"{SERVER} is no address of this machine"), 1)

    def test_relay_address_that_comes_after_the_start(self):
        """It is the machine's own then, and no NAT's."""
        self.server.ip("addr", "del", f"{OTHER}/24", "dev", self.cables[0])
        self.start(*WILDCARD, USER, f"--relay-address={OTHER}")
        self.server.ip("addr", "add", f"{OTHER}/24", "dev", self.cables[0])
        with self.client:
            peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            peer.bind((CLIENT, 0))
            peer.settimeout(0.3)

        def comes_from_there():
            with self.turn(wait=0.5) as c:
                if (c.allocate(), c.permit((CLIENT, 1))) != (0, 0):
                    return False
                c.send(peer.getsockname(), b"hello")
                with contextlib.suppress(TimeoutError):
                    return peer.recvfrom(100) == (b"hello", c.relayed) and c.relayed[0] == OTHER
                return False
        self.assertTrue(until(comes_from_there))

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

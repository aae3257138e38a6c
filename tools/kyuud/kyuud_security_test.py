#!/usr/bin/env python3
"""What strangers, clients and peers may not do, shown on the real process by
sockets, with one event loop and with two: peers, bytes and messages. The rows
from S11 on are in kyuud_abuse_test.py, from S21 on in kyuud_doors_test.py.

The rows S1 to S26 are the faults that TURN servers had over the years. Some are
shown elsewhere, in full or better:

  S4   that padding is written, and not merely zero by luck: MSan has no place
       here; the wire is looked at with buffers that held other bytes before
  S6   misaligned reads: `tools/dev sanitize ubsan`, the fuzz targets turn_*,
       stun_* and relay_*; here only that odd offsets give the right bytes
  S5   ports of 10^5 allocations: `tools/dev soak ports`
  S11  how long a wrong MESSAGE-INTEGRITY is looked at does not tell how much of
       it is right: `bazel run --config=opt //bench:integrity_timing`
  S14  a million requests, ClientHellos and connections: `tools/dev soak flood`
  S18  a million cycles: `tools/dev soak cycles`
  S24  that strangers on TCP are cut in time, 400 at once: tools/torture
"""

import contextlib
import errno
import os
import socket
import struct
import unittest
import zlib

from testing import wire
from testing.kyuud import KyuudTestCase, WAIT
from testing.rows import BOTH_FAMILIES, Rows, until
from testing.wire import attribute, xor_address

# Peers that nobody may be relayed to unless it is allowed, in every spelling.
SPECIAL = """
127.0.0.1 127.0.0.2 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255
192.168.0.1 100.64.0.1 100.127.255.255 169.254.0.1 169.254.169.254 192.0.0.1 192.0.2.1 198.18.0.1
198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1:: 2001:0:7f00:1:: fe80::1
febf::1 fc00::1 fdff::1 fec0::1 ff02::1 ff0e::1 2001:db8::1 2001:db8:ffff::1""".split()
# Of IPv6 on the wire and of IPv4 in truth: no relay speaks to them.
MAPPED = "::ffff:127.0.0.1 ::ffff:127.0.0.2 ::ffff:0.0.0.0 ::ffff:10.0.0.1 ::ffff:8.8.8.8".split()


class Peers(Rows):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.launch("--user=a:1", "--user=b:2", "--turn-listen=[::1]:0")

    # --- Peers ---

    def test_s01_special_peers_are_refused_in_every_spelling(self):
        # As for an operator: a listener on all addresses, nothing allowed.
        server = self.own("--user=a:1", "--relay-address=127.0.0.1", "--relay-address=::1",
                          listen="0.0.0.0")
        client = self.allocated(server, BOTH_FAMILIES)
        self.assertEqual(len(client.relays), 2)
        refused = self.metric(server, "kyuu_turn_forbidden_total")
        for host in SPECIAL:
            with self.subTest(peer=host):
                # Of the relays in use at our own address a permission is about
                # to be given; each datagram is judged then.
                if host not in ("127.0.0.1", "::1"):
                    self.assertEqual(client.permit((host, 9)), 403)
                self.assertEqual(client.channel((host, 9)), 403)
        for host in MAPPED:
            with self.subTest(peer=host):
                self.assertEqual((client.permit((host, 9)), client.channel((host, 9))), (443, 443))
        self.assertGreaterEqual(self.metric(server, "kyuu_turn_forbidden_total") - refused,
                                2 * len(SPECIAL) - 2)
        # None of many: a good one beside a special one.
        self.assertEqual(client.permit(("8.8.8.8", 9), ("169.254.169.254", 80)), 403)
        # Send indications: no victim hears any.
        for host in ("127.0.0.1", "127.0.0.2", "127.0.1.1", "::1"):
            victim = self.peer(host)
            address = victim.getsockname()[:2]
            client.permit(address)
            client.say(b"intruder", address)
            spellings = [host] if ":" in host else [host, f"::ffff:{host}", f"::{host}"]
            with self.drops(server, len(spellings)):
                for spelling in spellings:
                    client.say(b"intruder", (spelling, address[1]))
            victim.setblocking(False)
            with self.assertRaises(BlockingIOError):
                victim.recv(100)
        # And none comes in from there.
        stranger = self.peer("127.0.0.2")
        with self.drops(server, 1):
            stranger.sendto(b"intruder", client.relayed)
        self.assertEqual(client.before(), [])

    def test_s02_a_block_of_ipv6_is_compared_as_a_number(self):
        server = self.own("--user=a:1", "--turn-listen=[::1]:0", "--allow-peer=2001:db8::/32",
                          "--deny-peer=2001:db8::1:0/111")
        client = self.allocated(server, BOTH_FAMILIES)
        for host, code in (("::1:0", 403), ("::1:ff01", 403), ("::1:ffff", 403), ("::0:1", 403),
                           ("::2:0", 0), ("::2:ff01", 0), ("::3:0", 0), ("1::1:ff01", 0)):
            self.assertEqual(client.permit((f"2001:db8:{host}".replace(":::", "::"), 9)), code, host)

    def test_s03_a_relay_does_not_reach_its_own_server(self):
        # Not even where its network is allowed.
        server = self.own("--user=a:1", "--allow-peer=127.0.0.0/8", "--allow-peer=127.0.0.1")
        client, other = self.allocated(server), self.allocated(server)
        for port in (server.turn_port, server.http_port):
            self.assertEqual(client.channel(("127.0.0.1", port)), 403)
        # No allocation through an allocation.
        self.assertEqual(client.permit(("127.0.0.1", 9)), 0)
        sent = self.metric(server, 'kyuu_udp_sent_total{of="relays"}')
        client.say(client.bare(wire.ALLOCATE, attribute(wire.TRANSPORT, wire.UDP)),
                   ("127.0.0.1", server.turn_port))
        self.assertEqual(client.before(), [])
        self.assertEqual(self.metric(server, 'kyuu_udp_sent_total{of="relays"}'), sent)
        # The relays of two clients meet, those that nobody has do not.
        self.assertEqual((client.channel(other.relayed), other.permit(client.relayed)), (0, 0))
        client.send(wire.channel_data(0x4001, b"met"))
        self.assertIn(attribute(wire.DATA, b"met"), other.receive())
        plain = self.own("--user=a:1", "--relay-address=127.0.0.1", listen="0.0.0.0")
        alone = self.allocated(plain)
        self.assertEqual(alone.channel(("127.0.0.1", alone.relayed[1] ^ 1)), 403)
        self.assertEqual(alone.channel(("127.0.0.1", plain.http_port)), 403)

    # --- What leaves it ---

    def check_padding(self, message):
        for kind, value, padding in wire.fields(message):
            self.assertEqual(padding, bytes(len(padding)), (kind, value))

    def test_s04_padding_tells_nothing(self):
        # Names and realm of odd lengths, so that there is padding in all answers.
        server = self.own("--user=a:1", "--realm=odd", "--software=kyuu1",
                          "--stranger-bytes-per-second=0")
        client, peer = self.stream(server.http_port), self.peer()
        self.assertEqual((client.make(), client.channel(peer.getsockname())), (0, 0))
        seen = 0
        # What lay in the buffers before: relayed bytes that are all ones.
        for size in (1199, 1, 1198, 2, 1197, 3, 601, 5, 602, 6, 603, 7):
            for data in (b"\xff" * size, os.urandom(size)):
                train = [(socket.SOL_UDP, 103, struct.pack("H", size))]  # UDP_SEGMENT
                for _ in range(34):
                    peer.sendmsg([data * 50], train, 0, client.relayed)
                    for _ in range(50):
                        frame = client.receive()
                        self.assertEqual(frame, wire.channel_data(0x4001, data, bytes(-size % 4)))
                        seen += 1
        # Refusals, and answers with reasons, for strangers and for the client.
        client.send(wire.channel_data(0x4001, b"\xff" * 999, b"\xff"))
        requests = [client.bare(wire.ALLOCATE), client.signed(wire.ALLOCATE),
                    client.signed(wire.REFRESH), client.bare(wire.BINDING),
                    client.signed(wire.PERMISSION),
                    client.signed(wire.REFRESH, attribute(0x7F01, b"\xff"))]
        for _ in range(170):
            for request in requests:
                client.send(request)
            client.send(wire.channel_data(0x4001, b"\xff" * 997, b"\xff" * 3))
            for _ in requests:
                self.check_padding(client.receive())
                seen += 1
        # Data indications.
        other = self.peer("127.0.4.1")
        self.assertEqual(client.permit(other.getsockname()), 0)
        for size in 200 * (1, 2, 3, 5, 1197):
            other.sendto(b"\xff" * size, client.relayed)
            message = client.receive()
            self.assertIn(b"\xff" * size, message)
            self.check_padding(message)
            seen += 1
        self.assertGreater(seen, 40_000)

    def test_s05_nothing_can_be_guessed(self):
        server = self.own("--user=a:1", "--log-level=warning")
        client = self.allocated(server, attribute(wire.TICKET, b""))
        ports, seen = [], {"nonce": set(), "ticket": set(), "token": set()}
        # Ports of 0xc000 to 0xffff in 16 classes by high bits, 16 by low ones.
        even = attribute(wire.EVEN_PORT, b"\x80")
        for round_ in range(1600):
            wants = [even] if round_ % 16 == 0 else [attribute(wire.TICKET, b"")]
            self.assertEqual(client.refresh(0), 0)
            self.assertEqual(client.make(*wants), 0)
            if round_ % 16 == 0:
                seen["token"].add(client.found[wire.TOKEN])
            else:
                seen["ticket"].add(client.found[wire.TICKET])
                ports.append(client.relayed[1])
        for of, classes in (("high", lambda p: p >> 10 & 15), ("low", lambda p: p & 15)):
            counts = [0] * 16
            for port in ports:
                counts[classes(port)] += 1
            mean = len(ports) / 16
            chi = sum((count - mean) ** 2 for count in counts) / mean
            # With 15 degrees of freedom once in 10^9 runs; a line gives 0, or
            # all in one class 22 000.
            self.assertLess(chi, 73, (of, counts))
        self.assertGreater(len(set(ports)), len(ports) * 0.9)
        steps = {b - a for a, b in zip(ports, ports[1:])}
        self.assertGreater(len(steps), len(ports) * 0.8)
        for number in range(400):
            source = self.probe(server, source=f"127.0.5.{number % 200 + 1}").greet()
            seen["nonce"].add(source.nonce)
        self.assertEqual({kind: len(values) for kind, values in seen.items()},
                         {"nonce": 400, "ticket": 1500, "token": 100})
        # Nor from what another process does that began at the same moment.
        twin = self.own("--user=a:1")
        nonce = client.nonce
        client.server = ("127.0.0.1", twin.turn_port)
        self.assertEqual(client.code(client.signed(wire.ALLOCATE)), 438)
        self.assertNotEqual(client.found[wire.NONCE], nonce)

    def test_s06_odd_offsets_give_the_right_bytes(self):
        client, peer = self.allocated(self.server), self.peer()
        self.assertEqual(client.channel(peer.getsockname()), 0)
        for size in (1, 2, 3, 5, 7, 13):
            # Each of a train lies behind the other in the server's buffer.
            parts = [os.urandom(size) for _ in range(20)]
            client.socket.sendmsg([b"".join(wire.channel_data(0x4001, p) for p in parts)],
                                  [(socket.SOL_UDP, 103, struct.pack("H", size + 4))], 0,
                                  client.server)
            self.assertEqual([peer.recv(100) for _ in parts], parts)
            peer.sendmsg([b"".join(parts)], [(socket.SOL_UDP, 103, struct.pack("H", size))], 0,
                         client.relayed)
            for part in parts:
                self.assertEqual(client.receive(), wire.channel_data(0x4001, part))

    # --- Messages that lie ---

    def lies(self):
        """Messages whose lengths do not hold."""
        good = wire.Signing.bare(wire.ALLOCATE, attribute(wire.TRANSPORT, wire.UDP))
        for length in (0xFFFF, 0xFFFC, len(good), len(good) - 20 - 4, 1, 2, 3):
            yield good[:2] + struct.pack("!H", length) + good[4:]
        for size in (0xFFFF, 0xFFFC, 0xFFFE, 9, 5, 0x8000):
            for kind in (wire.USERNAME, wire.ERROR_CODE, wire.PEER, wire.DATA, wire.INTEGRITY,
                         wire.FINGERPRINT, wire.ALGORITHMS, 0x7F00, 0xFFFF):
                yield wire.header(wire.ALLOCATE, 8, os.urandom(12)) + struct.pack(
                    "!HH", kind, size) + b"\1\2\3\4"
        yield good[:19]
        yield good[:20]
        yield good[:-1]
        yield good + b"\0"
        yield b""

    def test_s07_lengths_that_lie_are_dropped(self):
        client = self.probe(self.server)
        dropped = self.metric(self.server, "kyuu_turn_malformed_total")
        lies = list(self.lies())
        self.assertEqual(client.before(*lies), [])
        self.assertGreaterEqual(self.metric(self.server, "kyuu_turn_malformed_total") - dropped,
                                len(lies) - 1)
        # ChannelData whose length is more than there is.
        peer = self.peer()
        self.assertEqual((client.make(), client.channel(peer.getsockname())), (0, 0))
        for size in (5, 0xFFFF, 0xFFFC, 0x8000):
            client.send(struct.pack("!HH", 0x4001, size) + b"lies")
        client.send(b"\x40\x01\0")
        client.send(b"\x40")
        client.send(wire.channel_data(0x4001, b"true"))
        self.assertEqual(peer.recv(100), b"true")
        # On a stream the rest cannot be told apart any more.
        for lie in (b"\0\1\xff\xff\x21\x12\xa4\x42" + bytes(12), b"\0\3\0\1\x21\x12\xa4\x42" + bytes(13)):
            with socket.create_connection(("127.0.0.1", self.server.http_port), WAIT) as s:
                s.sendall(lie)
                with contextlib.suppress(ConnectionError):
                    self.assertEqual(s.recv(100), b"")
        self.assertEqual(self.probe(self.server).code(client.bare(wire.BINDING)), 0)

    def test_s08_tokens_of_others_are_nothing_unless_configured(self):
        client = self.probe(self.server).greet()
        self.assertNotIn(0x802E, client.found)  # THIRD-PARTY-AUTHORIZATION
        # A token whose nonce is longer than all of it.
        for token in (b"", b"\xff\xff", b"\xff\xff" + bytes(30), struct.pack("!H", 12) + os.urandom(60)):
            wanted = (attribute(wire.TRANSPORT, wire.UDP), attribute(wire.ACCESS_TOKEN, token))
            self.assertEqual(client.code(client.bare(wire.ALLOCATE, *wanted)), 401)
            self.assertEqual(client.request(wire.ALLOCATE, *wanted), 420)
            self.assertEqual(client.found[0x000A][:2], b"\0\x1b")
        self.assertEqual(client.make(), 0)

    def test_s09_what_nobody_signed_is_ignored(self):
        client, peer = self.allocated(self.server), self.peer()
        signed = client.signed(wire.REFRESH)
        zero = attribute(wire.LIFETIME, bytes(4))
        self.assertEqual(client.code(wire.appended(signed, zero)), 0)
        self.assertEqual(client.found[wire.LIFETIME], struct.pack("!I", 600))
        self.assertEqual(client.refresh(), 0)
        # A peer behind the signature gets no permission.
        transaction = os.urandom(12)
        named = attribute(wire.PEER, xor_address(peer.getsockname(), transaction))
        other = attribute(wire.PEER, xor_address(("127.0.9.1", 9), transaction))
        request = client.signed(wire.PERMISSION, other, transaction=transaction)
        self.assertEqual(client.code(wire.appended(request, named)), 0)
        with self.drops(self.server, 1):
            peer.sendto(b"unasked", client.relayed)
        self.assertEqual(client.before(), [])
        # Nor data, which a Send indication could have there.
        self.assertEqual(client.permit(peer.getsockname()), 0)
        indication = client.bare(wire.SEND, named, transaction=transaction)
        keyed = wire.integrity(indication, client.key())
        client.send(wire.appended(keyed, attribute(wire.DATA, b"unsigned")))
        client.say(b"after", peer.getsockname())
        self.assertEqual(peer.recv(100), b"after")
        # FINGERPRINT is last, or it is none; a wrong one drops all.
        request = client.signed(wire.REFRESH)
        covered = wire.appended(request, bytes(8))[:len(request)]
        mark = attribute(wire.FINGERPRINT, struct.pack("!I", zlib.crc32(covered) ^ 0x5354554E))
        self.assertEqual(client.code(wire.appended(request, mark)), 0)
        self.assertEqual(wire.fields(client.last)[-1][0], wire.FINGERPRINT)
        wrong = mark[:-1] + bytes([mark[-1] ^ 1])
        self.assertEqual(client.before(*(wire.appended(request, end) for end in
                                         (wrong, mark + zero, mark + mark))), [])

    def test_s10_of_two_the_first_counts(self):
        client = self.allocated(self.server)
        first, second = self.peer(), self.peer("127.0.10.2")
        addresses = (first.getsockname(), second.getsockname())
        self.assertEqual(client.peers(wire.CHANNEL_BIND, addresses,
                                      attribute(wire.CHANNEL, b"\x40\1\0\0"),
                                      attribute(wire.CHANNEL, b"\x40\2\0\0")), 0)
        client.send(wire.channel_data(0x4002, b"second"))
        client.send(wire.channel_data(0x4001, b"first"))
        self.assertEqual(first.recv(100), b"first")
        # Judged and sent by the same one: only the first has a permission.
        client.say(b"beside", addresses[1], addresses[0])
        client.say(b"good", addresses[0], addresses[1])
        self.assertEqual(first.recv(100), b"good")
        transaction = os.urandom(12)
        named = attribute(wire.PEER, xor_address(addresses[0], transaction))
        client.send(client.bare(wire.SEND, named, attribute(wire.DATA, b"one"),
                                attribute(wire.DATA, b"two"), transaction=transaction))
        self.assertEqual(first.recv(100), b"one")
        second.setblocking(False)
        with self.assertRaises(BlockingIOError):
            second.recv(100)
        # Of two lifetimes, too.
        self.assertEqual(client.request(wire.REFRESH, attribute(wire.LIFETIME, struct.pack("!I", 900)),
                                        attribute(wire.LIFETIME, bytes(4))), 0)
        self.assertEqual(client.found[wire.LIFETIME], struct.pack("!I", 900))


    # --- Reservations ---

    def test_a_reserved_port_is_had_by_nobody_else(self):
        server = self.own("--user=a:1", "--relay-ports=21300-21303")
        reserve = attribute(wire.EVEN_PORT, b"\x80")
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
            other.bind(("127.0.0.1", 21301))
            first = self.allocated(server, reserve)
            self.assertEqual(first.relayed[1], 21302, "the other pair is not whole")
            token = first.found[wire.TOKEN]
            self.assertEqual(self.probe(server).make(reserve), 508)
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
            with self.assertRaises(OSError) as taken:
                other.bind(("127.0.0.1", 21303))
            self.assertEqual(taken.exception.errno, errno.EADDRINUSE)
        second = self.allocated(server, attribute(wire.TOKEN, token))
        self.assertEqual(second.relayed[1], 21303)
        peer = self.peer("127.0.0.1")
        self.assertEqual(second.permit(peer.getsockname()), 0)
        peer.sendto(b"heard", second.relayed)
        self.assertIn(b"heard", second.receive())


class OneLoopTest(Peers, KyuudTestCase):
    threads = 1


class TwoLoopsTest(Peers, KyuudTestCase):
    threads = 2


if __name__ == "__main__":
    unittest.main(warnings="ignore")

#!/usr/bin/env python3
"""What strangers, clients and operators may not do, shown on the real process by
sockets, with one event loop and with two: credentials, floods and bounds.
The rows before S11, and what is shown elsewhere, are told in
kyuud_security_test.py, those from S21 on in kyuud_doors_test.py.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import signal
import socket
import struct
import time
import unittest

from testing import wire
from testing.kyuud import KyuudTestCase, WAIT
from testing.rows import BOTH_FAMILIES, Rows, until
from testing.wire import attribute


class Abuse(Rows):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.launch("--user=a:1", "--user=b:2", "--turn-listen=[::1]:0")
        cls.tight = cls.launch(
            "--user=a:1", "--user=b:2", "--turn-listen=[::1]:0", "--allocations-per-user=2",
            "--max-permissions=3", "--max-channels=2", "--relay-ports=51000-51063",
            "--log-level=warning")
        cls.tls = cls.launch(*cls.certificate(), "--user=a:1")

    # --- Credentials ---

    def test_s11_a_secret_is_compared_whole(self):
        # What time that takes: see the head of this file. Here: that no part of
        # it is enough, and each byte counts.
        client = self.allocated(self.server)
        good = client.signed(wire.REFRESH)
        for at in range(20):
            bad = bytearray(good)
            bad[-20 + at] ^= 1
            self.assertEqual(client.code(bytes(bad)), 401)
        for size in (0, 4, 16, 19, 21, 24):
            short = client.bare(wire.REFRESH)
            short = wire.appended(short, good[20:-24] + attribute(wire.INTEGRITY, bytes(size)))
            self.assertEqual(client.before(short), [], size)
        self.assertEqual(client.code(good), 0)

    def sha256(self, client, *attributes, integrity=hashlib.sha256, key=hashlib.sha256):
        body = attribute(wire.TRANSPORT, wire.UDP)
        body += attribute(wire.USERNAME, client.user.encode())
        body += attribute(wire.REALM, client.realm.encode()) + attribute(wire.NONCE, client.nonce)
        body += b"".join(attributes)
        message = wire.header(wire.ALLOCATE, len(body), os.urandom(12)) + body
        return client.code(wire.integrity(message, client.key(key), integrity))

    def test_s12_nobody_between_makes_it_weaker(self):
        # Offered over UDP too, so that all is seen on both kinds of ways.
        server = self.own("--user=a:1", "--sha256=everywhere")
        chosen, md5 = attribute(wire.ALGORITHM, b"\0\2\0\0"), attribute(wire.ALGORITHM, b"\0\1\0\0")
        offered = attribute(wire.ALGORITHMS, b"\0\2\0\0\0\1\0\0")
        weaker = attribute(wire.ALGORITHMS, b"\0\1\0\0")
        turned = attribute(wire.ALGORITHMS, b"\0\1\0\0\0\2\0\0")
        for client in (self.probe(server), self.stream(server.http_port)):
            client.greet()
            self.assertTrue(client.nonce.startswith(b"obMatJos2"))
            self.assertEqual(client.found[wire.ALGORITHMS], b"\0\2\0\0\0\1\0\0")
            for attributes in ((chosen,), (offered,), (chosen, weaker), (chosen, turned),
                               (md5, weaker), (attribute(wire.ALGORITHM, b"\0\3\0\0"), offered)):
                self.assertEqual(self.sha256(client, *attributes), 400, attributes)
            # Weaker integrity than what was chosen is no integrity.
            self.assertEqual(self.sha256(client, chosen, offered, integrity=hashlib.sha1), 400)
            # The cookie in the nonce says what was offered: no other is good.
            nonce, client.nonce = client.nonce, client.nonce[13:]
            self.assertEqual(self.sha256(client, integrity=hashlib.sha1, key=hashlib.md5), 438)
            client.nonce = nonce[:9] + b"AAAA" + nonce[13:]
            self.assertEqual(self.sha256(client, integrity=hashlib.sha1, key=hashlib.md5), 438)
            client.nonce = nonce
            self.assertEqual(self.sha256(client, chosen, offered), 0)
            # Its answers are of the same strength.
            self.assertIn(wire.INTEGRITY_SHA256, client.found)
            self.assertNotIn(wire.INTEGRITY, client.found)

    def test_s13_a_nonce_is_for_one_address_and_one_time(self):
        path = self.write("[auth]\nusers = ['a:1']\nnonce-secret = 'shared by the fleet'\n")
        one, two = (self.own(f"--config={path}") for _ in range(2))
        client = self.probe(one).greet()
        for source in ("127.0.0.1", "127.0.13.1"):
            thief = self.probe(one, source=source)
            thief.realm, thief.nonce = client.realm, client.nonce
            self.assertEqual(thief.request(wire.ALLOCATE, attribute(wire.TRANSPORT, wire.UDP)), 438)
        # Over another transport it is another client, if not by chance.
        stream = self.stream(one.http_port)
        stream.realm, stream.nonce = client.realm, client.nonce
        self.assertEqual(stream.request(wire.ALLOCATE, attribute(wire.TRANSPORT, wire.UDP)), 438)
        # All of the fleet take it.
        client.server = ("127.0.0.1", two.turn_port)
        self.assertEqual(client.make(), 0)
        # A new secret; the old one's nonces are still good, as are the new ones.
        self.write("[auth]\nusers = ['a:1']\nnonce-secret = 'another'\n")
        two.process.send_signal(signal.SIGHUP)
        until(lambda: self.secret_of(two) == ["another"])
        self.assertEqual(client.refresh(), 0)
        fresh = self.probe(two)
        self.assertEqual(fresh.make(), 0)
        for at in range(len(client.nonce)):
            nonce = bytearray(client.nonce)
            nonce[at] ^= 1
            client.nonce, good = bytes(nonce), client.nonce
            self.assertEqual(client.refresh(), 438, at)
            client.nonce = good
        # And it grows old.
        old = self.own("--user=a:1", "--nonce-lifetime=1ms")
        aged = self.probe(old).greet()
        until(lambda: aged.request(wire.REFRESH) == 438)
        aged.nonce = aged.found[wire.NONCE]
        self.assertEqual(self.probe(old).make(), 0)

    def secret_of(self, server):
        """By which secret a fresh nonce is made: the seconds and 11 bytes of a
        MAC about them and the client's address (turn/internal/nonce.h)."""
        source = self.probe(server).greet()
        raw = base64.b64decode(source.nonce)
        about = raw[:4] + struct.pack("!H", source.socket.getsockname()[1]) + bytes([127, 0, 0, 1])
        about += source.realm.encode()
        return [secret for secret in ("another", "shared by the fleet")
                if hmac.new(secret.encode(), about, hashlib.sha1).digest()[:11] == raw[4:]]

    # --- Strangers ---

    def hello(self):
        """A ClientHello of DTLS 1.2 without a cookie."""
        ciphers = struct.pack("!HHH", 4, 0xC02B, 0xC02F)
        extensions = b"\0\x0a\0\4\0\2\0\x17\0\x0d\0\4\0\2\4\3\0\x0b\0\2\1\0"
        body = b"\xfe\xfd" + os.urandom(32) + b"\0\0" + ciphers + b"\1\0"
        body += struct.pack("!H", len(extensions)) + extensions
        size = struct.pack("!I", len(body))[1:]
        handshake = b"\1" + size + b"\0\0\0\0\0" + size + body
        return b"\x16\xfe\xff" + bytes(8) + struct.pack("!H", len(handshake)) + handshake

    def test_s14_strangers_leave_nothing_behind(self):
        server = self.tls
        honest, peer = self.allocated(server), self.peer()
        self.assertEqual(honest.channel(peer.getsockname()), 0)
        strangers = [self.probe(server, source=f"127.14.{n // 250}.{n % 250 + 1}") for n in range(300)]
        for stranger in strangers:
            stranger.socket.setblocking(False)

        def flood(rounds):
            for number in range(rounds):
                for stranger in strangers[number % 3::3]:
                    stranger.send(stranger.bare(wire.ALLOCATE, attribute(wire.TRANSPORT, wire.UDP)))
                    stranger.send(self.hello())
                    with contextlib.suppress(BlockingIOError):
                        while stranger.socket.recv(2000):
                            pass
                honest.send(wire.channel_data(0x4001, b"on"))
                self.assertEqual(peer.recv(100), b"on")
                peer.sendto(b"back", honest.relayed)
                self.assertEqual(honest.receive(), wire.channel_data(0x4001, b"back"))
        flood(10)  # The receive buffers have had their size.

        def state():
            return (self.metric(server, "kyuu_dtls_sessions_total"), self.descriptors(server),
                    self.metric(server, "kyuu_turn_allocations"))
        before, memory = state(), self.memory(server)
        flood(60)
        for number in range(100):
            # Some say a little first, some nothing; some are refused.
            with contextlib.suppress(ConnectionError), socket.create_connection(
                    ("127.0.0.1", server.http_port), WAIT, source_address=("127.0.14.9", 0)) as s:
                s.sendall(self.hello()[:number % 3 * 5])
        until(lambda: state() == before)
        self.assertLessEqual(self.memory(server) - memory, 1024)
        self.assertGreater(self.metric(server, "kyuu_dtls_cookies_total"), 5000)

    def test_s15_answers_are_hardly_longer_than_requests(self):
        stranger = self.probe(self.server, source="127.0.15.1")
        binding = stranger.bare(wire.BINDING)
        self.assertLessEqual(len(stranger.exchange(binding)), 1.6 * len(binding))
        allocate = stranger.bare(wire.ALLOCATE, attribute(wire.TRANSPORT, wire.UDP))
        self.assertLessEqual(len(stranger.exchange(allocate)), 3 * len(allocate))
        # By default there is an end to it, for each source: 64 KiB at once and 16
        # KiB a second more than it has sent.
        began, gained, answered = time.monotonic(), 0, 0
        for _ in range(150):
            requests = [stranger.bare(wire.ALLOCATE, attribute(wire.TRANSPORT, wire.UDP))
                        for _ in range(40)]
            answers = stranger.before(*requests)
            answered += len(answers)
            gained += sum(len(answer) - len(requests[0]) for answer in answers)
        self.assertGreater(answered, 1000)
        self.assertLess(gained, 65_536 + 16_384 * (time.monotonic() - began + 1))
        self.assertGreater(self.metric(self.server, "kyuu_turn_rate_limited_total"), 0)
        # Others are answered.
        self.assertEqual(self.probe(self.server, source="127.0.15.2").greet().realm, "kyuu")
        # Port 0 cannot have asked.
        try:
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        except PermissionError:
            return  # Only root can; //turn:server_strangers_test shows it to all.
        with raw:
            dropped = self.metric(self.server, "kyuu_turn_bad_source_total")
            packet = struct.pack("!HHHH", 0, self.server.turn_port, 8 + len(binding), 0) + binding
            raw.sendto(packet, ("127.0.0.1", 0))
            until(lambda: self.metric(self.server, "kyuu_turn_bad_source_total") > dropped)

    # --- Whose it is ---

    def test_s16_an_allocation_is_its_maker_s(self):
        client = self.allocated(self.server, attribute(wire.TICKET, b""))
        ticket = client.ticket
        client.user, client.password = "b", "2"
        self.assertEqual([client.refresh(0), client.permit(("127.0.0.1", 9)),
                          client.channel(("127.0.0.1", 9))], [441, 441, 441])
        self.assertEqual(client.make(), 437)
        # A stolen ticket, at each loop.
        for _ in range(8):
            thief = self.probe(self.server, "b", "2").greet()
            self.assertIn(thief.request(wire.REFRESH, attribute(wire.TICKET, ticket)), (437, 441))
        client.user, client.password = "a", "1"
        self.assertEqual(client.refresh(0), 0)

    def resume(self, server, ticket):
        """A client that shows a ticket; another port may meet another loop."""
        for _ in range(60):
            client = self.probe(server).greet()
            if client.request(wire.REFRESH, attribute(wire.TICKET, ticket)) == 0:
                return client, client.found[wire.TICKET]
        raise AssertionError("no loop takes the ticket")

    def test_s17_who_moves_has_one_place_to_go(self):
        server, peer = self.tight, self.peer()
        old = self.allocated(server, attribute(wire.TICKET, b""))
        self.assertEqual(old.channel(peer.getsockname()), 0)
        relayed, ticket, places = old.relayed, old.ticket, []
        for _ in range(12):
            place, ticket = self.resume(server, ticket)
            places.append(place)
        # The last alone is kept, none of them is an allocation of its own, and
        # the quota of two has one left.
        self.assertEqual([place.refresh() for place in places[:-1]], 11 * [437])
        second, third = self.allocated(server), self.probe(server)
        self.assertEqual(third.make(), 486)
        last = places[-1]
        last.send(wire.channel_data(0x4001, b"moved"))
        self.assertEqual(peer.recvfrom(100), (b"moved", relayed))
        # The old place is no more.
        self.assertEqual(old.refresh(), 437)
        self.assertEqual(self.probe(server).make(), 486)
        self.assertEqual((last.refresh(0), second.refresh(0)), (0, 0))
        self.assertEqual(self.metric(server, "kyuu_turn_allocations"), 0)

    def test_s18_every_flavour_returns_its_ports(self):
        server = self.tight
        ways = [lambda: self.probe(server), lambda: self.stream(server.http_port)]
        even, reserve = attribute(wire.EVEN_PORT, b"\0"), attribute(wire.EVEN_PORT, b"\x80")
        six = attribute(wire.FAMILY, b"\2\0\0\0")
        # A port that another program has is found out once and counted no more.
        def free():
            return self.metric(server, "kyuu_turn_free_ports")
        before = None
        for round_ in range(2):
            for way in ways:
                for flavour in ((), (even,), (six,), (BOTH_FAMILIES,), (attribute(wire.TICKET, b""),),
                                (attribute(wire.DONT_FRAGMENT, b""),)):
                    client = way()
                    for _ in range(20):
                        self.made(client, *flavour)
                        self.assertEqual(client.refresh(0), 0)
                    client.socket.close()
                first, second = way(), way()
                for _ in range(20):
                    self.made(first, reserve)
                    token = attribute(wire.TOKEN, first.found[wire.TOKEN])
                    self.made(second, token)
                    self.assertEqual(second.relayed[1], first.relayed[1] + 1)
                    self.assertEqual((first.refresh(0), second.refresh(0)), (0, 0))
            # The stream's end ends what was made by it.
            for _ in range(10):
                client = self.stream(server.http_port)
                self.made(client)
                client.socket.close()
            until(lambda: self.metric(server, "kyuu_turn_allocations") == 0)
            if round_ == 0:
                before = free()
            else:
                until(lambda: free() == before)

    def test_s19_no_path_without_a_permission(self):
        friend, stranger = self.peer(), self.peer("127.0.19.1")
        for client in (self.probe(self.server), self.stream(self.server.http_port)):
            self.assertEqual((client.make(), client.permit(friend.getsockname())), (0, 0))
            for sender, data in ((stranger, b"bad"), (friend, b"good")):
                sender.sendto(data, client.relayed)
            came = client.receive()
            self.assertIn(attribute(wire.DATA, b"good"), came)
            client.say(b"bad", stranger.getsockname())
            client.say(b"good", friend.getsockname())
            self.assertEqual(friend.recv(100), b"good")
            # A channel is for its peer's port alone; its permission for the IP.
            self.assertEqual(client.channel(friend.getsockname()), 0)
            stranger.sendto(b"bad", client.relayed)
            friend.sendto(b"good", client.relayed)
            self.assertEqual(client.receive(), wire.channel_data(0x4001, b"good"))
        stranger.setblocking(False)
        with self.assertRaises(BlockingIOError):
            stranger.recv(100)
        # What is forbidden later ends what was permitted.
        path = self.write("")
        server = self.own(f"--config={path}", "--user=a:1")
        clients = [self.allocated(server) for _ in range(4)]
        for client in clients:
            self.assertEqual(client.channel(friend.getsockname()), 0)
        self.write("[relay]\ndeny-peers = ['127.0.0.0/8']\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: {c.permit(friend.getsockname()) for c in clients} == {403})
        for client in clients:
            with self.drops(server, 2):
                friend.sendto(b"late", client.relayed)
                client.send(wire.channel_data(0x4001, b"late"))
            self.assertEqual(client.before(), [])
        friend.setblocking(False)
        with self.assertRaises(BlockingIOError):
            friend.recv(100)

    def test_s20_an_allocation_is_bounded(self):
        client = self.allocated(self.tight)
        hosts = [(f"127.0.20.{n}", 9) for n in range(1, 6)]
        self.assertEqual([client.permit(host) for host in hosts], [0, 0, 0, 508, 508])
        self.assertEqual(client.permit(hosts[0]), 0)  # One that it has.
        self.assertEqual([client.channel(hosts[n], 0x4001 + n) for n in range(3)], [0, 0, 508])
        self.assertEqual(client.channel(("127.0.20.9", 9), 0x4009), 508)
        # Not one of many that do not all fit.
        other = self.allocated(self.tight)
        self.assertEqual(other.permit(*hosts), 508)
        self.assertEqual(other.permit(*hosts[:3]), 0)
        self.assertEqual((client.refresh(0), other.refresh(0)), (0, 0))


class OneLoopTest(Abuse, KyuudTestCase):
    threads = 1


class TwoLoopsTest(Abuse, KyuudTestCase):
    threads = 2


if __name__ == "__main__":
    unittest.main(warnings="ignore")

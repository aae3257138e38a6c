#!/usr/bin/env python3
"""What kyuud's TURN can do beyond what every client uses: allocations of both
families, DONT-FRAGMENT, mobility, SHA-256 credentials, NAT discovery.
"""

import hashlib
import hmac
import json
import os
import socket
import struct
import unittest

from testing.kyuud import COOKIE, KyuudTestCase, TcpTurn, Turn, WAIT

attribute = Turn.attribute


class Sha256Turn(TcpTurn):
    """A client that has chosen SHA-256 and shows the hash of its name only."""

    def ask(self, kind, *attributes, sign=True):
        if not (sign and self.nonce):
            return super().ask(kind, *attributes, sign=False)
        offered = b"\0\2\0\0\0\1\0\0"
        body = b"".join(attributes)
        body += attribute(0x001E, hashlib.sha256(f"{self.user}:{self.realm}".encode()).digest())
        body += attribute(0x0014, self.realm.encode())
        body += attribute(0x0015, self.nonce)
        body += attribute(0x001D, b"\0\2\0\0")
        body += attribute(0x8002, offered)
        transaction = os.urandom(12)
        message = struct.pack("!HHI", kind, len(body) + 36, COOKIE) + transaction + body
        key = hashlib.sha256(f"{self.user}:{self.realm}:{self.password}".encode()).digest()
        message += attribute(0x001C, hmac.new(key, message, hashlib.sha256).digest())
        self.send(message)
        answer = self.receive()
        found, rest = {}, answer[20:]
        while rest:
            number, size = struct.unpack("!HH", rest[:4])
            found.setdefault(number, rest[4:4 + size])
            rest = rest[4 + size + -size % 4:]
        return struct.unpack("!H", answer[:2])[0], found


class KyuudTurnTest(KyuudTestCase):
    def peer(self, family=socket.AF_INET, address="127.0.0.1"):
        peer = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(peer.close)
        peer.bind((address, 0))
        peer.settimeout(WAIT)
        return peer

    def test_an_allocation_of_both_families_gives_one_back(self):
        for threads in (1, 2):
            server = self.start("--turn-listen=[::1]:0", "--user=a:1", f"--threads={threads}")
            client, peer = Turn(server.turn_port, "a", "1"), self.peer()
            self.assertEqual(client.allocate(attribute(0x8000, b"\2\0\0\0")), 0)
            self.assertEqual(client.bind(peer.getsockname()), 0)
            client.send(struct.pack("!HH", 0x4001, 4) + b"four")
            self.assertEqual(peer.recvfrom(100), (b"four", client.relayed))
            # IPv6 is given back, and IPv4 goes on.
            six = attribute(0x0017, b"\2\0\0\0")
            self.assertEqual(client.error(client.ask(0x0004, attribute(0x000D, bytes(4)), six)), 0)
            self.assertEqual(client.error(client.ask(0x0004, six)), 443)
            client.send(struct.pack("!HH", 0x4001, 4) + b"more")
            self.assertEqual(peer.recvfrom(100), (b"more", client.relayed))

    def test_of_both_families_one_may_be_missing(self):
        """RFC 8656 section 7.2: IPv4, and why there is no IPv6."""
        for threads in (1, 2):
            server = self.start("--user=a:1", f"--threads={threads}")
            client = Turn(server.turn_port, "a", "1")
            self.addCleanup(client.close)
            self.assertEqual(client.allocate(), 0)
            self.assertEqual(client.release(), 0)
            kind, found = client.ask(0x0003, attribute(0x0019, b"\x11\0\0\0"),
                                     attribute(0x8000, b"\2\0\0\0"))
            self.assertEqual((kind, found[0x0016][:2]), (0x0103, b"\0\1"))
            self.assertEqual(found[0x8001][:4], b"\2\0\4\x28")  # IPv6: 440.

    def test_logs_name_both_addresses_of_an_allocation(self):
        server = self.start("--turn-listen=[::1]:0", "--user=a:1", "--log-format=json")
        both, one = Turn(server.turn_port, "a", "1"), Turn(server.turn_port, "a", "1")
        for client in (both, one):
            self.assertEqual(client.allocate(attribute(0x8000, b"\2\0\0\0")), 0)
        # Of this one IPv4 goes first.
        four = attribute(0x0017, b"\1\0\0\0")
        self.assertEqual(one.error(one.ask(0x0004, attribute(0x000D, bytes(4)), four)), 0)
        for client in (both, one):
            self.assertEqual(client.release(), 0)
        self.assertEqual(server.stop(), 0)
        lines = [json.loads(line) for line in server.errors.splitlines()]
        relays = {}
        for event in ("allocation_made", "allocation_ended"):
            for line in lines:
                if line.get("event") == event:
                    relays.setdefault(line["session"], []).append(line["relay"])
        self.assertEqual(len(relays), 2)
        (made, ended), (first, last) = relays.values()
        for told, client in ((made, both), (first, one)):
            self.assertRegex(told, r"^%s:%d and \[::1\]:\d+$" % client.relayed)
        self.assertEqual(made, ended)
        self.assertEqual(last, first.partition(" and ")[2])

    def test_who_asks_for_dont_fragment_hears_that_nobody_listens(self):
        server = self.start("--user=a:1")
        for asks in (True, False):
            client = Turn(server.turn_port, "a", "1")
            self.assertEqual(client.allocate(*([attribute(0x001A, b"")] if asks else [])), 0)
            gone = self.peer()
            address = gone.getsockname()
            gone.close()
            self.assertEqual(client.bind(address), 0)
            client.send(struct.pack("!HH", 0x4001, 2) + b"hi")
            if not asks:
                # Nothing comes but what is asked for.
                client.socket.settimeout(0.3)
                with self.assertRaises(TimeoutError):
                    client.receive()
                continue
            told = client.receive()
            self.assertEqual(told[:2], b"\0\x17")  # A Data indication.
            self.assertIn(attribute(0x8004, b"\0\0\6\3" + bytes(4)), told)
            # And the relay goes on.
            peer = self.peer()
            self.assertEqual(client.bind(peer.getsockname(), 0x4002), 0)
            client.send(struct.pack("!HH", 0x4002, 2) + b"hi")
            self.assertEqual(peer.recvfrom(100), (b"hi", client.relayed))

    def test_traffic_class_is_carried_both_ways(self):
        server = self.start("--user=a:1")
        client, peer = Turn(server.turn_port, "a", "1"), self.peer()
        for s in (client.socket, peer):
            s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        self.assertEqual((client.allocate(), client.bind(peer.getsockname())), (0, 0))
        for tos in (0, 0xB8, 0x02, 0x03, 0xBA):
            client.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
            client.send(struct.pack("!HH", 0x4001, 2) + b"up")
            data, control, _, _ = peer.recvmsg(100, 100)
            self.assertEqual((data, control[0][2][0]), (b"up", tos))
            peer.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
            peer.sendto(b"down", client.relayed)
            data, control, _, _ = client.socket.recvmsg(100, 100)
            self.assertEqual((data[4:], control[0][2][0]), (b"down", tos))

    def test_a_client_moves_with_its_ticket(self):
        server = self.start("--user=a:1", "--threads=1")
        peer = self.peer()
        for make in (lambda: Turn(server.turn_port, "a", "1"),
                     lambda: TcpTurn(server.http_port, "a", "1")):
            old = make()
            answer = old.ask(0x0003, attribute(0x0019, b"\x11\0\0\0"))
            old.realm, old.nonce = answer[1][0x0014].decode(), answer[1][0x0015]
            kind, found = old.ask(0x0003, attribute(0x0019, b"\x11\0\0\0"), attribute(0x8030, b""))
            self.assertEqual(kind, 0x0103)
            port, ip = struct.unpack("!HI", found[0x0016][2:8])
            relayed = (socket.inet_ntoa(struct.pack("!I", ip ^ COOKIE)), port ^ COOKIE >> 16)
            self.assertEqual(old.bind(peer.getsockname()), 0)
            if isinstance(old, TcpTurn):
                old.socket.close()  # It has lost its network.
            new = Turn(server.turn_port, "a", "1")
            answer = new.ask(0x0004, attribute(0x8030, found[0x8030]))
            new.realm, new.nonce = answer[1][0x0014].decode(), answer[1][0x0015]
            kind, moved = new.ask(0x0004, attribute(0x8030, found[0x8030]))
            self.assertEqual(kind, 0x0104)
            self.assertNotEqual(moved[0x8030], found[0x8030])
            new.send(struct.pack("!HH", 0x4001, 2) + b"up")
            self.assertEqual(peer.recvfrom(100), (b"up", relayed))
            peer.sendto(b"down", relayed)
            self.assertEqual(new.receive(), struct.pack("!HH", 0x4001, 4) + b"down")
            self.assertEqual(new.release(), 0)

    def test_sha256_is_offered_on_streams_and_taken(self):
        server = self.start("--user=a:1")
        over_udp = Turn(server.turn_port, "a", "1")
        self.assertEqual(over_udp.allocate(), 0)
        self.assertFalse(over_udp.nonce.startswith(b"obMatJos2"))
        client = Sha256Turn(server.http_port, "a", "1")
        self.assertEqual(client.allocate(), 0)
        self.assertTrue(client.nonce.startswith(b"obMatJos2"))
        self.assertEqual(client.release(), 0)
        self.assertEqual(Sha256Turn(server.http_port, "a", "2").allocate(), 401)
        self.assertEqual(Sha256Turn(server.http_port, "b", "1").allocate(), 401)

    def test_binding_is_answered_from_the_other_address(self):
        for threads in (1, 2):
            ports = []
            for _ in range(2):
                probe = self.peer()
                ports.append(probe.getsockname()[1])
                probe.close()
            server = self.start(f"--discovery=127.0.0.1:{ports[0]}", f"--discovery=127.0.0.2:{ports[1]}",
                                f"--threads={threads}")
            client = self.peer(address="127.0.0.3")
            for change, origin in ((0, ("127.0.0.1", ports[0])), (2, ("127.0.0.1", ports[1])),
                                   (4, ("127.0.0.2", ports[0])), (6, ("127.0.0.2", ports[1]))):
                request = struct.pack("!HHI", 1, 8, COOKIE) + os.urandom(12)
                request += attribute(0x0003, struct.pack("!I", change))
                client.sendto(request, ("127.0.0.1", ports[0]))
                answer, source = client.recvfrom(500)
                self.assertEqual((answer[:2], source), (b"\1\1", origin))


if __name__ == "__main__":
    unittest.main(warnings="ignore")

#!/usr/bin/env python3
"""Compressed messages (RFC 7692): kyuud's WebSockets of every kind, byte by byte
(testing/deflate_cases.py)."""

import json
import os
import re
import unittest

from testing.deflate_cases import GRANTED, Compressing, cases, deflated, play
from testing.kyuud import KyuudTestCase, get, http, upgrade

PROTOCOL = "Sec-WebSocket-Protocol: kyuu.v1\n"
OFFER = "permessage-deflate; client_max_window_bits"  # Chromium's.
SDP = "v=0\r\n" + "".join(f"a=candidate:{i * 7919} 1 udp {i * 31337} 192.0.2.{i} 50000 typ host\r\n"
                          for i in range(30))


class KyuudCompressionTest(KyuudTestCase):
    def native(self, server, offer=OFFER):
        return Compressing(server.http_port, "/v1/ws", offer, PROTOCOL)

    def metric(self, server, name):
        body = get(server.http_port, "/metrics")[2].decode()
        return float(re.search(rf"^{name} (\S+)$", body, re.M)[1])

    def test_autobahns_cases_12_and_13(self):
        server = self.start("--compression=on")
        wrong, count = [], 0
        for name, *case in cases():
            count += 1
            came = play(server.http_port, *case)
            if came is not None:
                wrong.append(f"{name}: {str(came)[:200]}")
        self.assertEqual(count, 90 + 126)
        self.assertEqual(wrong, [], f"of {count} cases")

    def test_it_is_off_unless_it_is_asked_for(self):
        for server, granted in ((self.start(), None), (self.start("--compression=off"), None),
                                (self.start("--compression=on"), GRANTED)):
            for path, protocol in (("/v1/ws", PROTOCOL), ("/peerjs?key=peerjs&id=a&token=t", ""),
                                   ("/y-webrtc", "")):
                client = Compressing(server.http_port, path, OFFER, protocol)
                self.assertEqual(client.granted, granted, path)
        head = http(server.http_port, upgrade(server.http_port, "/v1/ws", PROTOCOL +
                                              "Sec-WebSocket-Extensions: permessage-deflate;;\n"))
        self.assertEqual(head[0], 400)
        self.assertIn(b"Sec-WebSocket-Extensions", head[2])

    def test_peers_with_and_without_it_reach_each_other(self):
        server = self.start("--compression=on")
        ada, bob = self.native(server), self.native(server, "x")
        self.assertEqual((ada.granted, bob.granted), (GRANTED, None))
        for name, client in (("ada", ada), ("bob", bob)):
            client.send(type="hello", version=1)
            client.hear()
            client.send(type="join", name=name)
            client.hear()
        def until(client, kind):
            while True:
                compressed, text = client.hear()
                if json.loads(text)["type"] == kind:
                    return compressed, json.loads(text)
        ada.say_deflated(b'{"type":"call","to":"bob"}')
        call = until(bob, "incoming")[1]["call"]
        bob.send(type="accept", call=call)
        until(ada, "accepted")
        until(bob, "accepted")
        for one, other, compressed in ((ada, bob, False), (bob, ada, True)):
            text = json.dumps({"type": "signal", "call": call, "kind": "offer", "sdp": SDP}).encode()
            one.say_deflated(text, 100) if one is ada else one.say(text)
            came = until(other, "signal")
            self.assertEqual((came[0], came[1]["sdp"]), (compressed, SDP))
        # What is shorter than a packet is not worth it.
        bob.send(type="signal", call=call, kind="candidate", candidate={"candidate": "x", "sdpMid": "0"})
        self.assertFalse(until(ada, "signal")[0])
        self.assertEqual(self.metric(server, "kyuu_deflate_messages_deflated_total"), 1)
        self.assertGreater(self.metric(server, "kyuu_deflate_bytes_saved_total"), len(SDP) / 2)
        self.assertEqual(self.metric(server, "kyuu_deflate_messages_inflated_total"), 2)

    def test_peers_of_peerjs(self):
        server = self.start("--compression=on")
        ada, bob = (Compressing(server.http_port, f"/peerjs?key=peerjs&id={name}&token=t", OFFER)
                    for name in ("ada", "bob"))
        self.assertEqual(bob.hear(), (False, b'{"type":"OPEN"}'))
        for opcode in (1, 2):
            ada.say_deflated(json.dumps({"type": "OFFER", "dst": "bob", "payload": SDP}).encode(), opcode=opcode)
            compressed, text = bob.hear()
            self.assertTrue(compressed)
            self.assertEqual(json.loads(text), {"type": "OFFER", "src": "ada", "dst": "bob", "payload": SDP})

    def test_what_breaks_the_rules_is_closed_and_counted(self):
        server = self.start("--compression=on")
        hello, bomb = b'{"type":"hello","version":1}', deflated(b'{"type":"' + bytes(60_000_000))
        self.assertLess(len(bomb), 65536)
        for name, frames, code in (
                ("bomb", [(0xC1, bomb)], 1009),
                ("bomb in fragments", [(0x41, bomb[:99]), (0x80, bomb[99:])], 1009),
                ("noise", [(0xC1, os.urandom(2000))], 1007),
                ("no UTF-8", [(0xC1, deflated(b"\xff" * 99))], 1007),
                ("RSV1 in a continuation", [(0x41, deflated(hello)), (0xC0, b"\0")], 1002),
                ("RSV1 in a ping", [(0xC9, b"x")], 1002),
                ("RSV1 in a pong", [(0xCA, b"x")], 1002),
                ("RSV1 in a close", [(0xC8, b"")], 1002),
                ("RSV2", [(0xA1, hello)], 1002)):
            with self.subTest(name):
                client = self.native(server)
                for first, data in frames:
                    client.put(first, data)
                self.assertEqual(client.hear(), ("close", code))
                client.socket.close()
        self.assertEqual(self.metric(server, "kyuu_deflate_inflated_too_long_total"), 2)
        self.assertGreaterEqual(self.metric(server, "kyuu_deflate_inflated_malformed_total"), 1)
        # Others go on.
        client = self.native(server)
        client.say_deflated(hello)
        self.assertIn(b'"welcome"', client.hear()[1])

    def test_an_idle_peer_costs_no_more_memory_than_without_it(self):
        def heap_of_each(*flags):
            server = self.start(*flags)
            def joined(number):
                client = self.native(server)
                client.say_deflated(b'{"type":"hello","version":1}') if flags else client.send(
                    type="hello", version=1)
                self.assertIn(b'"welcome"', client.hear()[1])
                join = {"type": "join", "name": f"p{number}", "room": f"r{number}", "meta": {"sdp": SDP[:1900]}}
                client.say_deflated(json.dumps(join).encode()) if flags else client.send(**join)
                self.assertIn(b'"joined"', client.hear()[1])
                client.send(type="leave")
                self.assertIn(b'"left"', client.hear()[1])
                return client
            held = [joined(n) for n in range(20)]
            before = self.metric(server, "kyuu_heap_bytes")
            held += [joined(20 + n) for n in range(200)]
            return (self.metric(server, "kyuu_heap_bytes") - before) / 200
        self.assertLess(heap_of_each("--compression=on"), heap_of_each() + 128)


if __name__ == "__main__":
    unittest.main()

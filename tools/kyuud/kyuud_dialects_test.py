#!/usr/bin/env python3
"""kyuud as the server of PeerJS and y-webrtc, on the wire; what their real
clients make of it is seen by tools/interop."""

import json
import re
import unittest

from testing.kyuud import KyuudTestCase, WebSocket, get, http, upgrade

PEER = "/peerjs?key=peerjs&id={}&token={}&version=1.5.5"
OPEN = {"type": "OPEN"}


class KyuudDialectsTest(KyuudTestCase):
    def peer(self, server, name, token="t", path=PEER):
        socket = WebSocket(server.http_port, path.format(name, token), "")
        return socket, socket.receive()

    def page(self, server):
        return WebSocket(server.http_port, "/y-webrtc", "")

    def metric(self, server, name):
        body = get(server.http_port, "/metrics")[2].decode()
        return float(re.search(rf"^{name} (\S+)$", body, re.M)[1])

    def test_peers_of_peerjs_reach_each_other(self):
        server = self.start()
        ada, opened = self.peer(server, "ada")
        self.assertEqual(opened, OPEN)
        bob, _ = self.peer(server, "bob%20b")
        # As text and as binary; what the client claims to be is not believed.
        for opcode in (1, 2):
            ada.say(b'{"type":"OFFER","src":"eve","dst":"bob b","payload":{"a": 1.50}}', opcode)
            self.assertEqual(bob.frame(), (1, b'{"type":"OFFER","src":"ada","dst":"bob b","payload":{"a": 1.50}}'))
        # What nobody understands is told, and harms nobody.
        ada.say(b"hello")
        self.assertEqual(ada.receive()["type"], "ERROR")
        ada.send(type="OFFER", dst="late", payload=7)
        late, opened = self.peer(server, "late")
        self.assertEqual((opened, late.receive()["payload"]), (OPEN, 7))
        self.assertEqual(self.metric(server, "kyuu_peerjs_peers"), 3)
        self.assertEqual(self.metric(server, "kyuu_peerjs_passed_on_total"), 2)
        self.assertEqual(self.metric(server, "kyuu_peerjs_kept_passed_on_total"), 1)

    def test_an_absent_peer_is_told_of_in_five_seconds(self):
        ada, _ = self.peer(self.start(), "ada")
        ada.send(type="OFFER", dst="nobody")
        self.assertEqual(ada.receive(), {"type": "EXPIRE", "src": "nobody", "dst": "ada"})

    def test_an_id_is_its_tokens(self):
        server = self.start()
        first, _ = self.peer(server, "ada", "secret")
        thief, told = self.peer(server, "ada", "guess")
        self.assertEqual(told, {"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}})
        self.assertEqual(thief.frame()[0], 8)
        again, told = self.peer(server, "ada", "secret")
        self.assertEqual(told, OPEN)
        self.assertEqual(first.frame()[0], 8)
        again.send(type="OFFER", dst="ada")
        self.assertEqual(again.receive()["src"], "ada")
        # Who has gone has no id.
        again.close()
        while self.metric(server, "kyuu_peerjs_peers") > 0:
            pass
        self.assertEqual(self.peer(server, "ada", "other")[1], OPEN)
        for path, kind in (("/peerjs?key=x&id=a&token=t", "INVALID-KEY"), ("/peerjs", "ERROR")):
            socket, told = self.peer(server, "", path=path)
            self.assertEqual((told["type"], socket.frame()[0]), (kind, 8))

    def test_the_http_of_peerjs(self):
        server = self.start()
        port = server.http_port
        status, headers, body = get(port, "/peerjs/id?ts=17&version=1.5.5")
        self.assertEqual((status, headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertRegex(body.decode(), r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
        self.assertEqual(get(port, "/peerjs/peers")[0], 401)
        self.assertEqual(get(port, "/other/id")[0], 401)
        self.assertEqual(get(port, "/peerjs?key=peerjs&id=a&token=t")[0], 426)
        self.assertEqual(json.loads(get(port, "/", "Accept: application/json\n")[2])["name"], "PeerJS Server")
        self.assertIn(b"<title ", get(port, "/", "Accept: */*\n")[2])

    def test_which_pages_may_come(self):
        app = "http://app.example"
        plain = self.start()
        listed = self.start(f"--dialect-origin={app}")
        everybody = self.start("--dialect-origin=*")
        for server, origin, may in ((plain, app, False), (listed, app, True), (listed, "null", False),
                                    (listed, "http://app.example:81", False), (everybody, "null", True),
                                    (everybody, "http://else.example", True)):
            port = server.http_port
            status, headers, _ = get(port, "/peerjs/id", f"Origin: {origin}\n")
            self.assertEqual(status, 200 if may else 403)
            self.assertEqual(headers.get("access-control-allow-origin"), origin if may else None)
            preflight = http(port, f"OPTIONS /peerjs/id HTTP/1.1\nHost: 127.0.0.1:{port}\nOrigin: {origin}\n"
                                   "Access-Control-Request-Method: GET\nConnection: close\n\n")
            self.assertEqual(preflight[0], 204 if may else 403)
            for path in (PEER.format("a", "b"), "/y-webrtc"):
                if may:
                    WebSocket(port, path, "", origin).close()
                else:
                    status, _, body = http(port, upgrade(port, path, origin=origin))
                    self.assertEqual((status, b"--dialect-origin" in body), (403, True))
            # Our own signaling, which lends relays, is not for them.
            self.assertEqual(http(port, upgrade(port, "/v1/ws", origin=origin))[0], 403)
        # A page whose name leads to this machine is none of ours.
        port = everybody.http_port
        for path in (PEER.format("a", "b"), "/y-webrtc"):
            request = upgrade(port, path).replace(f"Host: 127.0.0.1:{port}", "Host: evil.test")
            self.assertEqual(http(port, request)[0], 421)

    def test_documents_of_y_webrtc_find_each_other(self):
        server = self.start()
        self.assertEqual(get(server.http_port, "/y-webrtc")[::2], (200, b"okay"))
        ada, bob = self.page(server), self.page(server)
        for page in (ada, bob):
            page.send(type="subscribe", topics=["doc", "other"])
            page.send(type="ping")
            self.assertEqual(page.receive(), {"type": "pong"})
        ada.say(b"{", 1)
        self.assertEqual(ada.receive()["type"], "error")
        ada.say(b'{"type":"publish","topic":"doc","data":"\\u0041"}', 2)
        for page in (ada, bob):
            self.assertEqual(page.frame(), (1, b'{"type":"publish","topic":"doc","data":"\\u0041","clients":2}'))
        self.assertEqual(self.metric(server, "kyuu_ywebrtc_topics"), 2)
        bob.close()
        while self.metric(server, "kyuu_ywebrtc_connections") > 1:
            pass
        ada.send(type="publish", topic="doc")
        self.assertEqual(ada.receive()["clients"], 1)

    def test_each_is_where_it_is_said_to_be_or_nowhere(self):
        server = self.start("--peerjs=off", "--y-webrtc=off")
        for path in (PEER.format("a", "b"), "/y-webrtc"):
            self.assertEqual(http(server.http_port, upgrade(server.http_port, path))[0], 404)
        self.assertEqual(get(server.http_port, "/peerjs/id")[0], 404)
        server = self.start("--peerjs-path=/app/", "--peerjs-key=k2", "--peerjs-discovery=allow", "--y-webrtc-path=/")
        self.assertEqual(get(server.http_port, "/app/k2/peers")[2], b"[]")
        ada, opened = self.peer(server, "ada", path="/app/peerjs?key=k2&id={}&token={}")
        self.assertEqual(opened, OPEN)
        self.assertEqual(json.loads(get(server.http_port, "/app/k2/peers")[2]), ["ada"])
        self.assertEqual(json.loads(get(server.http_port, "/app")[2])["name"], "PeerJS Server")
        root = WebSocket(server.http_port, "/", "")
        root.send(type="ping")
        self.assertEqual(root.receive(), {"type": "pong"})
        self.assertIn(b"<title ", get(server.http_port, "/")[2])
        ada.close()
        # Below a public URL, whose path a proxy has or has not taken off.
        server = self.start("--public-url=https://example.org/kyuu")
        for path in ("/peerjs/id", "/kyuu/peerjs/id"):
            self.assertEqual(get(server.http_port, path)[0], 200)
        self.assertEqual(self.peer(server, "ada", path="/kyuu" + PEER)[1], OPEN)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Signaling without WebSockets: one session by server-sent events and posts."""

from http.client import HTTPConnection, HTTPSConnection
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from testing.kyuud import KyuudTestCase, Turn, WAIT, WebSocket, get, http

SSE = "Accept: text/event-stream\n"


class Events:
    """Just enough of a client: one stream, and posts over a connection of their own."""

    def __init__(self, port, extra=SSE, path="/v1/", tls=None, buffer=None):
        self.path, self.posts = path, 0
        self.socket = socket.socket()
        self.socket.settimeout(WAIT)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", port))
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.socket.sendall((f"GET {path}events HTTP/1.1\nHost: 127.0.0.1:{port}\n{extra}\n")
                            .replace("\n", "\r\n").encode())
        self.file = self.socket.makefile("rb")
        status = self.file.readline().decode()
        if " 200 " not in status:
            raise AssertionError(status)
        self.headers = {}
        while (line := self.file.readline().decode().rstrip()) != "":
            name, value = line.lower().split(": ", 1)
            self.headers[name] = value
        kind, self.name = self.event()
        assert kind == "stream", kind
        self.http = (HTTPSConnection("127.0.0.1", port, timeout=WAIT, context=tls) if tls else
                     HTTPConnection("127.0.0.1", port, timeout=WAIT))

    def event(self):
        """The next one: its type and data; EOFError at the end."""
        kind, data = "message", []
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError
            line = line.decode().rstrip("\n")
            if line == "" and data:
                return kind, "\n".join(data)
            field, _, value = line.partition(":")
            if field == "event":
                kind = value.strip()
            elif field == "data":
                data.append(value.removeprefix(" "))

    def receive(self):
        kind, data = self.event()
        assert kind == "message", (kind, data)
        return json.loads(data)

    def post(self, body, number=None, name=None, **fields):
        """Status and text of the answer."""
        if number is None:
            self.posts += 1
            number = self.posts
        headers = {"Kyuu-Stream": self.name if name is None else name, "Kyuu-Post": str(number),
                   **{key.replace("_", "-"): value for key, value in fields.items()}}
        self.http.request("POST", f"{self.path}messages", body, {k: v for k, v in headers.items() if v})
        answer = self.http.getresponse()
        self.answered = dict((k.lower(), v) for k, v in answer.getheaders())
        return answer.status, answer.read().decode()

    def send(self, *messages):
        status, text = self.post("\n".join(json.dumps(m) for m in messages))
        assert status == 204, (status, text)

    def hello(self, **fields):
        self.send({"type": "hello", "version": 1, **fields})
        welcome = self.receive()
        assert welcome["type"] == "welcome", welcome
        return welcome

    def is_over(self):
        """Whether the server has ended it."""
        try:
            while True:
                self.event()
        except (EOFError, ConnectionResetError):
            return True

    def close(self):
        self.http.close()
        self.file.close()
        self.socket.close()


def ticket(welcome, received):
    return {"session": welcome["session"], "secret": welcome["resume"]["secret"], "received": received}


class KyuudEventsTest(KyuudTestCase):
    def events(self, server, **options):
        client = Events(server.http_port, **options)
        self.addCleanup(client.close)
        return client

    def websocket(self, server):
        client = WebSocket(server.http_port)
        self.addCleanup(client.socket.close)
        return client

    def counter(self, server, name):
        text = get(server.http_port, "/metrics")[2].decode()
        return int(re.search(rf"^kyuu_{name} ([0-9]+)$", text, re.MULTILINE)[1])

    def test_a_session_with_somebody_who_has_a_websocket(self):
        server = self.start()
        ada = self.events(server)
        self.assertEqual(ada.headers["content-type"], "text/event-stream")
        self.assertEqual(ada.headers["x-accel-buffering"], "no")
        self.assertIn("no-store", ada.headers["cache-control"])
        self.assertNotIn("content-length", ada.headers)
        welcome = ada.hello(id=1)
        self.assertEqual(welcome["id"], 1)
        bob = self.websocket(server)
        bob.send(type="hello", version=1)
        bob.receive()
        bob.send(type="join", name="bob")
        bob.receive()
        # Several messages, with line ends in what is passed on, come in their order.
        ada.send({"type": "join", "name": "ada", "id": 2}, {"type": "ping", "id": 3},
                 {"type": "call", "to": "bob", "id": 4})
        self.assertEqual([ada.receive()["id"] for _ in range(3)], [2, 3, 4])
        # Presence is told a moment later.
        call = next(m for m in iter(bob.receive, None) if m["type"] == "incoming")
        self.assertEqual(call["from"], "ada")
        bob.send(type="accept", call=call["call"])
        self.assertEqual(ada.receive()["type"], "accepted")
        bob.say(json.dumps({"type": "signal", "call": call["call"], "kind": "candidate",
                            "candidate": {"candidate": "x", "sdpMid": "0"}}, indent=1).encode())
        self.assertEqual(ada.receive()["candidate"], {"candidate": "x", "sdpMid": "0"})
        self.assertEqual(self.counter(server, "http_event_streams_total"), 1)
        self.assertEqual(self.counter(server, "http_posts_total"), 2)
        self.assertEqual(self.counter(server, "http_websockets_total"), 1)
        # A goodbye ends the session at once.
        self.assertEqual(ada.post("", Kyuu_Close="1000")[0], 204)
        ended = next(m for m in iter(bob.receive, None) if m["type"] == "hangup")
        self.assertEqual(ended["reason"], "peer_lost")
        self.assertEqual(ada.event()[0], "close")
        self.assertTrue(ada.is_over())
        self.assertEqual(ada.post("{}")[0], 404)

    def test_a_goodbye_is_heard_behind_the_end_of_its_stream(self):
        server = self.start()
        ada, bob = self.events(server), self.websocket(server)
        ada.hello(resume={})
        ada.send({"type": "join", "name": "ada"})
        ada.receive()
        bob.send(type="hello", version=1)
        bob.receive()
        bob.send(type="join", name="bob")
        bob.receive()
        bob.send(type="call", to="ada")
        call = bob.receive()["call"]
        ada.socket.shutdown(socket.SHUT_WR)
        self.assertTrue(ada.is_over())
        bye = json.dumps({"type": "reject", "call": call, "reason": "page"})
        self.assertEqual(ada.post(bye, Kyuu_Close="1001")[0], 204)
        heard = next(m for m in iter(bob.receive, None) if m["type"] == "rejected")
        self.assertEqual(heard["reason"], "page")
        self.assertEqual(ada.post("")[0], 404)
        eve = self.websocket(server)
        eve.send(type="hello", version=1)
        eve.receive()
        eve.send(type="join", name="ada")
        self.assertEqual(eve.receive()["type"], "joined")
        self.assertEqual(self.counter(server, "signaling_waiting_sessions"), 0)

    def test_who_goes_without_a_word_is_waited_for(self):
        server = self.start()
        ada = self.events(server)
        welcome = ada.hello(resume={})
        ada.send({"type": "ping"})
        ada.socket.shutdown(socket.SHUT_WR)
        self.assertTrue(ada.is_over())
        # What comes then is heard, and what is to say of it waits.
        ada.send({"type": "ping", "id": 2})
        deadline = time.monotonic() + WAIT
        while self.counter(server, "signaling_waiting_sessions") == 0:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.counter(server, "signaling_connections"), 0)
        self.assertEqual(ada.post("", Kyuu_Close="1001")[0], 404)
        again = self.events(server)
        resume = again.hello(resume=ticket(welcome, 1))["resume"]
        self.assertEqual((resume["resumed"], resume["received"]), (True, 2))
        self.assertEqual(again.receive(), {"type": "pong", "id": 2})

    def test_a_session_goes_from_a_websocket_to_events_and_back(self):
        server = self.start()
        first = self.websocket(server)
        first.send(type="hello", version=1, resume={})
        welcome = first.receive()
        first.send(type="join", name="ada")
        first.receive()
        eve = self.websocket(server)
        eve.send(type="hello", version=1)
        eve.receive()
        eve.send(type="join", name="eve")
        eve.receive()
        first.receive()  # eve came.
        # Taken over while the WebSocket is still there.
        second = self.events(server)
        again = second.hello(resume=ticket(welcome, 1))["resume"]
        self.assertEqual((again["resumed"], again["received"]), (True, 1))
        self.assertEqual(second.receive()["peer"]["name"], "eve")  # What was not said to be had.
        self.assertEqual(first.frame()[0], 8)
        second.send({"type": "ping", "id": 9})
        self.assertEqual(second.receive(), {"type": "pong", "id": 9})
        # The stream breaks; eve says something; the WebSocket has it, and eve saw nothing.
        second.close()
        eve.send(type="call", to="ada")
        self.assertEqual(eve.receive()["type"], "calling")
        third = self.websocket(server)
        third.send(type="hello", version=1, resume=ticket(welcome, 3))
        again = third.receive()["resume"]
        self.assertEqual((again["resumed"], again["received"]), (True, 2))
        self.assertEqual(third.receive()["type"], "incoming")
        # A stream is taken over, too, and says so.
        fourth = self.events(server)
        self.assertTrue(fourth.hello(resume=ticket(welcome, 4))["resume"]["resumed"])
        fifth = self.events(server)
        self.assertTrue(fifth.hello(resume=ticket(welcome, 4))["resume"]["resumed"])
        kind, data = fourth.event()
        self.assertEqual((kind, json.loads(data)["code"]), ("close", 4001))
        self.assertTrue(fourth.is_over())
        self.assertEqual(fourth.post("{}")[0], 404)

    def test_a_post_needs_the_name_of_its_stream(self):
        server = self.start()
        ada, bob = self.events(server), self.events(server)
        ada.hello()
        bob.hello()
        for name, status in (("", 400), ("x", 404), (ada.name[:-1], 404), (ada.name[:32], 404),
                             (ada.name[:32] + bob.name[32:], 404)):
            got, why = ada.post('{"type":"ping"}', number=2, name=name)
            self.assertEqual(got, status, name)
            self.assertTrue(why)
            self.assertNotIn(bob.name[32:], why)
        # Neither in what kyuud writes down, nor good elsewhere.
        other = self.start()
        self.assertEqual(get(other.http_port, f"/v1/messages?Kyuu-Stream={ada.name}")[0], 405)
        ada.send({"type": "ping", "id": 1})
        self.assertEqual(ada.receive(), {"type": "pong", "id": 1})
        bob.send({"type": "ping", "id": 2})
        self.assertEqual(bob.receive(), {"type": "pong", "id": 2})
        self.assertEqual(server.stop(), 0)
        self.assertNotIn(ada.name[32:], server.errors)

    def test_posts_come_in_order_and_once(self):
        server = self.start()
        ada = self.events(server)
        ada.hello()
        ping = '{"type":"ping","id":%d}'
        self.assertEqual(ada.post(ping % 3, number=3)[0], 409)
        self.assertEqual(ada.post(ping % 2, number=2)[0], 204)
        self.assertEqual(ada.post(ping % 2, number=2)[0], 204)
        self.assertEqual(ada.post(ping % 1, number=1)[0], 204)
        self.assertEqual(ada.post(ping % 3, number=3)[0], 204)
        self.assertEqual([ada.receive()["id"] for _ in range(2)], [2, 3])
        for number in ("", "0", "x", "99999999999999999999"):
            self.assertEqual(ada.post(ping % 9, number=number or False, Kyuu_Post=number)[0], 400)
        self.assertEqual(ada.post(ping % 4, number=4)[0], 204)
        self.assertEqual(ada.receive()["id"], 4)

    def test_what_is_no_post_is_refused_and_disturbs_nobody(self):
        server = self.start()
        ada = self.events(server)
        ada.hello()
        port = server.http_port
        self.assertEqual(ada.post("x" * 65537, number=2)[0], 413)
        ada.http.close()
        self.assertEqual(ada.post("{}\n" * 201, number=2)[0], 413)
        self.assertEqual(ada.post("{}\n\n{}", number=2)[0], 400)
        self.assertEqual(ada.post(b"\xff", number=2)[0], 400)
        self.assertEqual(ada.post("{}", number=2, Kyuu_Close="7")[0], 400)
        self.assertEqual(ada.post("{}", number=2, Expect="100-continue")[0], 417)
        ada.http.close()
        status, headers, _ = get(port, "/v1/messages")
        self.assertEqual((status, headers["allow"]), (405, "post, options"))
        status, headers, _ = http_post(port, "/v1/events")
        self.assertEqual((status, headers["allow"]), (405, "get, options"))
        self.assertEqual(get(port, "/v1/events")[0], 406)
        # The longest message fits.
        long = json.dumps({"type": "ping", "id": 5, "x": ""})
        ada.posts = 1
        self.assertEqual(ada.post(long.replace('""', '"' + "y" * (65536 - len(long)) + '"'))[0], 204)
        self.assertEqual(ada.receive()["id"], 5)
        self.assertEqual(ada.post("nonsense")[0], 204)
        self.assertEqual(ada.receive()["code"], "bad_message")

    def test_whose_pages_may(self):
        server = self.start("--origin=https://friend.example")
        port = server.http_port
        for extra, status in (("Origin: https://evil.example\n", 403),
                              ("Origin: null\n", 403),
                              (f"Origin: http://127.0.0.1:{port}\nOrigin: https://friend.example\n", 400),
                              ("Sec-Fetch-Site: cross-site\n", 403)):
            self.assertEqual(get(port, "/v1/events", SSE + extra)[0], status, extra)
            self.assertEqual(http_post(port, "/v1/messages", extra)[0], status, extra)
        self.assertEqual(http(port, f"GET /v1/events HTTP/1.1\nHost: evil.example\n"
                              f"Connection: close\n{SSE}\n")[0], 421)
        self.assertEqual(self.counter(server, "signaling_connections"), 0)
        for origin in (f"http://127.0.0.1:{port}", "https://friend.example"):
            ada = self.events(server, extra=f"{SSE}Origin: {origin}\n")
            self.assertEqual(ada.headers["access-control-allow-origin"], origin)
            self.assertEqual(ada.post('{"type":"hello","version":1}', Origin=origin)[0], 204)
            self.assertEqual(ada.answered["access-control-allow-origin"], origin)
            self.assertEqual(ada.receive()["type"], "welcome")
        status, headers, _ = http(port, f"OPTIONS /v1/messages HTTP/1.1\nHost: 127.0.0.1:{port}\n"
                                  "Origin: https://friend.example\nConnection: close\n\n")
        self.assertEqual(status, 204)
        self.assertEqual(headers["access-control-allow-origin"], "https://friend.example")
        self.assertIn("kyuu-stream", headers["access-control-allow-headers"])

    def test_shares_tokens_and_time_are_those_of_websockets(self):
        server = self.start("--connections-per-address=2", "--proxy=127.0.0.1")
        extra = f"{SSE}X-Forwarded-For: 192.0.2.1\n"
        ada, _ = self.events(server, extra=extra), self.events(server, extra=extra)
        self.assertEqual(get(server.http_port, "/v1/events", extra)[0], 503)
        bob = self.events(server, extra=extra.replace("2.1", "2.2"))
        bob.hello()
        ada.close()
        # Its share is free again as soon as it has gone, with what it may have posted.
        deadline = time.monotonic() + WAIT
        while get(server.http_port, "/v1/whoami")[0] == 200:
            try:
                self.events(server, extra=extra).hello()
                break
            except AssertionError:
                self.assertLess(time.monotonic(), deadline)

    def test_too_many_messages_end_it(self):
        server = self.start()
        ada = self.events(server)
        ada.hello(resume={})
        for _ in range(7):
            if ada.post("{}\n" * 200)[0] != 204:
                break
        while (event := ada.event())[0] == "message":
            pass
        self.assertEqual((event[0], json.loads(event[1])["code"]), ("close", 1008))
        self.assertTrue(ada.is_over())

    def test_who_does_not_read_is_cut(self):
        server = self.start()
        ada = self.events(server, buffer=4096)
        ada.hello()
        ada.send({"type": "join", "name": "ada"})
        ada.receive()
        bob = self.websocket(server)
        bob.send(type="hello", version=1)
        bob.receive()
        bob.send(type="join", name="bob")
        bob.receive()
        ada.send({"type": "call", "to": "bob"})
        call = bob.receive()["call"]
        bob.send(type="accept", call=call)
        # More than the queue of her stream and the kernel's buffers hold.
        for _ in range(180):
            bob.send(type="signal", call=call, kind="offer", sdp="v" * 60_000)
        ended = next(m for m in iter(bob.receive, None) if m["type"] == "hangup")
        self.assertEqual(ended["reason"], "peer_lost")
        self.assertEqual(ada.post("{}")[0], 404)
        self.assertLess(self.counter(server, "http_held_bytes"), 2 << 20)
        self.assertEqual(server.stop(), 0)
        self.assertIn("the client does not read what it is sent", server.errors)

    def test_inside_of_tls_and_below_a_path(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = (os.path.join(folder, name) for name in ("c.pem", "k.pem"))
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate,
                            "-keyout", key], check=True, capture_output=True)
            server = self.start(f"--tls-certificate={certificate}", f"--tls-key={key}",
                                "--public-url=https://127.0.0.1/talk")
            context = ssl.create_default_context(cafile=certificate)
            for path in ("/v1/", "/talk/v1/"):
                ada = self.events(server, path=path, tls=context)
                ada.hello()
                ada.send({"type": "ping", "id": 1})
                self.assertEqual(ada.receive(), {"type": "pong", "id": 1})
            self.assertEqual(get(server.http_port, "/v1/events", SSE)[0], 400)

    def test_a_server_that_drains_takes_no_more_and_says_when_it_goes(self):
        server = self.start("--user=a:1", "--drain-timeout=10m")
        ada = self.events(server)
        ada.hello()
        # Something is relayed: the drain waits for it.
        self.assertEqual(Turn(server.turn_port, "a", "1").allocate(), 0)
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + WAIT
        while get(server.http_port, "/healthz")[0] != 503:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(get(server.http_port, "/v1/events", SSE)[0], 503)
        ada.send({"type": "ping", "id": 1})
        self.assertEqual(ada.receive(), {"type": "pong", "id": 1})
        self.assertEqual(server.stop(), 0)
        self.assertEqual(ada.receive()["type"], "drain")
        kind, data = ada.event()
        self.assertEqual((kind, json.loads(data)["code"]), ("close", 1001))
        self.assertTrue(ada.is_over())


def http_post(port, path, extra=""):
    return http(port, f"POST {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nConnection: close\n"
                f"Content-Length: 0\n{extra}\n")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""How kyuud goes away: its clients are told when to come back, each at another time."""

import json
import selectors
import signal
import socket
import time
import unittest

from testing.kyuud import KyuudTestCase, Turn, WAIT, WebSocket, get

CLIENTS = 200


def welcomed(server):
    client = WebSocket(server.http_port)
    client.send(type="hello", version=1, resume={})
    if client.receive()["type"] != "welcome":
        raise AssertionError
    return client


class KyuudDrainTest(KyuudTestCase):
    def told(self, clients):
        """What each is told, in ms, before its WebSocket is closed with 1001."""
        times = []
        for client in clients:
            message = client.receive()
            self.assertEqual(message["type"], "drain")
            times.append(message["retry_after_ms"])
            opcode, data = client.frame()
            self.assertEqual((opcode, int.from_bytes(data[:2], "big")), (8, 1001))
        return times

    def test_200_clients_are_told_to_come_back_one_after_the_other(self):
        server = self.start()
        clients = [welcomed(server) for _ in range(CLIENTS)]
        # Who has not said hello has nothing to come back to.
        silent = WebSocket(server.http_port)
        server.process.send_signal(signal.SIGTERM)
        times = self.told(clients)
        self.assertEqual(silent.frame()[0], 8)
        # Two seconds from the first one on, a part of them for each client, the silent
        # one, too.
        self.assertNotEqual(times, sorted(times), "in the order that they came in")
        for i, ms in enumerate(sorted(times)):
            self.assertGreaterEqual(ms + 1, 1000 + 2000 * i / (CLIENTS + 1))  # Whole ones are told.
            self.assertLessEqual(ms, 1000 + 2000 * (i + 2) / (CLIENTS + 1))
        _, server.errors = server.process.communicate(timeout=WAIT)
        self.assertEqual(server.process.returncode, 0)

    def test_a_drain_says_when_to_try_again(self):
        server = self.start("--user=a:1", "--drain-timeout=10m")
        client = welcomed(server)
        relayed = Turn(server.turn_port, "a", "1")
        self.assertEqual(relayed.allocate(), 0)
        self.assertNotIn("retry-after", get(server.http_port, "/healthz")[1])
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + WAIT
        while get(server.http_port, "/healthz")[0] != 503:
            self.assertLess(time.monotonic(), deadline)
        told = set()
        for path, extra in (("/healthz", ""), ("/readyz", ""), ("/v1/ws", ""),
                            ("/v1/events", "Accept: text/event-stream\n")) * 5:
            status, headers, _ = get(server.http_port, path, extra)
            self.assertEqual(status, 503, path)
            self.assertIn(int(headers["retry-after"]), range(1, 62))
            told.add(headers["retry-after"])
        self.assertGreater(len(told), 1)
        # Alone it has nobody to send its clients to: they stay until it ends.
        client.send(type="ping", id=1)
        self.assertEqual(client.receive(), {"type": "pong", "id": 1})
        self.assertEqual(relayed.release(), 0)
        self.assertEqual(len(self.told([client])), 1)
        _, server.errors = server.process.communicate(timeout=WAIT)
        self.assertEqual(server.process.returncode, 0)

    def test_clients_of_other_protocols_are_closed_one_after_the_other(self):
        # They come back at once, as nothing in their protocols could tell them when.
        server = self.start("--drain-timeout=10m")
        clients = [WebSocket(server.http_port, "/y-webrtc", "") for _ in range(CLIENTS)]
        for i in range(CLIENTS):
            clients.append(WebSocket(server.http_port, f"/peerjs?key=peerjs&id={i}&token=t", ""))
            self.assertEqual(clients[-1].receive(), {"type": "OPEN"})
        server.process.send_signal(signal.SIGTERM)
        poll = selectors.DefaultSelector()
        for i, client in enumerate(clients):
            poll.register(client.socket, selectors.EVENT_READ, i)
        order, served = [], 0

        def closed(i, frame):
            self.assertEqual((frame[0], int.from_bytes(frame[1][:2], "big")), (8, 1001))
            poll.unregister(clients[i].socket)
            order.append(i)
        while len(order) < len(clients):
            for key, _ in poll.select():
                closed(key.data, clients[key.data].frame())
            # The others are served still: 400 take two seconds.
            other = next((i for i in range(CLIENTS) if i not in order), None)
            if other is None:
                continue
            clients[other].send(type="ping")
            frame = clients[other].frame()
            if frame[0] == 1:
                self.assertEqual(frame[1], b'{"type":"pong"}')
                served += 1
                frame = clients[other].frame() if clients[other].buffer else None
            if frame:
                closed(other, frame)
        self.assertGreater(served, 0)
        self.assertNotEqual(order, sorted(order), "in the order that they came in")
        _, server.errors = server.process.communicate(timeout=WAIT)
        self.assertEqual(server.process.returncode, 0)

    def test_a_stream_of_events_has_the_field_for_it(self):
        server = self.start()
        stream = socket.create_connection(("127.0.0.1", server.http_port), WAIT)
        stream.sendall(f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.http_port}\r\n"
                       "Accept: text/event-stream\r\n\r\n".encode())
        text = b""
        while b"event: stream" not in text or not text.endswith(b"\n\n"):
            text += stream.recv(65536)
        name = text.split(b"data: ")[1].split(b"\n")[0].decode()
        body = json.dumps({"type": "hello", "version": 1})
        with socket.create_connection(("127.0.0.1", server.http_port), WAIT) as post:
            post.sendall((f"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{server.http_port}\r\n"
                          f"Kyuu-Stream: {name}\r\nKyuu-Post: 1\r\nConnection: close\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
            self.assertIn(b" 204 ", post.recv(65536))
        while b"welcome" not in text:
            text += stream.recv(65536)
        self.assertEqual(server.stop(), 0)
        while part := stream.recv(65536):
            text += part
        rest = text[text.index(b"welcome"):].decode()
        self.assertRegex(rest, r'(?s)\nretry: (\d+)\n\ndata: \{"type":"drain","retry_after_ms":\1\}\n\n'
                         "event: close\n")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""`kyuu find` against kyuud: who is in a room, by name and by metadata."""

import base64
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

KYUU = os.path.abspath(sys.argv.pop(1))

from testing.kyuud import KyuudTestCase, WAIT, WebSocket  # noqa: E402 (it takes the last argument)


class Evasive:
    """A server that lets everybody in, and answers `find` by `answer` for ever."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    @property
    def page(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/"

    def close(self):
        self.thread.join(WAIT)
        self.listener.close()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rb") as read:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += read.readline()
            key = re.search(rb"(?im)^sec-websocket-key: (\S+)", head)[1]
            accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               b"Sec-WebSocket-Protocol: kyuu.v1\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            while start := read.read(2):
                size = start[1] & 127
                if size == 126:
                    size, = struct.unpack("!H", read.read(2))
                mask = read.read(4)
                text = bytes(b ^ mask[i % 4] for i, b in enumerate(read.read(size)))
                if start[0] != 0x81:
                    return  # A goodbye.
                message = json.loads(text)
                answer = {"hello": {"type": "welcome", "version": 1, "session": "s", "server": "evasive",
                                    "ice_servers": [], "limits": {"message_bytes": 65536, "name_bytes": 64, "meta_bytes": 2048,
                                                                   "depth": 16, "members": 64}},
                          "join": {"type": "joined", "room": "lobby", "name": message.get("name"), "peers": []},
                          }.get(message["type"])
                if answer is None:
                    self.asked += 1
                    answer = self.answer(self.asked)
                answer = json.dumps({**answer, "id": message.get("id")}).encode()
                try:
                    connection.sendall(b"\x81" + (bytes([len(answer)]) if len(answer) < 126
                                                  else struct.pack("!BH", 126, len(answer))) + answer)
                except OSError:
                    return


class KyuudFindTest(KyuudTestCase):
    def setUp(self):
        self.server = self.start()
        self.page = f"http://127.0.0.1:{self.server.http_port}/"

    def join(self, name, meta, **fields):
        client = WebSocket(self.server.http_port)
        self.addCleanup(client.socket.close)
        client.send(type="hello", version=1)
        client.receive()
        client.send(type="join", name=name, meta=meta, **fields)
        self.assertEqual(client.receive()["type"], "joined")
        return client

    def find(self, *arguments, page=None):
        return subprocess.run([KYUU, "find", page or self.page, *arguments], capture_output=True,
                              text=True, timeout=WAIT, check=False)

    def test_names_and_metadata(self):
        self.join("Ada", {"kind": "web", "level": 5})
        self.join("adam", {"kind": "cli", "level": "5"})
        self.join("Bob", {"kind": "cli"})
        self.join("Eve", {"kind": "cli"}, room="red")
        for arguments, names in ((("ad",), ["Ada", "adam"]), ((), ["Ada", "Bob", "adam"]),
                                 (("--where", "kind=cli"), ["Bob", "adam"]),
                                 (("A", "--where", "kind=cli"), ["adam"]),
                                 (("--where", "level=5"), ["Ada"]),
                                 (("--where", 'level="5"', "--where", "kind=cli"), ["adam"])):
            run = self.find(*arguments, "--json")
            self.assertEqual((run.returncode, run.stderr), (0, ""), arguments)
            found = [json.loads(line) for line in run.stdout.splitlines()]
            self.assertEqual([peer["name"] for peer in found], names, arguments)
        run = self.find("bob")
        self.assertEqual(run.stdout, 'Bob  {"kind": "cli"}\n')
        # Only the room that one is in; its name stands in the page's address, or is said.
        for run in (self.find(page=f"{self.page}?room=red"), self.find("--room", "red")):
            self.assertEqual(run.stdout, 'Eve  {"kind": "cli"}\n')

    def test_a_room_of_many_is_looked_at_to_its_end(self):
        for i in range(60):
            self.join(f"n{i:02}", {"x": "y" * 1500, "last": i == 59})
        run = self.find("N", "--json")
        self.assertEqual([json.loads(line)["name"] for line in run.stdout.splitlines()],
                         [f"n{i:02}" for i in range(60)])
        self.assertEqual(len(self.find("--where", "last=true").stdout.splitlines()), 1)

    def test_what_goes_wrong_is_said(self):
        run = self.find()
        self.assertEqual((run.returncode, run.stderr), (1, "kyuu: nobody of that kind is there\n"))
        self.join("Ada", {})
        run = self.find("--name", "ada")
        self.assertEqual(run.returncode, 1)
        self.assertIn("name", run.stderr)
        self.assertIn("MEMBER=VALUE", self.find("--where", "kind").stderr)
        self.assertEqual(self.find(page="http://127.0.0.1:1/").returncode, 1)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("hat\n")
            file.flush()
            self.join("Eve", {}, room="red", secret="hat")
            self.assertEqual(self.find("--room", "red").returncode, 1)
            run = self.find("--room", "red", "--room-secret-file", file.name)
            self.assertEqual((run.returncode, run.stdout), (0, "Eve  {}\n"))

    def test_a_server_that_answers_for_ever_is_left(self):
        later = lambda _: {"type": "error", "code": "rate_limited", "message": "later", "retry_after_ms": 50}
        much_later = lambda _: {"type": "error", "code": "rate_limited", "message": "later", "retry_after_ms": 86400000}
        empty = lambda n: {"type": "found", "room": "lobby", "peers": [], "after": f"n{n:09}"}
        for answer, least in ((later, 2), (much_later, 1), (empty, 2)):
            server = Evasive(answer)
            self.addCleanup(server.close)
            run = self.find("--timeout", "1", page=server.page)
            self.assertEqual((run.returncode, run.stdout), (1, ""))
            self.assertEqual(run.stderr, "kyuu: the server has not said who is there within 1 s (--timeout)\n")
            self.assertGreaterEqual(server.asked, least)
        for value in ("0", "3601", "soon"):
            self.assertEqual(self.find("--timeout", value).returncode, 2)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""`kyuu find` against kyuud: who is in a room, by name and by metadata."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

KYUU = os.path.abspath(sys.argv.pop(1))

from testing.kyuud import KyuudTestCase, WAIT, WebSocket  # noqa: E402 (it takes the last argument)


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


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""What kyuud keeps its clients to: the bandwidth of each and of all, and their realm."""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from testing.kyuud import KyuudTestCase, TcpTurn, Turn, WAIT, get


def until(condition):
    """Asks again and again, and gives up after a while."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


class KyuudLimitsTest(KyuudTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "kyuud.toml")

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def peer(self):
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(peer.close)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        peer.bind(("127.0.0.1", 0))
        peer.setblocking(False)
        return peer

    def counter(self, server, name):
        text = get(server.http_port, "/metrics")[2].decode()
        return int(re.search(rf"^kyuu_{name}_total ([0-9]+)$", text, re.MULTILINE)[1])

    def flood(self, server, clients, peer, count):
        """Sends `count` datagrams of 1000 bytes; returns those that passed, and the seconds."""
        names = ["turn_to_peers", "turn_over_allocation_bandwidth", "turn_over_user_bandwidth",
                 "turn_over_realm_bandwidth", "turn_over_total_bandwidth"]
        before = sum(self.counter(server, name) for name in names)
        begin, got = time.monotonic(), 0

        def take():
            taken = 0
            try:
                while True:
                    peer.recv(2000)
                    taken += 1
            except BlockingIOError:
                return taken
        for _ in range(count // len(clients)):
            for client in clients:
                client.send(struct.pack("!HH", 0x4001, 1000) + bytes(1000))
            got += take()
        until(lambda: sum(self.counter(server, name) for name in names) == before + count)
        return got + take(), time.monotonic() - begin

    def test_a_flood_is_cut_to_its_bandwidth_and_counted(self):
        for threads in (1, 2):
            self.write("[auth]\nusers = ['a:1']\n")
            server = self.start(f"--config={self.path}", f"--threads={threads}",
                                "--log-format=json")
            peer = self.peer()
            clients = [Turn(server.turn_port, "a", "1"), TcpTurn(server.http_port, "a", "1")]
            for client in clients:
                self.assertEqual((client.allocate(), client.bind(peer.getsockname())), (0, 0))
            self.assertEqual(self.flood(server, clients[:1], peer, 100)[0], 100)
            over = {"allocation": 0, "user": 0, "total": 0}
            for bound, key, budgets in (("allocation", "bytes-per-second", 2),
                                        ("user", "bytes-per-second-per-user", 1),
                                        ("total", "bytes-per-second-in-all", 1)):
                self.write("[auth]\nusers = ['a:1']\n"
                           f"[limits]\n{key} = 20_000\nbytes-burst = '500ms'\n")
                server.process.send_signal(signal.SIGHUP)
                # It is taken over once there is one of the limits, and only of them.
                until(lambda: self.flood(server, clients, peer, 100)[0] < 100)
                over = {name: self.counter(server, f"turn_over_{name}_bandwidth") for name in over}
                passed, seconds = self.flood(server, clients, peer, 200)
                self.assertLessEqual(passed, budgets * (11 + 20 * seconds) + 2 * threads, bound)
                for name, count in over.items():
                    now = self.counter(server, f"turn_over_{name}_bandwidth")
                    self.assertEqual(now - count, 200 - passed if name == bound else 0, bound)
                    over[name] = now
            for client in clients:
                self.assertEqual(client.release(), 0)
            self.assertEqual(server.stop(), 0)
            lines = [json.loads(line) for line in server.errors.splitlines()]
            ended = [line for line in lines if line.get("event") == "allocation_ended"]
            self.assertEqual(len(ended), 2)
            self.assertEqual(sum(line["over_bandwidth_to_peers"] for line in ended),
                             sum(over.values()))
            self.assertEqual(sum(line["over_bandwidth_to_client"] for line in ended), 0)

    def test_the_bandwidth_of_a_realm_is_of_all_its_allocations(self):
        def write(rate):
            self.write("[turn]\nrealm = 'main'\n[auth]\nusers = ['a:1']\n[limits]\n"
                       "bytes-burst = '500ms'\n[[realm]]\nname = 'a.test'\n"
                       f"listeners = ['127.0.0.1:{server.http_port}']\nusers = ['a:2', 'b:2']\n"
                       f"bytes-per-second-in-all = {rate}\n")
            server.process.send_signal(signal.SIGHUP)
        for threads in (1, 2):
            self.write("[auth]\nusers = ['a:1']\n")
            server = self.start(f"--config={self.path}", f"--threads={threads}")
            write(0)
            peer = self.peer()
            main = Turn(server.turn_port, "a", "1")

            def join(user):
                client = TcpTurn(server.http_port, user, "2")
                return client.allocate() == 0 and client.bind(peer.getsockname()) == 0 and client
            # The listener's realm is there once the file has been read.
            until(lambda: join("a"))
            clients = [join("a"), join("b")]
            self.assertEqual((main.allocate(), main.bind(peer.getsockname())), (0, 0))
            self.assertEqual(self.flood(server, clients, peer, 100)[0], 100)
            name = "turn_over_realm_bandwidth"
            self.assertEqual(self.counter(server, name), 0)
            write(20_000)
            # It is taken over once there is one.
            until(lambda: self.flood(server, clients, peer, 100)[0] < 100)
            before = self.counter(server, name)
            passed, seconds = self.flood(server, clients, peer, 200)
            self.assertLessEqual(passed, 11 + 20 * seconds + 2 * threads)
            self.assertEqual(self.counter(server, name) - before, 200 - passed)
            self.assertEqual(self.flood(server, [main], peer, 100)[0], 100, "the main realm's")
            write(0)
            until(lambda: self.flood(server, clients, peer, 100)[0] == 100)
            self.assertEqual([client.release() for client in clients], [0, 0])
            self.assertEqual(server.stop(), 0)

    REALMS = ("[turn]\nrealm = 'main'\n[auth]\nusers = ['a:1']\n"
              "[[realm]]\nname = 'a.test'\norigins = ['https://a.test']\nusers = ['a:2']\n"
              "allocations = 8\n")

    def test_each_origin_has_its_realm(self):
        self.write(self.REALMS)
        server = self.start(f"--config={self.path}", "--log-format=json", "--threads=2")
        origin = Turn.attribute(0x802F, b"https://a.test")

        def allocate(password, challenge, signed):
            client = Turn(server.turn_port, "a", password)
            udp = client.attribute(0x0019, b"\x11\0\0\0")
            answer = client.ask(0x0003, udp, *challenge)
            client.realm, client.nonce = answer[1][0x0014].decode(), answer[1][0x0015]
            return client.realm, client.error(client.ask(0x0003, udp, *signed)), client
        self.assertEqual(allocate("1", [], [])[:2], ("main", 0))
        realm, code, client = allocate("2", [origin], [origin])
        self.assertEqual((realm, code), ("a.test", 0))
        self.assertEqual(allocate("2", [origin], [])[:2], ("a.test", 0))
        self.assertEqual(allocate("1", [origin], [origin])[:2], ("a.test", 401))
        self.assertEqual(allocate("2", [], [])[:2], ("main", 401))
        self.assertEqual(allocate("2", [], [origin])[:2], ("main", 438))
        self.write(self.REALMS.replace("a:2", "a:3"))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: {allocate("3", [origin], [])[1] for _ in range(4)} <= {0, 508})
        self.assertEqual(client.release(), 0)
        self.assertEqual(server.stop(), 0)
        lines = [json.loads(line) for line in server.errors.splitlines()]
        self.assertEqual([line["realm"] for line in lines if line.get("event") ==
                          "allocation_made"][:3], ["main", "a.test", "a.test"])

    @unittest.skipUnless(shutil.which("turnutils_uclient"), "coturn is not installed")
    def test_coturns_client_of_an_origin(self):
        self.write(self.REALMS)
        server = self.start(f"--config={self.path}")
        peer = subprocess.Popen(["turnutils_peer", "-L", "127.0.0.1", "-p", "3999"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(peer.wait)
        self.addCleanup(peer.kill)

        def lost(password, *flags):
            run = subprocess.run(["turnutils_uclient", "-u", "a", "-w", password, "-n", "5", "-m", "1",
                                  "-c", "-e", "127.0.0.1", "-r", "3999", *flags, "-p",
                                  str(server.turn_port), "127.0.0.1"],
                                 capture_output=True, text=True, timeout=60)
            found = re.search(r"Total lost packets ([0-9]+)", run.stdout)
            return int(found[1]) if run.returncode == 0 and found else run.stdout
        self.assertEqual(lost("1"), 0)
        self.assertEqual(lost("2", "-o", "https://a.test"), 0)
        self.assertNotEqual(lost("1", "-o", "https://a.test"), 0)

    @unittest.skipUnless(shutil.which("turnutils_uclient"), "coturn is not installed")
    def test_coturns_client_with_tokens(self):
        keys = ["north:A256GCM:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK",
                "union:A128GCM:MTIzNDU2Nzg5MDEyMzQ1Ngo=",
                "oldempire:A256GCM:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIK"]
        # It chooses one of its keys at random: with all of them it always works.
        self.write(f"[auth]\ntoken-keys = {json.dumps(keys)}\ntoken-server = 'blackdow.carleon.gov'\n")
        server = self.start(f"--config={self.path}")
        peer = subprocess.Popen(["turnutils_peer", "-L", "127.0.0.1", "-p", "3998"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(peer.wait)
        self.addCleanup(peer.kill)
        for flags in ([], ["-s"], ["-t"], ["-J", "-G"]):
            port = server.http_port if "-t" in flags else server.turn_port
            run = subprocess.run(["turnutils_uclient", "-J", "-n", "5", "-m", "2", "-c", "-e",
                                  "127.0.0.1", "-r", "3998", *flags, "-p", str(port), "127.0.0.1"],
                                 capture_output=True, text=True, timeout=60)
            self.assertRegex(run.stdout, r"Total lost packets 0 ", flags)


if __name__ == "__main__":
    unittest.main(warnings="ignore")

#!/usr/bin/env python3
"""What an operator says to a running kyuud: by `kyuud admin`, and by lines as a
script sends them.
"""

import json
import os
import signal
import socket
import stat
import subprocess
import tempfile
import unittest
import unittest.mock

from testing.kyuud import KYUUD, KyuudTestCase, TcpTurn, Turn, WAIT, get


class KyuudAdminTest(KyuudTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="kyuu", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "admin.sock")
        self.file = os.path.join(folder.name, "kyuud.toml")
        self.write("")

    def write(self, text):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(f"[admin]\nsocket = '{self.path}'\n" + text)

    def admin(self, *arguments):
        return subprocess.run([KYUUD, "admin", "--config", self.file, *arguments],
                              capture_output=True, text=True, timeout=WAIT, env={}, check=False)

    def ask(self, line):
        """The objects of an answer, as a script gets them."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(WAIT)
            s.connect(self.path)
            s.sendall(line.encode() + b"\n")
            answer = []
            for text in s.makefile():
                answer.append(json.loads(text))
                if "ok" in answer[-1]:
                    return answer
        raise EOFError(answer)

    def serve(self, *flags):
        return self.start(f"--config={self.file}", "--user=a:1", "--user=b:2", *flags)

    def test_sessions_are_listed_and_ended(self):
        for threads in (1, 3):
            server = self.serve(f"--threads={threads}")
            self.assertEqual(self.ask("sessions"), [{"ok": True, "sessions": 0}])
            clients = [Turn(server.turn_port, "a", "1") for _ in range(6)]
            clients.append(TcpTurn(server.http_port, "b", "2"))
            for client in clients:
                self.assertEqual(client.allocate(), 0)
            self.assertEqual(clients[0].bind(("127.0.0.1", 9)), 0)
            clients[0].send(b"\x40\1\0\4four")
            clients[0].ask(0x0001)  # What came before it has been heard.
            *sessions, end = self.ask("sessions")
            self.assertEqual(end, {"ok": True, "sessions": 7})
            by_relay = {session["relay"][0]: session for session in sessions}
            self.assertEqual(set(by_relay), {"%s:%d" % c.relayed for c in clients})
            first = by_relay["%s:%d" % clients[0].relayed]
            self.assertEqual(
                {name: first[name] for name in ("user", "realm", "transport", "client", "server",
                                                "bytes_to_peers", "bytes_to_client",
                                                "datagrams_to_peers", "datagrams_to_client",
                                                "permissions", "channels")},
                {"user": "a", "realm": "kyuu", "transport": "udp",
                 "client": "127.0.0.1:%d" % clients[0].socket.getsockname()[1],
                 "server": f"127.0.0.1:{server.turn_port}", "bytes_to_peers": 4,
                 "bytes_to_client": 0, "datagrams_to_peers": 1, "datagrams_to_client": 0,
                 "permissions": 1, "channels": 1})
            self.assertLess(first["age"], WAIT)
            self.assertTrue(590 < first["lifetime"] <= 600, first)
            self.assertEqual([s["transport"] for s in self.ask("sessions b")[:-1]], ["tcp"])
            # One, by its name; a second time it is gone.
            self.assertEqual(len(self.ask(f"end {first['session']}")), 2)
            self.assertEqual(clients[0].error(clients[0].ask(0x0004)), 437)
            self.assertEqual(self.ask(f"end {first['session']}"),
                             [{"ok": False, "error": "there is no such session"}])
            # All of a user, and nobody else's.
            run = self.admin("end", "--user", "a")
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            self.assertTrue(run.stdout.endswith("sessions: 5\n"), run.stdout)
            self.assertEqual([s["user"] for s in self.ask("sessions")[:-1]], ["b"])
            self.assertEqual(clients[-1].error(clients[-1].ask(0x0004)), 0)
            self.assertEqual(server.stop(), 0)
            self.assertIn(f"by hand: end {first['session']}", server.errors)
            self.assertFalse(os.path.exists(self.path))

    def test_lists_are_for_people_and_for_programs(self):
        server = self.serve("--user=\x01\\:3")
        for client in (Turn(server.turn_port, "a", "1"), Turn(server.turn_port, "\x01\\", "3")):
            self.assertEqual(client.allocate(), 0)
        run = self.admin("sessions")
        self.assertEqual(run.returncode, 0, run)
        head, *rows = run.stdout.splitlines()
        self.assertEqual(head.split()[:4], ["SESSION", "USER", "BY", "CLIENT"])
        self.assertEqual({row.split()[1] for row in rows}, {"a", "\\x01\\\\"})
        run = self.admin("--json", "sessions", "--user", "\\x01\\\\")
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual([line.get("user") for line in lines], ["\\x01\\\\", None])
        run = self.admin("status")
        self.assertIn("allocations: 2\n", run.stdout)
        self.assertIn(f"turn_listen: 127.0.0.1:{server.turn_port}\n", run.stdout)
        self.assertEqual(run.returncode, 0)

    def test_wrong_words_are_told(self):
        for words, problem in ((("sesions",), 'there is no command "sesions"'),
                               (("end",), "is no session"), (("end", "12"), "is no session"),
                               ((), "needs a command"), (("status", "--user"), "lacks its value")):
            run = self.admin(*words)
            self.assertEqual(run.returncode, 2, run)
            self.assertIn(problem, run.stderr)
        run = self.admin("status")  # Nobody is there.
        self.assertEqual((run.returncode, run.stdout), (1, ""))
        self.assertIn(self.path, run.stderr)
        self.serve()
        self.assertEqual(self.ask("nonsense\nstatus")[0],
                         {"ok": False, "error": 'there is no command "nonsense"'})
        run = self.admin("end", 16 * "0")
        self.assertEqual((run.returncode, run.stderr),
                         (1, "kyuud admin: there is no such session\n"))

    def test_a_reload_tells_who_asked_what_the_log_tells(self):
        server = self.serve()
        self.write("[turn]\nrealm = 'new'\n[limits]\nallocations-per-user = 7\n")
        self.assertEqual(self.ask("reload"), [{"ok": True, "changed": ["limits.allocations-per-user"],
                                               "need_restart": ["turn.realm"]}])
        self.write("[limits]\nallocation = 7\n")
        run = self.admin("reload")
        self.assertEqual(run.returncode, 1)
        problem = run.stderr.partition("kyuud admin: ")[2].strip()
        self.assertRegex(problem, r'kyuud\.toml:4:1: there is no .*"allocation.* in \[limits\]')
        server.process.send_signal(signal.SIGHUP)
        self.assertEqual(get(server.http_port, "/healthz")[0], 200)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(server.errors.count(f"not reloaded, all is as it was: {problem}\n"), 2)

    def test_a_drain_by_hand_waits_for_the_last_allocation(self):
        server = self.serve()
        client = Turn(server.turn_port, "a", "1")
        self.assertEqual(client.allocate(), 0)
        self.assertEqual(self.ask("drain"), [{"ok": True}])
        self.assertEqual(self.ask("drain")[0]["ok"], False)
        self.assertEqual(self.ask("status")[0]["draining"], True)
        self.assertEqual(get(server.http_port, "/healthz")[0], 503)
        self.assertEqual(Turn(server.turn_port, "a", "1").allocate(), 508)
        self.assertEqual(client.release(), 0)
        _, server.errors = server.process.communicate(timeout=WAIT)
        self.assertEqual(server.process.returncode, 0)

    def test_the_socket_is_for_its_owner(self):
        old = os.umask(0)
        try:
            server = self.serve()
        finally:
            os.umask(old)
        mode = os.stat(self.path).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        # A second server does not take it away.
        second = subprocess.run(
            [KYUUD, f"--config={self.file}", "--http-listen=127.0.0.1:0",
             "--turn-listen=127.0.0.1:0"], capture_output=True, text=True, timeout=WAIT, env={},
            check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn("another program listens at", second.stderr)
        self.assertTrue(self.ask("status")[0]["ok"])
        # What a killed one leaves is replaced.
        server.process.kill()
        server.process.communicate(timeout=WAIT)
        self.assertTrue(os.path.exists(self.path))
        self.serve()
        self.assertTrue(self.ask("status")[0]["ok"])

    def end(self, server):
        if server.process.returncode != -signal.SIGKILL:
            super().end(server)

    def test_operators_who_do_not_read_cost_little(self):
        # Under the address sanitizer what is freed stays for a while, but not here.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
        with unittest.mock.patch.dict(os.environ, ASAN_OPTIONS=asan):
            server = self.serve("--allocations-per-user=400", "--threads=2")
        clients = [Turn(server.turn_port, "a", "1") for _ in range(300)]
        for client in clients:
            self.assertEqual(client.allocate(), 0)
        guests = []
        for _ in range(16):
            guests.append(socket.socket(socket.AF_UNIX))
            guests[-1].settimeout(WAIT)
            guests[-1].connect(self.path)
        for guest in guests[1:]:
            guest.sendall(100 * b"sessions\n")
        # One more is not served, and those that are go on.
        with socket.socket(socket.AF_UNIX) as surplus:
            surplus.settimeout(WAIT)
            surplus.connect(self.path)
            with self.assertRaises((ConnectionError, EOFError)):
                if not surplus.recv(10):
                    raise EOFError
        guests[0].sendall(b"status\n")
        self.assertEqual(json.loads(guests[0].recv(10000))["allocations"], 300)
        # Whoever reads at last gets all that he has asked for.
        count = 0
        for line in guests[1].makefile():
            count += "ok" in json.loads(line)
            if count == 100:
                break
        for guest in guests:
            guest.close()
        self.assertEqual(clients[0].error(clients[0].ask(0x0004)), 0)
        with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        self.assertLess(peak, 150_000)  # kB; what was asked for is 450 MB.


if __name__ == "__main__":
    unittest.main(warnings="ignore")

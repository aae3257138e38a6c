#!/usr/bin/env python3
"""What a kyuud shows of itself and whom it lets in, on the real process by
sockets, with one event loop and with two: its log, its doors, its files, TLS,
quotas, and the end of a credential. The rows before S21 are in
kyuud_security_test.py and kyuud_abuse_test.py.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import signal
import socket
import struct
import subprocess
import time
import unittest

from testing import wire
from testing.kyuud import KYUUD, KyuudTestCase, WAIT, get, http
from testing.rows import Rows, until

# A name that means something to printf, a shell, SQL, a terminal and a log.
HOSTILE = "a%s%n'\";--\n2026-01-01T00.000Z info turn \x1b[31mforged\x7f"


class Doors(Rows):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tight = cls.launch(
            "--user=a:1", "--user=b:2", "--turn-listen=[::1]:0", "--allocations-per-user=2",
            "--max-permissions=3", "--max-channels=2", "--relay-ports=51064-51127",
            "--log-level=warning")
        cls.tls = cls.launch(*cls.certificate(), "--user=a:1", "--max-connections=80",
                             "--connections-per-address=20")
        # A TLS handshake that never goes on, for S24.
        cls.slow = cls.stack.enter_context(socket.create_connection(
            ("127.0.0.1", cls.tls.http_port), WAIT, source_address=("127.0.24.9", 0)))
        cls.slow.sendall(b"\x16\x03\x01\x02\x00\x01")

    # --- The operator ---

    def test_s21_a_name_is_a_line_in_no_log(self):
        for style in ("text", "json"):
            path = self.write(f"[auth]\nusers = [{json.dumps(HOSTILE + ':1')}]\n"
                              f"[log]\nformat = '{style}'\nlevel = 'debug'\n")
            server = self.own(f"--config={path}")
            self.assertEqual(self.probe(server, HOSTILE, "wrong").make(), 401)
            self.assertEqual(self.probe(server, HOSTILE + "%n", "1").make(), 401)
            client = self.allocated(server, user=HOSTILE)
            self.assertEqual(client.refresh(0), 0)
            self.assertEqual(server.stop(), 0)
            self.assertIn("forged", server.errors)
            for line in server.errors.splitlines():
                self.assertTrue(line.isprintable(), line)
                if style == "json":
                    said = json.loads(line)
                    self.assertTrue(str(said["message"]).isprintable())
                else:
                    # Begins with the time; the forged one does not begin a line.
                    self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info|warning|error) ")
                    self.assertNotRegex(line, r"^2026-01-01T00\.")

    def sockets(self, server):
        """What the process listens at: (protocol, port or path)."""
        inodes = set()
        folder = f"/proc/{server.process.pid}"
        for name in os.listdir(f"{folder}/fd"):
            with contextlib.suppress(OSError):
                link = os.readlink(f"{folder}/fd/{name}")
                if link.startswith("socket:["):
                    inodes.add(link[8:-1])
        found = set()
        for protocol, listening in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
            with open(f"{folder}/net/{protocol}", encoding="ascii") as file:
                for line in list(file)[1:]:
                    columns = line.split()
                    if columns[9] in inodes and columns[3] == listening:
                        found.add((protocol, int(columns[1].split(":")[1], 16)))
        with open(f"{folder}/net/unix", encoding="ascii") as file:
            for line in list(file)[1:]:
                columns = line.split()
                # __SO_ACCEPTCON
                if columns[6] in inodes and int(columns[3], 16) & 0x10000:
                    found.add(("unix", columns[7] if len(columns) > 7 else ""))
        return found

    def test_s22_there_is_no_door_for_administrators(self):
        server = self.own("--user=a:1")
        self.assertEqual(self.sockets(server),
                         {("tcp", server.http_port), ("udp", server.turn_port)})
        # Nothing on the ports that there are: nothing is posted or put.
        host = f"Host: 127.0.0.1:{server.http_port}\nConnection: close\nContent-Length: 4\n\nbody"
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            for path in ("/", "/metrics", "/healthz", "/admin", "/logon", "/v1/sessions"):
                self.assertIn(http(server.http_port, f"{method} {path} HTTP/1.1\n{host}")[0],
                              (404, 405, 411), (method, path))
        for path in ("/admin", "/sessions", "/config", "/../../etc/passwd", "/%2e%2e/etc/passwd"):
            self.assertIn(get(server.http_port, path)[0], (400, 404), path)
        # coturn's telnet commands are no HTTP.
        with socket.create_connection(("127.0.0.1", server.http_port), WAIT) as s:
            s.sendall(b"pc\r\nps\r\nstop\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                self.assertNotIn(b"realm", s.recv(1000))
        self.assertEqual(self.probe(server).code(wire.Signing.bare(wire.BINDING)), 0)

    def test_s23_what_cannot_be_read_ends_the_start(self):
        empty, secret = self.write("", "empty"), self.write("\n", "blank")
        for flag in ("--allow-peer=10.0.0.0/33", "--deny-peer=10.0.0.0-10.0.0.9", "--deny-peer=nonsense",
                     "--deny-peer=10.0.0/8", "--deny-peer=", "--allow-client=::/129", "--deny-client=1.2.3",
                     "--deny-peer=2001:db8::1:0-2001:db8::2:ff", "--deny-peer=10.0.0.1/",
                     "--rest-secret=", "--user=a:", "--user=:1", "--user=a", "--user=a:0x12",
                     f"--rest-secret-file={empty}", f"--rest-secret-file={secret}",
                     "--rest-secret-file=/nowhere", "--relay-ports=9-1", "--relay-address=0.0.0.0",
                     "--realm="):
            with self.subTest(flag=flag):
                ended = subprocess.run(
                    [KYUUD, "--http-listen=127.0.0.1:0", "--turn-listen=127.0.0.1:0", flag],
                    capture_output=True, text=True, timeout=WAIT, env={})
                self.assertIn(ended.returncode, (1, 2), ended)
                self.assertNotEqual(ended.stderr, "")
        # In a file that is read again nothing of it is taken.
        path = self.write("[auth]\nusers = ['a:1']\n[relay]\ndeny-peers = ['8.8.8.8']\n")
        server = self.own(f"--config={path}")
        client = self.allocated(server)
        self.write("[auth]\nusers = ['a:1']\n[relay]\ndeny-peers = ['8.8.8']\n")
        server.process.send_signal(signal.SIGHUP)
        self.assertEqual((client.permit(("8.8.8.8", 9)), client.permit(("8.8.8.9", 9))), (403, 0))
        self.assertEqual(server.stop(), 0)
        self.assertIn("not reloaded", server.errors)

    def test_s24_tls_is_of_today_and_strangers_in_it_are_few(self):
        port = self.tls.http_port
        openssl = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-bind", "127.0.24.2:0"]
        for version in ("-tls1", "-tls1_1"):
            old = subprocess.run([*openssl, version, "-cipher", "ALL:@SECLEVEL=0"], input="",
                                 capture_output=True, text=True, timeout=WAIT)
            self.assertNotEqual(old.returncode, 0)
            self.assertNotIn("BEGIN CERTIFICATE", old.stdout)
        # A client that wants to shake hands again is not heard.
        again = subprocess.run([*openssl, "-tls1_2"], input="R\nGET / HTTP/1.1\n", capture_output=True,
                               text=True, timeout=WAIT)
        self.assertIn("BEGIN CERTIFICATE", again.stdout)
        self.assertIn("no renegotiation", again.stderr.lower())
        # One address has so many handshakes at once, and others have theirs.
        for _ in range(40):
            s = socket.socket()
            self.addCleanup(s.close)
            s.settimeout(WAIT)
            s.bind(("127.0.24.1", 0))
            with contextlib.suppress(ConnectionError):
                s.connect(("127.0.0.1", port))
                s.sendall(b"\x16\x03\x01\x02\x00\x01")
        until(lambda: self.metric(self.tls, "kyuu_port_refused_source_total") >= 20)
        # What has begun and does not go on is cut in time (it began long ago).
        with contextlib.suppress(ConnectionError):
            self.assertEqual(self.slow.recv(1), b"")

    def test_s25_a_quota_counts_whatever_way_they_come(self):
        server = self.tight
        holders = [self.probe(server, "b", "2"), self.stream(server.http_port, "b", "2")]
        for holder in holders:
            self.made(holder)
        late = [self.probe(server, "b", "2") for _ in range(6)]
        late += [self.probe(server, "b", "2", source="127.0.25.1"), self.stream(server.http_port, "b", "2")]
        self.assertEqual([client.make() for client in late], len(late) * [486])
        # Another user has his own; who gives back may have again.
        other = self.allocated(server)
        self.assertEqual((holders[0].refresh(0), other.refresh(0)), (0, 0))
        until(lambda: late[0].make() == 0)
        self.assertEqual((late[0].refresh(0), holders[1].refresh(0)), (0, 0))

    def test_s26_a_credential_ends_when_it_says(self):
        # No allocation outlives it where the grace is none.
        path = self.write("[auth]\nusers = ['a:1', 'gone:1']\nsecrets = ['s']\nrevoked-grace = '0'\n")
        server = self.own(f"--config={path}")
        name = f"{int(time.time()) + 2}:ann"
        password = base64.b64encode(hmac.new(b"s", name.encode(), hashlib.sha1).digest()).decode()
        brief, gone = self.probe(server, name, password), self.allocated(server, user="gone")
        self.assertEqual(brief.make(), 0)
        self.assertLessEqual(struct.unpack("!I", brief.found[wire.LIFETIME])[0], 3)
        self.assertEqual(brief.refresh(3600), 0)
        self.assertLessEqual(struct.unpack("!I", brief.found[wire.LIFETIME])[0], 3)
        # A user who is taken out of the file ends with it.
        self.write("[auth]\nusers = ['a:1']\nsecrets = ['s']\nrevoked-grace = '0'\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: self.metric(server, "kyuu_turn_allocations") <= 1)
        self.assertEqual(gone.refresh(), 401)
        until(lambda: brief.refresh(3600) == 401)
        self.assertEqual(self.probe(server, name, password).make(), 401)
        until(lambda: self.metric(server, "kyuu_turn_allocations") == 0)
        # Somebody else's secret or time makes no credential.
        later = f"{int(time.time()) + 3600}:ann"
        self.assertEqual(self.probe(server, later, password).make(), 401)


class OneLoopTest(Doors, KyuudTestCase):
    threads = 1


class TwoLoopsTest(Doors, KyuudTestCase):
    threads = 2


if __name__ == "__main__":
    unittest.main(warnings="ignore")

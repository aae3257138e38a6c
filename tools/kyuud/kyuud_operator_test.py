#!/usr/bin/env python3
"""What an operator does with kyuud: its file, reloading, draining, modes, credentials
of others, and logs for programs.
"""

import base64
import concurrent.futures
import hashlib
import hmac
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from testing.kyuud import KYUUD, KyuudTestCase, TcpTurn, Turn, WAIT, WebSocket, get, minted


def run(*arguments):
    return subprocess.run([KYUUD, *arguments], capture_output=True, text=True, timeout=WAIT,
                          env={})


def until(condition):
    """Asks again and again, and gives up after a while."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


class Call:
    """An allocation with a channel to a peer, over which data goes both ways."""

    def __init__(self, client):
        self.client = client
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind(("127.0.0.1", 0))
        self.peer.settimeout(WAIT)
        self.made = (client.allocate(), client.bind(self.peer.getsockname()))

    def refresh(self):
        return self.client.error(self.client.ask(0x0004))

    def speak(self):
        self.client.send(struct.pack("!HH", 0x4001, 4) + b"ping")
        answer = self.peer.recvfrom(100) == (b"ping", self.client.relayed)
        self.peer.sendto(b"pong", self.client.relayed)
        return answer and self.client.receive() == struct.pack("!HH", 0x4001, 4) + b"pong"


class KyuudOperatorTest(KyuudTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, text, name="kyuud.toml"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def certificate(self, name):
        files = [os.path.join(self.folder, f"{name}.{end}") for end in ("crt", "key")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout",
                        files[1]], check=True, capture_output=True)
        return files

    # --- The file ---

    def test_a_file_can_be_checked(self):
        checked = run("check-config", self.write("[turn]\nrealm = 'example.org'\n"))
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        self.assertIn("kyuud.toml is sound", checked.stdout)
        for text, problem in (("[relay]\nprots = '1-2'\n", ':2:1: there is no "prots" in [relay]; '
                                                           'did you mean "ports"?'),
                              ("[turn]\nlifetime = '2h'\n", "lifetimes"),
                              ("[tls]\ncertificates = ['/no.pem']\nkeys = ['/no.pem']\n", "/no.pem")):
            path = self.write(text)
            for command in (("check-config", path), ("--config", path)):
                checked = run(*command)
                # Certificates are looked for when it starts.
                self.assertEqual(checked.returncode, 1 if problem == "/no.pem" and
                                 command[0] == "--config" else 2, checked)
                self.assertIn(problem, checked.stderr)

    def test_the_default_file_is_one_to_start_with(self):
        default = run("config", "default")
        self.assertEqual(default.returncode, 0)
        server = self.start(f"--config={self.write(default.stdout)}")
        self.assertEqual(Turn(server.turn_port).ask(0x0001)[0], 0x0101)
        self.assertIn("| `listen` | `--turn-listen` |", run("config", "doc").stdout)

    # --- Reloading ---

    def test_a_reload_loses_no_allocation(self):
        path = self.write("[auth]\nusers = ['a:1']\n")
        server = self.start(f"--config={path}", "--threads=2", "--relay-ports=50000-50999")
        calls = [Call(Turn(server.turn_port, "a", "1")) for _ in range(4)]
        calls.append(Call(TcpTurn(server.http_port, "a", "1")))
        self.assertEqual([call.made for call in calls], 5 * [(0, 0)])
        self.write("[turn]\nrealm = 'new'\n[auth]\nusers = ['b:2']\n"
                   "secrets = ['north']\n[limits]\nallocations-per-user = 1\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: Turn(server.turn_port, "b", "2").allocate() == 0)
        # On each loop, which clients of other ports may meet.
        until(lambda: {Turn(server.turn_port, "b", "2").allocate() for _ in range(8)} == {486})
        self.assertEqual({Turn(server.turn_port, "a", "1").allocate() for _ in range(8)}, {401})
        for call in calls:
            self.assertTrue(call.speak())
            self.assertEqual(call.refresh(), 0)
        # What is broken changes nothing.
        self.write("[auth]\nusers = ['c:3']\nsecret = 'x'\n")
        server.process.send_signal(signal.SIGHUP)
        self.assertEqual(get(server.http_port, "/healthz")[0], 200)
        self.assertEqual(Turn(server.turn_port, "c", "3").allocate(), 401)
        self.assertEqual(Turn(server.turn_port, "b", "2").allocate(), 486)
        self.assertTrue(all(call.speak() for call in calls))
        self.assertEqual(server.stop(), 0)
        self.assertRegex(server.errors, r"need a restart and are as they were: turn\.realm\n")
        self.assertRegex(server.errors, r"changed: auth\.users, auth\.secrets, limits\.alloc")
        self.assertRegex(server.errors, r"error .*not reloaded.*kyuud\.toml:3:1.*\"secrets\"")

    def test_a_reload_takes_peers_back_at_once(self):
        path = self.write("")
        server = self.start(f"--config={path}", "--user=a:1", "--threads=1")
        call = Call(Turn(server.turn_port, "a", "1"))
        self.assertTrue(call.speak())
        self.write("[relay]\ndeny-peers = ['127.0.0.0/8']\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: call.client.bind(call.peer.getsockname()) == 403)
        call.client.send(struct.pack("!HH", 0x4001, 4) + b"ping")
        self.assertEqual(call.refresh(), 0)
        call.peer.setblocking(False)
        with self.assertRaises(BlockingIOError):
            call.peer.recv(100)

    def test_a_reload_takes_a_new_certificate(self):
        certificate, key = self.certificate("one")
        server = self.start(f"--tls-certificate={certificate}", f"--tls-key={key}", "--user=a:1")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        first = Call(TcpTurn(server.http_port, "a", "1", tls=context))
        old = first.client.socket.getpeercert(True)

        def shown():
            with socket.create_connection(("127.0.0.1", server.http_port), WAIT) as plain:
                with context.wrap_socket(plain) as tls:
                    return tls.getpeercert(True)
        self.assertEqual(shown(), old)
        # One that cannot be used is not taken.
        os.rename(key, key + ".old")
        server.process.send_signal(signal.SIGHUP)
        self.assertEqual(shown(), old)
        for new, there in zip(self.certificate("two"), (certificate, key)):
            os.rename(new, there)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: shown() != old)
        self.assertTrue(first.speak())
        self.assertEqual(server.stop(), 0)
        self.assertRegex(server.errors, r"error .*not reloaded.*one\.key")

    # --- Draining ---

    def test_a_drain_waits_for_the_last_allocation(self):
        server = self.start("--user=a:1", "--drain-timeout=10m", "--threads=2")
        calls = [Call(Turn(server.turn_port, "a", "1")) for _ in range(3)]
        session, _, _ = minted(server)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: get(server.http_port, "/healthz")[0] == 503)
        until(lambda: {Turn(server.turn_port, "a", "1").allocate() for _ in range(8)} == {508})
        with self.assertRaisesRegex(AssertionError, " 503 "):
            WebSocket(server.http_port)
        session.send(type="ping")
        self.assertEqual(session.receive()["type"], "pong")
        for call in calls:
            self.assertEqual(call.refresh(), 0)
            self.assertTrue(call.speak())
        for call in calls:
            self.assertIsNone(server.process.poll())
            self.assertEqual(call.client.release(), 0)
        _, server.errors = server.process.communicate(timeout=WAIT)
        self.assertEqual(server.process.returncode, 0)
        self.assertIn("drained; 0 allocations are left", server.errors)

    def test_a_drain_names_another_server(self):
        server = self.start("--user=a:1", "--drain-timeout=10m", "--threads=1",
                            "--alternate-server=192.0.2.9:3478")
        call = Call(Turn(server.turn_port, "a", "1"))
        server.process.send_signal(signal.SIGTERM)
        late = Turn(server.turn_port, "a", "1")
        until(lambda: get(server.http_port, "/healthz")[0] == 503)
        self.assertEqual(late.allocate(), 300)
        answer = late.ask(0x0003, late.attribute(0x0019, b"\x11\0\0\0"))
        self.assertEqual(answer[1][0x8023], struct.pack("!BBH", 0, 1, 3478) + bytes([192, 0, 2, 9]))
        # Again, and it ends at once.
        self.assertTrue(call.speak())
        self.assertEqual(server.stop(), 0)
        self.assertRegex(server.errors, "ended: server closed")

    def test_clients_may_always_be_sent_on(self):
        path = self.write("[turn]\nalternate-servers = ['192.0.2.9:3478']\n"
                          "alternate-when = 'always'\n")
        server = self.start(f"--config={path}", "--user=a:1")
        self.assertEqual(Turn(server.turn_port, "a", "1").allocate(), 300)
        self.assertEqual(get(server.http_port, "/healthz")[0], 200)
        self.write("")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: Turn(server.turn_port, "a", "1").allocate() == 0)

    def test_a_drain_ends_in_time(self):
        server = self.start("--user=a:1", "--drain-timeout=1s")
        call = Call(Turn(server.turn_port, "a", "1"))
        self.assertTrue(call.speak())
        server.process.send_signal(signal.SIGTERM)
        _, server.errors = server.process.communicate(timeout=WAIT)
        self.assertEqual(server.process.returncode, 0)
        self.assertIn("drained; 1 allocations are left", server.errors)

    # --- All of it ---

    def test_a_day_of_an_operator_loses_no_packet(self):
        certificate, key = self.certificate("served")
        path = self.write("[auth]\nusers = ['a:1']\n[turn]\ndrain-timeout = '10m'\n"
                          f"[tls]\ncertificates = ['{certificate}']\nkeys = ['{key}']\n")
        flags = (f"--config={path}", "--threads=2", "--relay-ports=50000-50999")
        server = self.start(*flags)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        calls = [Call(client) for client in (
            Turn(server.turn_port, "a", "1"), Turn(server.turn_port, "a", "1"),
            TcpTurn(server.http_port, "a", "1"), TcpTurn(server.http_port, "a", "1", tls=context))]
        self.assertEqual([call.made for call in calls], 4 * [(0, 0)])
        over, spoken = threading.Event(), [0] * len(calls)

        def speak(index):
            # A packet that is lost is waited for in vain.
            while not over.is_set():
                self.assertTrue(calls[index].speak())
                spoken[index] += 1

        def meanwhile(count=20):
            """All have spoken since."""
            least = [n + count for n in spoken]
            until(lambda: all(n >= m for n, m in zip(spoken, least)) or
                  not all(future.running() for future in futures))
        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            futures = [pool.submit(speak, index) for index in range(len(calls))]
            try:
                meanwhile()
                with open(path, "a", encoding="utf-8") as file:
                    file.write("[log]\nformat = 'json'\n")
                text = open(path, encoding="utf-8").read()
                self.write(text.replace("'a:1'", "'a:1', 'b:2'"))
                server.process.send_signal(signal.SIGHUP)
                until(lambda: Turn(server.turn_port, "b", "2").allocate() == 0)
                meanwhile()
                for new, there in zip(self.certificate("renewed"), (certificate, key)):
                    os.rename(new, there)
                server.process.send_signal(signal.SIGHUP)
                meanwhile()
                server.process.send_signal(signal.SIGTERM)
                until(lambda: Turn(server.turn_port, "b", "2").allocate() == 508)
                meanwhile(200)
            finally:
                over.set()
            for future in futures:
                future.result(WAIT)
        self.assertIsNone(server.process.poll())
        for call in calls:
            self.assertEqual(call.client.release(), 0)
        # The one of b.
        self.assertEqual(server.stop(), 0)
        again = self.start(*flags)
        late = Call(Turn(again.turn_port, "b", "2"))
        self.assertTrue(late.speak())
        self.assertEqual(late.client.release(), 0)

    # --- Modes ---

    def test_turn_alone_has_no_page(self):
        server = self.start("--mode=turn", "--user=a:1")
        self.assertEqual(get(server.http_port, "/healthz")[0], 200)
        self.assertEqual(get(server.http_port, "/metrics")[0], 200)
        self.assertEqual(get(server.http_port, "/")[0], 404)
        with self.assertRaisesRegex(AssertionError, " 404 "):
            WebSocket(server.http_port)
        for client in (Turn(server.turn_port, "a", "1"), TcpTurn(server.http_port, "a", "1")):
            call = Call(client)
            self.assertEqual(call.made, (0, 0))
            self.assertTrue(call.speak())

    def test_stun_alone_makes_no_allocation(self):
        server = self.start("--mode=stun", "--user=a:1")
        for client in (Turn(server.turn_port), TcpTurn(server.http_port)):
            # Not answered (RFC 8489 section 6.3); what comes behind it is.
            transaction = os.urandom(12)
            client.send(struct.pack("!HHI", 3, 8, 0x2112A442) + transaction +
                        client.attribute(0x0019, b"\x11\0\0\0"))
            self.assertEqual(client.ask(0x0001)[0], 0x0101)
        text = get(server.http_port, "/metrics")[2].decode()
        self.assertRegex(text, r"(?m)^kyuu_turn_unexpected_total 2$")
        self.assertRegex(text, r"(?m)^kyuu_turn_successes_total 2$")
        self.assertRegex(text, r"(?m)^kyuu_turn_errors_total 0$")

    def test_http_alone_tells_no_servers(self):
        process = subprocess.Popen([KYUUD, "--mode=http", "--http-listen=127.0.0.1:0"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={})
        try:
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())[1])
            self.assertEqual(get(port, "/")[0], 200)
            session = WebSocket(port)
            session.send(type="hello", version=1)
            self.assertEqual(session.receive().get("ice_servers", []), [])
            with socket.create_connection(("127.0.0.1", port), WAIT) as stun:
                stun.sendall(b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12))
                try:
                    self.assertEqual(stun.recv(100), b"")
                except ConnectionError:
                    pass
        finally:
            process.terminate()
            self.assertNotIn("udp", process.communicate(timeout=WAIT)[0])
            self.assertEqual(process.returncode, 0)

    # --- Who may ---

    def rest(self, server, secret, digest=hashlib.sha1, seconds=600):
        name = f"{int(time.time()) + seconds}:ann"
        password = base64.b64encode(hmac.new(secret, name.encode(), digest).digest()).decode()
        return Turn(server.turn_port, name, password).allocate()

    def test_secrets_make_credentials(self):
        secret = self.write("from-a-file\n", "secret")
        server = self.start("--rest-secret=north", f"--rest-secret-file={secret}")
        self.assertEqual(self.rest(server, b"north"), 0)
        self.assertEqual(self.rest(server, b"from-a-file"), 0)
        self.assertEqual(self.rest(server, b"south"), 401)
        self.assertEqual(self.rest(server, b"north", seconds=-1), 401)
        self.assertEqual(self.rest(server, b"north", hashlib.sha256), 401)
        both = self.start("--rest-secret=north", "--rest-hash=either")
        self.assertEqual(self.rest(both, b"north"), 0)
        self.assertEqual(self.rest(both, b"north", hashlib.sha256), 0)

    def test_a_file_needs_no_password(self):
        key = hashlib.md5(b"ann:example.org:secret").hexdigest()
        server = self.start(f"--user=ann:0x{key}", "--realm=example.org")
        self.assertEqual(Turn(server.turn_port, "ann", "secret").allocate(), 0)
        self.assertEqual(Turn(server.turn_port, "ann", key).allocate(), 401)

    def test_clients_are_served_by_address(self):
        server = self.start("--user=a:1", "--deny-client=127.0.0.7")
        self.assertEqual(Turn(server.turn_port, "a", "1").allocate(), 0)
        denied = Turn(server.turn_port)
        denied.socket.close()
        denied.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        denied.socket.bind(("127.0.0.7", 0))
        denied.send(struct.pack("!HHI", 1, 0, 0x2112A442) + bytes(12))
        until(lambda: b"\nkyuu_turn_refused_clients_total 1\n" in
              get(server.http_port, "/metrics")[2])
        denied.socket.setblocking(False)
        with self.assertRaises(BlockingIOError):
            denied.socket.recv(100)

    def test_quotas_and_lifetimes_are_flags(self):
        server = self.start("--user=a:1", "--user=b:2", "--allocations-per-user=2",
                            "--max-allocations=3", "--lifetime=120", "--lifetime-max=5m",
                            "--channels=rfc8656", "--software=test")
        a = [Turn(server.turn_port, "a", "1") for _ in range(3)]
        self.assertEqual([client.allocate() for client in a], [0, 0, 486])
        b = [Turn(server.turn_port, "b", "2") for _ in range(2)]
        self.assertEqual([client.allocate() for client in b], [0, 508])
        for asked, given in ((0x1000, 300), (60, 120)):
            found = a[0].ask(0x0004, a[0].attribute(0x000D, struct.pack("!I", asked)))[1]
            self.assertEqual(struct.unpack("!I", found[0x000D])[0], given)
            self.assertEqual(found[0x8022].rstrip(b"\0"), b"test")
        self.assertEqual(a[0].bind(("127.0.0.1", 9), 0x5000), 400)
        self.assertEqual(a[0].bind(("127.0.0.1", 9), 0x4FFF), 0)

    # --- Logs ---

    def test_logs_for_programs(self):
        server = self.start("--user=a\"\\:1", "--log-format=json", "--allocations-per-user=1")
        call = Call(Turn(server.turn_port, "a\"\\", "1"))
        self.assertTrue(call.speak())
        self.assertEqual(Turn(server.turn_port, "a\"\\", "1").allocate(), 486)
        self.assertEqual(call.client.release(), 0)
        self.assertEqual(server.stop(), 0)
        lines = [json.loads(line) for line in server.errors.splitlines()]
        for line in lines:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("debug", "info", "warning", "error"))
            self.assertIsInstance(line["message"], str)
        made, refused, ended = ([line for line in lines if line.get("event") == event]
                                for event in ("allocation_made", "allocation_refused",
                                              "allocation_ended"))
        self.assertEqual((len(made), len(refused), len(ended)), (1, 1, 1))
        relayed = "%s:%d" % call.client.relayed
        client = "127.0.0.1:%d" % call.client.socket.getsockname()[1]
        for line in made + ended:
            self.assertEqual((line["client"], line["relay"], line["transport"], line["session"]),
                             (client, relayed, "udp", made[0]["session"]))
            self.assertRegex(line["session"], r"^[0-9a-f]{16}$")
            self.assertEqual(line["user"], 'a\\"\\\\')  # Escaped, as it came from outside.
        self.assertEqual([ended[0][name] for name in
                          ("bytes_to_peers", "bytes_to_client", "datagrams_to_peers",
                           "datagrams_to_client", "reason")], [4, 4, 1, 1, "released"])
        self.assertGreater(ended[0]["duration"], 0)
        self.assertEqual(refused[0]["reason"], "quota of the user")


if __name__ == "__main__":
    unittest.main(warnings="ignore")

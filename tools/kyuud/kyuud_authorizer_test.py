#!/usr/bin/env python3
"""kyuud with a program that it asks about users, over both ways of asking, in all
the ways in which such a program can fail.
"""

import hashlib
import http.server
import json
import os
import signal
import socketserver
import subprocess
import tempfile
import threading
import time
import unittest

from testing.kyuud import KYUUD, KyuudTestCase, TcpTurn, Turn, WAIT, get


class Authorizer:
    """Answers by what `answers` has for a user, and writes down what was asked."""

    def __init__(self):
        self.answers, self.asked = {}, []

    def answer(self, question):
        self.asked.append(question)
        answer = self.answers.get(question["user"], {"ok": False})
        return answer(question) if callable(answer) else answer

    def names(self):
        return [question["user"] for question in self.asked]


class Line(socketserver.StreamRequestHandler):
    def handle(self):
        answer = self.server.authorizer.answer(json.loads(self.rfile.readline()))
        if answer is not None:
            self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")


class Page(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.authorizer.answer(json.loads(body))
        if self.path != "/turn":
            return self.send_error(500)
        if isinstance(answer, int):
            return self.send_error(answer)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


class OfPage(Turn):
    """A client whose requests name the page that it is of."""

    def __init__(self, origin, *args):
        super().__init__(*args)
        self.origin = self.attribute(0x802F, origin.encode())

    def ask(self, kind, *attributes, **how):
        return super().ask(kind, *attributes, self.origin, **how)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass  # Whoever is late is not waited for.


class KyuudAuthorizerTest(KyuudTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="kyuu", dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_server(self, server, authorizer):
        server.authorizer = authorizer
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()

        def end():
            server.shutdown()
            server.server_close()
            thread.join(WAIT)
        self.addCleanup(end)
        return end

    def by_socket(self):
        authorizer = Authorizer()
        path = os.path.join(self.folder, f"{id(authorizer)}.sock")
        authorizer.end = self.run_server(UnixServer(path, Line), authorizer)
        return authorizer, f"--authorizer=unix:{path}"

    def by_http(self):
        authorizer = Authorizer()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        authorizer.end = self.run_server(server, authorizer)
        return authorizer, f"--authorizer=http://127.0.0.1:{server.server_address[1]}/turn"

    def test_users_are_asked_about_once(self):
        for way in (self.by_socket, self.by_http):
            for threads in (1, 3):
                authorizer, flag = way()
                server = self.start("--user=a:1", flag, f"--threads={threads}", "--realm=here")
                authorizer.answers["ann"] = {"ok": True, "password": "secret"}
                key = hashlib.md5(b"bob:here:secret").hexdigest()
                authorizer.answers["bob"] = {"ok": True, "key": key}
                for name in ("ann", "bob"):
                    for make in ((Turn, server.turn_port), (TcpTurn, server.http_port)):
                        for _ in range(4):
                            self.assertEqual(make[0](make[1], name, "secret").allocate(), 0)
                    self.assertEqual(Turn(server.turn_port, name, "guess").allocate(), 401)
                for _ in range(3):
                    self.assertEqual(Turn(server.turn_port, "eve", "x").allocate(), 401)
                self.assertEqual(Turn(server.turn_port, "a", "1").allocate(), 0)
                self.assertEqual(Turn(server.turn_port, "a", "x").allocate(), 401)
                # Each loop may ask before it is told what another has learnt.
                self.assertEqual(sorted(set(authorizer.names())), ["ann", "bob", "eve"])
                self.assertLessEqual(len(authorizer.asked), 3 * threads)
                self.assertEqual({q["realm"] for q in authorizer.asked}, {"here"})
                for question in authorizer.asked:
                    self.assertRegex(question["client"], r"^127\.0\.0\.1:\d+$")
                self.assertEqual(server.stop(), 0)

    def test_realms_that_say_so_have_it_asked_about_their_users(self):
        authorizer, flag = self.by_socket()
        path = os.path.join(self.folder, "realms.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"[auth]\nauthorizer = '{flag.partition('=')[2]}'\n")
            for name, asked in (("a.test", "on"), ("b.test", "off")):
                file.write(f"[[realm]]\nname = '{name}'\norigins = ['https://{name}']\nauthorizer = '{asked}'\n")
        # Both at one time: neither is taken for the other.
        together = threading.Barrier(2, timeout=WAIT)

        def answer(question):
            together.wait()
            return {"ok": question["realm"] == "a.test", "password": "secret"}
        authorizer.answers["ann"] = answer
        server = self.start(f"--config={path}", "--threads=1")
        results = {}

        def allocate(name):
            results[name] = OfPage(f"https://{name}", server.turn_port, "ann", "secret").allocate()
        threads = [threading.Thread(target=allocate, args=(name,)) for name in ("a.test", "main.test")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        self.assertEqual(results, {"a.test": 0, "main.test": 401})
        self.assertEqual(sorted(q["realm"] for q in authorizer.asked), ["a.test", "kyuu"])
        allocate("b.test")
        self.assertEqual(results["b.test"], 401)
        allocate("a.test")
        self.assertEqual(results["a.test"], 0)
        self.assertEqual(len(authorizer.asked), 2)

    def test_nobody_is_asked_about_who_has_not_shown_where_he_is(self):
        authorizer, flag = self.by_socket()
        server = self.start(flag)
        client = Turn(server.turn_port, "ann", "secret")
        client.realm, client.nonce = "kyuu", b"made up"
        self.assertEqual(client.error(client.ask(0x0003, client.attribute(0x0019, b"\x11\0\0\0"))), 438)
        self.assertEqual(authorizer.asked, [])

    def test_an_answer_holds_as_long_as_it_says(self):
        authorizer, flag = self.by_socket()
        server = self.start(flag, "--authorizer-denied=1", "--threads=1", "--revoked-grace=0")
        authorizer.answers["ann"] = {"ok": True, "password": "secret", "lifetime": 1, "allocations": 2}
        clients = [Turn(server.turn_port, "ann", "secret") for _ in range(3)]
        self.assertEqual([client.allocate() for client in clients], [0, 0, 486])
        self.assertEqual(Turn(server.turn_port, "eve", "x").allocate(), 401)
        authorizer.answers["eve"] = {"ok": True, "password": "x"}
        authorizer.answers["ann"]["password"] = "other"

        def until(condition):
            deadline = time.monotonic() + WAIT
            while not condition():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.2)  # Who guesses is not answered for long.
        until(lambda: Turn(server.turn_port, "eve", "x").allocate() == 0)
        until(lambda: Turn(server.turn_port, "ann", "secret").allocate() == 401)

    def test_a_program_that_fails_is_no_refusal(self):
        authorizer, flag = self.by_socket()
        server = self.start(flag, "--authorizer-timeout=1", "--threads=1", "--user=a:1")
        hang = threading.Event()
        self.addCleanup(hang.set)
        for name, answer in (("nonsense", b"nonsense\n"), ("gone", None), ("empty", {}),
                             ("long", b"x" * 100_000),
                             ("slow", lambda _: hang.wait(WAIT))):
            authorizer.answers[name] = answer
            for make in ((Turn, server.turn_port), (TcpTurn, server.http_port)):
                client = make[0](make[1], name, "x")
                self.assertEqual(client.allocate(), 500, name)
        hang.set()
        # And once it is gone; those that it need not be asked about are served.
        authorizer.end()
        self.assertEqual(Turn(server.turn_port, "ann", "secret").allocate(), 500)
        self.assertEqual(Turn(server.turn_port, "a", "1").allocate(), 0)
        metrics = get(server.http_port, "/metrics")[2]
        self.assertIn(b"\nkyuu_authorizer_granted_total 0\n", metrics)
        self.assertRegex(metrics, rb"\nkyuu_authorizer_failed_total [1-9]")
        self.assertEqual(server.stop(), 0)
        self.assertIn("nothing is known of", server.errors)

    def test_what_is_asked_at_one_time_is_bounded(self):
        authorizer, flag = self.by_socket()
        server = self.start(flag, "--authorizer-questions=4", "--threads=2", "--authorizer-timeout=20")
        go = threading.Event()
        self.addCleanup(go.set)

        def slow(_):
            go.wait(WAIT)
            return {"ok": True, "password": "x"}
        clients = []
        for number in range(12):
            authorizer.answers[f"user{number}"] = slow
            client = Turn(server.turn_port, f"user{number}", "x")
            answer = client.ask(0x0003, client.attribute(0x0019, b"\x11\0\0\0"))
            client.realm, client.nonce = answer[1][0x0014].decode(), answer[1][0x0015]
            clients.append(client)
        results = []
        threads = [threading.Thread(target=lambda c=c: results.append(c.allocate())) for c in clients]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + WAIT
        while len(results) < 8:  # At once, while the others wait.
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.assertEqual(set(results), {500})
        self.assertEqual(len(authorizer.asked), 4)
        go.set()
        for thread in threads:
            thread.join(WAIT)
        self.assertEqual(sorted(results), 4 * [0] + 8 * [500])

    def test_a_reload_takes_another_program(self):
        first, flag = self.by_socket()
        second, other = self.by_http()
        path = os.path.join(self.folder, "kyuud.toml")

        def write(flag):
            with open(path, "w", encoding="utf-8") as file:
                file.write("[auth]\n" + (f"authorizer = '{flag.partition('=')[2]}'\n" if flag else ""))
        write(None)
        server = self.start(f"--config={path}", "--threads=1")
        self.assertEqual(Turn(server.turn_port, "ann", "secret").allocate(), 401)
        for number, (authorizer, text) in enumerate(((first, flag), (second, other))):
            write(text)
            server.process.send_signal(signal.SIGHUP)
            get(server.http_port, "/healthz")
            name = f"ann{number}"
            authorizer.answers[name] = {"ok": True, "password": "secret"}
            self.assertEqual(Turn(server.turn_port, name, "secret").allocate(), 0)
            self.assertEqual(authorizer.names(), [name])

    def test_wrong_addresses_are_told(self):
        for text in ("/run/auth.sock", "http://localhost/", "https://127.0.0.1:1/"):
            run = subprocess.run([KYUUD, "check-config", f"--authorizer={text}"],
                                 capture_output=True, text=True, timeout=WAIT, env={}, check=False)
            self.assertEqual(run.returncode, 2, run)
            self.assertIn("is neither unix:PATH nor http://", run.stderr)


if __name__ == "__main__":
    unittest.main(warnings="ignore")

#!/usr/bin/env python3
"""What kyuud tells Prometheus, to whom, and that it is true."""

import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

DOCS = os.path.abspath(sys.argv.pop())

from testing.kyuud import KyuudTestCase, Turn, WAIT, get, http, minted  # noqa: E402

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\}})? '
                    r"([+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)|NaN)(?: -?\d+)?")


def parse(text):
    """Samples by (name, labels) and the types of families. Holds to the text
    format 0.0.4: one HELP and one TYPE before the samples of each family, which
    stand together; no sample twice; a line feed at the end of each line."""
    assert text.endswith("\n"), text[-100:]
    samples, types, family, helped = {}, {}, None, None
    for line in text[:-1].split("\n"):
        if match := re.fullmatch(rf"# HELP ({NAME}) ((?:[^\\\n]|\\[\\n])+)", line):
            helped = match[1]
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram)", line):
            family = match[1]
            assert family == helped and family not in types, line
            types[family] = match[2]
        else:
            match = SAMPLE.fullmatch(line)
            name = match and match[1]
            if types.get(family) == "histogram":
                name = re.sub("_(bucket|sum|count)$", "", name)
            assert match and name == family, line
            assert (match[1], match[2]) not in samples, line
            samples[match[1], match[2]] = float(match[3])
            assert types[family] != "counter" or match[1].endswith("_total"), line
    for family in (name for name, kind in types.items() if kind == "histogram"):
        buckets = [(labels, value) for (name, labels), value in samples.items()
                   if name == family + "_bucket"]
        bounds = [float(re.fullmatch('le="(.*)"', labels)[1]) for labels, _ in buckets]
        counts = [value for _, value in buckets]
        assert bounds == sorted(bounds) and bounds[-1] == float("inf"), buckets
        assert counts == sorted(counts), buckets
        assert counts[-1] == samples[family + "_count", None], buckets
    return samples, types


class KyuudMetricsTest(KyuudTestCase):
    def scrape(self, server):
        status, headers, body = get(server.http_port, "/metrics")
        self.assertEqual(status, 200, body)
        self.assertEqual(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertEqual(headers["cache-control"], "no-store")
        return parse(body.decode())

    def test_what_all_threads_have_counted_is_told(self):
        for threads in (1, 4):
            server = self.start("--user=a:1", f"--threads={threads}", "--relay-ports=50000-50099")
            before = self.scrape(server)[0]
            clients = [Turn(server.turn_port, "a", "1") for _ in range(12)]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                peer.bind(("127.0.0.1", 0))
                peer.settimeout(WAIT)
                for client in clients:
                    self.assertEqual((client.allocate(), client.bind(peer.getsockname())), (0, 0))
                    client.socket.sendto(b"\x40\x01\0\5there\0\0\0", client.server)
                    peer.recvfrom(100)
            session = minted(server)[0]
            session.send(type="join", name="ada")
            session.receive()
            now = self.scrape(server)[0]
            grown = {name: now[name, None] - before[name, None] for name, labels in now if not labels}
            self.assertEqual(grown["kyuu_turn_requests_total"], 12 * 3)
            self.assertEqual(grown["kyuu_turn_successes_total"], 12 * 2)
            self.assertEqual(grown["kyuu_turn_errors_total"], 12)
            self.assertEqual(grown["kyuu_turn_bytes_to_peers_total"], 12 * 5)
            self.assertEqual(grown["kyuu_turn_allocations"], 12)
            # Ports that another program has are found out and not tried again.
            self.assertLessEqual(grown["kyuu_turn_free_ports"], -12)
            self.assertEqual(now["kyuu_udp_received_total", 'of="listeners"'], 12 * 4)
            self.assertEqual(now["kyuu_udp_sent_total", 'of="relays"'], 12)
            self.assertEqual(grown["kyuu_http_requests_total"], 2)  # With this one.
            self.assertEqual(grown["kyuu_http_websockets_total"], 1)
            self.assertEqual(grown["kyuu_signaling_messages_received_total"], 2)
            self.assertEqual(now["kyuu_signaling_peers", None], 1)
            self.assertGreater(now["process_resident_memory_bytes", None], 1e6)
            self.assertGreaterEqual(now["process_max_fds", None], now["process_open_fds", None])
            descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
            self.assertAlmostEqual(now["process_open_fds", None], descriptors, delta=2)
            started = os.stat(f"/proc/{server.process.pid}").st_ctime
            self.assertAlmostEqual(now["process_start_time_seconds", None], started, delta=10)

    def test_histograms_tell_how_it_went(self):
        with tempfile.TemporaryDirectory() as folder:
            files = [os.path.join(folder, name) for name in ("c.pem", "k.pem")]
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                            "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
            plain = self.start("--user=a:1", "--threads=2")
            tls = self.start(f"--tls-certificate={files[0]}", f"--tls-key={files[1]}")
        clients = [Turn(plain.turn_port, "a", "1") for _ in range(6)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.settimeout(WAIT)
            for client in clients:
                self.assertEqual((client.allocate(), client.bind(peer.getsockname())), (0, 0))
            for _ in range(3):
                clients[0].socket.sendto(b"\x40\1\3\xe8" + bytes(1000), clients[0].server)
                peer.recvfrom(2000)
        for client in clients:
            self.assertEqual(client.release(), 0)
        minted(plain)[0].close()
        while True:
            now = self.scrape(plain)[0]
            if now["kyuu_turn_allocation_seconds_count", None] == 6:
                break  # Other threads tell a moment later.
        self.assertEqual(now["kyuu_turn_allocation_seconds_bucket", 'le="+Inf"'], 6)
        self.assertLess(now["kyuu_turn_allocation_seconds_sum", None], 6 * WAIT)
        self.assertEqual(now["kyuu_turn_allocation_bytes_sum", None], 3000)
        self.assertEqual(now["kyuu_turn_allocation_bytes_bucket", 'le="1000"'], 5)
        self.assertEqual(now["kyuu_turn_allocation_bytes_bucket", 'le="10000"'], 6)
        self.assertEqual(now["kyuu_signaling_message_seconds_count", None],
                         now["kyuu_signaling_messages_received_total", None])
        self.assertGreater(now["kyuu_loop_turn_seconds_count", None], 20)
        self.assertEqual(now["kyuu_port_tls_handshake_seconds_count", None], 0)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", tls.http_port), WAIT) as s:
                with context.wrap_socket(s) as inside:
                    inside.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                   b"Connection: close\r\n\r\n")
                    answer = b"".join(iter(lambda: inside.recv(65536), b""))
        now = parse(answer.partition(b"\r\n\r\n")[2].decode())[0]
        self.assertEqual(now["kyuu_port_tls_handshake_seconds_count", None], 2)

    def test_every_metric_is_in_the_docs_and_no_other(self):
        with open(DOCS, encoding="utf-8") as file:
            docs = file.read()
        told = set(re.findall(r"`((?:kyuu|process)_\w+)`", docs))
        for table, counters in re.findall(r"^\| `(\w+)` \|[^|]*\| (.*) \|$", docs, re.M):
            told |= {f"kyuu_{table}_{name}_total" for name in re.findall(r"`(\w+)`", counters)}
        told.discard("kyuu_TABLE_")
        self.assertEqual(told, set(self.scrape(self.start())[1]))

    def test_others_than_this_machine_are_refused_unless_allowed(self):
        forwarded = "X-Forwarded-For: 203.0.113.9\n"
        for flags, extra, status in (
                ((), "", 200), ((), forwarded, 403), ((), "Via: 1.1 front\n", 403),
                (("--metrics-from=127.0.0.1",), forwarded, 403),
                (("--metrics-from=192.0.2.0/24",), "", 403),
                (("--metrics-from=192.0.2.0/24", "--metrics-from=127.0.0.1"), "", 200),
                (("--metrics-from=none",), "", 403),
                (("--proxy=127.0.0.1",), "", 403),
                (("--public-url=https://kyuu.test",), "", 403),
                (("--proxy=127.0.0.1", "--metrics-from=127.0.0.1"), "", 200)):
            with self.subTest(flags=flags, extra=extra):
                server = self.start(*flags)
                answer = get(server.http_port, "/metrics", extra)
                self.assertEqual(answer[0], status, answer)
                if status == 403:
                    self.assertNotIn(b"kyuu_", answer[2])
                self.assertEqual(server.stop(), 0)

    def test_other_names_and_methods_are_refused(self):
        port = self.start().http_port
        rebound = f"GET /metrics HTTP/1.1\nHost: evil.test:{port}\nConnection: close\n\n"
        self.assertEqual(http(port, rebound)[0], 421)
        post = f"POST /metrics HTTP/1.1\nHost: localhost:{port}\nConnection: close\nContent-Length: 0\n\n"
        self.assertEqual(http(port, post)[0], 405)
        head = f"HEAD /metrics HTTP/1.1\nHost: localhost:{port}\nConnection: close\n\n"
        status, headers, body = http(port, head)
        self.assertEqual((status, body), (200, b""))
        self.assertGreater(int(headers["content-length"]), 1000)


if __name__ == "__main__":
    unittest.main(warnings="ignore")

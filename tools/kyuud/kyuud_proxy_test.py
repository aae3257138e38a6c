#!/usr/bin/env python3
"""kyuud behind a proxy that says by the PROXY protocol whose connection each is.
The headers are made by hand, from the specification.
"""

import json
import os
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

from testing.kyuud import COOKIE, KyuudTestCase, TcpTurn, WAIT, get

ONE = "PROXY TCP4 198.51.100.1 192.0.2.1 40000 443\r\n".encode()


def binary(address="198.51.100.1", port=40000, command=1, more=b"", reached="192.0.2.1"):
    """A header of version 2."""
    if ":" in address:
        family, both = 0x21, socket.inet_pton(socket.AF_INET6, address) + bytes(15) + b"\1"
    else:
        family, both = 0x11, socket.inet_aton(address) + socket.inet_aton(reached)
    rest = both + struct.pack("!HH", port, 443) + more
    return (b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x20 | command, family, len(rest)) + rest)


class ProxiedTurn(TcpTurn):
    def __init__(self, port, header, user="a", password="1", tls=None):
        super().__init__(port, user, password)
        self.socket.sendall(header)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")

    def mapped(self):
        """Where the server sees us."""
        kind, found = self.ask(0x0001, sign=False)
        assert kind == 0x0101, kind
        value = found[0x0020]
        port, = struct.unpack("!H", value[2:4])
        mask = struct.pack("!I", COOKIE)
        if value[1] == 2:
            return None, port ^ COOKIE >> 16
        return (socket.inet_ntoa(bytes(a ^ b for a, b in zip(value[4:], mask))),
                port ^ COOKIE >> 16)


class KyuudProxyTest(KyuudTestCase):
    def serve(self, *flags):
        return self.start("--user=a:1", "--proxy-protocol-from=127.0.0.1", *flags)

    def refused(self, port, *pieces):
        """Whether what is said so is answered by nothing but an end."""
        with socket.create_connection(("127.0.0.1", port), WAIT) as s:
            try:
                for piece in pieces:
                    s.sendall(piece)
                return s.recv(1000) == b""
            except ConnectionError:
                return True

    def test_stun_sees_the_client_that_is_told(self):
        for threads in (1, 2):
            server = self.serve(f"--threads={threads}")
            for header, mapped in ((ONE, ("198.51.100.1", 40000)),
                                   (binary("198.51.100.7", 7), ("198.51.100.7", 7)),
                                   (binary("2001:db8::1", 99), (None, 99)),
                                   (binary(more=b"\2\0\x0bexample.org"), ("198.51.100.1", 40000))):
                self.assertEqual(ProxiedTurn(server.http_port, header).mapped(), mapped)
            for header in (binary(command=0), b"PROXY UNKNOWN\r\n"):
                client = ProxiedTurn(server.http_port, header)
                self.assertEqual(client.mapped(), client.socket.getsockname())

    def test_allocations_and_logs_are_of_whom_is_told(self):
        server = self.serve("--log-format=json")
        near = ProxiedTurn(server.http_port, binary("127.0.0.9", 9, reached="127.0.0.8"))
        self.assertEqual(near.allocate(), 0)
        self.assertEqual(near.relayed[0], "127.0.0.1")
        # One elsewhere gets no address of loopback, although its proxy is there; on a
        # machine that has no other it gets none.
        far = ProxiedTurn(server.http_port, binary("198.51.100.7", 7))
        if far.allocate() == 0:
            self.assertFalse(far.relayed[0].startswith("127."), far.relayed)
        self.assertEqual(server.stop(), 0)
        lines = [json.loads(line) for line in server.errors.splitlines()]
        told = [(line["client"], line["server"]) for line in lines
                if line.get("event") in ("allocation_made", "allocation_refused")]
        self.assertEqual(told, [("127.0.0.9:9", "127.0.0.8:443"), ("198.51.100.7:7", "192.0.2.1:443")])

    def test_a_second_connection_of_the_same_client_takes_the_place_of_the_first(self):
        for threads in (1, 2):
            server = self.serve(f"--threads={threads}")
            header = binary("127.0.0.9", 9, reached="127.0.0.1")
            self.assertEqual(ProxiedTurn(server.http_port, header).allocate(), 0)
            for _ in range(4):
                last = ProxiedTurn(server.http_port, header)
                self.assertEqual(last.mapped(), ("127.0.0.9", 9))
            self.assertEqual(last.mapped(), ("127.0.0.9", 9))
            self.assertEqual(server.stop(), 0)

    def test_page_and_metrics_know_whom_they_answer(self):
        server = self.serve()
        request = f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{server.http_port}\r\n" \
                  "Connection: close\r\n\r\n".encode()
        for header, status in ((ONE, b" 403 "), (binary("127.0.0.9"), b" 200 ")):
            with socket.create_connection(("127.0.0.1", server.http_port), WAIT) as s:
                # The header may come in pieces, and together with what follows.
                s.sendall(header[:9])
                s.sendall(header[9:] + request)
                answer = b"".join(iter(lambda s=s: s.recv(65536), b""))
            self.assertIn(status, answer.split(b"\r\n")[0])
        self.assertIn(b"\nkyuu_port_proxied_total 2\n", answer)

    def test_tls_comes_behind_the_header(self):
        with tempfile.TemporaryDirectory() as folder:
            files = [os.path.join(folder, name) for name in ("c.pem", "k.pem")]
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout",
                            files[1]], check=True, capture_output=True)
            server = self.serve(f"--tls-certificate={files[0]}", f"--tls-key={files[1]}")
            context = ssl.create_default_context(cafile=files[0])
        client = ProxiedTurn(server.http_port, binary("127.0.0.9", 9, reached="127.0.0.1"),
                             tls=context)
        self.assertEqual(client.mapped(), ("127.0.0.9", 9))
        self.assertEqual(client.allocate(), 0)

    def test_a_proxy_that_does_not_tell_is_refused(self):
        server = self.serve()
        binding = struct.pack("!HHI", 1, 0, COOKIE) + bytes(12)
        for said in ((b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",), (binding,),
                     (b"PROXY TCP4 198.51.100.1 192.0.2.1 40000\r\n", binding),
                     (binary(more=b"\3\0\4sums"), binding)):
            self.assertTrue(self.refused(server.http_port, *said), said)
        # A second header is another's, whom nobody trusts.
        self.assertTrue(self.refused(server.http_port, ONE + ONE))
        self.assertEqual(server.stop(), 0)
        self.assertIn("does not say by the PROXY protocol whose it is", server.errors)

    def test_others_are_not_believed(self):
        server = self.start("--user=a:1", "--proxy-protocol-from=192.0.2.0/24")
        began = time.monotonic()
        said = (ONE, b"PROXY ", ONE + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                ONE + struct.pack("!HHI", 1, 0, COOKIE) + bytes(12), binary())
        for words in said:
            self.assertTrue(self.refused(server.http_port, words), words)
        # At the first bytes, and not when a request has not come in time (10 s).
        self.assertLess(time.monotonic() - began, 5)
        text = get(server.http_port, "/metrics")[2].decode()
        self.assertIn(f"\nkyuu_port_unasked_header_total {len(said)}\n", text)
        client = TcpTurn(server.http_port, "a", "1")
        self.assertEqual(client.allocate(), 0)
        self.assertEqual(server.stop(), 0)
        self.assertIn("is no proxy that is trusted (--proxy-protocol-from)", server.errors)

    def test_half_a_header_has_its_time(self):
        server = self.start("--user=a:1", "--first-byte-timeout=1s")
        began, cpu = time.monotonic(), self.cpu(server)
        with socket.create_connection(("127.0.0.1", server.http_port), WAIT) as s:
            s.sendall(b"PROX")
            try:
                self.assertEqual(s.recv(1), b"")
            except ConnectionResetError:
                pass
        self.assertGreater(time.monotonic() - began, 0.9)
        # It waits for more without work.
        self.assertLess(self.cpu(server) - cpu, 0.3)

    @staticmethod
    def cpu(server):
        with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    unittest.main(warnings="ignore")

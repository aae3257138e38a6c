"""What the tests of kyuud's security have in common: servers with so many loops,
clients and peers that end with the test, and what the process says of itself.
"""

import contextlib
import functools
import os
import re
import socket
import ssl
import subprocess
import tempfile
import time

from testing import kernel_path, wire
from testing.kyuud import Kyuud, WAIT, memory_kb
from testing.wire import Probe, StreamProbe, attribute, datagrams

# A TLS client that takes any certificate.
UNCHECKED = ssl.create_default_context()
UNCHECKED.check_hostname, UNCHECKED.verify_mode = False, ssl.CERT_NONE
BOTH_FAMILIES = attribute(wire.ADDITIONAL_FAMILY, b"\2\0\0\0")


def until(condition):
    """Asks again and again, and gives up after a while."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"


class OnDemand:
    """What `make` returns, made when it is used."""

    def __init__(self, make):
        self._make = make

    @functools.cached_property
    def _made(self):
        return self._make()

    def __getattr__(self, name):
        return getattr(self._made, name)


class Rows:
    """The table. Each row has addresses of its own as sources, since what
    strangers may do is counted by address."""

    threads = 1

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.folder = cls.stack.enter_context(tempfile.TemporaryDirectory())

    @classmethod
    def certificate(cls):
        """Flags of one that nobody vouches for."""
        files = [os.path.join(cls.folder, name) for name in ("c.pem", "k.pem")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout",
                        files[1]], check=True, capture_output=True)
        return f"--tls-certificate={files[0]}", f"--tls-key={files[1]}"

    @classmethod
    def launch(cls, *flags, **options):
        """A kyuud for all rows; it ends with them, and as it should."""
        def start():
            server = Kyuud(*flags, f"--threads={cls.threads}", **options)

            def end():
                assert server.stop() == 0, server.errors
                assert "check failed" not in server.errors, server.errors
            cls.addClassCleanup(end)
            return server
        # Where one of them has the kernel's path, it is the one that is used.
        return OnDemand(start) if kernel_path.REPORT else start()

    def own(self, *flags, **options):
        """A kyuud for one row."""
        return self.start(*flags, f"--threads={self.threads}", **options)

    def write(self, text, name="kyuud.toml"):
        path = os.path.join(self.folder, f"{self.id()}.{name}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def metric(self, server, *names):
        """The sum of some, now."""
        with contextlib.ExitStack() as stack:
            s = stack.enter_context(socket.create_connection(("127.0.0.1", server.http_port), WAIT))
            if server.lines[0].count("https:"):
                s = stack.enter_context(UNCHECKED.wrap_socket(s))
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := s.recv(65536):
                answer += part
        return sum(float(re.search(rf"(?m)^{re.escape(name)} (\S+)$", answer.decode())[1])
                   for name in names)

    @contextlib.contextmanager
    def drops(self, server, count):
        """What is said inside is not relayed: so many messages are dropped, and
        perhaps what strangers to the test have sent to its ports."""
        reasons = [f"kyuu_turn_{name}_total" for name in
                   ("no_permission", "no_channel", "forbidden", "malformed")]
        before = self.metric(server, *reasons)
        yield
        until(lambda: self.metric(server, *reasons) >= before + count)

    def descriptors(self, server):
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))

    def memory(self, server):
        """In kB."""
        return memory_kb(server.process.pid)

    def peer(self, address="127.0.0.1"):
        peer = datagrams(address)
        self.addCleanup(peer.close)
        return peer

    def probe(self, server, *arguments, **options):
        probe = Probe(server.turn_port, *arguments, **options)
        self.addCleanup(probe.socket.close)
        return probe

    def made(self, client, *attributes):
        """Allocates; what others were told to have given back is there at once."""
        self.assertEqual(client.make(*attributes), 0)
        return client

    def allocated(self, server, *attributes, **options):
        return self.made(self.probe(server, **options), *attributes)

    def stream(self, port, *arguments, **options):
        probe = StreamProbe(port, *arguments, **options)
        self.addCleanup(probe.socket.close)
        return probe

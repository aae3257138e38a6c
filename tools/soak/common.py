"""What the soaks share: a kyuud with its gauges, and clients that are quick.

`run` has put the tests' helpers (tools/kyuud/testing) into reach.
"""

import hashlib
import hmac
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import time

from testing import wire
from testing.kyuud import Kyuud, WAIT, memory_kb
from testing.wire import Probe, StreamProbe, attribute
from dtls import DtlsSocket

UNCHECKED = ssl.create_default_context()
UNCHECKED.check_hostname, UNCHECKED.verify_mode = False, ssl.CERT_NONE


def say(line):
    print(line, flush=True)


def until(condition, wait=WAIT, every=0.02):
    end = time.monotonic() + wait
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


# Where it listens for UDP and relays from: a reserved port that another program
# has cannot be exchanged, and nobody else has these. By chance: in the sandboxes
# of bazel, which run side by side, process ids are the same.
ADDRESS = "127.66.{}.{}".format(*(1 + byte % 250 for byte in os.urandom(2)))


class Server:
    """A kyuud with users a:1 and b:2 that speaks TLS and DTLS as well."""

    def __init__(self, *flags):
        self.folder = tempfile.mkdtemp()
        files = [os.path.join(self.folder, name) for name in ("c.pem", "k.pem")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                        "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
        self.kyuud = Kyuud("--turn-listen=[::1]:0", "--user=a:1", "--user=b:2",
                           f"--tls-certificate={files[0]}", f"--tls-key={files[1]}",
                           "--log-level=warning", "--relay-ports=61000-65535", *flags,
                           stderr=subprocess.DEVNULL, listen=ADDRESS)
        self.pid = self.kyuud.process.pid
        self.turn_port, self.http_port = self.kyuud.turn_port, self.kyuud.http_port

    def metrics(self):
        with socket.create_connection(("127.0.0.1", self.http_port), WAIT) as plain:
            with UNCHECKED.wrap_socket(plain) as s:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                answer = b""
                while part := s.recv(65536):
                    answer += part
        return {name: float(value) for name, value in
                re.findall(r"(?m)^(kyuu_\S+) (\S+)$", answer.decode())}

    def rss_kb(self):
        return memory_kb(self.pid)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def idle(self, descriptors=None):
        """Waits until all has been given back, and so few descriptors are open
        (None: as few as there are within a second); the gauges then."""
        now = {}

        def given_back():
            now.update(self.metrics())
            return now["kyuu_turn_allocations"] == 0 and now["kyuu_port_connections"] <= 1
        if not until(given_back):
            raise AssertionError(f"not given back: {now}")
        # The connection that has just asked may still be open; and where the
        # machine is busy, what ends by a deadline is open for longer.
        least, wanted = [self.descriptors()], -1 if descriptors is None else descriptors
        if not until(lambda: least.append(self.descriptors()) or least[-1] <= wanted,
                     1.0 if descriptors is None else WAIT) and descriptors is not None:
            say(f"more than {descriptors} descriptors stay open:")
            self.say_descriptors()
        return {"ports": int(now["kyuu_turn_free_ports"]), "descriptors": min(least),
                "heap kB": int(now["kyuu_heap_bytes"] / 1024),
                "anonymous kB": memory_kb(self.pid, "RssAnon")}

    def say_descriptors(self):
        """What each is; of the machine's sockets only the server's, which are few."""
        folder = f"/proc/{self.pid}/fd"
        links = [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]
        say(" ".join(sorted(links)))
        inodes = {f"ino:{link[8:-1]}" for link in links if link.startswith("socket:")}
        table = subprocess.run(["ss", "-aneO"], capture_output=True, text=True, check=False).stdout
        for line in table.splitlines():
            if inodes & set(line.split()):
                say(line)

    def close(self):
        status = self.kyuud.stop()
        shutil.rmtree(self.folder)
        if status != 0:
            raise AssertionError(f"kyuud ended with {status}")


class Quick:
    """A 5-tuple that signs with little work. Requests of many are under way at
    once: `begin` sends, `end` takes the answer."""

    UDP = attribute(wire.TRANSPORT, wire.UDP)
    RELEASE = attribute(wire.LIFETIME, bytes(4))

    def __init__(self, probe):
        self.probe = probe.greet()
        self.tail = (attribute(wire.USERNAME, probe.user.encode())
                     + attribute(wire.REALM, probe.realm.encode())
                     + attribute(wire.NONCE, probe.nonce))
        self.key = probe.key()
        self.under_way = None

    def begin(self, kind, body=b"", transaction=None):
        body += self.tail
        message = struct.pack("!HHI12s", kind, len(body) + 24, 0x2112A442,
                              transaction or os.urandom(12)) + body
        message += b"\0\x08\0\x14" + hmac.digest(self.key, message, hashlib.sha1)
        self.under_way = message
        self.probe.send(message)

    def end(self):
        """The error code or 0; `found` are the attributes."""
        message = self.under_way
        while True:
            try:
                answer = self.probe.receive()
            except TimeoutError:
                self.probe.send(message)  # As RFC 8489 section 6.2.1 wants it.
                continue
            if answer[8:20] == message[8:20]:
                break
        self.answer = answer
        if answer[0] & 1 and answer[1] & 0x10:
            found = dict((kind, value) for kind, value, _ in wire.fields(answer))
            code = found[wire.ERROR_CODE]
            code = code[2] * 100 + code[3]
            if code == 438:
                self.__init__(self.probe)
            return code
        return 0

    def get(self, kind):
        return next(value for k, value, _ in wire.fields(self.answer) if k == kind)

    def do(self, kind, body=b""):
        self.begin(kind, body)
        return self.end()

    def close(self):
        self.probe.socket.close()


class DtlsProbe(wire.Signing):
    """A Probe over DTLS."""

    def __init__(self, port, user="a", password="1", source="127.0.0.1"):
        self.server = (ADDRESS, port)
        self.socket = DtlsSocket(self.server, WAIT, source)
        self.user, self.password, self.realm, self.nonce = user, password, "", b""

    def send(self, message):
        self.socket.send(message)

    def receive(self):
        return self.socket.recv()


def udp(server):
    return Quick(Probe(server.turn_port, server=ADDRESS))


def tcp(server):
    return Quick(StreamProbe(server.http_port))


def tls(server):
    return Quick(StreamProbe(server.http_port, tls=UNCHECKED))


def dtls(server):
    return Quick(DtlsProbe(server.turn_port))

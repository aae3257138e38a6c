"""What strangers can send, a million times each, while ten calls go on.

`flood [N]`: N unauthenticated Allocate requests, N ClientHellos of DTLS, N TCP
connections (of which each tenth begins a TLS handshake), from 250 addresses each
as quickly as one process can. At least 90 % of the calls' packets must arrive,
and the server's memory and descriptors must be as they were.
"""

import contextlib
import multiprocessing
import os
import select
import socket
import struct
import tempfile
import subprocess
import time

import honest
from common import say, until
from honest import PORT, SERVER
from kyuud import Kyuud
from testing import wire

HTTP = 9000
GOODPUT, GROWTH_KB = 0.9, 1024


def hello():
    """A ClientHello of DTLS 1.2 without a cookie."""
    extensions = b"\0\x0a\0\4\0\2\0\x17\0\x0d\0\4\0\2\4\3\0\x0b\0\2\1\0"
    body = b"\xfe\xfd" + os.urandom(32) + b"\0\0\0\4\xc0\x2b\xc0\x2f\1\0"
    body += struct.pack("!H", len(extensions)) + extensions
    size = struct.pack("!I", len(body))[1:]
    handshake = b"\1" + size + b"\0\0\0\0\0" + size + body
    return b"\x16\xfe\xff" + bytes(8) + struct.pack("!H", len(handshake)) + handshake


def allocate():
    return wire.Signing.bare(wire.ALLOCATE, wire.attribute(wire.TRANSPORT, wire.UDP))


def source(number):
    return f"11.2.{number // 250 % 250}.{number % 250 + 1}"


def datagrams(make):
    def send(count):
        sockets = []
        for number in range(250):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((source(number), 0))
            s.connect((SERVER, PORT))
            sockets.append((s, make()))
        for _ in range(count // len(sockets)):
            for s, message in sockets:
                with contextlib.suppress(OSError):
                    s.send(message)
    return send


def connections(count):
    """Batches that connect, say nothing or a little, and are reset."""
    reset, at_once = struct.pack("ii", 1, 0), 100
    for first in range(0, count, at_once):
        poll, batch = select.poll(), {}
        for number in range(first, first + at_once):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            s.bind((source(number), 0))
            s.setblocking(False)
            s.connect_ex((SERVER, HTTP))
            batch[s.fileno()] = (s, number)
            poll.register(s, select.POLLOUT)
        end = time.monotonic() + 1
        while batch and time.monotonic() < end:
            for fd, _ in poll.poll(1000):
                s, number = batch.pop(fd)
                poll.unregister(fd)
                with contextlib.suppress(OSError):
                    if number % 10 == 0:
                        s.send(b"\x16\x03\x01\x02\0\1\0")
                s.close()
        for s, _ in batch.values():
            s.close()


FLOODS = {"unauthenticated requests": datagrams(allocate), "ClientHellos": datagrams(hello),
          "TCP connections": connections}


def run(arguments):
    count = int(arguments[0]) if arguments else 1_000_000
    failed = 0
    with contextlib.ExitStack() as stack:
        bed, folder = honest.Bed(stack), stack.enter_context(tempfile.TemporaryDirectory())
        files = [os.path.join(folder, name) for name in ("c.pem", "k.pem")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                        "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
        kyuud = stack.enter_context(Kyuud(
            bed.server, f"--http-listen={SERVER}:{HTTP}", f"--turn-listen={SERVER}:{PORT}",
            "--user=a:1", f"--tls-certificate={files[0]}", f"--tls-key={files[1]}", "--threads=1",
            "--log-level=error"))
        honest.pin(kyuud.process.pid, {0})
        with bed.client:
            calls = honest.Calls(10)

            def flood(send, number):
                """Floods from a process of its own while the calls go on."""
                process = multiprocessing.get_context("fork").Process(target=send, args=(number,))
                process.start()
                honest.pin(process.pid, {os.cpu_count() - 1})
                began = time.monotonic()
                result = calls.speak(process.is_alive)
                process.join()
                return result, time.monotonic() - began
            for name, send in FLOODS.items():
                flood(send, max(2000, count // 50))  # Buffers and tables grow.
                quiet = calls.speak(lambda end=time.monotonic() + 2: time.monotonic() < end)
                descriptors, kb = kyuud.descriptors(), kyuud.rss_mb() * 1024
                cpu = honest.cpu_s(kyuud.process.pid)
                (sent, received, trips), seconds = flood(send, count)
                cpu = honest.cpu_s(kyuud.process.pid) - cpu
                back = until(lambda: kyuud.descriptors() <= descriptors)
                grown = kyuud.rss_mb() * 1024 - kb
                good = back and grown <= GROWTH_KB and received >= GOODPUT * sent
                failed += not good
                say(f"{'ok    ' if good else 'not ok'} {count} {name} in {seconds:.1f} s "
                    f"({count / seconds:.0f}/s, {cpu / count * 1e6:.1f} us each, {100 * cpu / seconds:.0f} % of a core): "
                    f"{received} of {sent} packets of the calls arrived ({100 * received / sent:.1f} %), "
                    f"p99 {honest.middle(trips, .99):.1f} ms (before {honest.middle(quiet[2], .99):.1f}); "
                    f"RSS {grown:+.0f} kB, descriptors {descriptors} -> {kyuud.descriptors()}")
            calls.close()
        if kyuud.stop() != 0:
            failed += 1
    return failed

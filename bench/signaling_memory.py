#!/usr/bin/env python3
"""What an idle peer of the signaling server costs kyuud: RSS for each of 4000
that have joined rooms of 40 and say nothing, and for each WebSocket that has only
said hello; with --tls, inside of TLS 1.3, too. The kernel's part is not in it.

  bench/signaling_memory.py KYUUD [--tls]
"""

import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tools", "kyuud"))
KYUUD = os.path.abspath(sys.argv[1])
WITH_TLS = "--tls" in sys.argv[2:]
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
from testing import kyuud as helper  # noqa: E402

PEERS, ROOM, FIRST = 4000, 40, 200


class Peer(helper.WebSocket):
    """One that has an address of its own, as peers of a server have."""

    def __init__(self, port, number, context=None):
        connect = socket.create_connection
        source = (f"127.0.{1 + number // 200}.{1 + number % 200}", 0)

        def reach(address, wait):
            stream = connect(address, wait, source)
            return context.wrap_socket(stream, server_hostname="127.0.0.1") if context else stream
        socket.create_connection = reach
        try:
            super().__init__(port, origin=f"{'https' if context else 'http'}://127.0.0.1:{port}")
        finally:
            socket.create_connection = connect
        self.send(type="hello", version=1)
        self.until("welcome")

    def until(self, kind):
        while self.receive()["type"] != kind:
            pass

    def join(self, room, name):
        self.send(type="join", room=room, name=name)
        self.until("joined")

    def drain(self):
        """What others' joining has had the server say."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(65536):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            pass


def rss(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) * 1024


def certificate(folder):
    """As public ones are: P-256."""
    files = [os.path.join(folder, name) for name in ("c.pem", "k.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=kyuu", "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0],
                    "-keyout", files[1]], check=True, capture_output=True)
    return files


def measure(joined, tls=None):
    flags = (f"--tls-certificate={tls[0]}", f"--tls-key={tls[1]}") if tls else ()
    context = ssl.create_default_context(cafile=tls[0]) if tls else None
    server = helper.Kyuud("--log-level=off", "--threads=1", *flags)
    peers, before = [], None
    try:
        time.sleep(4)  # It gives back what only its start has needed.
        for number in range(FIRST + PEERS):
            if number == FIRST:  # Of the first, tables and buffers are made.
                before = rss(server.process.pid)
            peer = Peer(server.http_port, number, context)
            if joined:
                peer.join(f"room-{number // ROOM}", f"peer {number}")
            peers.append(peer)
        time.sleep(2)
        for peer in peers:
            peer.drain()
        return (rss(server.process.pid) - before) / PEERS
    finally:
        for peer in peers:
            peer.socket.close()
        server.stop()


def main():
    print("| | bytes of RSS |\n|---|---|", flush=True)
    print(f"| a peer that has joined a room of {ROOM} | {measure(True):.0f} |", flush=True)
    print(f"| a WebSocket that has said hello | {measure(False):.0f} |", flush=True)
    if not WITH_TLS:
        return
    with tempfile.TemporaryDirectory() as folder:
        tls = certificate(folder)
        print(f"| the first over TLS | {measure(True, tls):.0f} |", flush=True)
        print(f"| the second over TLS | {measure(False, tls):.0f} |", flush=True)


if __name__ == "__main__":
    main()

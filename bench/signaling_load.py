#!/usr/bin/env python3
"""What an offer, an upgrade and a start cost the signaling server, beside npm's
`peer`, the server of PeerJS.

  bench/signaling_load.py KYUUD [ROUNDS]

200 peers in pairs send each other offers of 1.2 kB, as fast as they come and, as
"9000/s", at that rate; CPU time is the server's, which is alone on its core. Each
server is started anew for each row and round, in turn; printed are medians. "floor"
is a program that does nothing but the system calls of an upgrade. `peer`
is that of tools/interop (npm ci).
"""

import contextlib
import json
import os
import select
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tools", "kyuud"))
KYUUD = os.path.abspath(sys.argv[1])
FLOOR = os.path.join(os.path.dirname(KYUUD), "..", "..", "bench", "upgrade_floor")
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
from testing import kyuud as helper  # noqa: E402

PEERS = 200
# A session may send 200 messages at once and 50 a second.
OFFERS, WINDOW = 180, 4
RATE, RATE_SECONDS = 9000, 4
UPGRADES, HANDSHAKES = 2000, 400  # 50 at once.
AT_ONCE = 50
# The server gives back 2 s after its start what only that has needed.
IDLE_SECONDS = 4
OFFER_BYTES = 1200
SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
SERVER_CORE, CLIENT_CORE = {0}, {(os.cpu_count() or 1) - 1}
PEER_SERVER = """
const { PeerServer } = require("peer");
const { readFileSync } = require("fs");
const [port, certificate, key] = process.argv.slice(1);
const ssl = certificate ? { cert: readFileSync(certificate), key: readFileSync(key) } : undefined;
PeerServer({ port: +port, host: "127.0.0.1", path: "/", ssl }, () => console.log("ready"));
"""


def cpu(pid):
    """Seconds that all threads of a process have computed."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(
                f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def frame(text):
    """A client's frame of RFC 6455; the mask is of no weight here."""
    data = text.encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + size + b"\0\0\0\0" + data


class Client(helper.WebSocket):
    """A WebSocket from an address of its own, as people have."""

    def __init__(self, port, path, number, tls=None, protocol=None):
        self.ask(port, path, number, tls, protocol)
        self.opened()

    def ask(self, port, path, number, tls=None, protocol=None):
        self.socket = socket.create_connection(
            ("127.0.0.1", port), helper.WAIT, (f"127.0.{1 + number // 200}.{1 + number % 200}", 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket)
        extra = f"Sec-WebSocket-Protocol: {protocol}\n" if protocol else ""
        self.socket.sendall(helper.upgrade(port, path, extra).replace(
            "\n", "\r\n").replace(f"Origin: http://127.0.0.1:{port}\r\n", "").encode())

    def texts(self):
        """The whole messages that are there."""
        at, found = 0, []
        while len(self.buffer) >= at + 2:
            size, begin = self.buffer[at + 1], at + 2
            if size == 126:
                size, begin = int.from_bytes(self.buffer[at + 2:at + 4], "big"), at + 4
            if len(self.buffer) < begin + size:
                break
            found.append(self.buffer[begin:begin + size])
            at = begin + size
        self.buffer = self.buffer[at:]
        return found

    def until(self, kind):
        while True:
            for text in self.texts():
                message = json.loads(text)
                if message["type"] == kind:
                    return message
            self.fill()

    def send(self, **message):
        self.socket.sendall(frame(json.dumps(message)))

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def padded(message, where):
    """The message with an SDP that makes it OFFER_BYTES long, as a frame."""
    where["sdp"] = SDP
    where["sdp"] += "a" * (OFFER_BYTES - len(json.dumps(message)))
    return frame(json.dumps(message))


def peerjs_clients(port, tls):
    clients = []
    for number in range(PEERS):
        clients.append(Client(port, f"/peerjs?key=peerjs&id=peer{number:04}&token=t{number}",
                              number, tls))
        clients[-1].until("OPEN")
        payload = {"type": "data", "connectionId": "dc_1"}
        clients[-1].offer = padded({"type": "OFFER", "dst": f"peer{number ^ 1:04}",
                                    "payload": payload}, payload)
    return clients


def native_clients(port, tls):
    clients = []
    for number in range(PEERS):
        client = Client(port, "/v1/ws", number, tls, "kyuu.v1")
        client.send(type="hello", version=1)
        client.until("welcome")
        client.send(type="join", name=f"peer{number:04}", room="bench")
        client.until("joined")
        clients.append(client)
    for caller, callee in zip(clients[::2], clients[1::2]):
        caller.send(type="call", to=f"peer{clients.index(callee):04}")
        call = callee.until("incoming")["call"]
        callee.send(type="accept", call=call)
        for client in (caller, callee):
            client.until("accepted")
            message = {"type": "signal", "call": call, "kind": "offer"}
            client.offer = padded(message, message)
    time.sleep(0.5)  # What is told of who came.
    for client in clients:
        client.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            while True:
                client.fill()
        client.texts()
    return clients


class Exchange:
    """Offers between the clients, each of which hears of its neighbor alone."""

    def __init__(self, clients):
        self.clients = clients
        self.sent = [[] for _ in clients]  # When, of those that have not arrived.
        self.left = [0] * len(clients)
        self.latencies = []
        self.poll = select.epoll()
        self.by_fd = {}
        for number, client in enumerate(clients):
            client.socket.setblocking(True)
            self.by_fd[client.socket.fileno()] = number
            self.poll.register(client.socket.fileno(), select.EPOLLIN)

    def send(self, number, count):
        count = min(count, self.left[number])
        if count == 0:
            return
        self.left[number] -= count
        self.sent[number] += [time.perf_counter()] * count
        self.clients[number].socket.sendall(self.clients[number].offer * count)

    def receive(self, wait):
        """(number, messages) of each client that has some."""
        for fd, _ in self.poll.poll(wait):
            number = self.by_fd[fd]
            client = self.clients[number]
            client.fill()
            while getattr(client.socket, "pending", int)():
                client.fill()
            count = sum(b"a" * 64 in text for text in client.texts())
            now = time.perf_counter()
            waiting = self.sent[number ^ 1]
            self.latencies += [now - at for at in waiting[:count]]
            del waiting[:count]
            yield number, count

    def as_fast_as_they_come(self):
        self.left = [OFFERS] * len(self.clients)
        for number in range(len(self.clients)):
            self.send(number, WINDOW)
        while len(self.latencies) < OFFERS * len(self.clients):
            for number, count in self.receive(helper.WAIT):
                self.send(number ^ 1, count)
        return OFFERS * len(self.clients)

    def at_rate(self):
        total = RATE * RATE_SECONDS
        self.left = [total] * len(self.clients)
        began, done = time.perf_counter(), 0
        while len(self.latencies) < total:
            due = min(total, int((time.perf_counter() - began) * RATE))
            for number in range(done, due):
                self.send(number * 7 % len(self.clients), 1)
            done = max(done, due)
            for _ in self.receive(0.0005):
                pass
        return total


@contextlib.contextmanager
def kyuud(tls):
    flags = [f"--tls-certificate={tls[0]}", f"--tls-key={tls[1]}"] if tls else []
    server = helper.Kyuud("--log-level=off", "--threads=1", "--peerjs=on", *flags)
    try:
        yield server.process.pid, server.http_port
    finally:
        server.stop()


@contextlib.contextmanager
def floor(_tls):
    """What the kernel takes for it (upgrade_floor.cc)."""
    process = subprocess.Popen([FLOOR], stdout=subprocess.PIPE, text=True)
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def peer(tls):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(["node", "-e", PEER_SERVER, str(port), *(tls or [])],
                               cwd=os.path.join(HERE, "..", "tools", "interop"),
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n", "npm ci in tools/interop brings `peer`"
        yield process.pid, port
    finally:
        process.kill()
        process.wait()


def of_offers(server, clients, tls, how):
    """(us for each offer, p99 in ms)"""
    with server(tls) as (pid, port):
        os.sched_setaffinity(pid, SERVER_CORE)
        exchange = Exchange(clients(port, tls and context()))
        before = cpu(pid)
        count = how(exchange)
        spent = cpu(pid) - before
        for client in exchange.clients:
            client.socket.close()
        return 1e6 * spent / count, 1e3 * statistics.quantiles(exchange.latencies, n=100)[98]


def of_upgrades(server, path, tls):
    """(us for each, nothing)"""
    with server(tls) as (pid, port):
        os.sched_setaffinity(pid, SERVER_CORE)
        count = HANDSHAKES if tls else UPGRADES
        protocol = "kyuu.v1" if "v1" in path else None
        for first in range(0, count + AT_ONCE, AT_ONCE):
            if first == AT_ONCE:
                before = cpu(pid)
            clients = []
            for number in range(first, first + AT_ONCE):
                query = f"?key=peerjs&id=u{number}&token=t" if "peerjs" in path else ""
                clients.append(Client.__new__(Client))
                clients[-1].ask(port, path + query, number, tls and context(), protocol)
            for client in clients:
                client.opened()
                client.reset()
        return 1e6 * (cpu(pid) - before) / count, 0


def context():
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return tls


def row(title, runs):
    """Runs each of {name: measure} in turn and prints the medians."""
    results = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, measure in runs.items():
            results[name].append(measure())
    us = {name: statistics.median(r[0] for r in found) for name, found in results.items()}
    p99 = {name: statistics.median(r[1] for r in found) for name, found in results.items()}
    first = next(iter(us))
    cells = " | ".join(f"{name} {us[name]:.1f} us ({us[name] / us[first]:.1f}), "
                       f"{1e3 / us[name]:.0f} k/CPU-s, p99 {p99[name]:.1f} ms" for name in us)
    print(f"| {title} | {cells} |", flush=True)


def of_a_start():
    """(ms until it has answered, MB that it has when it has been idle for some seconds)"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    process = subprocess.Popen([KYUUD, f"--http-listen=127.0.0.1:{port}", "--turn-listen=127.0.0.1:0",
                                "--log-level=off"], stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).read()
                break
        ready = time.perf_counter() - began
        time.sleep(IDLE_SECONDS)
        return 1e3 * ready, helper.memory_kb(process.pid) / 1024
    finally:
        process.terminate()
        process.wait()


def main():
    os.sched_setaffinity(0, CLIENT_CORE)
    with tempfile.TemporaryDirectory() as folder:
        pair = [os.path.join(folder, name) for name in ("cert.pem", "key.pem")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                        "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
        for title, how in (("as fast as they come", Exchange.as_fast_as_they_come),
                           (f"{RATE}/s", Exchange.at_rate)):
            for tls in (None, pair):
                row(f"offers, {title}{', TLS' if tls else ''}", {
                    "kyuud": lambda: of_offers(kyuud, native_clients, tls, how),
                    "kyuud for PeerJS": lambda: of_offers(kyuud, peerjs_clients, tls, how),
                    "peer": lambda: of_offers(peer, peerjs_clients, tls, how)})
        for tls in (None, pair):
            least = {} if tls or not os.path.exists(FLOOR) else {
                "floor": lambda: of_upgrades(floor, "/v1/ws", None)}
            row(f"upgrades{', TLS' if tls else ''}", {
                **least,
                "kyuud": lambda: of_upgrades(kyuud, "/v1/ws", tls),
                "kyuud for PeerJS": lambda: of_upgrades(kyuud, "/peerjs", tls),
                "peer": lambda: of_upgrades(peer, "/peerjs", tls)})
        starts = [of_a_start() for _ in range(2 * ROUNDS)]
        stripped = os.path.join(folder, "kyuud")
        subprocess.run(["strip", "-o", stripped, KYUUD], check=True)
        print(f"| start to first answer; memory idle; stripped | "
              f"{statistics.median(s[0] for s in starts):.1f} ms; "
              f"{statistics.median(s[1] for s in starts):.1f} MB; "
              f"{os.path.getsize(stripped) / 2**20:.1f} MB |", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What requests and allocations cost kyuud, and coturn: CPU time of the server
for each, and memory.

  bench/turn_requests.py KYUUD [ROUNDS [FLOOR]]

All servers run at once, pinned to one core, in turn; medians after one round that
does not count. With FLOOR, the program turn_floor, a column says what the system
calls alone take: no server that makes them is cheaper. Binding and 401 are asked for by 64 sockets at once; an
allocation is all that a new client says: an Allocate that gets 401, one with
credentials, and a Refresh with lifetime 0. Memory is what RSS grows by for each of
4000 allocations with one channel; the kernel's part is not in it.
"""

import contextlib
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "tools", part) for part in ("torture", "kyuud", "soak")]
KYUUD = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 7
FLOOR = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
FLOOR_PORT = 23480
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
import common  # noqa: E402
import honest  # noqa: E402
from testing import wire  # noqa: E402
from testing.kyuud import Kyuud  # noqa: E402

UDP = wire.attribute(wire.TRANSPORT, wire.UDP)
REQUESTS, CYCLES, HELD = 20_000, 4_000, 4_000


def sockets(port, count):
    made = []
    for _ in range(count):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 0))
        s.connect(("127.0.0.1", port))
        s.settimeout(5)
        made.append(s)
    return made


def asked(message):
    def run(port):
        asking = sockets(port, 64)
        for _ in range(REQUESTS // len(asking)):
            for s in asking:
                s.send(message)
            for s in asking:
                s.recv(2000)
        for s in asking:
            s.close()
        return REQUESTS // len(asking) * len(asking)
    return run


class Newcomer(common.Quick):
    """A client on a new port, whose first request is without credentials."""

    def __init__(self, port):
        self.probe = wire.Probe(port, "a", "b")
        self.probe.send(wire.Signing.bare(wire.ALLOCATE, UDP))

    def learn(self):
        """Takes the 401; whether it is one, and no 437 for the port's last client."""
        found = dict((kind, value) for kind, value, _ in wire.fields(self.probe.receive()))
        if wire.REALM not in found:
            return False
        self.probe.realm, self.probe.nonce = found[wire.REALM].decode(), found[wire.NONCE]
        self.tail = (wire.attribute(wire.USERNAME, b"a") + wire.attribute(wire.REALM, found[wire.REALM])
                     + wire.attribute(wire.NONCE, self.probe.nonce))
        self.key = self.probe.key()
        return True


def allocations(at_once):
    def run(port):
        made = 0
        for _ in range(CYCLES // at_once):
            many = [Newcomer(port) for _ in range(at_once)]
            many = [client for client in many if client.learn()]
            for kind, body in ((wire.ALLOCATE, UDP), (wire.REFRESH, common.Quick.RELEASE)):
                for client in many:
                    client.begin(kind, body)
                codes = [client.end() for client in many]
            made += codes.count(0)
            for client in many:
                client.close()
        return made
    return run


ROWS = [
    ("STUN Binding", asked(wire.Signing.bare(wire.BINDING))),
    ("401 to an Allocate", asked(wire.Signing.bare(wire.ALLOCATE, UDP))),
    ("Allocate and Refresh 0, one at a time", allocations(1)),
    ("Allocate and Refresh 0, 64 at once", allocations(64)),
]


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


def held(port, pid):
    """Bytes of RSS for each allocation with a channel."""
    many = []
    before = None
    for number in range(HELD + 100):
        if number == 100:  # Of the first, tables and buffers are made.
            before = rss_kb(pid)
        probe = wire.Probe(port, "a", "b")
        if probe.make() == 0 and probe.channel(("127.0.0.1", 9)) == 0:
            many.append(probe)
    grown = (rss_kb(pid) - before) * 1024 / max(1, len(many) - 100)
    for probe in many:
        probe.refresh(0)
        probe.socket.close()
    return grown


def await_answer(port):
    for _ in range(100):
        probe = sockets(port, 1)[0]
        probe.settimeout(0.1)
        with contextlib.suppress(OSError):
            probe.send(wire.Signing.bare(wire.BINDING))
            if probe.recv(100):
                break
        time.sleep(0.1)


def main():
    with contextlib.ExitStack() as stack:
        kyuud = Kyuud("--realm=bench", "--user=a:b", "--threads=1", "--log-level=off",
                      "--allocations-per-user=20000", "--allocations-per-source=20000",
                      "--source-share=1", "--stranger-bytes-per-second=0", "--mode=turn",
                      "--relay-ports=49152-65535")
        stack.callback(kyuud.stop)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        rival = subprocess.Popen(
            ["turnserver", "-n", "-m", "1", "--no-cli", "--log-file=/dev/null", "--simple-log",
             "--allow-loopback-peers", "-L", "127.0.0.1", "-p", "23479", "--lt-cred-mech", "-u", "a:b",
             "-r", "bench", "--no-tls", "--no-dtls"],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(rival.wait)
        stack.callback(rival.kill)
        servers = {"kyuud": (kyuud.turn_port, kyuud.process.pid), "coturn": (23479, rival.pid)}
        await_answer(23479)
        others = {}
        if FLOOR is not None:
            floor = subprocess.Popen([FLOOR, str(FLOOR_PORT)], stdin=subprocess.PIPE)
            stack.callback(floor.wait)
            stack.callback(floor.kill)
            await_answer(FLOOR_PORT)
            others = {"system calls alone": (FLOOR_PORT, floor.pid)}
        if os.cpu_count() > 1:
            os.sched_setaffinity(0, {os.cpu_count() - 1})
        print("| | kyuud | coturn | ratio |" + "".join(f" {of} |" for of in others)
              + "\n|---|---|---|---|" + "---|" * len(others), flush=True)
        # First, before there is memory to be used again.
        ours, theirs = (held(*servers[of]) / 1000 for of in servers)
        print(f"| memory (RSS) of an allocation | {ours:.2f} kB | {theirs:.2f} kB | {theirs / ours:.1f} |"
              + " |" * len(others), flush=True)
        for name, work in ROWS:
            cost = {of: [] for of in servers | others}
            for number in range(ROUNDS + 1):
                for of, (port, pid) in (servers | others).items():
                    honest.pin(pid, {0})
                    before = honest.cpu_s(pid)
                    done = work(port)
                    if number > 0:
                        cost[of].append((honest.cpu_s(pid) - before) / done * 1e6)
            ours, theirs, *rest = (statistics.median(of) for of in cost.values())
            print(f"| {name} | {ours:.1f} us | {theirs:.1f} us | {theirs / ours:.1f} |" + "".join(
                f" {floor:.1f} us ({theirs / floor:.1f}) |" for floor in rest), flush=True)


if __name__ == "__main__":
    main()

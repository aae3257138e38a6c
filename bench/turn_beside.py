#!/usr/bin/env python3
"""What pages and signaling cost those who relay: nothing, as they have a loop of
their own.

  bench/turn_beside.py KYUUD [SECONDS]

A kyuud with two TURN loops; twenty clients send a datagram each and wait for its
echo, over and over, alone and then beside four processes that load pages and open
signaling sessions as fast as they can. Told are CPU time of the TURN loops for
each echo, which says whose work it is, and the time of an echo, p50 and p90: on a
machine with fewer processors than loops and load have it says how they are shared.
"""

import contextlib
import multiprocessing
import os
import select
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "tools", part) for part in ("torture", "kyuud", "soak")]
KYUUD = os.path.abspath(sys.argv[1])
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 10
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
import common  # noqa: E402
import mixed  # noqa: E402
from testing import wire  # noqa: E402

CLIENTS, LOADERS = 20, 4


def turn_cpu_s(pid):
    """Of all threads but the main one, which has pages and signaling."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        if int(task) != pid:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def load(server, done):
    os.nice(5)
    while True:
        with contextlib.suppress(OSError, AssertionError):
            server.metrics()
            mixed.signaling(server)
            with done.get_lock():
                done.value += 1


def echoes(server, clients, peer, seconds):
    """(microseconds of each echo, CPU of the TURN loops in microseconds an echo)."""
    times, before = [], turn_cpu_s(server.pid)
    end = time.monotonic() + seconds
    data = wire.channel_data(0x4001, bytes(200))
    while time.monotonic() < end:
        for client in clients:
            start = time.perf_counter()
            client.send(data)
            if not select.select([peer], [], [], 1)[0]:
                continue
            payload, source = peer.recvfrom(2000)
            peer.sendto(payload, source)
            client.receive()
            times.append((time.perf_counter() - start) * 1e6)
    return times, (turn_cpu_s(server.pid) - before) / max(1, len(times)) * 1e6


def tell(what, times, cpu):
    p90 = statistics.quantiles(times, n=10)[-1]
    print(f"{what}: CPU of the TURN loops {cpu:.1f} us an echo; an echo takes "
          f"{statistics.median(times):.0f} us, p90 {p90:.0f} ({len(times)} echoes)", flush=True)


def main():
    server = common.Server("--threads=2")
    peer = wire.datagrams()
    clients = []
    for _ in range(CLIENTS):
        client = common.udp(server).probe
        if client.make() != 0 or client.channel(peer.getsockname()) != 0:
            raise AssertionError("no channel")
        clients.append(client)
    tell("alone", *echoes(server, clients, peer, SECONDS))
    done = multiprocessing.Value("q", 0)
    loaders = [multiprocessing.Process(target=load, args=(server, done), daemon=True)
               for _ in range(LOADERS)]
    for process in loaders:
        process.start()
    time.sleep(1)
    tell("beside pages and signaling", *echoes(server, clients, peer, SECONDS))
    for process in loaders:
        process.kill()
        process.join()
    print(f"{done.value} pages and sessions meanwhile")
    for process in server.kyuud.processes:
        process.kill()


if __name__ == "__main__":
    main()

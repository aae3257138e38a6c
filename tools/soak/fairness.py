"""One honest call beside twenty clients that flood, at kyuud and at coturn.

`fairness [ROUNDS]`: each server on one core, all clients on the other, in turn.
The flooding clients have credentials, a relay and a channel each, and send 1200
bytes as quickly as one process can, as trains of 16 or as single datagrams, to a
peer that does not read. What the call of 50 packets a second loses, and its
round trips. The bar: nothing lost, and a p99 of at most a quarter of coturn's.
"the bed" is the call at kyuud while the same flood goes to a socket of the server's
host that nobody reads: what it costs that the call and the flood share a core.
"""

import contextlib
import multiprocessing
import os
import socket
import statistics
import struct
import subprocess
import tempfile
import time

import honest
from common import say
from honest import PORT, SERVER
from kyuud import Kyuud
from testing import wire

SECONDS, FLOODERS, BYTES, TRAIN = 3.0, 20, 1200, 16
RIVAL = 3479


class Coturn:
    """With the flags that are fair to it."""

    def __init__(self, host, *flags):
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            host.command("turnserver", "-n", "-m", "1", "--no-cli", "--log-file=/dev/null",
                         "--simple-log", "-L", SERVER, "-E", SERVER, "-p", str(RIVAL),
                         "--lt-cred-mech", "-u", "a:1", "-r", "bench", "--no-tls", "--no-dtls",
                         *flags),
            cwd=self.folder.name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ready(self):
        """Inside of the clients' host: whether it answers."""
        for _ in range(100):
            probe = wire.Probe(RIVAL, source="11.1.1.2", server=SERVER)
            probe.socket.settimeout(0.1)
            with contextlib.suppress(TimeoutError, ConnectionError):
                if probe.code(probe.bare(wire.BINDING)) == 0:
                    return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def flood(port, relays, trains, ready):
    """Floods `port`, by relays unless nobody `relays` there."""
    sink = wire.datagrams("11.1.1.8")
    probes = []
    while len(probes) < FLOODERS:
        probe = wire.Probe(port, source=f"11.1.1.{len(probes) + 32}", server=SERVER)
        # Else the port is one of the round before, whose allocation lives on.
        if not relays or probe.make() == 0:
            if relays and probe.channel(sink.getsockname()) != 0:
                raise AssertionError("no channel for the flood")
            probe.socket.connect(probe.server)
            probes.append(probe)
    one = wire.channel_data(0x4001, bytes(BYTES))
    control = [(socket.SOL_UDP, 103, struct.pack("H", len(one)))]  # UDP_SEGMENT
    ready.set()
    while True:
        for probe in probes:
            with contextlib.suppress(OSError):
                if trains:
                    probe.socket.sendmsg([one * TRAIN], control)
                else:
                    for _ in range(TRAIN):
                        probe.socket.send(one)


def one_round(port, pid, trains, cores, nobody=None):
    """(part lost, p50, p99, part of a core) of the honest call, while `port` is flooded,
    or `nobody`."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    flooding = context.Process(target=flood, daemon=True,
                               args=(nobody or port, nobody is None, trains, ready))
    calls = honest.Calls(1, port=port)  # While its requests are not lost.
    flooding.start()
    honest.pin(flooding.pid, cores)
    try:
        if not ready.wait(20):
            raise AssertionError("no flood")
        cpu, end = honest.cpu_s(pid), time.monotonic() + SECONDS
        sent, received, trips = calls.speak(lambda: time.monotonic() < end)
        cpu = honest.cpu_s(pid) - cpu
    finally:
        flooding.kill()
        flooding.join()
    calls.close()
    return (1 - received / sent, honest.middle(trips, .5), honest.middle(trips, .99), cpu / SECONDS)


def run(arguments):
    rounds = int(arguments[0]) if arguments else 5
    failed, others = 0, {os.cpu_count() - 1}
    with contextlib.ExitStack() as stack:
        bed = honest.Bed(stack)
        kyuud = stack.enter_context(Kyuud(
            bed.server, "--http-listen=none", f"--turn-listen={SERVER}:{PORT}", "--user=a:1",
            "--threads=1", "--log-level=error"))
        rival = stack.enter_context(Coturn(bed.server))
        with bed.server:
            unread = stack.enter_context(wire.datagrams(SERVER))
        with bed.client:
            if not rival.ready():
                raise AssertionError("coturn does not start")
            servers = {"kyuud": (PORT, kyuud.process.pid), "coturn": (RIVAL, rival.process.pid)}
            for _, pid in servers.values():
                honest.pin(pid, {0})
            for trains in (True, False):
                results = {name: [] for name in (*servers, "the bed")}
                for _ in range(rounds):
                    for name, (port, pid) in servers.items():
                        results[name].append(one_round(port, pid, trains, others))
                    results["the bed"].append(one_round(*servers["kyuud"], trains, others,
                                                        unread.getsockname()[1]))
                p99 = {}
                for name, rows in results.items():
                    lost, p50, p99[name], share = (statistics.median(row[i] for row in rows)
                                                   for i in range(4))
                    say(f"       {'trains' if trains else 'singles'}: {name} loses {100 * lost:.1f} % "
                        f"(at most {100 * max(row[0] for row in rows):.1f}), p50 {p50:.2f} ms, p99 "
                        f"{p99[name]:.2f} ms, {100 * share:.0f} % of a core")
                good = (max(row[0] for row in results["kyuud"]) == 0 and
                        p99["kyuud"] <= p99["coturn"] / 4)
                failed += not good
                say(f"{'ok    ' if good else 'not ok'} {'trains' if trains else 'singles'}: p99 is "
                    f"{p99['kyuud'] / p99['coturn']:.2f} of coturn's")
    return failed

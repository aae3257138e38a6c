#!/usr/bin/env python3
"""What a relayed datagram costs the machine with --kernel-path, without it, and
with coturn.

  bench/kernel_path.py KYUUD RELAY_LOAD RELAY_CARD CARD_PROGRAM [ROUNDS]

Needs root. Server and clients are network namespaces on a veth cable. Servers take
turns, each started anew and alone, because the program would slow the others down.
Printed are medians of CPU time per datagram that arrived, and what was lost.

Of datagrams that come by the cable the threads that receive for the server (NAPI)
are pinned to its core and their CPU time is added to the server's: without the
process most of the work is theirs. Of those that come as from a network card
(relay_card) the thread that is the card does the receiving; what the card alone
takes is taken off.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "tools", part) for part in ("torture", "kyuud", "soak")]
KYUUD, LOAD, CARD, CARD_PROGRAM = (os.path.abspath(path) for path in sys.argv[1:5])
ROUNDS = int(sys.argv[5]) if len(sys.argv) > 5 else 5
os.environ["KYUUD"] = KYUUD
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
import hosts  # noqa: E402
import honest  # noqa: E402
from kyuud import Kyuud  # noqa: E402

SERVER, CLIENT = "11.1.1.1", "11.1.1.2"
SERVER_V6, CLIENT_V6 = "2a00:1::1", "2a00:1::2"
SINGLES = "--burst 1 --packets 100000"
AT_20_000 = "--packets 60000 --pps 20000 --batch 2"
V6 = f"--server [{SERVER_V6}]:3478 --client {CLIENT_V6} --peer {CLIENT_V6}"
FROM_CARD = [
    ("100 flows, 200 B, up", "--flows 100 --bytes 200"),
    ("100 flows, 200 B, down", "--flows 100 --bytes 200 --direction down"),
    ("100 flows, 1200 B, up", "--flows 100"),
    ("100 flows, 1200 B, down", "--flows 100 --direction down"),
    ("5000 flows, 200 B, up", "--flows 5000 --bytes 200"),
    ("5000 flows, 200 B, down", "--flows 5000 --bytes 200 --direction down"),
    ("100 flows, 200 B, 20 000/s, up", f"--flows 100 --bytes 200 {AT_20_000}"),
    ("100 flows, 200 B, 20 000/s, down",
     f"--flows 100 --bytes 200 {AT_20_000} --direction down"),
    ("IPv6, 100 flows, 200 B, up", f"--flows 100 --bytes 200 {V6}"),
    ("IPv6, 100 flows, 200 B, down", f"--flows 100 --bytes 200 {V6} --direction down"),
    ("Binding, 64 sockets", "--flows 64 --data binding"),
]
BY_CABLE = [
    ("100 flows, 200 B, singles, up", f"--flows 100 --bytes 200 {SINGLES}"),
    ("100 flows, 200 B, singles, down", f"--flows 100 --bytes 200 {SINGLES} --direction down"),
    ("100 flows, 1200 B, singles, up", f"--flows 100 {SINGLES}"),
    ("100 flows, 1200 B, singles, down", f"--flows 100 {SINGLES} --direction down"),
    ("5000 flows, 200 B, singles, up", f"--flows 5000 --bytes 200 {SINGLES}"),
    ("5000 flows, 200 B, singles, down", f"--flows 5000 --bytes 200 {SINGLES} --direction down"),
    ("the same of 100 flows, 20 000/s, up", f"--flows 100 --bytes 200 {SINGLES} --pps 20000"),
    ("the same of 100 flows, 20 000/s, down",
     f"--flows 100 --bytes 200 {SINGLES} --pps 20000 --direction down"),
    ("IPv6, 100 flows, 200 B, singles, up", f"--flows 100 --bytes 200 {SINGLES} {V6}"),
    ("IPv6, 100 flows, 200 B, singles, down",
     f"--flows 100 --bytes 200 {SINGLES} {V6} --direction down"),
    ("Binding, 64 sockets", f"--flows 64 {SINGLES} --data binding"),
    ("10 flows, 1200 B, trains of 8, up", "--flows 10 --burst 8 --packets 100000"),
    ("1 flow, 1200 B, trains of 32, up", "--burst 32 --packets 100000"),
    ("1 flow, 1200 B, trains of 32, down", "--burst 32 --packets 100000 --direction down"),
]


def receivers(name):
    """The kernel's threads that receive at an interface."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii") as file:
            if file.read().startswith(f"napi/{name}-"):
                yield int(pid)


@contextlib.contextmanager
def kyuud(host, *flags):
    with Kyuud(host, "--http-listen=none", f"--turn-listen={SERVER}:3478",
               f"--turn-listen=[{SERVER_V6}]:3478", "--realm=bench", "--user=a:b", "--threads=1",
               "--log-level=off", "--allocations-per-user=20000", "--allocations-per-source=20000",
               "--source-share=1", "--stranger-bytes-per-second=0", *flags) as server:
        yield server.process.pid


@contextlib.contextmanager
def coturn(host):
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            host.command("turnserver", "-n", "-m", "1", "--no-cli", "--log-file=/dev/null",
                         "--simple-log", "-L", SERVER, "-L", SERVER_V6, "-E", SERVER, "-E",
                         SERVER_V6, "-p", "3478",
                         "--lt-cred-mech", "-u", "a:b", "-r", "bench", "--no-tls", "--no-dtls"),
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process.pid
        finally:
            process.kill()
            process.wait()


def run(client, *command):
    """What a program of the clients prints; None if the server is not there yet."""
    ended = subprocess.run(client.command("taskset", "-c", str(os.cpu_count() - 1), *command),
                           capture_output=True, text=True, check=False)
    return json.loads(ended.stdout) if ended.returncode == 0 else None


class Bed:
    """Server and clients, and what the cable between them is called there."""

    def __init__(self, network):
        self.server, self.client = network.host("server"), network.host("client")
        self.names = network.cable(self.server, f"{SERVER}/24", self.client, f"{CLIENT}/24")
        self.idle = network.cable(self.server, None, self.client, None)[0]
        for host, name, address in ((self.server, self.names[0], SERVER_V6),
                                    (self.client, self.names[1], CLIENT_V6)):
            host.ip("addr", "add", f"{address}/64", "dev", name, "nodad")
            host.run("ethtool", "-K", name, "tx", "off", "gro", "on")
            host.run("sh", "-c", f"echo 1 > /sys/class/net/{name}/threaded")
        self.macs = [json.loads(host.ip("-j", "link", "show", "dev", name))[0]["address"]
                     for host, name in ((self.server, self.names[0]),
                                        (self.client, self.names[1]))]

    def command(self, program, row, pids):
        return (program, "--server", f"{SERVER}:3478", "--user", "a:b", "--client", CLIENT,
                "--peer", CLIENT, *(f for pid in pids for f in ("--pid", str(pid))),
                *row.split())  # The last of a name counts.

    def by_cable(self, pid, row):
        """(us for each datagram, sent, received)"""
        threads = list(receivers(self.names[0]))
        assert threads, "no threads that receive: NAPI of veth needs GRO"
        for thread in threads:
            honest.pin(thread, {0})
        result = run(self.client, *self.command(LOAD, row, (pid, *threads)))
        return result and (result["server_cpu_us_per_packet"], result["sent"],
                           result["received"])

    def from_card(self, pid, row):
        for thread in receivers(self.names[1]):  # Another machine's.
            honest.pin(thread, {os.cpu_count() - 1})
        result = run(self.client, *self.command(CARD, row, (pid,)), "--program", CARD_PROGRAM,
                     "--host", f"/run/netns/{self.server.name}", "--interface", self.names[0],
                     "--idle", self.idle, "--server-mac", self.macs[0], "--client-mac", self.macs[1])
        return result and (result["server_us"] + result["card_us"] - result["card_alone_us"],
                           result["sent"], result["received"])

    def measure(self, how, pid, row):
        for _ in range(50):  # Until the server is there.
            if result := how(pid, row):
                return result
        raise AssertionError(f"no result for {row}")


def table(bed, how, servers, rows):
    print("| kernel path | lost % | kyuud | lost % | coturn | lost % | ratio to kyuud | "
          "to coturn | |\n" + "|---" * 9 + "|", flush=True)
    for title, row in rows:
        runs = {of: [] for of in servers}
        for number in range(ROUNDS + 1):
            for of, start in servers.items():
                with start() as pid:
                    honest.pin(pid, {0})
                    result = bed.measure(how, pid, row)
                if number > 0:
                    runs[of].append(result)
        cost = {of: statistics.median(r[0] for r in results) for of, results in runs.items()}
        lost = {of: 100 * (1 - sum(r[2] for r in results) / sum(r[1] for r in results))
                for of, results in runs.items()}
        cells = " | ".join(f"{cost[of]:.2f} | {lost[of]:.1f}" for of in servers)
        print(f"| {cells} | {cost['kyuud'] / cost['kernel path']:.1f} | "
              f"{cost['coturn'] / cost['kernel path']:.1f} | {title} |", flush=True)


def main():
    with hosts.Network() as network:
        bed = Bed(network)
        servers = {
            "kernel path": lambda: kyuud(bed.server, "--kernel-path=required", "--kernel-stun=on",
                                         "--kernel-stun-rate=1000000"),
            "kyuud": lambda: kyuud(bed.server), "coturn": lambda: coturn(bed.server)}
        print("\nAs from a network card, one at a time: CPU of the machine, us")
        table(bed, bed.from_card, servers, FROM_CARD)
        print("\nOver veth: CPU of server and receiving threads, us")
        table(bed, bed.by_cable, servers, BY_CABLE)


if __name__ == "__main__":
    main()

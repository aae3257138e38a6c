#!/usr/bin/env python3
"""What a relayed packet costs kyuud, and coturn, in CPU time of the server.

  bench/relay.py [--floor TURN_FLOOR] KYUUD RELAY_LOAD loopback|wire [ROUNDS] [ROW...]

All servers run at once, pinned to one core; the load (bench/relay_load.cc) runs
on another, at one and then the other, for so many rounds after one that does not
count. Printed are medians of the server's CPU time per packet that arrived, of
that and the load's together ("box": on a wire the kernel's part of either end may
be done in the other's name), what was lost, and the kernel's share of kyuud's time.
With TURN_FLOOR (bench/turn_floor.cc) a column says what the system calls alone
take, and its ratio to coturn: no server that makes them is cheaper. It passes no
indications on.

`loopback` hands trains on whole. `wire` is a veth cable between two network
namespaces without segmentation offload (no GSO, TSO, GRO): each packet goes alone.
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
FLOOR = os.path.abspath(sys.argv[2]) if sys.argv[1] == "--floor" else None
if FLOOR:
    del sys.argv[1:3]
KYUUD, LOAD, BED = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3]
ROUNDS = int(sys.argv[4]) if len(sys.argv) > 4 else 7
WANTED = sys.argv[5:]
os.environ["KYUUD"] = KYUUD
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
import hosts  # noqa: E402
import honest  # noqa: E402
from kyuud import Kyuud  # noqa: E402

# Name, and what relay_load is told.
ROWS = {
    "loopback": [
        ("1 flow, 200 B, trains of 32, up", "--bytes 200 --burst 32 --packets 400000"),
        ("1 flow, 1200 B, trains of 32, up", "--burst 32 --packets 400000"),
        ("1 flow, 1200 B, trains of 32, down", "--burst 32 --packets 400000 --direction down"),
        ("100 flows, 1200 B, trains of 16, up", "--flows 100 --burst 16"),
        ("100 flows, 1200 B, trains of 4, up", "--flows 100 --burst 4"),
        ("1 flow, 1200 B, not grouped, up", "--burst 32 --send singles"),
        ("1 flow, 1200 B, not grouped, down", "--burst 32 --send singles --direction down"),
        ("100 flows, 200 B, singles, up", "--flows 100 --bytes 200 --burst 1 --packets 100000"),
        ("100 flows, 200 B, singles, down",
         "--flows 100 --bytes 200 --burst 1 --packets 100000 --direction down"),
        ("indications, 1 flow, 1200 B, trains of 32, up", "--burst 32 --data indications"),
        ("indications, 1 flow, 1200 B, trains of 32, down",
         "--burst 32 --data indications --direction down"),
    ],
    "wire": [
        ("1 flow, 1200 B, trains of 32, up", "--burst 32"),
        ("1 flow, 1200 B, trains of 32, down", "--burst 32 --direction down"),
        ("10 flows, 1200 B, trains of 8, up", "--flows 10 --burst 8"),
        ("10 flows, 1200 B, trains of 8, down", "--flows 10 --burst 8 --direction down"),
        ("100 flows, 1200 B, singles, up", "--flows 100 --burst 1 --packets 100000"),
        ("100 flows, 1200 B, singles, down",
         "--flows 100 --burst 1 --packets 100000 --direction down"),
    ],
}
SEGMENTATION = ("tso", "gso", "gro", "tx-udp-segmentation", "tx-gso-list", "rx-gro-list")


class Machine:
    """Where loopback is: no namespace at all."""

    def command(self, *command):
        return list(command)


def bed(stack):
    """(server's host, clients' host, addresses of the server, the clients and the
    peers). As in life peers are not at the relay's own address, where each packet
    may be meant for another allocation."""
    if BED == "loopback":
        return Machine(), Machine(), "127.0.0.1", "127.0.0.1", "127.0.0.2"
    network = stack.enter_context(hosts.Network())
    server, client = network.host("server"), network.host("client")
    names = network.cable(server, "11.1.1.1/24", client, "11.1.1.2/24")
    for host, name in zip((server, client), names):
        for offload in SEGMENTATION:
            subprocess.run(host.command("ethtool", "-K", name, offload, "off"),
                           capture_output=True, check=False)
    return server, client, "11.1.1.1", "11.1.1.2", "11.1.1.2"


def coturn(stack, host, address, port):
    """With the flags that are fair to it."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    process = subprocess.Popen(
        host.command("turnserver", "-n", "-m", "1", "--no-cli", "--log-file=/dev/null", "--simple-log",
                     "--allow-loopback-peers", "-L", address, "-E", address, "-p", str(port),
                     "--lt-cred-mech", "-u", "a:b", "-r", "bench", "--no-tls", "--no-dtls"),
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process.pid


def floor(stack, host, port):
    process = subprocess.Popen(host.command(FLOOR, str(port)), stdin=subprocess.PIPE)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process.pid


def times(pid):
    """Ticks in user and in system mode."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


def measure(host, pid, server, client, peer, row):
    """One run of the load; nothing if it came to nothing."""
    pinned = ["taskset", "-c", str(os.cpu_count() - 1)]
    for _ in range(50):  # Until the server is there.
        ended = subprocess.run(
            host.command(*pinned, LOAD, "--server", server, "--user", "a:b", "--pid", str(pid),
                         "--client", client, "--peer", peer, *row.split()),
            capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            return json.loads(ended.stdout)
    raise AssertionError(ended.stderr)


def main():
    with contextlib.ExitStack() as stack:
        server_host, client_host, server, client, peer = bed(stack)
        kyuud = stack.enter_context(Kyuud(
            server_host, "--http-listen=none", f"--turn-listen={server}:23478", "--realm=bench",
            "--user=a:b", "--threads=1", "--log-level=off"))
        servers = {"kyuud": (f"{server}:23478", kyuud.process.pid),
                   "coturn": (f"{server}:23479", coturn(stack, server_host, server, 23479))}
        if FLOOR:
            servers["floor"] = (f"{server}:23480", floor(stack, server_host, 23480))
        head = ["kyuud us (box)", "lost %", "coturn us (box)", "lost %", "ratio (box)",
                "kernel's share of kyuud, %"] + ["system calls alone (ratio)"] * bool(FLOOR)
        print(f"| {BED} | " + " | ".join(head) + " |\n|---" + "|---" * len(head) + "|", flush=True)
        for name, row in ROWS[BED]:
            if WANTED and not any(part in name for part in WANTED):
                continue
            results = {of: [] for of in servers}
            before = times(kyuud.process.pid)
            for number in range(ROUNDS + 1):
                for of, (address, pid) in servers.items():
                    if of == "floor" and "indications" in row:
                        continue
                    honest.pin(pid, {0})
                    result = measure(client_host, pid, address, client, peer, row)
                    if number > 0:
                        results[of].append(result)
            cells, cost = [], {}
            for of, runs in results.items():
                if not runs:
                    continue
                cost[of] = [statistics.median(r["server_cpu_us_per_packet"] for r in runs),
                            statistics.median(r["server_cpu_us_per_packet"] +
                                              r["load_cpu_us_per_packet"] for r in runs)]
                lost = 100 * (1 - sum(r["received"] for r in runs) / sum(r["sent"] for r in runs))
                if of != "floor":
                    cells += [f"{cost[of][0]:.2f} ({cost[of][1]:.2f})", f"{lost:.1f}"]
            ratios = [theirs / ours for ours, theirs in zip(cost["kyuud"], cost["coturn"])]
            user, system = (b - a for a, b in zip(before, times(kyuud.process.pid)))
            cells += [f"{ratios[0]:.1f} ({ratios[1]:.1f})",
                      f"{100 * system / max(1, user + system):.0f}"]
            if "floor" in cost:
                cells.append(f"{cost['floor'][0]:.2f} ({cost['coturn'][0] / cost['floor'][0]:.1f})")
            elif FLOOR:
                cells.append("")
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

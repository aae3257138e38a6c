#!/usr/bin/env python3
"""What a relayed datagram costs the machine with --kernel-path, without it, and
with coturn.

  bench/kernel_path.py KYUUD RELAY_LOAD [ROUNDS]

Needs root. Server and clients are network namespaces on a veth cable. The threads
that receive for the server (NAPI) are pinned to its core and their CPU time is
added to the server's: without the process most of the work is theirs. Servers take
turns, each started anew and alone, because the program would slow the others down.
Printed are medians of CPU time per datagram that arrived, and what was lost.
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
KYUUD, LOAD = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
os.environ["KYUUD"] = KYUUD
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
import hosts  # noqa: E402
import honest  # noqa: E402
from kyuud import Kyuud  # noqa: E402

SERVER, CLIENT = "11.1.1.1", "11.1.1.2"
SERVER_V6, CLIENT_V6 = "2a00:1::1", "2a00:1::2"
SINGLES = "--burst 1 --packets 100000"
V6 = f"--server [{SERVER_V6}]:3478 --client {CLIENT_V6} --peer {CLIENT_V6}"
ROWS = [
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


def measure(host, pid, name, row):
    """(us for each datagram of the server and the threads that receive for it, sent,
    received)"""
    for _ in range(50):  # Until the server is there.
        threads = list(receivers(name))
        assert threads, "no threads that receive: NAPI of veth needs GRO"
        for thread in threads:
            honest.pin(thread, {0})
        ended = subprocess.run(
            host.command("taskset", "-c", str(os.cpu_count() - 1), LOAD, "--server",
                         f"{SERVER}:3478", "--user", "a:b", "--client", CLIENT, "--peer", CLIENT,
                         *(f for of in (pid, *threads) for f in ("--pid", str(of))),
                         *row.split()),  # The last of a name counts.
            capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            result = json.loads(ended.stdout)
            return result["server_cpu_us_per_packet"], result["sent"], result["received"]
    raise AssertionError(ended.stderr)


def main():
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(hosts.Network())
        server, client = network.host("server"), network.host("client")
        names = network.cable(server, f"{SERVER}/24", client, f"{CLIENT}/24")
        for host, name, address in ((server, names[0], SERVER_V6), (client, names[1], CLIENT_V6)):
            host.ip("addr", "add", f"{address}/64", "dev", name, "nodad")
        for host, name in zip((server, client), names):
            host.run("ethtool", "-K", name, "tx", "off", "gro", "on")
        server.run("sh", "-c", f"echo 1 > /sys/class/net/{names[0]}/threaded")
        servers = {"kernel path": lambda: kyuud(
            server, "--kernel-path=required", "--kernel-stun=on", "--kernel-stun-rate=1000000"),
                   "kyuud": lambda: kyuud(server), "coturn": lambda: coturn(server)}
        print("| veth, CPU of server and receiving threads, us | kernel path | lost % | kyuud | "
              "lost % | coturn | lost % | ratio to kyuud | to coturn |\n" + "|---" * 9 + "|",
              flush=True)
        for title, row in ROWS:
            runs = {of: [] for of in servers}
            for number in range(ROUNDS + 1):
                for of, start in servers.items():
                    with start() as pid:
                        honest.pin(pid, {0})
                        result = measure(client, pid, names[0], row)
                    if number > 0:
                        runs[of].append(result)
            cost = {of: statistics.median(r[0] for r in results) for of, results in runs.items()}
            lost = {of: 100 * (1 - sum(r[2] for r in results) / sum(r[1] for r in results))
                    for of, results in runs.items()}
            cells = " | ".join(f"{cost[of]:.2f} | {lost[of]:.1f}" for of in servers)
            print(f"| {title} | {cells} | {cost['kyuud'] / cost['kernel path']:.1f} | "
                  f"{cost['coturn'] / cost['kernel path']:.1f} |", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What a relayed message of a client on TCP or TLS costs kyuud, and coturn.

  bench/turn_streams.py KYUUD [ROUNDS [FLOOR]]

Both servers run at once on one core, the load on another, in turn: CPU time of
the server (user and system, all threads) for each message that arrived. Up is
client -> relay -> peer, in writes of 16 messages; down the way back. The peer
speaks datagrams one by one, or trains of 16 as a sender of today does
(UDP_SEGMENT, UDP_GRO). At most 32 messages are on their way; what has not come
in 0.2 s was lost. With FLOOR, the program stream_floor, it is told what the
system calls alone take, and TLS: no server that makes them is cheaper.
"""

import itertools
import os
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools", "kyuud"))
KYUUD = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 7
FLOOR = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
sys.argv = [sys.argv[0], KYUUD]  # As the helper wants it.
from testing.kyuud import TcpTurn  # noqa: E402

BYTES, BURST, MESSAGES = 1200, 16, 16 * 3000
UDP_SEGMENT, UDP_GRO = 103, 104  # linux/udp.h
HEADER = b"\x40\x01" + BYTES.to_bytes(2, "big")


def cpu_s(pid):
    """To the nanosecond, of all threads that live."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def run(port, tls, direction, trains):
    """Relays all messages; returns how many have arrived."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    if trains:
        peer.setsockopt(socket.SOL_UDP, UDP_GRO, 1)
    peer.bind(("127.0.0.1", 0))
    peer.settimeout(0.2)
    client = TcpTurn(port, "a", "b", tls=tls)
    assert client.allocate() == 0 and client.bind(peer.getsockname()) == 0
    client.socket.settimeout(0.2)
    burst, payload = (HEADER + bytes(BYTES)) * BURST, bytes(BYTES * BURST)
    train = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("H", BYTES))]
    arrived = sent = lost = 0
    while sent < MESSAGES or arrived + lost < sent:
        if sent < MESSAGES and sent - arrived - lost <= BURST:
            if direction == "up":
                client.send(burst)
            elif trains:
                peer.sendmsg([payload], train, 0, client.relayed)
            else:
                for _ in range(BURST):
                    peer.sendto(payload[:BYTES], client.relayed)
            sent += BURST
        try:
            if direction == "up":
                arrived += len(peer.recv(65536)) // BYTES
            else:
                client.take(len(HEADER) + BYTES)
                arrived += 1
        except TimeoutError:
            lost = sent - arrived
    client.socket.settimeout(5)
    client.release()
    client.socket.close()
    return arrived


def main():
    os.sched_setaffinity(0, {1})
    folder = tempfile.mkdtemp()
    certificate, key = (os.path.join(folder, n) for n in ("c.pem", "k.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key],
                   check=True, capture_output=True)
    tls = ssl.create_default_context(cafile=certificate)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    pin = ["taskset", "-c", "0"]
    servers = {
        "kyuud": subprocess.Popen(
            pin + [KYUUD, "--http-listen=127.0.0.1:23478", "--turn-listen=127.0.0.1:0",
                   "--threads=1", "--log-level=off", "--realm=bench", "--user=a:b",
                   f"--tls-certificate={certificate}", f"--tls-key={key}"], **quiet),
        "coturn": subprocess.Popen(
            pin + ["turnserver", "-n", "-m", "1", "--no-cli", "--log-file=/dev/null",
                   "--simple-log", "--allow-loopback-peers", "-L", "127.0.0.1", "-p", "23479",
                   "--tls-listening-port=23480", "--lt-cred-mech", "-u", "a:b", "-r", "bench",
                   f"--cert={certificate}", f"--pkey={key}"], **quiet),
    }
    ports = {("kyuud", "tcp"): 23478, ("kyuud", "tls"): 23478,
             ("coturn", "tcp"): 23479, ("coturn", "tls"): 23480}
    if FLOOR is not None:
        for transport, port, files in (("tcp", 23481, []), ("tls", 23482, [certificate, key])):
            servers[f"floor of {transport}"] = subprocess.Popen(
                pin + [FLOOR, str(port), *files], stdin=subprocess.PIPE, **quiet)
            ports[f"floor of {transport}", transport] = port
    try:
        for port in set(ports.values()):
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.1)
        for transport in ("tcp", "tls"):
            for direction, trains in itertools.product(("up", "down"), (True, False)):
                asked = [name for name in servers if (name, transport) in ports]
                costs = {name: [] for name in asked}
                lost = dict.fromkeys(asked, 0)
                for _ in range(ROUNDS):
                    for name in asked:
                        process = servers[name]
                        before = cpu_s(process.pid)
                        arrived = run(ports[name, transport],
                                      tls if transport == "tls" else None, direction, trains)
                        costs[name].append((cpu_s(process.pid) - before) / arrived * 1e6)
                        lost[name] += MESSAGES - arrived
                kyuud, coturn, *floor = (statistics.median(cost) for cost in costs.values())
                alone = "".join(f", system calls alone {of:.2f} us (ratio {coturn / of:.2f})" for of in floor)
                print(f"{transport} {direction}, {'trains' if trains else 'singles'}: kyuud {kyuud:.2f} us, coturn {coturn:.2f} us, "
                      f"ratio {coturn / kyuud:.2f}{alone}; lost {lost['kyuud']}, {lost['coturn']}",
                      flush=True)
    finally:
        for process in servers.values():
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()

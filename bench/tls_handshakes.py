#!/usr/bin/env python3
"""What a full TLS handshake costs the server, beside OpenSSL's own.

  bench/tls_handshakes.py KYUUD [ROUNDS]

400 handshakes of TLS 1.3, one after the other, each from an address of its own (ECDSA with
P-256, one ticket, ALPN), at kyuud and at `openssl s_server` in turn, each alone on its core:
CPU time of the server for each.
"""

import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tools", "kyuud"))
KYUUD = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
from testing import kyuud as helper  # noqa: E402

HANDSHAKES, FIRST = 400, 50
SERVER_CORE, CLIENT_CORE = {0}, {(os.cpu_count() or 1) - 1}


def cpu(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def measure(pid, port):
    """Microseconds of CPU for each."""
    os.sched_setaffinity(pid, SERVER_CORE)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    before = 0
    for number in range(FIRST + HANDSHAKES):
        if number == FIRST:
            before = cpu(pid)
        source = (f"127.0.{1 + number // 200}.{1 + number % 200}", 0)
        with socket.create_connection(("127.0.0.1", port), helper.WAIT, source) as tcp:
            context.wrap_socket(tcp, server_hostname="localhost").close()
    time.sleep(0.1)
    return 1e6 * (cpu(pid) - before) / HANDSHAKES


def of_kyuud(files):
    server = helper.Kyuud("--log-level=off", "--threads=1", f"--tls-certificate={files[0]}",
                          f"--tls-key={files[1]}")
    try:
        return measure(server.process.pid, server.http_port)
    finally:
        server.stop()


def of_openssl(files):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", files[0], "-key", files[1],
         "-quiet", "-alpn", "http/1.1", "-num_tickets", "1"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        return measure(process.pid, port)
    finally:
        process.terminate()
        process.wait()


def main():
    os.sched_setaffinity(0, CLIENT_CORE)
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("cert.pem", "key.pem")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=localhost",
                        "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
        for _ in range(ROUNDS):
            print(f"| a handshake | kyuud {of_kyuud(files):.0f} us | "
                  f"openssl s_server {of_openssl(files):.0f} us |", flush=True)


if __name__ == "__main__":
    main()

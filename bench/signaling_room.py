#!/usr/bin/env python3
"""A room of 10 000: how long until a message to all has reached all, and what
others wait for their answers while 200 members a second say something new and
some come and go.

  bench/signaling_room.py KYUUD [MEMBERS [BYTES_PER_SECOND]]

The server is alone on its core. What is told is a member's `update`, 90 bytes for
each of the others; "floor" is a program of no server at all, which sends as many
bytes over as many connections, one after the other, on the same core. The members
are room_load.cc's (bazel build --config=opt //bench:room_load); others are four of
them who ask `ping` 40 times a second each.
"""

import os
import resource
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tools", "kyuud"))
KYUUD = os.path.abspath(sys.argv[1])
LOAD = os.path.join(os.path.dirname(KYUUD), "..", "..", "bench", "room_load")
MEMBERS = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
# Unless said ten times the default: all who come are told to all who are there, 75
# bytes each, which has to be over before anything is measured. It is a whole core's.
BUDGET = int(sys.argv[3]) if len(sys.argv) > 3 else 40_000_000
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
from testing import kyuud as helper  # noqa: E402

SERVER_CORE, CLIENT_CORE = 0, (os.cpu_count() or 1) - 1


def load(*arguments):
    subprocess.run([LOAD, *map(str, arguments)], check=True)


def main():
    os.sched_setaffinity(0, {CLIENT_CORE})
    load("floor", MEMBERS, 92, SERVER_CORE)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = helper.Kyuud("--log-level=off", "--threads=1", f"--peers-per-room={MEMBERS + 100}",
                          f"--max-connections={2 * MEMBERS}",
                          # Half of all descriptors are kept for relays unless there
                          # are few of these: 20 000 would do for 8300 members.
                          "--relay-ports=49152-49159",
                          f"--presence-bytes-per-second={BUDGET}", files=(most, most))
    os.sched_setaffinity(server.process.pid, {SERVER_CORE})
    try:
        load(server.http_port, MEMBERS, server.process.pid)
    finally:
        server.stop()


if __name__ == "__main__":
    main()

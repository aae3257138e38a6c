#!/usr/bin/env python3
"""10 000 connections reset under load: what is lost, doubled or out of order of
what 100 clients in calls say to each other, 40 messages a second each, and how
long it takes until a session goes on.

  bench/signaling_resets.py KYUUD [RESETS [PER_SECOND]]
"""

import json
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tools", "kyuud"))
KYUUD = os.path.abspath(sys.argv[1])
RESETS = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
PER_SECOND = int(sys.argv[3]) if len(sys.argv) > 3 else 200
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
from testing import kyuud as helper  # noqa: E402
from testing.resets import Resets  # noqa: E402

PAIRS = 50


def main():
    server = helper.Kyuud("--log-level=off", "--threads=1")
    try:
        load = Resets(server.http_port, PAIRS)
        load.run(RESETS, PER_SECOND)
        cut = statistics.quantiles(load.times(), n=100)
        print(f"| {json.dumps(load.result())} | {load.seconds:.0f} s | welcomed again: "
              f"p50 {1e3 * cut[49]:.1f}, p99 {1e3 * cut[98]:.1f}, max {1e3 * max(load.times()):.1f} ms |")
        load.close()
    finally:
        server.stop()


if __name__ == "__main__":
    main()

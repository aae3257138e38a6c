"""Connections and channels that come and go where packets get lost.

`churn [MINUTES [LOSS_PERCENT]]`: peer_churn in a host of its own, of whose
packets so many are lost, 2 % unless said. What was sent has to arrive, and
nothing may grow; it says so itself.
"""

import os
import subprocess

from common import say
from hosts import Network


def run(arguments):
    minutes = float(arguments[0]) if arguments else 60
    loss = float(arguments[1]) if len(arguments) > 1 else 2
    program = os.path.join(os.path.dirname(os.path.dirname(os.environ["KYUUD"])), "soak", "peer_churn")
    with Network() as network:
        host = network.host("churn")
        host.run("nft", "add table inet loss; add chain inet loss out "
                        "{ type filter hook output priority 0; }; "
                        "add rule inet loss out meta l4proto udp "
                        f"numgen random mod 1000 < {round(10 * loss)} counter drop")
        failed = subprocess.run(host.command(program, str(60 * minutes)), check=False).returncode
        say(host.run("nft", "list", "chain", "inet", "loss", "out").strip())
    return failed

"""What `kyuu doctor` says of ways that the kernel narrows, and `kyuud doctor` of
routers that do not send back what comes from inside.

kyuu is the one that was built beside the kyuud under test.
"""

import json
import os
import subprocess

from kyuud import BINARY, Kyuud
from scenarios_fallback import KYUU
from scenario import CLIENT, Scenario, SERVER, USER, WILDCARD
from turn_client import TurnClient

INSIDE, ROUTER, NETWORK = "10.5.5.2", "10.5.5.1", "10.5.5.0/24"


class WideWay(Scenario):
    """`home` is behind `client`, which is a router here."""

    def setUp(self):
        super().setUp()
        self.home = self.network.host("home")
        self.network.cable(self.home, f"{INSIDE}/24", self.client, f"{ROUTER}/24")
        self.home.ip("route", "add", "default", "via", ROUTER)
        self.server.ip("route", "add", NETWORK, "via", CLIENT)
        self.client.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.start(*WILDCARD, USER)

    def doctor(self, check):
        """What it finds of `check`."""
        result = subprocess.run(self.home.command(KYUU, "doctor", "--json", f"http://{SERVER}:9000/"),
                                check=False, capture_output=True, text=True, timeout=60)
        return next(f for f in json.loads(result.stdout)["findings"] if f["name"] == check)

    def test_full_packets(self):
        found = self.doctor("mtu")
        self.assertEqual(found["verdict"], "pass", found)
        self.assertIn("datagrams with 1468 bytes", found["what"])


class NarrowWay(WideWay):
    mtu = 1100

    def test_full_packets(self):
        found = self.doctor("mtu")
        self.assertEqual(found["verdict"], "warn", found)
        self.assertIn("no datagram with more than 1068 bytes", found["what"])
        self.assertIn("mtu 1280", found["fix"])
        # What the router has said of those that were too large ended nothing.
        self.assertEqual(self.doctor("relay-refuses")["verdict"], "pass")

    def test_a_router_that_says_nothing(self):
        self.client.run("nft", "add", "table", "ip", "mute")
        self.client.run("nft", "add", "chain", "ip", "mute", "output",
                        "{ type filter hook output priority 0; }")
        self.client.run("nft", "add", "rule", "ip", "mute", "output",
                        "icmp", "type", "destination-unreachable", "drop")
        found = self.doctor("mtu")
        self.assertEqual(found["verdict"], "warn", found)
        self.assertIn("no datagram with more than 1068 bytes", found["what"])


class BarelyWideWay(WideWay):
    """What tunnels have to let through at least."""

    mtu = 1280

    def test_full_packets(self):
        found = self.doctor("mtu")
        self.assertEqual(found["verdict"], "pass", found)
        self.assertIn("datagrams with 1248 bytes", found["what"])


class Hairpin(Scenario):
    """The server is at `home`; `client` is a router, whose address it tells."""

    FLAGS = (*WILDCARD, USER, f"--relay-address={CLIENT}/{INSIDE}")

    def setUp(self):
        super().setUp()
        self.home = self.network.host("home")
        _, self.inner = self.network.cable(self.home, f"{INSIDE}/24", self.client, f"{ROUTER}/24")
        self.home.ip("route", "add", "default", "via", ROUTER)
        self.client.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.client.run("nft", "add", "table", "ip", "nat")
        self.client.run("nft", "add", "chain", "ip", "nat", "prerouting",
                        "{ type nat hook prerouting priority -110; }")

    def forward(self, *matches):
        """The router's ports are the server's, for packets that match."""
        self.client.run("nft", "add", "rule", "ip", "nat", "prerouting", *matches, "ip", "daddr",
                        CLIENT, "udp", "dport", "3478", "dnat", "to", INSIDE)

    def doctor(self):
        result = subprocess.run(
            self.home.command(os.path.abspath(BINARY), "doctor", "--json", *self.FLAGS),
            check=False, capture_output=True, text=True, timeout=60)
        found = [f for f in json.loads(result.stdout)["findings"] if f["name"] == "hairpin"]
        self.assertEqual(len(found), 1, result.stdout)
        return found[0]

    def serve(self):
        self.stack.enter_context(Kyuud(self.home, *self.FLAGS))

    def test_a_router_that_sends_nothing_back_and_its_mend(self):
        self.forward("iifname", self.cables[1])
        self.assertEqual(self.doctor()["verdict"], "not_seen")
        self.serve()
        with self.server:
            stun = self.stack.enter_context(TurnClient((CLIENT, 3478)))
            self.assertTrue(stun.binding())  # From outside it works.
        found = self.doctor()
        self.assertEqual(found["verdict"], "warn", found)
        self.assertIn(f"{CLIENT}:3478", found["what"])
        self.client.run("sh", "-ec", found["fix"])
        found = self.doctor()
        self.assertEqual(found["verdict"], "pass", found)

    def test_a_router_that_leaves_the_source_as_it_is(self):
        """Its packets come back to where they are from, which nobody takes."""
        self.forward()
        self.serve()
        found = self.doctor()
        self.assertEqual(found["verdict"], "warn", found)
        self.client.run("sh", "-ec", found["fix"])
        found = self.doctor()
        self.assertEqual(found["verdict"], "pass", found)

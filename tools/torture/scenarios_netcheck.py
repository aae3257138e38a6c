"""What `kyuu netcheck` says of networks that the kernel makes: its own NAT in
two kinds, and firewalls.

kyuu is the one that was built beside the kyuud under test.
"""

import subprocess

from scenarios_fallback import KYUU
from scenario import CLIENT, OTHER, Scenario, SERVER

INSIDE, ROUTER = "10.5.5.2", "10.5.5.1"
DISCOVERY = (f"--discovery={SERVER}:3478", f"--discovery={OTHER}:3479")


class Netcheck(Scenario):
    """`home` is behind `client`, which is a router here."""

    def setUp(self):
        super().setUp()
        self.home = self.network.host("home")
        self.network.cable(self.home, f"{INSIDE}/24", self.client, f"{ROUTER}/24")
        self.home.ip("route", "add", "default", "via", ROUTER)
        self.client.run("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def rules(self, *rules, hook="postrouting", kind="nat", priority="100"):
        self.client.run("nft", "add", "table", "ip", "home")
        self.client.run("nft", "add", "chain", "ip", "home", hook,
                        f"{{ type {kind} hook {hook} priority {priority}; }}")
        for rule in rules:
            self.client.run("nft", "add", "rule", "ip", "home", hook, *rule.split())

    def serve(self):
        self.start("--http-listen=0.0.0.0:9000", f"--turn-listen={SERVER}:3478", *DISCOVERY)

    def netcheck(self, *arguments, status=0):
        result = subprocess.run(self.home.command(KYUU, "netcheck", *arguments), check=False,
                                capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, status, result)
        return result.stdout

    def test_a_router_that_keeps_ports(self):
        self.rules(f"ip saddr {INSIDE} masquerade")
        self.serve()
        said = self.netcheck(f"stun:{SERVER}:3478", f"stun:{SERVER}:9000?transport=tcp")
        self.assertIn(f"udp   {SERVER}:3478: works; sees this machine at {CLIENT}:", said)
        self.assertIn(f"tcp   {SERVER}:9000: works", said)
        self.assertIn("one outside port for all destinations", said)
        self.assertIn("(address- and port-dependent filtering)", said)
        self.assertIn("(no hairpinning)", said)
        self.assertIn("all peers but those behind a NAT with endpoint-dependent mapping", said)

    def test_a_router_with_random_ports_is_symmetric(self):
        self.rules(f"ip saddr {INSIDE} masquerade fully-random")
        self.serve()
        said = self.netcheck(f"stun:{SERVER}:3478")
        self.assertIn('"symmetric"', said)
        self.assertIn("all others need a TURN relay", said)

    def test_how_long_the_router_keeps_a_silent_mapping(self):
        for name in ("udp_timeout", "udp_timeout_stream"):
            self.client.run("sysctl", "-qw", f"net.netfilter.nf_conntrack_{name}=15")
        self.rules(f"ip saddr {INSIDE} masquerade")
        self.serve()
        said = self.netcheck(f"stun:{SERVER}:3478", "--lifetime")
        self.assertIn("a mapping lives for 10s to 20s without traffic", said)

    def test_where_udp_is_dropped_tcp_is_named_and_what_to_open(self):
        self.rules(f"ip saddr {INSIDE} meta l4proto udp drop", hook="forward", kind="filter",
                   priority="0")
        self.server.ip("route", "add", "10.5.5.0/24", "via", CLIENT)
        self.serve()
        said = self.netcheck(f"stun:{SERVER}:3478", f"stun:{SERVER}:9000?transport=tcp")
        self.assertIn(f"udp   {SERVER}:3478: does not work: it does not answer", said)
        self.assertIn("only through a TURN relay over TCP", said)
        self.assertIn("Open UDP to the server's port", said)

    def test_where_nothing_gets_out(self):
        self.rules(f"ip saddr {INSIDE} drop", hook="forward", kind="filter", priority="0")
        self.serve()
        self.assertIn("calls will not work", self.netcheck(f"stun:{SERVER}:3478", status=1))

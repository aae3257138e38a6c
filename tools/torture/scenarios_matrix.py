"""Two kyuu on each pair of networks that the kernel makes find the cheapest way:
what ice/network_matrix_test asks of simulated ones, of nftables and a kyuud.

kyuu is the one that was built beside the kyuud under test.
"""

import scenarios_fallback
from scenario import SERVER, USER
from scenarios_nat import CONE, Homes, NO_UDP, SYMMETRIC, TCP_IN

# NATs, by what they let in: whatever comes for the mapping; what comes from an
# address that was sent to; what comes from where was sent to.
FULL = [CONE, ("nat prerouting", "ip saddr != 10.0.0.0/8 meta l4proto udp dnat to HOME")]
ADDRESS = [CONE, ("filter forward", "meta l4proto udp add @asked { ip daddr }"),
           ("nat prerouting", "ip saddr @asked meta l4proto udp dnat to HOME")]
NATS = {"full": FULL, "address": ADDRESS, "port": [CONE], "symmetric": [SYMMETRIC],
        # Nothing by UDP; by TCP whatever comes for the mapping.
        "full-tcp": [CONE, NO_UDP, TCP_IN]}
# A router at home behind another one of its provider, whose net is 100.64/10 (RFC
# 6598): what the outer one does, and the inner one.
NESTED = {"cone-in-cone": ([CONE], [CONE]), "symmetric-in-cone": ([CONE], [SYMMETRIC]),
          "cone-in-symmetric": ([SYMMETRIC], [CONE])}
# Hosts with public addresses: what may come in, and what may leave.
HOSTS = {
    "open": (["meta l4proto { udp, tcp, icmp }"], ["meta l4proto { udp, tcp, icmp }"]),
    "no-udp": (["meta l4proto tcp"], ["meta l4proto tcp"]),
    "tcp-out": (["ct state established"], ["meta l4proto tcp"]),
    "443": (["ct state established"], ["tcp dport 443 ip daddr { 11.1.1.1, 12.2.2.1 }"]),
}
TURN_TCP, TURN_TLS = "turn:u:p@SERVER:443?transport=tcp", "turns:u:p@SERVER:443"

# Whoever connects first: the other one sees a port that nobody has told.
EITHER = "host-host over tcp or host-prflx over tcp"
# Ways of the two ends, as the first one sees it, by UDP unless told.
EXPECTED = {
    ("full", "full"): "srflx-srflx", ("full", "address"): "srflx-srflx",
    ("full", "port"): "srflx-srflx", ("full", "symmetric"): "srflx-prflx",
    ("address", "address"): "srflx-srflx", ("address", "port"): "srflx-srflx",
    ("address", "symmetric"): "srflx-prflx", ("port", "port"): "srflx-srflx",
    ("port", "symmetric"): "srflx-relay", ("symmetric", "symmetric"): "prflx-relay",
    ("open", "open"): "host-host", ("open", "port"): "host-srflx",
    ("open", "symmetric"): "host-prflx", ("port", "open"): "srflx-host",
    ("symmetric", "open"): "prflx-host",
    ("open", "no-udp"): EITHER, ("no-udp", "no-udp"): EITHER,
    ("tcp-out", "open"): "host-host over tcp", ("no-udp", "tcp-out"): "host-prflx over tcp",
    ("open", "tcp-out"): "host-prflx over tcp",
    ("port", "no-udp"): "prflx-host over tcp", ("symmetric", "no-udp"): "prflx-host over tcp",
    ("tcp-out", "tcp-out"): "relay-relay", ("port", "tcp-out"): "srflx-relay",
    ("tcp-out", "symmetric"): "relay-prflx", ("443", "open"): "relay-host",
    ("port", "443"): "srflx-relay", ("443", "443"): "relay-relay",
    ("full-tcp", "full-tcp"): "srflx-prflx over tcp or prflx-srflx over tcp",
    ("full-tcp", "port"): "srflx-prflx over tcp", ("symmetric", "full-tcp"): "prflx-srflx over tcp",
    ("full-tcp", "no-udp"): "prflx-host over tcp or srflx-prflx over tcp",
    ("tcp-out", "full-tcp"): "host-srflx over tcp",
    # Of two NATs in a row the stricter one is what counts.
    ("cone-in-cone", "cone-in-cone"): "srflx-srflx", ("full", "cone-in-cone"): "srflx-srflx",
    ("cone-in-cone", "port"): "srflx-srflx", ("cone-in-cone", "symmetric"): "srflx-relay",
    ("cone-in-cone", "open"): "srflx-host", ("open", "cone-in-cone"): "host-srflx",
    ("cone-in-cone", "no-udp"): "prflx-host over tcp", ("tcp-out", "cone-in-cone"): "relay-srflx",
    ("port", "symmetric-in-cone"): "srflx-relay", ("full", "symmetric-in-cone"): "srflx-prflx",
    ("symmetric-in-cone", "open"): "prflx-host",
    ("symmetric-in-cone", "symmetric-in-cone"): "prflx-relay",
    ("cone-in-cone", "cone-in-symmetric"): "srflx-relay",
    ("cone-in-symmetric", "open"): "prflx-host",
}


class Matrix(Homes):
    def settle(self, number, place):
        """Makes the one end a host in that place."""
        router, server = ((self.client, SERVER), (self.far, scenarios_fallback.FAR_SERVER))[number - 1]
        for machine in (router, self.inner[number - 1]):
            for family, table in (("ip", "home"), ("inet", "wall")):
                machine.run("nft", "add", "table", family, table)
                machine.run("nft", "delete", "table", family, table)
        if place in NESTED:
            outer, inner = NESTED[place]
            self.behave(number, router, outer, home=f"100.64.{number}.2")
            self.behave(number, self.inner[number - 1], inner, home=f"10.{10 + number}.0.2")
            return self.deep[number - 1], server
        if place in NATS:
            router.run("nft", "add", "table", "ip", "home")
            router.run("nft", "add", "set", "ip", "home", "asked",
                       "{ type ipv4_addr; flags dynamic; size 1000; }")
            self.behave(number, router, NATS[place])
            return self.homes[number - 1]
        router.run("nft", "add", "table", "inet", "wall")
        for hook, rules in zip(("input", "output"), HOSTS[place]):
            router.run("nft", "add", "chain", "inet", "wall", hook,
                       f"{{ type filter hook {hook} priority 0; policy drop; }}")
            for rule in rules:
                router.run("nft", "add", "rule", "inet", "wall", hook, *rule.split(), "accept")
        return router, server

    def wire_nested(self):
        """Behind each router another one, with a home behind that."""
        self.inner, self.deep = [], []
        for number, router in enumerate((self.client, self.far), 1):
            inner, deep = (self.network.host(f"{kind}{number}") for kind in ("inner", "deep"))
            self.network.cable(inner, f"100.64.{number}.2/24", router, f"100.64.{number}.1/24")
            self.network.cable(deep, f"10.{10 + number}.0.2/24", inner, f"10.{10 + number}.0.1/24")
            inner.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
            inner.ip("route", "add", "default", "via", f"100.64.{number}.1")
            deep.ip("route", "add", "default", "via", f"10.{10 + number}.0.1")
            self.inner.append(inner)
            self.deep.append(deep)

    def assert_all(self, chosen):
        self.wire()
        self.wire_nested()
        self.homes = self.ends
        self.start("--http-listen=0.0.0.0:443", "--turn-listen=0.0.0.0:3478", USER,
                   f"--tls-certificate={self.certificate}", f"--tls-key={self.key}")
        self.assertTrue(chosen)
        for places in chosen:
            with self.subTest(" and ".join(places)):
                self.ends = tuple(self.settle(n, p) for n, p in enumerate(places, 1))
                # Long enough for a better way to take over from the relay.
                # Where connections get in, a server is asked what the NAT shows.
                flags = [(f"--stun={server}:443",) if place == "full-tcp" else ()
                         for place, (_, server) in zip(places, self.ends)]
                here, _ = self.pair("u:p@SERVER:3478", TURN_TCP, TURN_TLS,
                                    flags=(("--interval=10", *flags[0]), flags[1]))
                over = " over tcp" if here["transport"] == "tcp" else ""
                self.assertIn(here["path"] + over, EXPECTED[places].split(" or "))

    def test_each_nat_with_each_other(self):
        self.assert_all([pair for pair in EXPECTED if set(pair) <= NATS.keys()])

    def test_hosts_with_public_addresses(self):
        self.assert_all([pair for pair in EXPECTED if set(pair) <= HOSTS.keys()])

    def test_nats_with_hosts_of_public_addresses(self):
        self.assert_all([pair for pair in EXPECTED
                         if set(pair) & NATS.keys() and set(pair) & HOSTS.keys()])

    def test_nats_behind_nats(self):
        self.assert_all([pair for pair in EXPECTED if set(pair) & NESTED.keys()])

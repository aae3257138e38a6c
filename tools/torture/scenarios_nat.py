"""Two kyuu behind NATs that the kernel makes find the best way that there is:
direct where the routers let them, and through the relay where not.

kyuu is the one that was built beside the kyuud under test.
"""

import scenarios_fallback
from scenario import CLIENT, SERVER, USER, WILDCARD

# What a router does (rules of nft): it keeps the port, so that there is one for
# all destinations; it takes another port for each; it lets out no UDP.
CONE = ("nat postrouting", "masquerade")
SYMMETRIC = ("nat postrouting", "masquerade fully-random")
NO_UDP = ("filter forward", "meta l4proto udp drop")
# Whatever connects to it reaches the home, at the same port.
TCP_IN = ("nat prerouting", "ip saddr != 10.0.0.0/8 meta l4proto tcp dnat to HOME")
PRIORITIES = {"nat prerouting": -100, "nat postrouting": 100, "filter forward": 0}


class Homes(scenarios_fallback.Meeting):
    """`client` and `far` are routers, each with a home behind it. They reach
    each other through the server, which knows nothing of the homes' nets."""

    def build(self, here, there):
        self.wire()
        self.behave(1, self.client, here)
        self.behave(2, self.far, there)

    def wire(self):
        ends = []
        self.server.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for number, (router, server) in enumerate(
                ((self.client, SERVER), (self.far, scenarios_fallback.FAR_SERVER)), 1):
            net = f"10.{number}.0"
            home = self.network.host(f"home{number}")
            self.network.cable(home, f"{net}.2/24", router, f"{net}.1/24")
            home.ip("route", "add", "default", "via", f"{net}.1")
            router.ip("route", "add", "default", "via", server)
            router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
            ends.append((home, server))
        self.ends = tuple(ends)

    def behave(self, number, router, behaviors, home=None):
        """Rules without "ip" are about what the home sends: the host at that address
        behind the router, or its own home."""
        router.run("nft", "add", "table", "ip", "home")
        # What nobody asked for is dropped before it is tracked as a flow of
        # the router's own, whose port the home could then not have.
        router.run("nft", "add", "chain", "ip", "home", "input",
                   "{ type filter hook input priority 0; }")
        router.run("nft", "add", "rule", "ip", "home", "input", "meta", "l4proto", "udp", "drop")
        home = home or f"10.{number}.0.2"
        for chain, rule in behaviors:
            kind, hook = chain.split()
            router.run("nft", "add", "chain", "ip", "home", hook,
                       f"{{ type {kind} hook {hook} priority {PRIORITIES[chain]}; }}")
            words = rule.replace("HOME", home).split()
            whose = [] if words[0] == "ip" else ["ip", "saddr", home]
            router.run("nft", "add", "rule", "ip", "home", hook, *whose, *words)


class Nat(Homes):
    def between(self, here, there):
        """The two results of a call between homes behind routers like these."""
        self.build(here, there)
        self.start(*WILDCARD, USER)
        return self.pair("u:p@SERVER:3478", "turn:u:p@SERVER:9000?transport=tcp")

    def assert_direct(self, results):
        for result in results:
            self.assertNotIn("relay", result["path"])

    def assert_relayed(self, results, *protocols):
        for result, protocol in zip(results, protocols):
            self.assertIn("relay", result["path"])
            self.assertEqual(result.get("relay_protocol", protocol), protocol)

    def test_two_routers_that_keep_ports_are_passed_directly(self):
        self.assert_direct(self.between([CONE], [CONE]))

    def test_a_symmetric_router_needs_the_relay(self):
        self.assert_relayed(self.between([SYMMETRIC], [CONE]), "udp", "udp")

    def test_a_mapping_that_is_known_needs_no_server(self):
        """A 1:1 NAT, as clouds have it, of which the one behind it tells; nobody
        is asked for anything. The other one is behind a symmetric router."""
        self.build([CONE], [SYMMETRIC])
        self.client.run("nft", "add", "chain", "ip", "home", "prerouting",
                        "{ type nat hook prerouting priority -100; }")
        self.client.run("nft", "add", "rule", "ip", "home", "prerouting", "ip", "daddr", CLIENT,
                        "dnat", "to", "10.1.0.2")
        for role in ("full", "lite"):
            with self.subTest(role):
                cloud, home = self.pair(flags=(
                    (f"--nat-address={CLIENT}", *(["--lite"] if role == "lite" else [])), ()))
                self.assertEqual((cloud["transport"], home["transport"]), ("udp", "udp"))
                self.assertEqual(home["remote"]["address"].split(":")[0], CLIENT)
                self.assertEqual(home["remote"]["type"], "host" if role == "lite" else "srflx")

    def test_without_udp_two_routers_whose_mappings_are_known_are_passed_by_tcp(self):
        """Each side knows its NAT, which keeps ports and lets connections out
        only: both open one at once (RFC 6544), and nobody is asked for anything."""
        self.build([CONE, NO_UDP], [CONE, NO_UDP])
        for router in (self.client, self.far):
            router.run("nft", "add", "rule", "ip", "home", "input", "meta", "l4proto", "tcp", "drop")
        addresses = (CLIENT, scenarios_fallback.FAR)
        results = self.pair(flags=tuple(
            (f"--nat-address={address}", "--tcp=simultaneous") for address in addresses))
        for result, remote in zip(results, reversed(addresses)):
            self.assertEqual((result["transport"], result["path"]), ("tcp", "srflx-srflx"))
            self.assertEqual(result["remote"]["address"].split(":")[0], remote)

    def test_without_udp_two_full_cones_are_passed_by_tcp_that_a_stun_server_shows(self):
        """A connection to it from the port where each listens (RFC 6544 section
        5.2) shows what the other one connects to; there is no relay."""
        self.build(*[[CONE, NO_UDP, TCP_IN]] * 2)
        self.start("--http-listen=0.0.0.0:3478", "--turn-listen=0.0.0.0:3478", USER)
        results = self.pair(flags=tuple((f"--stun={server}:3478",) for _, server in self.ends))
        for result, remote in zip(results, (scenarios_fallback.FAR, CLIENT)):
            self.assertEqual((result["transport"], result["relayed"]), ("tcp", False), result)
            self.assertEqual(result["remote"]["address"].split(":")[0], remote)
            # Whoever connects first: the other one sees a port that nobody has told.
            self.assertIn(result["path"], ("srflx-prflx", "prflx-srflx"))

    def test_two_symmetric_routers_need_the_relay(self):
        self.assert_relayed(self.between([SYMMETRIC], [SYMMETRIC]), "udp", "udp")

    def test_who_has_tcp_alone_meets_who_is_behind_a_symmetric_router(self):
        self.assert_relayed(self.between([CONE, NO_UDP], [SYMMETRIC]), "tcp", "udp")

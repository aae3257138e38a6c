"""Two kyuu that hide their addresses behind names of multicast DNS, on a network
without IPv4: names are asked for and answered at ff02::fb (RFC 6762 section 3).

kyuu is the one that was built beside the kyuud under test.
"""

import scenarios_fallback

HIDDEN = ("--hide-addresses",)


class Names(scenarios_fallback.Meeting):
    def wire(self, *addresses):
        """Two hosts on one cable, with these addresses of IPv6 beside the link-local
        ones, which alone they have where none are given."""
        ends = [self.network.host(f"six{n}") for n in (1, 2)]
        self.network.cable(ends[0], None, ends[1], None)
        for end, address in zip(ends, addresses):
            interface = end.run("ls", "/sys/class/net").split()
            interface.remove("lo")
            end.ip("addr", "add", address, "dev", interface[0])
        self.ends = tuple((end, "::1") for end in ends)

    def assert_found(self, results):
        for result in results:
            self.assertFalse(result["relayed"], result)
            # Whoever is found first sees the other come, before it has its name.
            self.assertIn(result["path"], ("host-host", "host-prflx"), result)
            self.assertIn(":", result["remote"]["address"].rsplit(":", 1)[0], result)
        self.assertIn("host-host", [result["path"] for result in results])

    def test_who_hides_is_found_without_ipv4(self):
        self.wire("fd00:1::1/64", "fd00:1::2/64")
        self.assert_found(self.pair(flags=(HIDDEN, HIDDEN)))

    def test_who_hides_is_found_by_who_does_not(self):
        self.wire("fd00:1::1/64", "fd00:1::2/64")
        self.assert_found(self.pair(flags=(HIDDEN, ())))

    def test_four_networks_each_of_which_may_be_the_only_way(self):
        """Names are asked for, and answered, on every interface."""
        ends = [self.network.host(f"many{n}") for n in (1, 2)]
        cables = [self.network.cable(ends[0], f"10.{n}.0.1/24", ends[1], f"10.{n}.0.2/24")
                  for n in range(1, 5)]
        self.ends = tuple((end, "127.0.0.1") for end in ends)
        for number, cable in enumerate(cables, 1):
            for end, interface in zip(ends, cable):
                end.run("nft", "flush", "ruleset")
                end.run("nft", "add", "table", "inet", "wall")
                end.run("nft", "add", "chain", "inet", "wall", "input",
                        "{ type filter hook input priority 0; }")
                end.run("nft", "add", "rule", "inet", "wall", "input", "iifname", "!=", interface,
                        "udp", "dport", "!=", "5353", "drop")
            flags = (*HIDDEN, "--tcp=none")
            for result in self.pair(flags=(flags, flags)):
                self.assertEqual(result["relayed"], False, result)
                self.assertTrue(result["local"]["address"].startswith(f"10.{number}.0."), result)

    def test_link_local_addresses_alone_are_enough(self):
        self.wire()
        self.assert_found(self.pair(flags=(HIDDEN, HIDDEN)))

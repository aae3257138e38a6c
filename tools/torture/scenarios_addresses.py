"""Two hosts on two cables, told which addresses and ports to use: `kyuu peer`
and `kyuu echo` with --use, --advertise, --allow-peer and --port-range.

kyuu is the one that was built beside the kyuud under test.
"""

import json
import re
import threading

import scenarios_fallback
from testing.peers import join

LOW, HIGH = 40000, 40009
FIRST, SECOND = "10.1.0.", "10.2.0."


def told(lines):
    """Host candidates of the descriptions in `lines`: (address, port) each."""
    text = "".join(line for line in lines if '"sdp"' in line)
    found = re.findall(r"candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", text)
    return [(address, int(port)) for address, port in found]


class Addresses(scenarios_fallback.Meeting):
    def setUp(self):
        super().setUp()
        self.two = [self.network.host(f"two{n}") for n in (1, 2)]
        for n in (1, 2):
            self.network.cable(self.two[0], f"10.{n}.0.1/24", self.two[1], f"10.{n}.0.2/24")

    def meet(self, offer=(), answer=()):
        """Two `kyuu peer` with these flags; what each has told, and their results."""
        common = ("--no-trickle", "--tcp=none", "--size=100")
        peers = [self.kyuu(host, "peer", f"--role={role}", *common, *flags)
                 for host, role, flags in zip(self.two, ("offer", "answer"),
                                              ((*offer, "--send=20"), (*answer, "--expect=20")))]
        results, said = join(peers, scenarios_fallback.SECONDS)
        self.assertEqual([peer.wait(5) for peer in peers], [0, 0], said)
        return [told(lines) for lines in said], results

    def assert_all(self, prefix, candidates):
        self.assertTrue(candidates)
        for address, _ in candidates:
            self.assertTrue(address.startswith(prefix), candidates)

    def test_without_flags_both_networks_are_told(self):
        for candidates in self.meet()[0]:
            for prefix in (FIRST, SECOND):
                self.assertTrue(any(a.startswith(prefix) for a, _ in candidates), candidates)

    def test_use_one_network(self):
        (told_here, _), results = self.meet(offer=("--use=10.2.0.0/24",))
        self.assert_all(SECOND, told_here)
        self.assertTrue(results[0]["local"]["address"].startswith(SECOND), results)

    def test_no_use_of_one_network(self):
        (_, told_here), results = self.meet(answer=("--no-use=10.1.0.0/24",))
        self.assert_all(SECOND, told_here)
        self.assertTrue(results[1]["local"]["address"].startswith(SECOND), results)

    def test_advertise_hides_and_still_uses(self):
        # The peer is told of no address on its own network, and is reached all the same.
        (told_here, _), results = self.meet(offer=("--advertise=10.2.0.0/24",),
                                            answer=("--use=10.1.0.0/24",))
        self.assert_all(SECOND, told_here)
        self.assertTrue(results[0]["remote"]["address"].startswith(f"{FIRST}2:"), results)
        self.assertEqual(results[1]["remote"]["type"], "prflx", results)

    def test_allow_peer(self):
        _, results = self.meet(offer=("--allow-peer=10.2.0.0/24",))
        self.assertTrue(results[0]["remote"]["address"].startswith(SECOND), results)

    def test_deny_peer(self):
        _, results = self.meet(answer=("--deny-peer=10.1.0.1",))
        self.assertTrue(results[1]["remote"]["address"].startswith(f"{SECOND}1:"), results)

    def test_port_range(self):
        candidates, _ = self.meet(*[(f"--port-range={LOW}-{HIGH}",)] * 2)
        for _, port in (*candidates[0], *candidates[1]):
            self.assertTrue(LOW <= port <= HIGH, candidates)

    def echo(self, *flags, peer=()):
        """`kyuu echo` and a `kyuu peer`, which offers; what each has told, the
        port of UDP, and the result of the one that offers."""
        server = self.kyuu(self.two[1], "echo", *flags)
        ready = json.loads(server.stdout.readline())
        client = self.kyuu(self.two[0], "peer", "--role=offer", "--no-trickle", "--send=20",
                           "--expect=20", "--size=100", "--tcp=none", *peer)
        said = [[], []]

        def answers():
            for line in server.stdout:
                said[1].append(line)
                if '"sdp"' in line:
                    client.stdin.write(line)
                    client.stdin.flush()
        pump = threading.Thread(target=answers, daemon=True)
        pump.start()
        result = None
        for line in client.stdout:
            said[0].append(line)
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("type") == "offer":
                server.stdin.write(json.dumps({"id": "a", **message}) + "\n")
                server.stdin.flush()
            if message.get("event") == "result":
                result = message
        self.assertEqual(client.wait(5), 0, said)
        server.stdin.close()
        pump.join(5)
        self.assertEqual(server.wait(5), 0, said)
        return told(said[0]), told(said[1]), ready["udp"], result

    def test_echo_uses_one_network_and_a_range_of_ports(self):
        _, candidates, port, result = self.echo("--use=10.2.0.0/24", f"--port-range={LOW}-{HIGH}")
        self.assertTrue(LOW <= port <= HIGH, port)
        self.assertEqual(candidates, [(f"{SECOND}2", port)])
        self.assertTrue(result["remote"]["address"].startswith(f"{SECOND}2:"), result)

    def test_echo_has_one_port_of_the_range_on_each_address(self):
        _, candidates, port, _ = self.echo(f"--port-range={LOW}-{HIGH}")
        self.assertEqual({p for _, p in candidates}, {port})
        self.assertEqual(len(candidates), 2)

    def test_echo_advertises_one_network(self):
        _, candidates, _, _ = self.echo("--advertise=10.2.0.0/24")
        self.assert_all(SECOND, candidates)

    def test_echo_allows_peers_of_one_network(self):
        *_, result = self.echo("--allow-peer=10.2.0.0/24")
        self.assertTrue(result["local"]["address"].startswith(SECOND), result)

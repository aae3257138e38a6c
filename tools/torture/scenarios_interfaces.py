"""Two kyuu on two cables, of which the one in use is unplugged in the middle of a
transfer: what netlink tells moves the data, nothing has to fall silent first.

kyuu is the one that was built beside the kyuud under test. How long it took is
printed, and not judged: ice/agent_failover_test.cc does that, in simulated time.
"""

import json
import threading
import time

from kyuud import until
import scenarios_fallback
from testing.peers import join

MESSAGES, INTERVAL_MS, SIZE = 1500, 2, 1000


def received(host, interface):
    """Bytes that came in there."""
    with host, open("/proc/thread-self/net/dev", encoding="ascii") as table:
        for line in table:
            name, _, counts = line.partition(":")
            if name.strip() == interface:
                return int(counts.split()[0])
    raise AssertionError(f"no {interface}")


class Interfaces(scenarios_fallback.Meeting):
    def setUp(self):
        super().setUp()
        self.two = [self.network.host(f"two{n}") for n in (1, 2)]
        self.links = [self.network.cable(self.two[0], f"10.{n}.0.1/24", self.two[1], f"10.{n}.0.2/24")
                       for n in (1, 2)]

    def unplug(self, end, sender):
        """Takes down the interface of `end` that data of `sender` goes by; seconds
        until data arrives by the other cable."""
        far = self.two[1 - sender]
        before = [received(far, cable[1 - sender]) for cable in self.links]

        def used():
            grown = [received(far, cable[1 - sender]) - b for cable, b in zip(self.links, before)]
            return grown.index(max(grown)) if max(grown) > 100 * SIZE else None
        self.assertTrue(until(lambda: used() is not None, 30))
        dead = used()
        other = self.links[1 - dead][1 - sender]
        count = received(far, other)
        self.two[end].ip("link", "set", self.links[dead][end], "down")
        began = time.monotonic()
        while received(far, other) < count + 5 * SIZE:
            self.assertLess(time.monotonic() - began, 30)
        self.dead = dead
        return time.monotonic() - began

    def assert_moves(self, end, sender):
        """`sender` sends all the while, and the cable of `end` is pulled."""
        flags = (f"--send={MESSAGES}", f"--interval={INTERVAL_MS}", f"--size={SIZE}")
        role_flags = [("--role=offer",), ("--role=answer",)]
        peers = [self.kyuu(host, "peer", *role, "--tcp=none", *(flags if n == sender else (f"--expect={MESSAGES}", f"--size={SIZE}")))
                 for n, (host, role) in enumerate(zip(self.two, role_flags))]
        took = []
        pulling = threading.Thread(target=lambda: took.append(self.unplug(end, sender)))
        pulling.start()
        results, said = join(peers, scenarios_fallback.SECONDS)
        pulling.join()
        self.assertEqual([peer.wait(5) for peer in peers], [0, 0], said)
        self.assertEqual(results[1 - sender]["received"], MESSAGES, said)
        self.assertTrue(took, said)
        print(f"figure: link down, data by the other cable after {took[0] * 1000:.1f} ms")
        for result, lines in zip(results, said):
            self.assertTrue(result["local"]["address"].startswith(f"10.{2 - self.dead}.0."), said)
            told = [json.loads(line) for line in lines if line.startswith("{")]
            self.assertNotIn({"event": "state", "ice": "failed"}, told)
            self.assertEqual(sum("sdp" in line for line in told), 1)

    def test_link_of_the_controlling_side(self):
        self.assert_moves(0, 0)

    def test_link_of_the_controlled_side(self):
        self.assert_moves(1, 1)

    def test_link_of_the_controlling_side_that_receives(self):
        self.assert_moves(0, 1)

    def test_link_of_the_controlled_side_that_receives(self):
        self.assert_moves(1, 0)

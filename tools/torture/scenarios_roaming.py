"""Two kyuu whose call goes over relays, and one of them changes its network in
the middle of a transfer: its relay goes on from there (RFC 8016), nothing is
negotiated again and no message is lost.

kyuu is the one that was built beside the kyuud under test.
"""

import json
import threading
import time

from kyuud import until
import scenarios_fallback
from scenarios_nat import CONE, Homes
from scenario import SERVER, USER, WILDCARD
from testing.peers import join

# 7.5 s of them each way.
MESSAGES, INTERVAL_MS, SIZE = 1500, 5, 1000
HERE, ELSEWHERE, GATEWAY = "11.1.1.7", "13.3.3.2", "13.3.3.1"


def sent_bytes(host):
    links = json.loads(host.ip("-statistics", "-json", "link"))
    return sum(link["stats64"]["tx"]["bytes"] for link in links if link["ifname"] != "lo")


class Roaming(Homes):
    def talk(self, change, url="u:p@SERVER:3478"):
        """A call whose first end has `change` done to it when a third of its
        messages has passed; all that this end has told."""
        host = self.ends[0][0]

        def in_the_middle():
            if until(lambda: sent_bytes(host) > MESSAGES * SIZE / 3, 30):
                change()
        peers = [self.kyuu(end, "peer", "--role", role, "--relay", f"--send={MESSAGES}",
                           f"--expect={MESSAGES}", f"--interval={INTERVAL_MS}", f"--size={SIZE}",
                           f"--turn={url.replace('SERVER', server)}")
                 for (end, server), role in zip(self.ends, ("offer", "answer"))]
        changing = threading.Thread(target=in_the_middle)
        changing.start()
        results, said = join(peers, scenarios_fallback.SECONDS)
        changing.join()
        self.assertEqual([peer.wait(5) for peer in peers], [0, 0], said)
        for result in results:
            self.assertEqual((result["received"], result["path"]), (MESSAGES, "relay-relay"), said)
        return [json.loads(line) for line in said[0] if line.startswith("{")]

    def assert_same_relay(self, told):
        """The one that it began with; the only description is the offer."""
        relays = [line["candidate"] for line in told if " typ relay " in line.get("candidate", "")]
        self.assertEqual(len(relays), 1, relays)
        self.assertEqual(sum("sdp" in line for line in told), 1)
        _, _, _, _, ip, port, *_ = relays[0].split()
        self.assertEqual(told[-1]["local"]["address"], f"{ip}:{port}")

    def readdress(self):
        self.client.ip("addr", "flush", "dev", self.cables[1])
        self.client.ip("addr", "add", f"{HERE}/24", "dev", self.cables[1])

    def test_address_that_changes(self):
        self.start(*WILDCARD, USER)
        told = self.talk(self.readdress)
        self.assert_same_relay(told)
        self.assertNotIn({"event": "state", "ice": "disconnected"}, told)

    def test_address_that_changes_under_a_relay_over_tcp(self):
        self.start(*WILDCARD, USER)
        self.assert_same_relay(self.talk(self.readdress, "turn:u:p@SERVER:9000?transport=tcp"))

    def test_another_network_after_a_while_without_any(self):
        self.start(*WILDCARD, USER)
        other = self.network.cable(self.server, f"{GATEWAY}/24", self.client, None)

        def roam():
            self.client.ip("link", "set", self.cables[1], "down")
            time.sleep(3)
            self.client.ip("addr", "add", f"{ELSEWHERE}/24", "dev", other[1])
            self.client.ip("route", "add", SERVER, "via", GATEWAY)
        self.assert_same_relay(self.talk(roam))

    def test_router_in_front_whose_address_changes(self):
        self.build([CONE], [CONE])
        self.start(*WILDCARD, USER)
        self.assert_same_relay(self.talk(lambda: (
            self.readdress(), self.client.ip("route", "replace", "default", "via", SERVER))))

    def test_server_that_forbids_it(self):
        """Another relay is told the peer, whose path the transfer takes."""
        self.start(*WILDCARD, USER, "--mobility=forbid")
        told = self.talk(self.readdress)
        self.assertEqual(sum(" typ relay " in line.get("candidate", "") for line in told), 2)

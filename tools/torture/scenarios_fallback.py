"""Two kyuu behind firewalls that let no UDP out: they meet through kyuud over
TCP, and over TLS where only port 443 is open.

kyuu is the one that was built beside the kyuud under test.
"""

import os
import subprocess
import sys
import tempfile
import time

from kyuud import BINARY
from scenario import CLIENT, Scenario, SERVER, USER

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kyuud"))
from testing.peers import join  # noqa: E402

KYUU = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(BINARY))), "kyuu", "kyuu")
FAR, FAR_SERVER = "12.2.2.2", "12.2.2.1"
SECONDS = 60


class Meeting(Scenario):
    """`far` is on a cable of its own: nothing but the server is in reach of both."""

    def setUp(self):
        super().setUp()
        self.far = self.network.host("far")
        self.network.cable(self.server, f"{FAR_SERVER}/24", self.far, f"{FAR}/24")
        # Where the two are, and the address by which each reaches the server.
        self.ends = ((self.client, SERVER), (self.far, FAR_SERVER))
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.certificate, self.key = (os.path.join(self.folder, n) for n in ("c.pem", "k.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                        "-addext", f"subjectAltName=IP:{SERVER},IP:{FAR_SERVER}", "-out",
                        self.certificate, "-keyout", self.key], check=True, capture_output=True)

    def kyuu(self, host, *arguments, **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KYUU")}
        process = subprocess.Popen(
            host.command(KYUU, "--ca-file", self.certificate, *arguments), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def pair(self, *urls, flags=((), ())):
        """Two `kyuu peer` with these servers ("SERVER" is where each reaches it)
        and these flags of each, whose signaling goes by hand; their results."""
        def start(host, server, role, *of_role):
            servers = [f"--turn={u.replace('SERVER', server)}" for u in urls]
            return self.kyuu(host, "peer", "--role", role, "--size=1000", *servers, *of_role)
        roles = (("offer", "--send=300"), ("answer", "--expect=300"))
        peers = [start(*end, *role, *own) for end, role, own in zip(self.ends, roles, flags)]
        began = time.monotonic()
        results, said = join(peers, SECONDS)
        # Whoever waits for a goodbye that was lost does so for 20 s.
        self.assertLess(time.monotonic() - began, 15, said)
        self.assertEqual([peer.wait(5) for peer in peers], [0, 0], said)
        return results


class Fallback(Meeting):
    def firewall(self, *rules):
        """Each rule in both directions, and all else is dropped."""
        for host in (self.client, self.far):
            host.run("nft", "add", "table", "inet", "wall")
            for hook in ("input", "output"):
                host.run("nft", "add", "chain", "inet", "wall", hook,
                         f"{{ type filter hook {hook} priority 0; policy drop; }}")
                for rule in rules:
                    host.run("nft", "add", "rule", "inet", "wall", hook, *rule.split(), "accept")

    def test_without_udp_peers_meet_over_tcp(self):
        self.firewall("meta l4proto tcp")
        self.start("--http-listen=0.0.0.0:9000", "--turn-listen=0.0.0.0:3478", USER)
        for result in self.pair("u:p@SERVER:3478", "turn:u:p@SERVER:9000?transport=tcp"):
            self.assertEqual((result["path"], result["relay_protocol"]), ("relay-relay", "tcp"))
            self.assertLess(result["connect_ms"], 3000)

    def route(self):
        """The server passes on what the two send each other."""
        self.server.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.client.ip("route", "add", FAR, "via", SERVER)
        self.far.ip("route", "add", "default", "via", FAR_SERVER)

    def assert_tcp(self, results):
        for result in results:
            self.assertEqual((result["transport"], result["relayed"]), ("tcp", False), result)
            self.assertLess(result["connect_ms"], 3000)

    def test_without_udp_peers_in_reach_of_each_other_need_no_relay(self):
        self.route()
        self.firewall("meta l4proto tcp")
        self.start("--http-listen=0.0.0.0:9000", "--turn-listen=0.0.0.0:3478", USER)
        self.assert_tcp(self.pair())

    def test_without_udp_whoever_may_connects(self):
        """A firewall that lets connections out and none in, at either end."""
        self.route()
        self.start("--http-listen=0.0.0.0:9000", "--turn-listen=0.0.0.0:3478", USER)
        for host in (self.client, self.far):
            host.run("nft", "add", "table", "inet", "wall")
            host.run("nft", "add", "chain", "inet", "wall", "input",
                     "{ type filter hook input priority 0; policy drop; }")
            host.run("nft", "add", "rule", "inet", "wall", "input", "ct", "state", "established", "accept")
            other = self.far if host is self.client else self.client
            other.run("nft", "add", "table", "inet", "mute")
            other.run("nft", "add", "chain", "inet", "mute", "output",
                      "{ type filter hook output priority 0; }")
            other.run("nft", "add", "rule", "inet", "mute", "output", "meta", "l4proto", "udp", "drop")
            host.run("nft", "add", "rule", "inet", "wall", "input", "meta", "l4proto", "icmp", "accept")
            self.assert_tcp(self.pair())
            host.run("nft", "delete", "table", "inet", "wall")
            other.run("nft", "delete", "table", "inet", "mute")

    def test_without_udp_two_who_may_only_connect_do_so_at_once(self):
        """Firewalls at both ends that let TCP connections out and nothing in; no
        server helps (RFC 6544 section 7.1, simultaneous opening)."""
        self.route()
        for host in (self.client, self.far):
            host.run("nft", "add", "table", "inet", "wall")
            for hook, rule in (("input", "ct state established"), ("output", "meta l4proto tcp")):
                host.run("nft", "add", "chain", "inet", "wall", hook,
                         f"{{ type filter hook {hook} priority 0; policy drop; }}")
                host.run("nft", "add", "rule", "inet", "wall", hook, *rule.split(), "accept")
        results = self.pair(flags=(("--tcp=simultaneous",), ("--tcp=simultaneous",)))
        self.assert_tcp(results)
        for result, end in zip(results, (FAR, CLIENT)):
            self.assertEqual(result["path"], "host-host")
            self.assertEqual(result["remote"]["address"].split(":")[0], end)

    def test_with_port_443_alone_peers_meet_over_tls(self):
        self.firewall("tcp dport 443", "tcp sport 443")
        self.start("--http-listen=0.0.0.0:443", "--turn-listen=0.0.0.0:3478", USER,
                   f"--tls-certificate={self.certificate}", f"--tls-key={self.key}")
        for result in self.pair("u:p@SERVER:3478", "turns:u:p@SERVER:443"):
            self.assertEqual((result["path"], result["relay_protocol"]), ("relay-relay", "tls"))

    def test_with_port_443_alone_a_file_is_sent(self):
        """Signaling, TURN and all by one port; servers as `welcome` tells them."""
        self.firewall("tcp dport 443", "tcp sport 443")
        self.start("--http-listen=0.0.0.0:443", "--turn-listen=0.0.0.0:3478",
                   f"--tls-certificate={self.certificate}", f"--tls-key={self.key}")
        content = os.urandom(3_000_000)
        sent = os.path.join(self.folder, "sent.bin")
        with open(sent, "wb") as file:
            file.write(content)
        taken = os.path.join(self.folder, "taken")
        os.mkdir(taken)
        receiver = self.kyuu(self.far, "recv", f"https://{FAR_SERVER}:443", "bob", "--yes", "--once",
                             "--dir", taken)
        # It waits under its name when it has said something.
        self.assertTrue(receiver.stdout.readline())
        sender = self.kyuu(self.client, "send", f"https://{SERVER}:443", sent, "--to", "bob",
                           "--name", "ann")
        said = sender.communicate(timeout=SECONDS)[0]
        self.assertEqual(sender.returncode, 0, said)
        self.assertIn("relay over t", said)
        self.assertEqual(receiver.wait(SECONDS), 0)
        with open(os.path.join(taken, "sent.bin"), "rb") as file:
            self.assertEqual(file.read(), content)

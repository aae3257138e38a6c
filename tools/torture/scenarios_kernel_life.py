"""The program in the kernel (--kernel-path) as it comes and goes: with the server,
beside its start and its end, and where it cannot be.
"""

import signal
import time

import scenario
from kernel_relayed import CHANNEL, PEER_SERVER, Relayed, RELAYS
from kyuud import Kyuud
from manager import Manager
from scenario import SERVER, USER


class ComingAndGoing(Relayed):
    def test_three_capabilities_are_enough(self):
        self.kyuud = self.stack.enter_context(Kyuud(
            Nobody(self.server, "-all,+bpf,+net_admin,+perfmon"), "--http-listen=0.0.0.0:9000",
            f"--turn-listen={SERVER}:3478", *RELAYS, "--metrics-from=0.0.0.0/0", USER,
            "--kernel-path=required"))
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        time.sleep(1.2)
        self.assertGreaterEqual(self.in_kernel(), 2)

    def restarted(self, mode):
        """How long it takes a server that is started anew to relay for a client
        that comes back as soon as it is answered; seconds."""
        self.mode = mode
        self.serve()
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        self.kyuud.process.send_signal(signal.SIGTERM)
        self.kyuud.process.wait(scenario.PROMPT)
        began = time.monotonic()
        self.serve()
        client = self.turn(wait=0.02)
        while client.allocate() != 0:
            self.assertLess(time.monotonic(), began + scenario.PROMPT)
        self.channel(client=client)
        client.wait = scenario.PROMPT
        self.exchange(client, peer, b"again")
        gap = time.monotonic() - began
        peer.close()
        self.kyuud.process.send_signal(signal.SIGTERM)
        self.kyuud.process.wait(scenario.PROMPT)
        return gap

    def test_started_anew_it_is_there_as_soon(self):
        # As much as a program and two interfaces take is not waited for.
        gaps = {mode: min(self.restarted(mode) for _ in range(8)) for mode in ("off", "auto")}
        self.assertLess(gaps["auto"], gaps["off"] * 1.5 + 0.02, gaps)

    def stopped(self, mode, manager):
        """How long a server takes to end that relays for a client."""
        self.mode = mode
        self.serve(manager=manager)
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        if mode == "auto":
            self.there(client, peer)
        began = time.monotonic()
        self.kyuud.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.kyuud.process.wait(scenario.PROMPT), 0)
        took = time.monotonic() - began
        # Its program is where it was, and relays nothing.
        self.assertEqual(manager.names(), ["kernel-path"] * 2 if mode == "auto" else [])
        peer.settimeout(0.05)
        client.send_channel(CHANNEL, b"to nobody")
        with self.assertRaises(TimeoutError):
            peer.recv(100)
        peer.close()
        return took

    def test_whoever_starts_it_anew_need_not_wait_for_its_end(self):
        manager = Manager()
        self.addCleanup(manager.close)
        took = {mode: min(self.stopped(mode, manager) for _ in range(4))
                for mode in ("off", "auto")}
        self.assertIn("xdp", self.server.ip("link", "show", self.cables[0]))
        self.assertLess(took["auto"], took["off"] * 1.5 + 0.02, took)

        # The next one relays by it, and has it alone: killed, it leaves nothing.
        self.mode = "required"
        self.serve(manager=manager)
        self.assertEqual(manager.names(), [])
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        time.sleep(1.2)
        self.assertGreaterEqual(self.in_kernel(), 2)
        self.kyuud.process.kill()
        self.kyuud.process.wait()
        self.assertNotIn("xdp", self.server.ip("link", "show", self.cables[0]))

    def test_killed_it_leaves_nothing_behind(self):
        self.serve()
        self.assertIn("xdp", self.server.ip("link", "show", self.cables[0]))
        self.kyuud.process.kill()
        self.kyuud.process.wait()
        self.assertNotIn("xdp", self.server.ip("link", "show", self.cables[0]))


class WhereItCannotBe(Relayed):
    """Another end of the cable that does not listen to what a driver is given."""

    mode = "auto"

    def setUp(self):
        super().setUp()
        for host, name in ((self.client, self.cables[1]), (self.peer, self.peer_cables[1])):
            host.run("ethtool", "-K", name, "gro", "off")

    def test_it_is_behind_the_drivers(self):
        self.serve()
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        self.there(client, peer)
        self.assertIn("xdpgeneric", self.server.ip("link", "show", self.cables[0]))
        before = self.in_kernel()
        for size in (1, 10, 1000):
            self.exchange(client, peer, b"z" * size)
        time.sleep(1.2)
        self.assertGreater(self.in_kernel(), before + 3)

    def test_without_the_right_to_it_relaying_goes_on(self):
        self.kyuud = self.stack.enter_context(Kyuud(
            Nobody(self.server, "-all"), f"--turn-listen={SERVER}:3478", "--http-listen=none",
            f"--relay-address={PEER_SERVER}", USER, "--kernel-path=auto"))
        peer = self.peer_socket()
        client = self.channel()
        self.exchange(client, peer, b"by the process")
        self.assertNotIn("xdp", self.server.ip("link", "show", self.cables[0]))


class Nobody:
    """A host whose programs are an ordinary user's, with these capabilities."""

    def __init__(self, host, capabilities):
        self._host = host
        kept = capabilities.removeprefix("-all").removeprefix(",")
        self._flags = ["--reuid=65534", "--regid=65534", "--clear-groups",
                       f"--inh-caps={capabilities}", f"--bounding-set={capabilities}",
                       *([f"--ambient-caps={kept}"] if kept else [])]

    def command(self, *command):
        return self._host.command("setpriv", *self._flags, *command)

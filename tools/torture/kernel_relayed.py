"""A server between a client and a peer whose data a program in the kernel relays
(--kernel-path). Needs root of the machine: nobody else may load such a program.
"""

import socket
import struct
import time

import scenario
from scenario import Scenario, SERVER, USER

PEER, PEER_SERVER = "12.2.2.2", "12.2.2.1"
V6_SERVER, V6_CLIENT = "2a00:1::1", "2a00:1::2"
V6_PEER_SERVER, V6_PEER = "2a00:2::1", "2a00:2::2"
RELAYS = (f"--relay-address={PEER_SERVER}", f"--relay-address={V6_PEER_SERVER}")
CHANNEL = 0x4001
FAMILY_V6 = (0x17, b"\x02\0\0\0")


class Relayed(Scenario):
    """Client and peer are on cables of their own. What leaves a host has its
    checksum, as on a wire."""

    mode = "required"

    def setUp(self):
        super().setUp()
        self.peer = self.network.host("peer")
        self.peer_cables = self.network.cable(
            self.server, f"{PEER_SERVER}/24", self.peer, f"{PEER}/24")
        for host, name, address in (
                (self.server, self.cables[0], V6_SERVER), (self.client, self.cables[1], V6_CLIENT),
                (self.server, self.peer_cables[0], V6_PEER_SERVER),
                (self.peer, self.peer_cables[1], V6_PEER)):
            host.ip("addr", "add", f"{address}/64", "dev", name, "nodad")
        self.peer.ip("route", "add", "default", "via", PEER_SERVER)
        self.peer.ip("-6", "route", "add", "default", "via", V6_PEER_SERVER)
        for host, name in ((self.client, self.cables[1]), (self.peer, self.peer_cables[1])):
            host.run("ethtool", "-K", name, "tx", "off", "gro", "on")

    def serve(self, *flags, relays=RELAYS, wildcard=False, user=(USER,), manager=None):
        where = ("--turn-listen=0.0.0.0:3478",) if wildcard else (
            f"--turn-listen={SERVER}:3478", f"--turn-listen=[{V6_SERVER}]:3478", *relays)
        self.kyuud = self.start("--http-listen=0.0.0.0:9000", *where,
                                "--metrics-from=0.0.0.0/0", *user,
                                f"--kernel-path={self.mode}", *flags, manager=manager)

    def peer_socket(self, address=PEER, port=7000):
        with self.peer:
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                              socket.SOCK_DGRAM)
            s.bind((address, port))
        s.settimeout(scenario.PROMPT)
        self.addCleanup(s.close)
        return s

    def metric(self, name):
        with self.client, scenario.connect(scenario.HTTP) as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: 11.1.1.1:9000\r\nConnection: close\r\n\r\n")
            text = b""
            while part := s.recv(65536):
                text += part
        for line in text.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise AssertionError(f"no {name} in /metrics")

    def in_kernel(self):
        return self.metric("kyuu_flows_datagrams_total")

    def channel(self, server=scenario.TURN, peer=(PEER, 7000), number=CHANNEL, client=None):
        """A client with a channel to a peer that it has exchanged data with, so
        that everybody's neighbors are known."""
        client = client or self.turn(server, wait=scenario.PROMPT)
        fields = (FAMILY_V6,) if ":" in peer[0] else ()
        if client.relayed is None:
            self.assertEqual(client.allocate(*fields), 0)
        self.assertEqual(client.bind_channel(number, peer), 0)
        return client

    def exchange(self, client, peer, data, number=CHANNEL, address=None):
        client.send_channel(number, data)
        got, source = peer.recvfrom(65536)
        self.assertEqual((got, source[:2]), (data, client.relayed))
        peer.sendto(data + b"!", source)
        self.assertEqual(client.receive(), struct.pack("!HH", number, len(data) + 1) + data + b"!")

    def there(self, client, peer):
        """Goes on when the program relays: a server with mode "auto" serves before
        it does."""
        deadline = time.monotonic() + scenario.PROMPT
        while self.in_kernel() == 0:
            self.assertLess(time.monotonic(), deadline)
            self.exchange(client, peer, b"again")
            time.sleep(0.1)

    def settled(self, client, peer, **channel):
        """Goes on when both directions are the kernel's: it has to know the
        neighbors, whom the first packets find."""
        for _ in range(50):
            before = self.metric("kyuu_kernel_no_way_total")
            self.exchange(client, peer, b"hello", **channel)
            if self.metric("kyuu_kernel_no_way_total") == before:
                return
            time.sleep(0.1)
        self.fail("the neighbors stay unknown")

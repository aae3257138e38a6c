"""What all scenarios have: a server and a client, and how they meet."""

import contextlib
import socket
import unittest

import hosts
from kyuud import Kyuud
from turn_client import TurnClient

SERVER, OTHER = "11.1.1.1", "11.1.1.9"
CLIENT, FRIEND = "11.1.1.2", "11.1.1.3"
TURN, HTTP = (SERVER, 3478), (SERVER, 9000)
WILDCARD = ("--http-listen=0.0.0.0:9000", "--turn-listen=0.0.0.0:3478")
USER = "--user=u:p"
# What a person calls "at once" on a machine that is busy with other tests.
PROMPT = 3.0


def connect(address, source=None):
    s = socket.socket()
    s.settimeout(PROMPT)
    if source is not None:
        s.bind((source, 0))
    s.connect(address)
    return s


class Scenario(unittest.TestCase):
    """A server and a client on one cable; both have a second address."""

    mtu = 1500

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.stack = stack
        network = stack.enter_context(hosts.Network())
        self.network = network
        self.server, self.client = network.host("server"), network.host("client")
        self.cables = network.cable(self.server, f"{SERVER}/24", self.client, f"{CLIENT}/24",
                                    mtu=self.mtu)
        self.server.ip("addr", "add", f"{OTHER}/24", "dev", self.cables[0])
        self.client.ip("addr", "add", f"{FRIEND}/24", "dev", self.cables[1])

    def start(self, *flags, **options):
        return self.stack.enter_context(Kyuud(self.server, *flags, **options))

    def turn(self, *arguments, **options):
        with self.client:
            return self.stack.enter_context(TurnClient(*(arguments or (TURN,)), **options))

    def healthy(self, source=None):
        """Whether HTTP and STUN answer a newcomer promptly."""
        with self.client:
            try:
                with connect(HTTP, source) as s:
                    s.sendall(b"GET /healthz HTTP/1.1\r\nHost: 11.1.1.1:9000\r\nConnection: close\r\n\r\n")
                    page = s.recv(1000).startswith(b"HTTP/1.1 200")
            except OSError:
                page = False
        return page and self.turn(bind=(source or CLIENT, 0)).binding()

    def open_idle(self, count, source=None):
        """TCP connections that say nothing; as many of `count` as come about."""
        opened = []
        with self.client:
            for _ in range(count):
                s = socket.socket()
                s.settimeout(0.2)
                if source is not None:
                    s.bind((source, 0))
                try:
                    s.connect(HTTP)
                except OSError:
                    s.close()
                    if len(opened) > 1 and opened[-1] is None:
                        break  # Twice in a row: the server takes no more.
                    opened.append(None)
                    continue
                opened.append(s)
        return [s for s in opened if s is not None]

#!/usr/bin/env python3
"""TCP to and from peers (RFC 6062) on the real process, with one event loop and
with three: clients' second streams meet whichever.
"""

import os
import socket
import struct
import unittest

from testing import wire
from testing.kyuud import KyuudTestCase, WAIT
from testing.rows import UNCHECKED, Rows, until
from testing.wire import StreamProbe, attribute

CONNECT, CONNECTION_BIND, CONNECTION_ATTEMPT, CONNECTION = 0x0A, 0x0B, 0x1C, 0x2A
TCP = attribute(wire.TRANSPORT, b"\x06\0\0\0")


class TcpRelay(Rows):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.launch(*cls.certificate(), "--user=a:1", "--user=b:2")

    def listener(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        listener.settimeout(WAIT)
        return listener

    def client(self, server=None, *arguments, tls=None):
        probe = StreamProbe((server or self.server).http_port, *arguments, tls=tls)
        self.addCleanup(probe.socket.close)
        return probe

    def control(self, server=None, tls=None):
        """A client with a TCP allocation."""
        client = self.client(server, tls=tls).greet()
        self.assertEqual(client.request(wire.ALLOCATE, TCP), 0)
        client.relayed = wire.plain_address(client.found[wire.RELAYED], client.last[8:20])
        return client

    def connected(self, control):
        """A connection to a peer: its id, and the peer's end."""
        listener = self.listener()
        self.assertEqual(control.peers(CONNECT, [listener.getsockname()]), 0)
        peer, source = listener.accept()
        self.addCleanup(peer.close)
        peer.settimeout(WAIT)
        self.assertEqual(source, control.relayed)
        return control.found[CONNECTION], peer

    def bind(self, connection, *arguments, tls=None):
        data = self.client(None, *arguments, tls=tls).greet()
        return data.request(CONNECTION_BIND, attribute(CONNECTION, connection)), data

    def read(self, sock, size):
        got = b""
        while len(got) < size:
            part = sock.recv(65536)
            assert part, got
            got += part
        return got

    def test_a_megabyte_each_way_over_tcp_and_tls(self):
        for tls in (None, UNCHECKED):
            control = self.control(tls=tls)
            connection, peer = self.connected(control)
            code, data = self.bind(connection, tls=tls)
            self.assertEqual(code, 0)
            for near, far in ((data.socket, peer), (peer, data.socket)):
                for _ in range(16):
                    block = os.urandom(65536)
                    near.sendall(block)
                    self.assertEqual(self.read(far, len(block)), block)
            if tls is None:
                data.socket.shutdown(socket.SHUT_WR)
                self.assertEqual(peer.recv(1), b"")
                peer.sendall(b"last")
                peer.close()
                self.assertEqual(self.read(data.socket, 4), b"last")
                self.assertEqual(data.socket.recv(1), b"")

    def test_s19_a_peer_without_permission_never_reaches_the_client(self):
        control = self.control()
        # It hears so as soon as it is connected, or even before.
        with self.assertRaises(ConnectionResetError), \
                socket.create_connection(control.relayed, WAIT) as stranger:
            stranger.sendall(b"x")
            stranger.recv(1)
            stranger.recv(1)
        self.assertEqual(control.before(), [], "it was told of nobody")
        self.assertEqual(control.permit(("127.0.0.1", 0)), 0)
        peer = socket.create_connection(control.relayed, WAIT)
        self.addCleanup(peer.close)
        peer.sendall(b"early")
        attempt = control.receive()
        self.assertEqual(struct.unpack("!H", attempt[:2])[0], CONNECTION_ATTEMPT)
        found = {kind: value for kind, value, _ in wire.fields(attempt)}
        self.assertEqual(wire.plain_address(found[wire.PEER], attempt[8:20]), peer.getsockname())
        code, data = self.bind(found[CONNECTION])
        self.assertEqual(code, 0)
        self.assertEqual(data.take(5), b"early")

    def test_s16_a_connection_is_its_users(self):
        control = self.control()
        connection, _ = self.connected(control)
        self.assertEqual(self.bind(connection, "b", "2")[0], 441)
        self.assertEqual(self.bind(connection, "a", "wrong")[0], 401)
        code, data = self.bind(connection)
        self.assertEqual(code, 0)
        self.assertEqual(self.bind(connection)[0], 400)
        del data

    def test_a_peer_has_one_connection_with_an_allocation(self):
        control, listener = self.control(), self.listener()
        answers = [control.peers(CONNECT, [listener.getsockname()]) for _ in range(2)]
        self.assertEqual(answers, [0, 446])

    def test_s3_peers_that_nobody_may_reach(self):
        control = self.control()
        for peer in (("127.0.0.1", self.server.turn_port), ("127.0.0.1", self.server.http_port),
                     ("10.0.0.1", 80), ("169.254.169.254", 80), ("::1", 80)):
            self.assertIn(control.peers(CONNECT, [peer]), (403, 443), peer)
        gone = self.listener()
        address = gone.getsockname()
        gone.close()
        self.assertEqual(control.peers(CONNECT, [address]), 447)
        udp = self.probe(self.server).greet()
        self.assertEqual(udp.request(wire.ALLOCATE, TCP), 400)

    def test_the_end_of_the_allocation_is_that_of_its_connections(self):
        before = self.descriptors(self.server)
        for way in ("refresh", "close"):
            control = self.control()
            connection, peer = self.connected(control)
            code, data = self.bind(connection)
            self.assertEqual(code, 0)
            if way == "refresh":
                self.assertEqual(control.refresh(0), 0)
            else:
                control.socket.close()
            for end in (peer, data.socket):
                with self.assertRaises(ConnectionResetError):
                    end.recv(1)
            control.socket.close()
        until(lambda: self.metric(self.server, "kyuu_turn_peer_connections") == 0)
        until(lambda: self.descriptors(self.server) <= before)

    def test_s25_quotas_are_exact(self):
        server = self.own("--user=a:1", "--peer-connections-per-user=2")
        control, other = self.control(server), self.control(server)
        listener = self.listener()
        ports = [self.listener().getsockname() for _ in range(3)]
        self.assertEqual(control.peers(CONNECT, [ports[0]]), 0)
        self.assertEqual(other.peers(CONNECT, [ports[1]]), 0)
        self.assertEqual(control.peers(CONNECT, [ports[2]]), 486)
        self.assertEqual(other.peers(CONNECT, [listener.getsockname()]), 486)
        other.socket.close()
        until(lambda: control.peers(CONNECT, [ports[2]]) == 0)


class OneLoop(TcpRelay, KyuudTestCase):
    threads = 1


class ThreeLoops(TcpRelay, KyuudTestCase):
    threads = 3


if __name__ == "__main__":
    unittest.main()

"""Data of channels relayed by a program in the kernel (--kernel-path): peers see
the same as without it, and nothing passes that the server would not let pass.
"""

import os
import signal
import socket
import struct
import tempfile
import time

import scenario
from kernel_relayed import (CHANNEL, PEER, PEER_SERVER, RELAYS, Relayed, V6_PEER,
                            V6_SERVER)
from scenario import OTHER, SERVER

IP_TOS, IP_RECVTOS, IP_TTL, IP_RECVTTL = 1, 13, 2, 12


class KernelPath(Relayed):
    def check(self, server, peer_address, sizes):
        self.serve()
        peer = self.peer_socket(peer_address)
        client = self.channel(server, (peer_address, 7000))
        self.settled(client, peer)
        time.sleep(1.2)
        before = self.in_kernel()
        for size in sizes:
            self.exchange(client, peer, bytes(i & 255 for i in range(size)))
        time.sleep(1.2)
        self.assertEqual(self.in_kernel() - before, 2 * len(sizes))

    def test_ipv4_both_ways(self):
        self.check(scenario.TURN, PEER, [1, 2, 3, 10, 100, 999, 1400])

    def test_ipv6_both_ways(self):
        self.check((V6_SERVER, 3478), V6_PEER, [1, 2, 3, 10, 100, 999, 1400])

    def test_back_by_the_same_interface(self):
        """A peer on the client's own cable."""
        self.serve(relays=(f"--relay-address={SERVER}", "--allow-peer=11.1.1.0/24"))
        with self.client:
            peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            peer.bind((scenario.FRIEND, 7000))
        peer.settimeout(scenario.PROMPT)
        self.addCleanup(peer.close)
        client = self.channel(peer=(scenario.FRIEND, 7000))
        self.settled(client, peer)
        time.sleep(1.2)
        before = self.in_kernel()
        self.exchange(client, peer, b"around the corner")
        time.sleep(1.2)
        self.assertEqual(self.in_kernel() - before, 2)

    def test_wildcards_and_an_interface_that_comes_later(self):
        self.serve(wildcard=True)
        late = self.network.host("late")
        self.network.cable(self.server, "13.3.3.1/24", late, "13.3.3.2/24")
        late.ip("route", "add", "default", "via", "13.3.3.1")
        late.run("ethtool", "-K", "v3b", "tx", "off", "gro", "on")
        self.server.run("ethtool", "-K", "v3a", "tx", "off")
        with late:
            peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            peer.bind(("13.3.3.2", 7000))
        peer.settimeout(scenario.PROMPT)
        self.addCleanup(peer.close)
        time.sleep(0.5)
        # By the client's own address of the server, and out by the new cable.
        client = self.channel(peer=("13.3.3.2", 7000))
        self.assertEqual(client.relayed[0], SERVER)
        self.settled(client, peer)
        time.sleep(1.2)
        before = self.in_kernel()
        self.exchange(client, peer, b"by the new cable")
        time.sleep(1.2)
        self.assertEqual(self.in_kernel() - before, 2)

    def behind(self, kind, *build):
        """Peers at an interface that stands on another one: what is tagged, or
        told apart by its address, is the kernel's own business."""
        name = self.peer_cables[0]
        self.server.ip("addr", "flush", "dev", name)
        for command in build:
            self.server.ip(*command.format(cable=name).split())
        self.server.ip("addr", "add", f"{PEER_SERVER}/24", "dev", "above")
        self.server.ip("link", "set", "above", "up")
        self.serve(relays=(f"--relay-address={PEER_SERVER}",))
        peer = self.peer_socket()
        client = self.channel()
        for _ in range(3):
            self.exchange(client, peer, kind.encode())
            time.sleep(0.5)
        self.assertEqual(self.in_kernel(), 0)

    def test_a_bridge_is_left_to_the_process(self):
        self.behind("bridge", "link add above type bridge", "link set {cable} master above")

    def test_an_interface_on_another_is_left_to_the_process(self):
        self.behind("macvlan", "link add above link {cable} type macvlan mode bridge")

    def test_from_ipv4_to_ipv6(self):
        self.check(scenario.TURN, V6_PEER, [1, 2, 3, 10, 100, 999, 1400])

    def test_from_ipv6_to_ipv4(self):
        self.check((V6_SERVER, 3478), PEER, [1, 2, 3, 10, 100, 999, 1400])

    def test_what_it_is_not_sure_of_is_relayed_all_the_same(self):
        self.serve()
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        # Padded; empty; longer than the cable takes in one piece.
        client.socket.sendto(struct.pack("!HH", CHANNEL, 5) + b"hello\0\0\0", client.server)
        self.assertEqual(peer.recv(100), b"hello")
        client.socket.sendto(struct.pack("!HH", CHANNEL, 0), client.server)
        self.assertEqual(peer.recv(100), b"")
        self.exchange(client, peer, b"x" * 1470)
        self.exchange(client, peer, b"y" * 5000)
        # Without a checksum, as IPv4 allows.
        client.socket.setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK
        self.exchange(client, peer, b"unsummed")
        # By a cable that leaves checksums to a network card that is not there.
        client.socket.setsockopt(socket.SOL_SOCKET, 11, 0)
        self.client.run("ethtool", "-K", self.cables[1], "tx", "on")
        self.exchange(client, peer, b"half summed")

    def test_a_way_that_narrows_is_learnt_within_a_second(self):
        """IPv6: no router cuts what is too long, it says so and drops it."""
        far = self.network.host("far")
        names = self.network.cable(self.peer, None, far, None, mtu=1300)
        self.peer.ip("addr", "add", "2a00:3::1/64", "dev", names[0], "nodad")
        far.ip("addr", "add", "2a00:3::2/64", "dev", names[1], "nodad")
        far.ip("-6", "route", "add", "default", "via", "2a00:3::1")
        far.run("ethtool", "-K", names[1], "tx", "off", "gro", "on")
        self.peer.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        self.server.ip("-6", "route", "add", "2a00:3::/64", "via", V6_PEER)
        self.serve()
        with far:
            peer = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            peer.bind(("2a00:3::2", 7000))
        peer.settimeout(0.2)
        self.addCleanup(peer.close)
        client = self.channel((V6_SERVER, 3478), ("2a00:3::2", 7000))
        self.settled(client, peer)
        long, began = bytes(1370), time.monotonic()
        while time.monotonic() < began + 2.5:
            client.send_channel(CHANNEL, long)
            try:
                self.assertEqual(peer.recv(2000), long)
                break
            except TimeoutError:
                pass
        else:
            self.fail("what is too long for the way is lost for good")
        # What is short enough stays the kernel's.
        time.sleep(1.2)
        before = self.in_kernel()
        self.exchange(client, peer, bytes(1100))
        time.sleep(1.2)
        self.assertEqual(self.in_kernel() - before, 2)

    def test_marks_pass_and_hops_are_counted(self):
        self.serve()
        peer = self.peer_socket()
        for option in (IP_RECVTOS, IP_RECVTTL):
            peer.setsockopt(socket.IPPROTO_IP, option, 1)
        client = self.channel()
        self.settled(client, peer)
        client.socket.setsockopt(socket.IPPROTO_IP, IP_TOS, 0xB9)  # EF, ECT(1)
        client.socket.setsockopt(socket.IPPROTO_IP, IP_TTL, 40)
        client.send_channel(CHANNEL, b"marked")
        data, control, _, _ = peer.recvmsg(100, 200)
        seen = {kind: value[0] for level, kind, value in control if level == socket.IPPROTO_IP}
        self.assertEqual((data, seen[IP_TOS], seen[IP_TTL]), (b"marked", 0xB9, 39))
        # RFC 8656 section 15: at its end it goes nowhere, so that no two relays
        # send each other the same for ever.
        client.socket.setsockopt(socket.IPPROTO_IP, IP_TTL, 1)
        client.send_channel(CHANNEL, b"the last hop")
        client.socket.setsockopt(socket.IPPROTO_IP, IP_TTL, 64)
        client.send_channel(CHANNEL, b"behind it")
        self.assertEqual(peer.recv(100), b"behind it")
        self.assertEqual(self.metric("kyuu_kernel_hop_limit_total"), 1)

    def silent(self, client, peer):
        """Nothing passes in either direction."""
        client.send_channel(CHANNEL, b"too late")
        peer.sendto(b"too late", client.relayed)
        peer.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            peer.recv(100)
        self.assertIsNone(client.receive(0.5))

    def test_nothing_passes_when_the_allocation_has_ended(self):
        self.serve()
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        self.assertEqual(client.refresh(0), 0)
        self.silent(client, peer)

    def test_nothing_passes_when_lifetimes_are_over(self):
        self.serve("--permission-lifetime=2s", "--channel-lifetime=4s")
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        self.channel(client=client)
        time.sleep(2.2)
        # A channel outlives the permission, which is for what peers send.
        client.send_channel(CHANNEL, b"still")
        self.assertEqual(peer.recv(100), b"still")
        peer.sendto(b"no more", client.relayed)
        self.assertIsNone(client.receive(0.5))
        time.sleep(2)
        self.silent(client, peer)

    def configured(self, lines, **options):
        """A server with a file, and what writes it anew and has it read."""
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        path = os.path.join(folder, "kyuud.toml")

        def write(text):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)

        write(lines)
        self.serve(f"--config={path}", **options)

        def reload(text):
            write(text)
            self.kyuud.process.send_signal(signal.SIGHUP)
            time.sleep(1)  # Nothing passes later than that.

        return reload

    def test_nothing_passes_when_the_credential_is_taken_back(self):
        with_user = "[auth]\nusers = ['{}']\nrevoked-grace = '0'\n"
        reload = self.configured(with_user.format("a:1"), user=())
        peer = self.peer_socket()
        client = self.channel(client=self.turn(scenario.TURN, "a", "1"))
        self.settled(client, peer)
        reload(with_user.format("b:1"))
        self.silent(client, peer)

    def test_nothing_passes_when_the_peer_is_denied(self):
        reload = self.configured("[relay]\ndeny-peers = []\n")
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        reload(f"[relay]\ndeny-peers = ['{PEER}']\n")
        self.silent(client, peer)

    def test_while_it_drains_it_relays_there(self):
        self.serve("--drain-timeout=60s")
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        self.kyuud.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        before = self.received_by_sockets(self.server)
        for _ in range(20):
            self.exchange(client, peer, b"until the end")
        self.assertEqual(self.received_by_sockets(self.server), before)
        self.assertEqual(client.refresh(0), 0)
        self.assertEqual(self.kyuud.process.wait(scenario.PROMPT), 0)

    def received_by_sockets(self, host):
        """Datagrams of UDP that came to sockets of a host."""
        rows = [line.split() for line in host.run("cat", "/proc/net/snmp").splitlines()
                if line.startswith("Udp:")]
        return int(rows[1][rows[0].index("InDatagrams")])

    def below(self, exchanges):
        """Exchanges far below a limit of 50 000 bytes a second are the kernel's."""
        before, count = self.in_kernel(), 0
        for client, peer in 60 // len(exchanges) * exchanges:
            self.exchange(client, peer, b"x" * 600)
            count += 2
            time.sleep(0.02)
        time.sleep(1.2)
        self.assertGreater(self.in_kernel() - before, 0.75 * count)

    def flood(self, clients, peer, seconds=4):
        """Bytes that reach the peer of more than it may get."""
        got, end = 0, time.monotonic() + seconds
        peer.settimeout(0.001)
        while time.monotonic() < end:
            for client in clients:
                client.send_channel(CHANNEL, b"x" * 1000)
            try:
                while True:
                    got += len(peer.recv(2000))
            except TimeoutError:
                pass
        peer.settimeout(scenario.PROMPT)
        return got

    def test_bandwidth_is_kept_to(self):
        self.serve("--allocation-bytes-per-second=50000")
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        self.below([(client, peer)])
        got = self.flood([client], peer)
        # Four seconds' worth, and one that it had saved.
        self.assertLess(got, 5.3 * 50_000)
        self.assertGreater(got, 3.5 * 50_000)

    def test_the_bandwidth_of_a_realm_is_its_clients_together(self):
        realm = (f"[[realm]]\nname = 'other'\nlisteners = ['{OTHER}:3478']\nusers = ['r:1', 's:2']\n"
                 "bytes-per-second-in-all = {}\n")
        for threads in (1, 2):
            with self.subTest(threads=threads):
                self.of_a_realm(realm, threads)
                self.assertEqual(self.kyuud.stop(), 0)

    def of_a_realm(self, realm, threads):
        reload = self.configured(realm.format(50_000), relays=(
            *RELAYS, f"--turn-listen={OTHER}:3478", f"--threads={threads}"))
        peer = self.peer_socket()
        clients = [self.channel(client=self.turn((OTHER, 3478), *user, wait=scenario.PROMPT))
                   for user in (("r", "1"), ("s", "2"))]
        main = self.channel()
        for client in (*clients, main):
            self.settled(client, peer)
        self.below([(client, peer) for client in clients])
        over = "kyuu_turn_over_realm_bandwidth_total"
        self.assertEqual(self.metric(over), 0)
        got = self.flood(clients, peer)
        self.assertLess(got, 5.3 * 50_000)
        self.assertGreater(got, 3.5 * 50_000)
        self.assertGreater(self.metric(over), 100)
        # Who is not of that realm has nothing to do with it.
        before = self.metric(over)
        self.assertGreater(self.flood([main], peer, 1), 2 * 50_000)
        self.assertEqual(self.metric(over), before)
        # Without the limit they have what they send, by the kernel.
        reload(realm.format(0))
        for client in clients:
            self.channel(client=client)
            self.settled(client, peer)
        time.sleep(1.2)
        kernel = self.in_kernel()
        self.assertGreater(self.flood(clients, peer, 1), 3 * 50_000)
        time.sleep(1.2)
        self.assertGreater(self.in_kernel() - kernel, 150)
        peer.close()

    def test_accounts_have_all_of_it(self):
        self.serve()
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        for _ in range(100):
            self.exchange(client, peer, b"counted")
        self.assertEqual(client.refresh(0), 0)
        relayed = self.metric("kyuu_turn_to_peers_total")
        self.assertGreaterEqual(relayed, 101)
        self.assertGreaterEqual(self.in_kernel(), 200)

    def test_a_neighbor_with_another_card_is_followed(self):
        self.serve()
        peer = self.peer_socket()
        client = self.channel()
        self.settled(client, peer)
        self.peer.ip("link", "set", self.peer_cables[1], "address", "02:00:00:00:00:77")
        # It asks who the server is, which hears from that who it is itself.
        peer.sendto(b"", (PEER_SERVER, 9))
        peer.settimeout(0.2)
        for _ in range(10):
            client.send_channel(CHANNEL, b"found again")
            try:
                self.assertEqual(peer.recv(100), b"found again")
                break
            except TimeoutError:
                pass
        else:
            self.fail("the peer is not found again")

    def test_binding_requests_are_answered_there(self):
        self.serve("--kernel-stun=on", "--kernel-stun-rate=5")
        for server in (scenario.TURN, (V6_SERVER, 3478)):
            client = self.turn(server, wait=scenario.PROMPT)
            self.assertTrue(client.binding())
        self.assertEqual(self.metric("kyuu_kernel_bindings_total"), 2)
        client = self.turn(wait=0.02)
        answered = sum(client.binding() for _ in range(80))
        self.assertLess(answered, 60)
        self.assertGreater(self.metric("kyuu_kernel_bindings_limited_total"), 20)

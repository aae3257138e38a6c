#!/usr/bin/env python3
"""A data channel and a TCP connection that share a path which is too narrow for both.

    bench/beside_tcp.py KYUU [SECONDS]

Two hosts, of which each has a network namespace and a TUN device, are joined by a path of
100 Mbit/s with a delay and a queue that drops what has no room, one and a half times what the
path holds. Three pairs of flows, the second 5 s after the first: TCP beside TCP, for comparison,
a channel beside TCP that was there before, and the other way round; all by CUBIC. Told are
the rates in the last two thirds of the time, and Jain's index of fairness. Needs root.
"""

import collections
import contextlib
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools",
                                "torture"))
from hosts import Network  # noqa: E402

RATE = 100e6 / 8  # Bytes a second.
ADDRESSES = ("10.77.0.1", "10.77.0.2")
MTU = 1500
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x1, 0x1000
TCP, UDP = 6, 17


def tun(host, address, peer):
    """A TUN device of a host. Returns its descriptor."""
    with host:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"path", IFF_TUN | IFF_NO_PI))
    host.ip("addr", "add", address, "peer", peer, "dev", "path")
    host.ip("link", "set", "path", "mtu", str(MTU), "txqueuelen", "10000", "up")
    return fd


def flow_of(packet):
    """What tells flows apart: the protocol and both ports."""
    header = (packet[0] & 15) * 4
    return packet[9], packet[header:header + 4]


class Way:
    """One direction: a queue in front of a line, and the line."""

    def __init__(self, source, sink, delay):
        self.source, self.sink, self.delay = source, sink, delay
        self.queue_bytes = 1.5 * 2 * delay * RATE
        self.free_at = 0.0  # When the line has sent all that waits.
        self.on_the_way = collections.deque()
        self.bytes = collections.Counter()  # By flow, of what came out.
        self.dropped = 0

    def take(self, now):
        for _ in range(64):
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            if packet[0] >> 4 != 4:
                continue  # What IPv6 says by itself.
            begin = max(self.free_at, now)
            if (begin - now) * RATE + len(packet) > self.queue_bytes:
                self.dropped += 1
                continue
            self.free_at = begin + len(packet) / RATE
            self.on_the_way.append((self.free_at + self.delay, packet))

    def give(self, now):
        while self.on_the_way and self.on_the_way[0][0] <= now:
            packet = self.on_the_way.popleft()[1]
            self.bytes[flow_of(packet)] += len(packet)
            with contextlib.suppress(BlockingIOError):
                os.write(self.sink, packet)


class Path(threading.Thread):
    """Both directions, until the end."""

    def __init__(self, fds, delay):
        super().__init__(daemon=True)
        self.ways = (Way(fds[0], fds[1], delay), Way(fds[1], fds[0], delay))
        self.over = False

    def run(self):
        while not self.over:
            now = time.monotonic()
            due = min((way.on_the_way[0][0] for way in self.ways if way.on_the_way),
                      default=now + 0.1)
            ready = select.select([way.source for way in self.ways], [], [],
                                  max(0.0, due - now))[0]
            now = time.monotonic()
            for way in self.ways:
                if way.source in ready:
                    way.take(now)
                way.give(now)

    def moved(self, protocol):
        """Bytes of the flows of a protocol that went from the first host to the second."""
        way = self.ways[0]
        return {flow: n for flow, n in list(way.bytes.items()) if flow[0] == protocol}


def tcp_flow(hosts, stack):
    """Sends as fast as TCP may, until the end."""
    def cubic():
        tcp = socket.socket()
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        return tcp
    with hosts[1]:
        server = stack.enter_context(cubic())
        server.bind((ADDRESSES[1], 0))
        server.listen()
    with hosts[0]:
        sender = stack.enter_context(cubic())
        sender.connect(server.getsockname())
    receiver = stack.enter_context(server.accept()[0])
    stack.callback(sender.shutdown, socket.SHUT_RDWR)

    def send():
        with contextlib.suppress(OSError):
            while True:
                sender.sendall(bytes(1 << 16))

    def receive():
        with contextlib.suppress(OSError):
            while receiver.recv(1 << 20):
                pass
    for work in (send, receive):
        threading.Thread(target=work, daemon=True).start()


def channel_flow(kyuu, hosts, stack):
    """Sends as fast as a channel may, until the end."""
    peers = [stack.enter_context(subprocess.Popen(
        host.command(kyuu, "peer", "--tcp", "none", *flags), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        for host, flags in ((hosts[0], ("--role", "offer", "--send", "1000000", "--size", "65536")),
                            (hosts[1], ("--role", "answer", "--expect", "1000000")))]
    for peer in peers:
        stack.callback(peer.kill)

    def carry(source, sink):
        with contextlib.suppress(OSError):
            for line in source.stdout:
                if b'"sdp"' in line or b'"candidate"' in line:
                    sink.stdin.write(line)
                    sink.stdin.flush()
    for source, sink in (peers, reversed(peers)):
        threading.Thread(target=carry, args=(source, sink), daemon=True).start()


def measure(name, kyuu, kinds, delay, seconds):
    with Network() as network, contextlib.ExitStack() as stack:
        hosts = [network.host("sender"), network.host("receiver")]
        fds = [tun(hosts[0], *ADDRESSES), tun(hosts[1], *reversed(ADDRESSES))]
        path = Path(fds, delay)
        path.start()
        for i, kind in enumerate(kinds):
            if i > 0:
                time.sleep(5)
            if kind == TCP:
                tcp_flow(hosts, stack)
            else:
                channel_flow(kyuu, hosts, stack)
        time.sleep(seconds / 3)
        before = [path.moved(TCP), path.moved(UDP)]
        time.sleep(seconds * 2 / 3)
        after = [path.moved(TCP), path.moved(UDP)]
        rates = {TCP: [], UDP: []}
        for protocol, then, now in zip((TCP, UDP), before, after):
            gained = sorted((n - then.get(flow, 0) for flow, n in now.items()), reverse=True)
            rates[protocol] = [n * 8 / 1e6 / (seconds * 2 / 3) for n in gained]
        path.over = True
        path.join()
    flows = [rates[kind].pop(0) if rates[kind] else 0.0 for kind in kinds]
    jain = sum(flows) ** 2 / (len(flows) * sum(x * x for x in flows)) if any(flows) else 0
    print(f"{2e3 * delay:3.0f} ms  {name:24s} {flows[0]:5.1f} and {flows[1]:5.1f} Mbit/s, "
          f"Jain {jain:.3f}, {path.ways[0].dropped} dropped", flush=True)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    kyuu = os.path.abspath(sys.argv[1])
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 45
    for delay in (0.010, 0.025):
        measure("TCP, TCP", kyuu, (TCP, TCP), delay, seconds)
        measure("TCP, channel", kyuu, (TCP, UDP), delay, seconds)
        measure("channel, TCP", kyuu, (UDP, TCP), delay, seconds)
        measure("channel, channel", kyuu, (UDP, UDP), delay, seconds)


if __name__ == "__main__":
    main()

"""Honest clients on a network of their own: a relayed call each, 50 packets a
second each way, and what becomes of them.
"""

import contextlib
import os
import select
import socket
import struct
import time

import common
import hosts
from testing import wire

SERVER, PORT = "11.1.1.1", 3478
RATE = 50  # Packets a second of each client.
BYTES = 160


class Bed:
    """A server and its clients on one cable. `crowds` is a network of strangers
    behind the clients' host: each of its 65 000 addresses can be bound there."""

    def __init__(self, stack):
        self.network = stack.enter_context(hosts.Network())
        self.server, self.client = self.network.host("server"), self.network.host("client")
        self.cables = self.network.cable(self.server, f"{SERVER}/24", self.client, "11.1.1.2/24")
        # Of all of these, each can be bound.
        for block in ("11.1.1.32/27", "11.1.1.8/30", "11.2.0.0/16"):
            self.client.ip("route", "add", "local", block, "dev", "lo")
        self.server.ip("route", "add", "11.2.0.0/16", "via", "11.1.1.2")


def pin(pid, cores):
    """Where it runs, where there is more than one core."""
    if os.cpu_count() > 1:
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), cores)


def cpu_s(pid):
    """CPU time of a process, to the nanosecond, of its threads that live."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


class Calls:
    """`count` allocations with a channel to one peer that sends all back. Make it
    inside of the clients' host."""

    def __init__(self, count, source="11.1.1.2", port=PORT):
        self.peer = wire.datagrams("11.1.1.9")
        self.clients, self.poll = [], select.poll()
        for sock in (self.peer,):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.setblocking(False)
            self.poll.register(sock, select.POLLIN)
        while len(self.clients) < count:
            probe = wire.Probe(port, source=source, server=SERVER)
            if probe.make() == 437:  # The port of one that has not said goodbye.
                continue
            if probe.relayed is None or probe.channel(self.peer.getsockname()) != 0:
                raise AssertionError("no relay")
            probe.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            probe.socket.setblocking(False)
            self.poll.register(probe.socket, select.POLLIN)
            self.clients.append(probe)
        self.by_fd = {probe.socket.fileno(): probe for probe in self.clients}

    def speak(self, going_on):
        """Speaks as long as `going_on()`; sent, received, round trips in ms."""
        sent, trips, ends = 0, [], None
        gap = 1 / RATE / len(self.clients)
        due, turn = time.monotonic(), 0
        while True:
            now = time.monotonic()
            if ends is None and not going_on():
                ends = now + 3.0  # What is still on its way.
            if ends is not None and (now > ends or len(trips) == sent):
                return sent, len(trips), sorted(trips)
            while ends is None and due <= now:
                probe = self.clients[turn % len(self.clients)]
                probe.send(wire.channel_data(
                    0x4001, struct.pack("!d", time.monotonic()) + bytes(BYTES - 8)))
                sent, turn, due = sent + 1, turn + 1, due + gap
            for fd, _ in self.poll.poll(max(0.0, due - time.monotonic()) * 1000):
                self.take(fd, trips)

    def take(self, fd, trips):
        sock = self.peer if fd == self.peer.fileno() else self.by_fd[fd].socket
        for _ in range(64):
            try:
                data, source = sock.recvfrom(2000)
            except BlockingIOError:
                return
            if sock is self.peer:
                sock.sendto(data, source)
            elif data[:2] == b"\x40\x01":
                trips.append((time.monotonic() - struct.unpack_from("!d", data, 4)[0]) * 1000)

    def close(self):
        for probe in self.clients:
            # Said again, as clients do: a flood may be in the server's queue still.
            probe.socket.settimeout(0.25)
            for _ in range(20):
                with contextlib.suppress(TimeoutError):
                    probe.refresh(0)
                    break
            probe.socket.close()
        self.peer.close()


def middle(trips, part):
    return trips[min(len(trips) - 1, int(len(trips) * part))] if trips else float("inf")


__all__ = ["Bed", "Calls", "PORT", "SERVER", "common", "cpu_s", "middle", "pin"]

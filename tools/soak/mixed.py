"""A bit of everything for a long time: nothing grows.

`mixed MINUTES`: about once a second some of each: relayed data of clients on
UDP, TCP, TLS and DTLS that stay, allocations of every flavour that come and go,
strangers with garbage and wrong passwords, pages and signaling sessions. Every
10 s memory, descriptors, ports and allocations are read. The first quarter is
the warm-up; then the median of the last quarter may not lie above that of the
second one: what is allocated by 0.1 MB, RSS by the 4 that gaps of malloc make now
and then, the others at all.
"""

import contextlib
import json
import os
import random
import socket
import statistics
import struct
import time

import common
import cycles
from common import say
from testing import wire
from testing.kyuud import WAIT

PACE, SAMPLE = 1.0, 10.0
GROWTH_KB, HEAP_GROWTH_KB = 4096, 100


class Call:
    """A relay that stays, with a peer that hears it."""

    def __init__(self, make, server):
        self.client = make(server)
        self.probe = self.client.probe
        self.peer = wire.datagrams()
        if self.client.do(wire.ALLOCATE, common.Quick.UDP) != 0:
            raise AssertionError("no allocation")
        self.relayed = wire.plain_address(self.client.get(wire.RELAYED), self.client.answer[8:20])
        if self.probe.channel(self.peer.getsockname()) != 0:
            raise AssertionError("no channel")

    def speak(self, count, lost):
        for _ in range(count):
            data = os.urandom(random.randrange(1, 300) * 4)
            self.probe.send(wire.channel_data(0x4001, data))
            lost[0] += self.peer.recv(2000) != data
            self.peer.sendto(data, self.relayed)
            lost[0] += self.probe.receive() != wire.channel_data(0x4001, data)

    def keep(self):
        if self.client.do(wire.REFRESH) != 0:
            raise AssertionError("a relay is gone")
        # A channel's own refresh: its nonce may be new.
        self.probe.greet()
        if self.probe.channel(self.peer.getsockname()) != 0:
            raise AssertionError("a channel is gone")


def strangers(server):
    """Garbage, wrong passwords, connections that begin something."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((f"127.0.77.{random.randrange(1, 250)}", 0))
        for _ in range(20):
            s.sendto(os.urandom(random.randrange(0, 200)), (common.ADDRESS, server.turn_port))
    wrong = wire.Probe(server.turn_port, "a", "wrong", server=common.ADDRESS,
                       source=f"127.0.78.{random.randrange(1, 250)}")
    if wrong.make() != 401:
        raise AssertionError("a wrong password is good")
    wrong.socket.close()
    for said in (b"", b"\x16\x03\x01", b"GET / HT", b"\0\1\0\0\x21\x12"):
        with contextlib.suppress(ConnectionError), socket.create_connection(
                ("127.0.0.1", server.http_port), WAIT,
                source_address=(f"127.0.79.{random.randrange(1, 250)}", 0)) as s:
            s.sendall(said)


def frame(text):
    """A client's WebSocket frame with a mask of zeros."""
    data = text.encode()
    return struct.pack("!BB4x", 0x81, 0x80 | len(data)) + data


def signaling(server):
    """A session that joins a room and goes without a word."""
    host = f"127.0.0.1:{server.http_port}"
    with socket.create_connection(("127.0.0.1", server.http_port), WAIT) as plain:
        with common.UNCHECKED.wrap_socket(plain) as s:
            s.sendall((f"GET /v1/ws HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\n"
                       "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Sec-WebSocket-Protocol: kyuu.v1\r\n\r\n").encode())
            came = b""
            while b"\r\n\r\n" not in came:
                came += s.recv(65536)
            # The welcome waits for every loop to know the session's credential.
            for message, answer in (
                    ({"type": "hello", "version": 1}, b'"welcome"'),
                    ({"type": "join", "name": "soak", "room": "lobby", "meta": {}}, b'"joined"')):
                s.sendall(frame(json.dumps(message)))
                while answer not in came:
                    try:
                        part = s.recv(65536)
                    except TimeoutError:
                        part = b""
                    if not part:
                        raise AssertionError(f"no {answer}: {came}")
                    came += part
            s.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # Goodbye.
            while s.recv(65536):  # Until it is gone, and its name is free.
                pass


def judge(samples):
    """What has grown from the second quarter to the last."""
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter:2 * quarter] or samples[:1], samples[-quarter:]

    def middle(part, what):
        return statistics.median(sample[what] for sample in part)
    failed = 0
    for what, room in (("kB", GROWTH_KB), ("heap kB", HEAP_GROWTH_KB),
                       ("descriptors", 2), ("allocations", 0), ("used ports", 0)):
        before, after = middle(early, what), middle(late, what)
        good = after <= before + room
        failed += not good
        say(f"{'ok    ' if good else 'not ok'} {what}: {before:.0f} -> {after:.0f}")
    return failed


def run(arguments):
    minutes = float(arguments[0]) if arguments else 60
    server = common.Server("--threads=2", "--allocations-per-user=100000")
    calls = [Call(make, server) for make in (common.udp, common.tcp, common.tls, common.dtls)
             for _ in range(5)]
    random.seed(1)
    for flavour in 2 * list(cycles.FLAVOURS.values()):
        flavour(server, cycles.AT_ONCE)  # As much at once as will ever be.
    samples, lost, rounds = [], [0], 0
    began = sampled = kept = time.monotonic()
    names, total = list(cycles.FLAVOURS), server.metrics()["kyuu_turn_free_ports"]
    while time.monotonic() < began + 60 * minutes:
        start = time.monotonic()
        for call in calls:
            call.speak(5, lost)
        cycles.FLAVOURS[names[rounds % len(names)]](server, cycles.AT_ONCE)
        strangers(server)
        signaling(server)
        rounds += 1
        if time.monotonic() > kept + 60:
            kept = time.monotonic()
            for call in calls:
                call.keep()
        if time.monotonic() > sampled + min(SAMPLE, 3 * minutes):
            sampled = time.monotonic()
            common.until(lambda: server.metrics()["kyuu_turn_allocations"] <= len(calls))
            now = server.metrics()
            samples.append({"kB": server.rss_kb(), "heap kB": now["kyuu_heap_bytes"] // 1024,
                            "descriptors": server.descriptors(),
                            "allocations": now["kyuu_turn_allocations"],
                            "used ports": total - now["kyuu_turn_free_ports"]})
            say(f"{sampled - began:.0f} s: {samples[-1]}")
        time.sleep(max(0, PACE - (time.monotonic() - start)))
    say(f"{rounds} rounds, {server.metrics()['kyuu_turn_requests_total']:.0f} requests, {lost[0]} lost")
    failed = judge(samples) + (lost[0] > 0)
    for call in calls:
        call.client.close()
    server.close()
    return failed

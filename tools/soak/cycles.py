"""Allocate and give back, again and again: what is lent comes back.

`cycles N`: N allocations of every flavour. After each flavour all ports,
descriptors and bytes are counted: those that are allocated, and those that malloc
has taken, between which it leaves gaps.
"""

import time

import common
from common import say
from testing import wire
from testing.wire import attribute

AT_ONCE = 64
HEAP_GROWTH_KB = 128  # What the counting itself has at that moment.
ANONYMOUS_GROWTH_KB = 8192

EVEN, PAIR = attribute(wire.EVEN_PORT, b"\0"), attribute(wire.EVEN_PORT, b"\x80")
IPV6, BOTH = attribute(wire.FAMILY, b"\2\0\0\0"), attribute(wire.ADDITIONAL_FAMILY, b"\2\0\0\0")
MOBILE = attribute(wire.TICKET, b"")


def every(clients, kind, body):
    """One request of each of them, all at once; `body` may be a function."""
    for client in clients:
        client.begin(kind, body(client) if callable(body) else body)
    codes = {client.end() for client in clients}
    # Another loop may still have what was given back.
    end = time.monotonic() + 20
    while codes & {486, 508} and time.monotonic() < end:
        codes = set()
        for client in clients:
            if client.answer[1] & 0x10:
                client.begin(kind, body(client) if callable(body) else body)
                codes.add(client.end())
    return codes


def expect(codes, what):
    if codes != {0}:
        raise AssertionError(f"{what}: {sorted(codes)}")


def permission(client):
    transaction = b"kyuu-soak-12"
    client.begin(wire.PERMISSION, attribute(wire.PEER, wire.xor_address(
        ("127.0.0.1", 9), transaction)), transaction)


def plain(*wanted):
    """Cycles of clients on UDP that stay; every fourth has a permission, too."""
    def run(server, count):
        clients = [common.udp(server) for _ in range(AT_ONCE)]
        for number in range(count // AT_ONCE):
            expect(every(clients, wire.ALLOCATE, common.Quick.UDP + b"".join(wanted)), "allocate")
            if number % 4 == 0 and IPV6 not in wanted:
                for client in clients:
                    permission(client)
                expect({client.end() for client in clients}, "permission")
            expect(every(clients, wire.REFRESH, common.Quick.RELEASE), "release")
        for client in clients:
            client.close()
    return run


def reservation(server, count):
    first, second = ([common.udp(server) for _ in range(AT_ONCE // 2)] for _ in range(2))
    for a, b in zip(first, second):
        b.twin = a
    for _ in range(count // AT_ONCE):
        expect(every(first, wire.ALLOCATE, common.Quick.UDP + PAIR), "pair")
        expect(every(second, wire.ALLOCATE, lambda c: common.Quick.UDP + attribute(
            wire.TOKEN, c.twin.get(wire.TOKEN))), "token")
        expect(every(first + second, wire.REFRESH, common.Quick.RELEASE), "release")
    for client in first + second:
        client.close()


def mobility(server, count):
    """Each moves to its twin, whose loop takes the ticket, and ends there."""
    pairs = []
    while len(pairs) < AT_ONCE:
        old, new = common.udp(server), common.udp(server)
        expect({old.do(wire.ALLOCATE, common.Quick.UDP + MOBILE)}, "allocate")
        moved = new.do(wire.REFRESH, attribute(wire.TICKET, old.get(wire.TICKET))) == 0
        expect({(new if moved else old).do(wire.REFRESH, common.Quick.RELEASE)}, "release")
        if moved:
            new.twin = old
            pairs.append((old, new))
        else:
            old.close()
            new.close()
    first, second = [old for old, _ in pairs], [new for _, new in pairs]
    for _ in range(count // AT_ONCE):
        expect(every(first, wire.ALLOCATE, common.Quick.UDP + MOBILE), "allocate")
        expect(every(second, wire.REFRESH, lambda c: attribute(
            wire.TICKET, c.twin.get(wire.TICKET))), "move")
        expect(every(second, wire.REFRESH, common.Quick.RELEASE), "release")
    for client in first + second:
        client.close()


def connections(make, rounds):
    """Clients that connect, allocate and release `rounds` times, allocate once
    more and leave with that allocation."""
    def run(server, count):
        for _ in range(max(1, count // (AT_ONCE * rounds))):
            clients = [make(server) for _ in range(AT_ONCE)]
            for number in range(rounds):
                expect(every(clients, wire.ALLOCATE, common.Quick.UDP), "allocate")
                if number + 1 < rounds:
                    expect(every(clients, wire.REFRESH, common.Quick.RELEASE), "release")
            for client in clients:
                client.close()
    return run


def moving_sessions(server, count):
    """Clients on DTLS who show the ticket of another one, and so go with their
    session to the loop that has the allocation, where it ends. Their addresses are
    used again and again, and in the end their ports, too."""
    def connect(place):
        return common.Quick(common.DtlsProbe(server.turn_port, source=f"127.64.0.{place}"))
    for _ in range(max(1, count // AT_ONCE)):
        first, second = ([connect(i + 1 + half) for i in range(AT_ONCE)] for half in (0, AT_ONCE))
        expect(every(first, wire.ALLOCATE, common.Quick.UDP + MOBILE), "allocate")
        for old, new in zip(first, second):
            new.twin = old
        expect(every(second, wire.REFRESH, lambda c: attribute(
            wire.TICKET, c.twin.get(wire.TICKET))), "move")
        expect(every(second, wire.REFRESH, common.Quick.RELEASE), "release")
        for client in first + second:
            client.close()


FLAVOURS = {
    "udp": plain(),
    "even-port": plain(EVEN),
    "reservation": reservation,
    "dual": plain(BOTH),
    "ipv6": plain(IPV6),
    "mobility": mobility,
    "tcp": connections(common.tcp, 16),
    "tls": connections(common.tls, 64),
    "dtls": connections(common.dtls, 64),
    "dtls-mobility": moving_sessions,
}


def run(arguments):
    count = int(arguments[0]) if arguments else 1_000_000
    wanted = arguments[1:] or list(FLAVOURS)
    server = common.Server("--threads=2", "--allocations-per-user=100000",
                           "--allocations-per-source=100000", "--source-share=1")
    failed = 0
    # So that tables, queues and the heap have grown as far as they will.
    for name in wanted:
        FLAVOURS[name](server, min(count, 4 * AT_ONCE * AT_ONCE))
    for name in wanted:
        # What malloc keeps of a first time is no leak.
        FLAVOURS[name](server, min(count, 256))
        before, began = server.idle(), time.monotonic()
        made = server.metrics()["kyuu_turn_successes_total"]
        FLAVOURS[name](server, count)
        seconds = time.monotonic() - began
        after = server.idle(before["descriptors"])
        made = server.metrics()["kyuu_turn_successes_total"] - made
        good = (after["ports"] == before["ports"] and
                after["descriptors"] <= before["descriptors"] and
                after["heap kB"] <= before["heap kB"] + HEAP_GROWTH_KB and
                after["anonymous kB"] <= before["anonymous kB"] + ANONYMOUS_GROWTH_KB)
        failed += not good
        say(f"{'ok    ' if good else 'not ok'} {name}: {count} cycles, {made:.0f} requests in "
            f"{seconds:.0f} s; " + "; ".join(
                f"{what} {before[what]} -> {after[what]}" for what in before))
    server.close()
    return failed

"""Relayed ports cannot be guessed, as many as it takes to see a pattern.

`ports [N]`: the ports of N allocations, with one loop and with two. All ports of
the range are as frequent by where in the range they are, by their remainders, and
by the step from the client's last one (chi-squared, of 252 classes each). A generator
that was badly seeded, or of which an attacker sees the state, fails one of them,
and so does a pool that gives back first what it was given last.
"""

import common
import cycles
from common import say
from testing import wire

# The range of common.Server; 252 divides it.
LOW, PORTS, CLASSES = 61_000, 4536, 252
# With 251 degrees of freedom: 251 on average, more once in 10^9 runs.
CHI_MAX = 420


def chi_squared(values):
    counts = [0] * CLASSES
    for value in values:
        counts[value] += 1
    mean = len(values) / CLASSES
    return sum((count - mean) ** 2 for count in counts) / mean


def gather(count, threads):
    """(ports, steps between those of one client)."""
    server = common.Server(f"--threads={threads}", "--allocations-per-user=100000",
                           "--allocations-per-source=100000", "--source-share=1")
    clients, last, ports, steps = [common.udp(server) for _ in range(cycles.AT_ONCE)], {}, [], []
    for _ in range(count // cycles.AT_ONCE):
        cycles.expect(cycles.every(clients, wire.ALLOCATE, common.Quick.UDP), "allocate")
        for client in clients:
            _, port = wire.plain_address(client.get(wire.RELAYED), client.answer[8:20])
            ports.append(port - LOW)
            if client in last:
                steps.append((port - last[client]) % PORTS)
            last[client] = port
        cycles.expect(cycles.every(clients, wire.REFRESH, common.Quick.RELEASE), "release")
    for client in clients:
        client.close()
    server.close()
    return ports, steps


def run(arguments):
    count = int(arguments[0]) if arguments else 100_000
    failed = 0
    for threads in (1, 2):
        ports, steps = gather(count, threads)
        found = {"place": chi_squared([port // (PORTS // CLASSES) for port in ports]),
                 "remainder": chi_squared([port % CLASSES for port in ports]),
                 "steps": chi_squared([step // (PORTS // CLASSES) for step in steps])}
        seen = len(set(ports))
        # Of N draws e^(-N / PORTS) of all are never seen: next to none of ten times as many.
        good = max(found.values()) < CHI_MAX and (count < 10 * PORTS or seen > 0.99 * PORTS)
        failed += not good
        say(f"{'ok    ' if good else 'not ok'} {threads} loops: {len(ports)} allocations at {seen} of "
            f"{PORTS} ports; chi-squared " + ", ".join(
                f"{name} {value:.0f}" for name, value in found.items()))
    return failed

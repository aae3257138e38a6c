"""A thousand honest clients behind one address, all at once.

`crowd [CLIENTS]`: as many clients of one IPv4 address ask for an allocation at
the same moment, first without credentials, as all do. Each must have its 401
within a second, and then its allocation, beside 20 000 requests a second of
strangers at other addresses.
"""

import contextlib
import multiprocessing
import os
import select
import time

import flood
import honest
from common import say
from honest import PORT, SERVER
from kyuud import Kyuud
from testing import wire

WITHIN = 1.0


def strangers():
    send = flood.datagrams(flood.allocate)
    while True:
        send(500)
        time.sleep(0.025)


def all_at_once(clients, message):
    """Sends each one's request; seconds until each was answered, and the codes."""
    poll, asked, took, codes = select.poll(), {}, [], []
    for client in clients:
        poll.register(client.socket, select.POLLIN)
    for client in clients:
        asked[client.socket.fileno()] = (client, time.monotonic())
        client.send(message(client))
    end = time.monotonic() + 5
    while asked and time.monotonic() < end:
        for fd, _ in poll.poll(100):
            client, when = asked.pop(fd)
            poll.unregister(fd)
            answer = client.receive()
            took.append(time.monotonic() - when)
            client.found = dict((kind, value) for kind, value, _ in wire.fields(answer))
            error = client.found.get(wire.ERROR_CODE)
            codes.append(error[2] * 100 + error[3] if error else 0)
    return sorted(took), codes


def run(arguments):
    count = int(arguments[0]) if arguments else 1000
    udp = wire.attribute(wire.TRANSPORT, wire.UDP)
    failed = 0
    with contextlib.ExitStack() as stack:
        bed = honest.Bed(stack)
        for threads in (1, 2):
            with Kyuud(bed.server, "--http-listen=none", f"--turn-listen={SERVER}:{PORT}",
                       "--user=a:1", f"--threads={threads}", "--allocations-per-user=5000",
                       "--log-level=error") as kyuud, bed.client:
                flooding = multiprocessing.get_context("fork").Process(target=strangers)
                flooding.start()
                stack.callback(flooding.kill)
                honest.pin(flooding.pid, {os.cpu_count() - 1})
                clients = [wire.Probe(PORT, source="11.1.1.2", server=SERVER) for _ in range(count)]
                took, codes = all_at_once(clients, lambda c: c.bare(wire.ALLOCATE, udp))
                good = codes == count * [401] and took[-1] <= WITHIN
                for client in clients:
                    client.realm, client.nonce = (client.found[wire.REALM].decode(),
                                                  client.found[wire.NONCE])
                then, made = all_at_once(clients, lambda c: c.signed(wire.ALLOCATE, udp))
                good = good and made == count * [0]
                flooding.kill()
                flooding.join()
                for client in clients:
                    client.socket.close()
                failed += not good or kyuud.stop() != 0
                say(f"{'ok    ' if good else 'not ok'} {threads} loops: {codes.count(401)} of {count} "
                    f"have a 401, the last after {took[-1] * 1000:.0f} ms; {made.count(0)} an "
                    f"allocation, the last after {then[-1] * 1000:.0f} ms")
    return failed

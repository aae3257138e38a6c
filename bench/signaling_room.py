#!/usr/bin/env python3
"""A room of 10 000: how long until a message to all has reached all, and what
others wait for their answers while 200 members a second say something new and
some come and go.

  bench/signaling_room.py KYUUD [MEMBERS [BYTES_PER_SECOND]]

The server is alone on its core. What is told is a member's `update`, 90 bytes for
each of the others; "floor" is a program of no server at all, which sends as many
bytes over as many connections, one after the other, on the same core. Others are
four members who ask `ping` 40 times a second each, in a process of their own.
"""

import json
import os
import select
import socket
import statistics
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tools", "kyuud"))
KYUUD = os.path.abspath(sys.argv[1])
MEMBERS = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
# Unless said ten times the default: all who come are told to all who are there, 75
# bytes each, which has to be over before anything is measured. It is a whole core's.
BUDGET = int(sys.argv[3]) if len(sys.argv) > 3 else 40_000_000
sys.argv = [sys.argv[0], KYUUD]  # As the tests' helper wants it.
from testing import kyuud as helper  # noqa: E402

ASKERS, PINGS_PER_SECOND, SECONDS = 4, 40, 20
UPDATES_PER_SECOND = 200
MESSAGES = 20
AT_ONCE = 50
# The server gives up who is silent for 35 s.
SIGN_OF_LIFE_SECONDS, PONG = 12, b"\x8a\x80\0\0\0\0"
SERVER_CORE, CLIENT_CORE = {0}, {(os.cpu_count() or 1) - 1}


def frame(message):
    """A client's frame of RFC 6455; the mask is of no weight here."""
    data = json.dumps(message).encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + size + b"\0\0\0\0" + data


class Member:
    """Whose socket is read by Members alone."""

    def __init__(self, port, number):
        self.name = f"member {number:05}"
        # As people have: addresses of their own.
        self.socket = socket.create_connection(
            ("127.0.0.1", port), helper.WAIT, (f"127.0.{1 + number // 200}.{1 + number % 200}", 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upgrade = helper.upgrade(port, "/v1/ws", "Sec-WebSocket-Protocol: kyuu.v1\n")
        self.socket.sendall(upgrade.replace("\n", "\r\n").encode())

    def say(self, **message):
        self.socket.sendall(frame(message))

    def until(self, text):
        """Reads up to what has `text` in it; nothing may be behind it that is missed."""
        had = b""
        while text not in had:
            part = self.socket.recv(65536)
            if not part:
                raise EOFError(had)
            had = had[-64:] + part


class Members:
    def __init__(self, port, count):
        self.poll, self.by_fd, self.all = select.epoll(), {}, []
        self.buffer = bytearray(1 << 18)
        self.alive = []  # Whose turn it is, and when, last one first.
        for first in range(0, count, AT_ONCE):
            some = [Member(port, number) for number in range(first, min(count, first + AT_ONCE))]
            for member in some:
                member.until(b"\r\n\r\n")
                member.say(type="hello", version=1)
            for member in some:
                member.until(b'"welcome"')
                member.say(type="join", name=member.name, room="large")
            for member in some:
                member.until(b'"joined"')
                self.by_fd[member.socket.fileno()] = member
                self.poll.register(member.socket.fileno(), select.EPOLLIN)
            self.all += some
            self.drain(0)
            self.stay_alive()
        self.settle()

    def settle(self):
        """What is told next waits until all who came are told, to all."""
        self.all[0].say(type="update", meta={"settled": 1})
        had = b""
        while b'"settled"' not in had:
            self.stay_alive()
            for fd, _ in self.poll.poll(0.1, maxevents=len(self.by_fd)):
                size = self.by_fd[fd].socket.recv_into(self.buffer)
                if self.by_fd[fd] is self.all[1]:
                    had = had[-16:] + self.buffer[:size]
        self.pass_time(2)

    def stay_alive(self):
        if not self.alive:
            now, step = time.monotonic(), SIGN_OF_LIFE_SECONDS / len(self.all)
            self.alive = [(now + turn * step, member) for turn, member in enumerate(self.all)]
            self.alive.reverse()
        while self.alive and time.monotonic() >= self.alive[-1][0]:
            self.alive.pop()[1].socket.sendall(PONG)

    def pass_time(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.stay_alive()
            self.drain(0.02)

    def drain(self, wait):
        """How many had something to read within the time."""
        ready = self.poll.poll(wait, maxevents=len(self.by_fd))
        for fd, _ in ready:
            if self.by_fd[fd].socket.recv_into(self.buffer) == 0:
                raise EOFError("a member was cut")
        return len(ready)

    def tell_all(self, number):
        """Seconds until half of the others had it, and all."""
        began = time.perf_counter()
        self.all[number].say(type="update", meta={"n": number})
        reached, half = 0, None
        while reached < len(self.all):  # The teller has his answer.
            self.stay_alive()
            reached += self.drain(0.1)
            if half is None and reached >= len(self.all) / 2:
                half = time.perf_counter() - began
        return half, time.perf_counter() - began

    def close(self):
        for member in self.all:
            member.socket.close()


def is_answer(asker, turn):
    opcode, data = asker.frame()
    if opcode == 9:  # The server looks whether anybody is there.
        asker.say(data, 10)
    return opcode == 1 and data.startswith(b'{"type":"pong"') and json.loads(data)["id"] == turn


def ask(port, pipe):
    """Pings of members of the room, in a process of its own: all their times."""
    askers = [helper.WebSocket(port, origin=None) for _ in range(ASKERS)]
    for number, asker in enumerate(askers):
        asker.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asker.send(type="hello", version=1)
        asker.receive()
        asker.send(type="join", name=f"asker {number}", room="large")
    times = []
    began = time.perf_counter()
    for turn in range(SECONDS * PINGS_PER_SECOND * ASKERS):
        wait = began + turn / (PINGS_PER_SECOND * ASKERS) - time.perf_counter()
        if wait < 0:  # What is late is not made up for: a client has its share.
            began -= wait
        time.sleep(max(0, wait))
        asker = askers[turn % ASKERS]
        sent = time.perf_counter()
        asker.send(type="ping", id=turn)
        while not is_answer(asker, turn):
            pass
        times.append(time.perf_counter() - sent)
    os.write(pipe, json.dumps(times).encode())


def load(port, members, busy):
    """Times of who asks, while the members do what they do."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ask(port, writable)
        except Exception:
            traceback.print_exc()
        finally:  # The server is the parent's to stop.
            os._exit(0)
    os.close(writable)
    poll, answer, done = select.poll(), b"", 0
    poll.register(readable, select.POLLIN)
    began = time.perf_counter()
    guests = []
    while True:
        if poll.poll(0):
            part = os.read(readable, 1 << 16)
            if not part:
                break
            answer += part
        due = int((time.perf_counter() - began) * UPDATES_PER_SECOND) if busy else 0
        for turn in range(done, due):
            # Each of them once in two seconds: its share.
            member = members.all[turn % (2 * UPDATES_PER_SECOND)]
            member.say(type="update", meta={"n": turn})
            if turn % (UPDATES_PER_SECOND // 2) == 0:  # Somebody comes, and goes.
                for guest in guests:
                    guest.close()
                guests = [Member(port, MEMBERS + turn // UPDATES_PER_SECOND)]
                guests[0].until(b"\r\n\r\n")
                guests[0] = guests[0].socket
                guests[0].sendall(frame({"type": "hello", "version": 1}) +
                                  frame({"type": "join", "name": f"guest {turn}", "room": "large"}))
        done = due
        members.stay_alive()
        members.drain(0.002)
    os.waitpid(child, 0)
    for guest in guests:
        guest.close()
    return json.loads(answer)


def floor(count, size):
    """Seconds until a process has sent `size` bytes on each of so many connections, and
    another one had them."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as door:
        ends, taken = [], []
        for number in range(count):
            ends.append(socket.create_connection(
                door.getsockname(), 5, (f"127.0.{1 + number // 200}.{1 + number % 200}", 0)))
            taken.append(door.accept()[0])
    poll = select.epoll()
    for end in ends:
        poll.register(end.fileno(), select.EPOLLIN)
    by_fd, buffer = {end.fileno(): end for end in ends}, bytearray(1 << 16)
    go, gone = os.pipe()
    if os.fork() == 0:
        os.sched_setaffinity(0, SERVER_CORE)
        data, fds, send = b"x" * size, [end.fileno() for end in taken], os.write
        os.read(go, 1)
        for fd in fds:
            send(fd, data)
        os._exit(0)
    time.sleep(0.5)
    began = time.perf_counter()
    os.write(gone, b"x")
    reached = 0
    while reached < count:
        for fd, _ in poll.poll(5, maxevents=count):
            by_fd[fd].recv_into(buffer)
            reached += 1
    seconds = time.perf_counter() - began
    os.wait()
    for end in ends + taken:
        end.close()
    return seconds


def quantiles(times):
    cut = statistics.quantiles(times, n=1000)
    return (f"p50 {1e3 * cut[499]:.1f}, p99 {1e3 * cut[989]:.1f}, p99.9 {1e3 * cut[998]:.1f}, "
            f"max {1e3 * max(times):.1f} ms")


def main():
    os.sched_setaffinity(0, CLIENT_CORE)
    bare = statistics.median(floor(MEMBERS // 2, 92) for _ in range(3))
    print(f"| floor: {MEMBERS // 2} writes of 92 bytes | {1e3 * bare:.1f} ms |", flush=True)
    server = helper.Kyuud("--log-level=off", "--threads=1", f"--peers-per-room={MEMBERS + 100}",
                          f"--max-connections={2 * MEMBERS}",
                          # Half of all descriptors are kept for relays unless there
                          # are few of these: 20 000 would do for 8300 members.
                          "--relay-ports=49152-49159",
                          f"--presence-bytes-per-second={BUDGET}")
    os.sched_setaffinity(server.process.pid, SERVER_CORE)
    try:
        members = Members(server.http_port, MEMBERS)
        told = []
        for number in range(MESSAGES):
            members.pass_time(1)
            told.append(members.tell_all(number))
        for title, at in (("half", 0), ("all", 1)):
            times = sorted(t[at] for t in told)
            print(f"| one message has reached {title} of {MEMBERS} | median "
                  f"{1e3 * statistics.median(times):.1f}, best {1e3 * times[0]:.1f}, worst "
                  f"{1e3 * times[-1]:.1f} ms |", flush=True)
        for busy in (False, True):
            what = f"{UPDATES_PER_SECOND} updates/s, 2 joins/s" if busy else "quiet"
            print(f"| others' ping, {what} | {quantiles(load(server.http_port, members, busy))} |",
                  flush=True)
        members.close()
    finally:
        server.stop()


if __name__ == "__main__":
    main()

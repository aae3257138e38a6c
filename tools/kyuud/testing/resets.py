"""Pairs of clients whose connections are reset again and again while they send
each other numbered messages, and which resume their sessions each time
(docs/signaling_protocol.md, "Resumption")."""

import collections
import json
import random
import select
import socket
import struct
import time

from testing.kyuud import WAIT, upgrade

# A session may say 50 messages a second; every 16th one that it has got is
# answered by an `ack`.
MESSAGES_PER_SECOND = 40
ACKNOWLEDGE_EVERY = 16
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST, and drops what is unread.


def frame(data):
    """A client's frame of RFC 6455; the mask is of no weight here."""
    size = bytes([0x80 | len(data)]) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
    return b"\x81" + size + b"\0\0\0\0" + data


class Client:
    def __init__(self, port, name):
        self.port, self.name = port, name
        self.kept = collections.deque()  # (number, frame) that the server may not have.
        self.sent = self.received = 0  # Numbers of messages.
        self.ticket = None
        self.call = None
        self.told = 0  # Numbers for the partner.
        self.heard = 0
        self.doubled = self.missed = 0
        self.resumptions = []  # Seconds from a reset to the welcome.
        self.began = None
        self.connect()

    # --- Connections ---------------------------------------------------------

    def connect(self):
        self.open = False
        self.socket = socket.create_connection(("127.0.0.1", self.port), WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = {"type": "hello", "version": 1, "resume": {}}
        if self.ticket:
            hello["resume"] = {**self.ticket, "received": self.received}
        request = upgrade(self.port, "/v1/ws", "Sec-WebSocket-Protocol: kyuu.v1\n")
        self.socket.sendall(request.replace("\n", "\r\n").encode())
        self.buffer, self.upgraded, self.hello = b"", False, frame(json.dumps(hello).encode())

    def reset(self):
        self.began = self.began or time.monotonic()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()
        self.connect()

    def say(self, **message):
        self.sent += 1
        self.kept.append((self.sent, frame(json.dumps(message).encode())))
        if self.open:
            self.socket.sendall(self.kept[-1][1])

    # --- What comes -----------------------------------------------------------

    def read(self):
        """Takes what there is; the messages of the server, without those of the session."""
        part = self.socket.recv(65536)
        if not part:
            raise AssertionError(f"{self.name}: the server has closed the connection")
        self.buffer += part
        if not self.upgraded:
            if b"\r\n\r\n" not in self.buffer:
                return []
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            assert b" 101 " in head.split(b"\r\n")[0], head
            self.upgraded = True
            self.socket.sendall(self.hello)
        return [m for m in (self.take(text) for text in self.texts()) if m is not None]

    def texts(self):
        while len(self.buffer) >= 2:
            size, begin = self.buffer[1], 2
            if size == 126:
                size, begin = int.from_bytes(self.buffer[2:4], "big"), 4
            if len(self.buffer) < begin + size:
                return
            opcode, text = self.buffer[0] & 15, self.buffer[begin:begin + size]
            self.buffer = self.buffer[begin + size:]
            assert opcode in (1, 9), (self.name, opcode, text)
            if opcode == 1:
                yield json.loads(text)

    def take(self, message):
        if message["type"] == "welcome":
            return self.welcome(message)
        self.received += 1
        if self.received % ACKNOWLEDGE_EVERY == 0:
            self.say(type="ack", received=self.received)
        if message["type"] == "ack":
            self.forget(message["received"])
            return None
        if message["type"] == "signal":
            number = int(message["candidate"]["candidate"])
            self.doubled += number < self.heard
            self.missed += number > self.heard
            self.heard = max(self.heard, number + 1)
            return None
        assert message["type"] != "error", (self.name, message)
        return message

    def welcome(self, message):
        resume = message["resume"]
        if self.ticket:
            assert resume["resumed"], (self.name, message)
            self.resumptions.append(time.monotonic() - self.began)
            self.began = None
            self.forget(resume["received"])
        self.ticket = {"session": message["session"], "secret": resume["secret"]}
        self.open = True
        self.socket.sendall(b"".join(text for _, text in self.kept))

    def forget(self, number):
        while self.kept and self.kept[0][0] <= number:
            self.kept.popleft()

    def tell(self):
        self.say(type="signal", call=self.call, kind="candidate",
                 candidate={"candidate": str(self.told)})
        self.told += 1


class Resets:
    """`pairs` of clients in calls. After run() no message is on its way."""

    def __init__(self, port, pairs, seed=1):
        self.dice = random.Random(seed)
        self.poll, self.by_fd = select.epoll(), {}
        self.clients = [Client(port, f"peer{n:04}") for n in range(2 * pairs)]
        for client in self.clients:
            self.watch(client)
            self.until(client, lambda c=client: c.open)
            client.say(type="join", name=client.name, room="resets")
            self.next(client, "joined")
        for caller, callee in self.pairs():
            caller.say(type="call", to=callee.name)
            callee.call = caller.call = self.next(callee, "incoming")["call"]
            callee.say(type="accept", call=callee.call)
            self.next(caller, "accepted")
        self.count = 0

    def pairs(self):
        return list(zip(self.clients[::2], self.clients[1::2]))

    def watch(self, client):
        self.by_fd[client.socket.fileno()] = client
        self.poll.register(client.socket.fileno(), select.EPOLLIN)

    def until(self, client, condition):
        while not condition():
            client.read()

    @staticmethod
    def next(client, kind):
        while True:
            for message in client.read():
                if message["type"] == kind:
                    return message

    def reset(self, client):
        self.poll.unregister(client.socket.fileno())
        del self.by_fd[client.socket.fileno()]
        client.reset()
        self.watch(client)
        self.count += 1

    def step(self, wait):
        for fd, _ in self.poll.poll(wait):
            client = self.by_fd.get(fd)
            if client is not None:
                client.read()

    def run(self, resets, per_second):
        """So many resets, of whoever the dice say, at that rate at most, while
        all say what they may say."""
        began = time.monotonic()
        while self.count < resets:
            passed = time.monotonic() - began
            due = min(resets, int(passed * per_second) + 1)
            while self.count < due:
                self.reset(self.dice.choice(self.clients))
            for client in self.clients:
                if client.told < passed * MESSAGES_PER_SECOND:
                    client.tell()
            self.step(0.002)
        deadline = time.monotonic() + WAIT
        while any(a.heard < b.told or b.heard < a.told for a, b in self.pairs()):
            assert time.monotonic() < deadline, self.result()
            self.step(0.1)
        self.seconds = time.monotonic() - began

    def result(self):
        """Counts of all clients together."""
        return {"resets": self.count,
                "resumptions": sum(len(c.resumptions) for c in self.clients),
                "messages": sum(c.told for c in self.clients),
                "lost": sum(b.told - a.heard for pair in self.pairs()
                            for a, b in (pair, pair[::-1])) +
                        sum(c.missed for c in self.clients),
                "doubled": sum(c.doubled for c in self.clients)}

    def times(self):
        """Of each resumption, in seconds."""
        return [t for c in self.clients for t in c.resumptions]

    def close(self):
        for client in self.clients:
            client.socket.close()

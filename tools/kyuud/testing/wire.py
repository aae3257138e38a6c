"""STUN and TURN byte by byte, as honest clients and as attackers write them.

A `Probe` is one 5-tuple: it signs what it is told to and tells each answer by its
error code. "Not answered" is shown without waiting: what is sent after it on the
same 5-tuple is answered first.
"""

import hashlib
import hmac
import ipaddress
import os
import socket
import struct

from testing.kyuud import COOKIE, TcpTurn, Turn, WAIT

BINDING, ALLOCATE, REFRESH, SEND, PERMISSION, CHANNEL_BIND = 1, 3, 4, 0x16, 8, 9
USERNAME, INTEGRITY, ERROR_CODE, CHANNEL, LIFETIME = 0x06, 0x08, 0x09, 0x0C, 0x0D
PEER, DATA, REALM, NONCE, RELAYED, FAMILY = 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
EVEN_PORT, TRANSPORT, DONT_FRAGMENT, ACCESS_TOKEN, INTEGRITY_SHA256 = 0x18, 0x19, 0x1A, 0x1B, 0x1C
ALGORITHM, USERHASH, TOKEN, MAPPED = 0x1D, 0x1E, 0x22, 0x20
ADDITIONAL_FAMILY, ALGORITHMS, FINGERPRINT, TICKET = 0x8000, 0x8002, 0x8028, 0x8030
UDP = b"\x11\0\0\0"

attribute = Turn.attribute


def header(kind, size, transaction):
    return struct.pack("!HHI", kind, size, COOKIE) + transaction


def xor_address(address, transaction=bytes(12)):
    """XOR-PEER-ADDRESS and its like; `address` is (host, port)."""
    ip = ipaddress.ip_address(address[0].split("%")[0])
    mask = struct.pack("!I", COOKIE) + transaction
    hidden = bytes(a ^ b for a, b in zip(ip.packed, mask))
    return struct.pack("!BBH", 0, 1 if ip.version == 4 else 2, address[1] ^ COOKIE >> 16) + hidden


def plain_address(value, transaction):
    port, = struct.unpack("!H", value[2:4])
    mask = struct.pack("!I", COOKIE) + transaction
    ip = ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], mask)))
    return str(ip), port ^ COOKIE >> 16


def fields(message):
    """The attributes of a message: (type, value, padding) in their order."""
    found, rest = [], message[20:]
    while rest:
        kind, size = struct.unpack("!HH", rest[:4])
        end = 4 + size + -size % 4
        found.append((kind, rest[4:4 + size], rest[4 + size:end]))
        rest = rest[end:]
    return found


def channel_data(number, data, pad=b""):
    return struct.pack("!HH", number, len(data)) + data + pad


def integrity(message, key, digest=hashlib.sha1):
    """`message` with MESSAGE-INTEGRITY(-SHA256) behind it and its length put right."""
    kind, size = (INTEGRITY, 20) if digest is hashlib.sha1 else (INTEGRITY_SHA256, 32)
    covered = message[:2] + struct.pack("!H", len(message) - 20 + 4 + size) + message[4:]
    return covered + attribute(kind, hmac.new(key, covered, digest).digest())


def appended(message, extra):
    """`message` with what nobody has signed behind it."""
    return message[:2] + struct.pack("!H", len(message) - 20 + len(extra)) + message[4:] + extra


class Signing:
    """What a client says, over whatever it has; mixed into Turn and TcpTurn."""

    def key(self, digest=hashlib.md5):
        return digest(f"{self.user}:{self.realm}:{self.password}".encode()).digest()

    def signed(self, kind, *attributes, transaction=None):
        """A request with this client's long-term credentials (MD5, SHA-1)."""
        transaction = transaction or os.urandom(12)
        body = b"".join(attributes) + attribute(USERNAME, self.user.encode())
        body += attribute(REALM, self.realm.encode()) + attribute(NONCE, self.nonce)
        return integrity(header(kind, len(body), transaction) + body, self.key())

    @staticmethod
    def bare(kind, *attributes, transaction=None):
        body = b"".join(attributes)
        return header(kind, len(body), transaction or os.urandom(12)) + body

    def exchange(self, message):
        """Sends a request; returns its answer, whatever else comes in between."""
        self.send(message)
        while True:
            answer = self.receive()
            if len(answer) >= 20 and answer[8:20] == message[8:20]:
                return answer

    def code(self, message):
        """0 for success, or the error code of the answer."""
        self.last = self.exchange(message)
        self.found = {}
        for kind, value, _ in fields(self.last):
            self.found.setdefault(kind, value)
        error = self.found.get(ERROR_CODE)
        return error[2] * 100 + error[3] if error else 0

    def before(self, *messages):
        """Sends them and a Binding request; what came before its answer."""
        last = self.bare(BINDING)
        for message in messages:
            self.send(message)
        self.send(last)
        came = []
        while True:
            answer = self.receive()
            if len(answer) >= 20 and answer[8:20] == last[8:20]:
                return came
            came.append(answer)

    def greet(self):
        """Gets realm and nonce as clients do."""
        code = self.code(self.bare(ALLOCATE, attribute(TRANSPORT, UDP)))
        assert code == 401, code
        self.realm, self.nonce = self.found[REALM].decode(), self.found[NONCE]
        return self

    def request(self, kind, *attributes):
        return self.code(self.signed(kind, *attributes))

    def make(self, *attributes):
        """Allocates; the error code or 0. `relayed` are the relayed addresses."""
        if not self.nonce:
            self.greet()
        code = self.request(ALLOCATE, attribute(TRANSPORT, UDP), *attributes)
        self.relays = [plain_address(value, self.last[8:20])
                       for kind, value, _ in fields(self.last) if kind == RELAYED]
        self.relayed = self.relays[0] if self.relays else None
        self.ticket = self.found.get(TICKET)
        return code

    def peers(self, kind, addresses, *attributes):
        """A request that names peers."""
        transaction = os.urandom(12)
        named = (attribute(PEER, xor_address(a, transaction)) for a in addresses)
        return self.code(self.signed(kind, *attributes, *named, transaction=transaction))

    def permit(self, *addresses):
        return self.peers(PERMISSION, addresses)

    def channel(self, peer, number=0x4001):
        return self.peers(CHANNEL_BIND, [peer],
                          attribute(CHANNEL, struct.pack("!HH", number, 0)))

    def refresh(self, seconds=None):
        wanted = () if seconds is None else (attribute(LIFETIME, struct.pack("!I", seconds)),)
        return self.request(REFRESH, *wanted)

    def say(self, data, *addresses):
        """A Send indication to the first of the addresses."""
        transaction = os.urandom(12)
        named = (attribute(PEER, xor_address(a, transaction)) for a in addresses)
        self.send(self.bare(SEND, *named, attribute(DATA, data), transaction=transaction))


class Probe(Signing, Turn):
    """Over UDP, from an address of one's choice."""

    def __init__(self, port, user="a", password="1", source="127.0.0.1", server=None):
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.settimeout(WAIT)
        self.server = (server or ("::1" if ":" in source else "127.0.0.1"), port)
        self.user, self.password, self.realm, self.nonce = user, password, "", b""

    def receive(self):
        while True:
            message, source = self.socket.recvfrom(65536)
            if source[:2] == self.server:
                return message


class StreamProbe(Signing, TcpTurn):
    """Over TCP or TLS."""

    def __init__(self, port, user="a", password="1", tls=None):
        super().__init__(port, user, password, tls=tls)


def datagrams(address="127.0.0.1"):
    """A peer's socket."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    peer = socket.socket(family, socket.SOCK_DGRAM)
    peer.bind((address, 0))
    peer.settimeout(WAIT)
    return peer

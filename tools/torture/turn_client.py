"""A TURN client for tests, as small as RFC 8489 and RFC 8656 allow.

Requests wait for their answer and are not repeated unless asked, so that a test
sees what the server does with each.
"""

import hashlib
import hmac
import ipaddress
import os
import socket
import struct
import time

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, SEND, DATA, PERMISSION, CHANNEL = 1, 3, 4, 6, 7, 8, 9
USERNAME, MESSAGE_INTEGRITY, ERROR_CODE = 0x06, 0x08, 0x09
CHANNEL_NUMBER, LIFETIME, PEER, DATA_ATTRIBUTE = 0x0C, 0x0D, 0x12, 0x13
REALM, NONCE, RELAYED, FAMILY, TRANSPORT, MAPPED = 0x14, 0x15, 0x16, 0x17, 0x19, 0x20
UDP = b"\x11\0\0\0"


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)


def message(kind, transaction, attributes=b""):
    return struct.pack("!HHI", kind, len(attributes), COOKIE) + transaction + attributes


def attributes_of(packet):
    found, at = {}, 20
    while at + 4 <= len(packet):
        kind, size = struct.unpack_from("!HH", packet, at)
        found.setdefault(kind, packet[at + 4:at + 4 + size])
        at += 4 + size + -size % 4
    return found


def _mask(transaction):
    return struct.pack("!I", COOKIE) + transaction


def xor_address(address, transaction):
    ip = ipaddress.ip_address(address[0])
    family = 1 if ip.version == 4 else 2
    hidden = bytes(a ^ b for a, b in zip(ip.packed, _mask(transaction)))
    return struct.pack("!BBH", 0, family, address[1] ^ (COOKIE >> 16)) + hidden


def plain_address(value, transaction):
    port = struct.unpack_from("!H", value, 2)[0] ^ (COOKIE >> 16)
    ip = bytes(a ^ b for a, b in zip(value[4:], _mask(transaction)))
    return str(ipaddress.ip_address(ip)), port


class TurnClient:
    """One 5-tuple towards a server. Make it inside the host that it lives in."""

    def __init__(self, server, user="u", password="p", bind=None, wait=2.0):
        self.server, self.user, self.password, self.wait = server, user, password, wait
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        if bind is not None:
            self.socket.bind(bind)
        self.realm = self.nonce = None
        self.relayed = self.mapped = None

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _sign(self, kind, transaction, attributes):
        if self.realm is None:
            return message(kind, transaction, attributes)
        attributes += (attribute(USERNAME, self.user.encode()) + attribute(REALM, self.realm)
                       + attribute(NONCE, self.nonce))
        key = hashlib.md5(b":".join(
            (self.user.encode(), self.realm, self.password.encode()))).digest()
        covered = struct.pack("!HHI", kind, len(attributes) + 24, COOKIE) + transaction
        tag = hmac.new(key, covered + attributes, hashlib.sha1).digest()
        return message(kind, transaction, attributes + attribute(MESSAGE_INTEGRITY, tag))

    def receive(self, wait=None):
        """The next datagram, or None."""
        self.socket.settimeout(self.wait if wait is None else wait)
        try:
            return self.socket.recv(65536)
        except (TimeoutError, ConnectionError):
            return None

    def _exchange(self, packet, transaction):
        self.socket.sendto(packet, self.server)
        end = time.monotonic() + self.wait
        while (left := end - time.monotonic()) > 0:
            answer = self.receive(left)
            if answer is not None and len(answer) >= 20 and answer[8:20] == transaction:
                return answer
        return None

    def request(self, kind, *fields):
        """Answers 0 for success, else the error code; None without an answer.
        A field is (attribute, bytes) or (attribute, address)."""
        for _ in range(3):
            transaction = os.urandom(12)
            body = b"".join(
                attribute(k, v if isinstance(v, bytes) else xor_address(v, transaction))
                for k, v in fields)
            answer = self._exchange(self._sign(kind, transaction, body), transaction)
            if answer is None:
                return None
            self.answer, self.transaction = attributes_of(answer), transaction
            if answer[1] & 0x10 == 0:  # No error response.
                return 0
            error = self.answer[ERROR_CODE]
            code = (error[2] & 7) * 100 + error[3]
            proven = self.realm is not None
            if NONCE in self.answer:
                self.realm = self.answer.get(REALM, self.realm)
                self.nonce = self.answer[NONCE]
            if code == 401 and not proven or code == 438:
                continue
            return code
        return code

    def binding(self):
        """Whether a Binding request is answered."""
        transaction = os.urandom(12)
        answer = self._exchange(message(BINDING, transaction), transaction)
        return answer is not None and answer[:2] == b"\x01\x01"

    def allocate(self, *fields):
        code = self.request(ALLOCATE, (TRANSPORT, UDP), *fields)
        if code == 0:
            self.relayed = plain_address(self.answer[RELAYED], self.transaction)
            self.mapped = plain_address(self.answer[MAPPED], self.transaction)
        return code

    def refresh(self, seconds):
        return self.request(REFRESH, (LIFETIME, struct.pack("!I", seconds)))

    def permit(self, *peers):
        return self.request(PERMISSION, *((PEER, peer) for peer in peers))

    def bind_channel(self, number, peer):
        return self.request(CHANNEL, (CHANNEL_NUMBER, struct.pack("!HH", number, 0)),
                            (PEER, peer))

    def send(self, peer, data):
        transaction = os.urandom(12)
        body = attribute(PEER, xor_address(peer, transaction)) + attribute(DATA_ATTRIBUTE, data)
        self.socket.sendto(message(SEND | 0x10, transaction, body), self.server)

    def send_channel(self, number, data):
        self.socket.sendto(struct.pack("!HH", number, len(data)) + data, self.server)

    def receive_data(self, wait=None):
        """(peer, data) of the next Data indication, or None."""
        packet = self.receive(wait)
        if packet is None or len(packet) < 20 or packet[:2] != b"\x00\x17":
            return None
        found = attributes_of(packet)
        return plain_address(found[PEER], packet[8:20]), found[DATA_ATTRIBUTE]

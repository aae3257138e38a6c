"""HTTP and WebSocket for tests: just enough to speak to kyuud."""

import base64
import json
import os
import socket
import struct


def http_get(address, path, wait=3.0, headers=()):
    """(status, body) of one request on a connection of its own."""
    with socket.create_connection(address, wait) as s:
        head = [f"GET {path} HTTP/1.1", f"Host: {authority(address)}", "Connection: close", *headers]
        s.sendall("\r\n".join([*head, "", ""]).encode())
        answer = b""
        while part := s.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def authority(address):
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"


class WebSocket:
    """A client's end that has joined nothing yet. Reading is never done behind
    the caller's back."""

    def __init__(self, address, wait=5.0, source=None, receive_buffer=None):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            self.socket.bind((source, 0))
        self.socket.settimeout(wait)
        self.socket.connect(address)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((
            f"GET /v1/ws HTTP/1.1\r\nHost: {authority(address)}\r\n"
            f"Origin: http://{authority(address)}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Protocol: kyuu.v1\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])

    def _fill(self):
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("the server ended the connection")
        self.buffer += part

    def _take(self, count):
        while len(self.buffer) < count:
            self._fill()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def send(self, **members):
        self.send_frame(0x81, json.dumps(members).encode())

    def send_frame(self, first, payload):
        mask = os.urandom(4)
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else (
            struct.pack("!BH", 0x80 | 126, len(payload)))
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.socket.sendall(bytes([first]) + size + mask + masked)

    def receive(self):
        """The next message; pings are answered."""
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if size == 126:
                size = struct.unpack("!H", self._take(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", self._take(8))[0]
            payload = self._take(size)
            if first & 0xF == 9:
                self.send_frame(0x8A, payload)
            elif first & 0xF == 8:
                raise ConnectionError(f"closed: {payload!r}")
            else:
                return json.loads(payload)

    def wait_for(self, kind):
        """The next message of a type; others are passed over."""
        while (message := self.receive())["type"] != kind:
            if message["type"] == "error":
                raise AssertionError(message)
        return message

    def hello(self):
        self.send(type="hello", version=1)
        return self.wait_for("welcome")

    def join(self, name, room="lobby", **meta):
        self.send(type="join", name=name, room=room, meta=meta)
        return self.wait_for("joined")

    def reset(self):
        """Ends the connection as a crash or a lost network does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

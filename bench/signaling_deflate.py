#!/usr/bin/env python3
"""What compression (RFC 7692) takes and saves: 200 peers in pairs send each other
offers of a data channel, 1.2 kB as browsers write them, as fast as they come; to a
kyuud that compresses, and to one that does not, in turn. CPU time is the server's.

  bench/signaling_deflate.py KYUUD [ROUNDS]
"""

import json
import os
import statistics
import sys
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import signaling_load as load  # noqa: E402

# Chromium's, with three candidates: what differs from peer to peer is made up here.
SDP = """v=0
o=- {n} 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=application 54321 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 203.0.113.7
a=candidate:{a} 1 udp 2122260223 192.168.1.20 54321 typ host generation 0 network-id 1 network-cost 10
a=candidate:{b} 1 udp 1686052607 203.0.113.7 54321 typ srflx raddr 192.168.1.20 rport 54321 generation 0 network-id 1
a=candidate:{c} 1 udp 41885439 198.51.100.9 61234 typ relay raddr 203.0.113.7 rport 54321 generation 0 network-id 1
a=ice-ufrag:{u}
a=ice-pwd:{p}
a=ice-options:trickle
a=fingerprint:sha-256 {f}
a=setup:actpass
a=mid:0
a=sctp-port:5000
a=max-message-size:262144
""".replace("\n", "\r\n")


def offer():
    def number():
        return int.from_bytes(os.urandom(4), "big")
    sdp = SDP.format(n=number() << 30, a=number(), b=number(), c=number(), u=os.urandom(2).hex(),
                     p=os.urandom(12).hex(), f=os.urandom(32).hex(":").upper())
    return sdp + "a=x-of-1200:" + os.urandom(600).hex()[:1070 - len(sdp)] + "\r\n"


def deflated(text):
    """A client's frame; the mask is of no weight here."""
    by = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = (by.compress(text) + by.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return b"\xc1\xfe" + len(data).to_bytes(2, "big") + b"\0\0\0\0" + data


class Deflating(load.Client):
    """One that offers compression, and reads what comes so."""

    def ask(self, port, path, number, tls=None, protocol=None):
        super().ask(port, path, number, tls,
                    f"{protocol}\nSec-WebSocket-Extensions: permessage-deflate")

    def texts(self):
        compressed, at = [], 0
        while len(self.buffer) >= at + 4:
            size = self.buffer[at + 1] + 2
            if size == 128:
                size = int.from_bytes(self.buffer[at + 2:at + 4], "big") + 4
            compressed.append(bool(self.buffer[at] & 0x40))
            at += size
        return [zlib.decompress(text + b"\0\0\xff\xff\3\0", -15) if packed else text
                for text, packed in zip(super().texts(), compressed)]


def measure(kind):
    """(us of CPU, bytes from and to the server, for each offer)"""
    flags = ["--compression=on"] if kind is Deflating else []
    server = load.helper.Kyuud("--log-level=off", "--threads=1", *flags)
    plain, load.Client = load.Client, kind
    try:
        pid = server.process.pid
        os.sched_setaffinity(pid, load.SERVER_CORE)
        clients = load.native_clients(server.http_port, None)
        heard = []

        def texts(client):
            """What an exchange counts has 64 times "a": it is not to read the rest."""
            sizes = [len(frame) + 4 for frame in plain.texts(client)]
            heard.extend(size for size in sizes if size > 300)
            return [b"a" * 64 if size > 300 else b"" for size in sizes]
        for client in clients:
            message = json.loads(client.offer[8:])
            message["sdp"] = offer()
            text = json.dumps(message)
            client.offer = deflated(text.encode()) if kind is Deflating else load.frame(text)
            client.texts = lambda client=client: texts(client)
        exchange = load.Exchange(clients)
        before = load.cpu(pid)
        count = exchange.as_fast_as_they_come()
        spent = load.cpu(pid) - before
        for client in clients:
            client.socket.close()
        return 1e6 * spent / count, len(clients[0].offer), sum(heard) / count
    finally:
        load.Client = plain
        server.stop()


def main():
    os.sched_setaffinity(0, load.CLIENT_CORE)
    found = {load.Client: [], Deflating: []}
    for _ in range(load.ROUNDS):
        for kind, results in found.items():
            results.append(measure(kind))
    plain, packed = ([statistics.median(column) for column in zip(*results)] for results in found.values())
    cells = [f"{title} {us:.1f} us ({us / plain[0]:.1f}), {sent:.0f} bytes in, {heard:.0f} out"
             for title, (us, sent, heard) in (("as they are", plain), ("compressed", packed))]
    print("| offers | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

"""aioice's TURN client: allocates over a transport, sends datagrams to a peer that
echoes them, and prints one line of JSON with what came back.

  --transport udp|tcp|tls --server H:P --peer H:P --user u --password p --ca FILE --send N
"""

import argparse
import asyncio
import json
import ssl

import aioice.turn

parser = argparse.ArgumentParser()
for name, default in (("transport", "udp"), ("server", ""), ("peer", ""), ("user", ""), ("password", ""),
                      ("ca", ""), ("send", "50"), ("realm", "")):
    parser.add_argument(f"--{name}", default=default)
o = parser.parse_args()


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Echoes(asyncio.DatagramProtocol):
    def __init__(self):
        self.came = asyncio.Queue()

    def datagram_received(self, data, source):
        self.came.put_nowait((data, source))


async def main():
    tls = ssl.create_default_context(cafile=o.ca) if o.transport == "tls" else False
    transport, echoes = await aioice.turn.create_turn_endpoint(
        Echoes, address(o.server), o.user, o.password, ssl=tls,
        transport="udp" if o.transport == "udp" else "tcp")
    echoed = 0
    for i in range(int(o.send)):
        message = bytes([i & 255]) * (1 + i * 20)
        transport.sendto(message, address(o.peer))
        data, source = await asyncio.wait_for(echoes.came.get(), 10)
        echoed += data == message and source == address(o.peer)
    host, port = transport.get_extra_info("sockname")
    print(json.dumps({"event": "result", "echoed": echoed, "relayed": f"{host}:{port}"}), flush=True)
    transport.close()


asyncio.run(main())

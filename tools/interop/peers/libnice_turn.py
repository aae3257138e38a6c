"""Two agents of libnice in one process, who may only relay: one sends messages, the
other sends them back. Prints one line of JSON with what came back and by which pair.

  --transport udp|tcp --server H:P --user u --password p --send N

(What libnice calls TURN over TLS is the pseudo-TLS of old dialects.)
"""

import argparse
import ctypes
import json
import time

parser = argparse.ArgumentParser()
for name, default in (("transport", "udp"), ("server", ""), ("user", ""), ("password", ""), ("send", "50")):
    parser.add_argument(f"--{name}", default=default)
o = parser.parse_args()

nice, glib, gobject = (ctypes.CDLL(name) for name in ("libnice.so.10", "libglib-2.0.so.0", "libgobject-2.0.so.0"))
RECEIVE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p,
                           ctypes.c_void_p)
RELAY = {"udp": 0, "tcp": 1}[o.transport]  # NiceRelayType
READY, RELAYED = 4, 3  # NiceComponentState, NiceCandidateType
RFC5245 = 0  # NiceCompatibility
for function in (nice.nice_agent_new, nice.nice_agent_generate_local_sdp, nice.nice_address_new):
    function.restype = ctypes.c_void_p


class Agent:
    def __init__(self, controlling, hear):
        self.agent = ctypes.c_void_p(nice.nice_agent_new(None, RFC5245))
        for key, value in (("force-relay", 1), ("upnp", 0), ("controlling-mode", controlling)):
            gobject.g_object_set(self.agent, key.encode(), ctypes.c_int(value), None)
        here = ctypes.c_void_p(nice.nice_address_new())
        nice.nice_address_set_from_string(here, b"127.0.0.1")
        nice.nice_agent_add_local_address(self.agent, here)
        self.stream = nice.nice_agent_add_stream(self.agent, 1)
        nice.nice_agent_set_stream_name(self.agent, self.stream, b"application")
        host, port = o.server.rsplit(":", 1)
        nice.nice_agent_set_relay_info(self.agent, self.stream, 1, host.encode(), int(port), o.user.encode(),
                                       o.password.encode(), RELAY)
        self.receive = RECEIVE(lambda _a, _s, _c, size, data, _: hear(ctypes.string_at(data, size)))
        nice.nice_agent_attach_recv(self.agent, self.stream, 1, None, self.receive, None)
        nice.nice_agent_gather_candidates(self.agent, self.stream)

    def sdp(self):
        text = ctypes.c_void_p(nice.nice_agent_generate_local_sdp(self.agent))
        return ctypes.string_at(text)

    def ready(self):
        return nice.nice_agent_get_component_state(self.agent, self.stream, 1) == READY

    def send(self, message):
        return nice.nice_agent_send(self.agent, self.stream, 1, len(message), message)

    def relayed(self):
        """Whether both ends of the pair are relayed addresses."""
        local, remote = ctypes.c_void_p(), ctypes.c_void_p()
        nice.nice_agent_get_selected_pair(self.agent, self.stream, 1, ctypes.byref(local), ctypes.byref(remote))
        return [ctypes.cast(c, ctypes.POINTER(ctypes.c_int))[0] for c in (local, remote)] == [RELAYED, RELAYED]


def until(done, what):
    deadline = time.monotonic() + 30
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"no {what} in time")
        glib.g_main_context_iteration(None, 0) or time.sleep(0.005)


came = []
asker = Agent(1, came.append)
echo = Agent(0, lambda message: echo.send(message))
until(lambda: all(b" typ relay" in agent.sdp() for agent in (asker, echo)), "relayed address")
for one, other in ((asker, echo), (echo, asker)):
    nice.nice_agent_parse_remote_sdp(one.agent, other.sdp())
until(lambda: asker.ready() and echo.ready(), "connection")
messages = [bytes([i & 255]) * (1 + i * 20) for i in range(int(o.send))]
for i, message in enumerate(messages):
    asker.send(message)
    until(lambda: len(came) > i, "echo")
print(json.dumps({"event": "result", "echoed": sum(a == b for a, b in zip(came, messages)),
                  "relayed": asker.relayed() and echo.relayed()}), flush=True)

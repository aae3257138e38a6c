"""Hosts of a torture test: network namespaces on cables of its own.

    with Network() as network:
        server = network.host("server")
        client = network.host("client")
        network.cable(server, "11.1.1.1/24", client, "11.1.1.2/24")
        with client:                      # Sockets made here are the client's.
            s = socket.socket(...)

Namespaces need root; `run` gets it from a user namespace where it can. Nothing
leaves them: no cable reaches an interface of the machine.
"""

import ctypes
import os
import subprocess

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def sh(*command):
    """Runs a command that has to succeed and returns what it prints."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


class Host:
    """A namespace. As a context manager, the calling thread is in it."""

    def __init__(self, name):
        self.name = name
        sh("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")
        # An address is good at once, not after duplicate address detection.
        for scope in ("all", "default"):
            self.run("sysctl", "-qw", f"net.ipv6.conf.{scope}.accept_dad=0")
        self._outside = []

    def ip(self, *arguments):
        return sh("ip", "-n", self.name, *arguments)

    def run(self, *command):
        return sh("ip", "netns", "exec", self.name, *command)

    def command(self, *command):
        """`command`, to be started in this host."""
        return ["ip", "netns", "exec", self.name, *command]

    def __enter__(self):
        self._outside.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        inside = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        _set_namespace(inside)
        os.close(inside)
        return self

    def __exit__(self, *_):
        outside = self._outside.pop()
        _set_namespace(outside)
        os.close(outside)


def _set_namespace(fd):
    if _LIBC.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Network:
    """The hosts and cables of one test; all are gone at its end."""

    def __init__(self):
        self._hosts = []
        self._cables = 0

    def host(self, role):
        host = Host(f"kyuu-{os.getpid()}-{role}")
        self._hosts.append(host)
        return host

    def cable(self, a, a_address, b, b_address, mtu=1500):
        """Joins two hosts. Returns the names of the two interfaces; an address
        may be None, to be given later."""
        self._cables += 1
        names = [f"v{self._cables}a", f"v{self._cables}b"]
        sh("ip", "link", "add", names[0], "netns", a.name, "mtu", str(mtu), "type", "veth",
           "peer", "name", names[1], "netns", b.name, "mtu", str(mtu))
        for host, name, address in ((a, names[0], a_address), (b, names[1], b_address)):
            if address is not None:
                host.ip("addr", "add", address, "dev", name)
            host.ip("link", "set", name, "up")
        return names

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for host in self._hosts:
            subprocess.run(["ip", "netns", "del", host.name], check=False)

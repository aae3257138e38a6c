"""What systemd does for a service that gives it descriptors (FDSTORE=1 of
sd_notify(3), FileDescriptorStoreMax): it keeps them while the service is started
anew, and forgets those that it is told to forget."""

import os
import socket
import tempfile


class Manager:
    def __init__(self):
        self._folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self._folder.name, "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)
        self._kept = []  # Name and descriptor of each.

    def names(self):
        """Of what is kept, with all heard that was said."""
        self._hear()
        return [name for name, _ in self._kept]

    def starts(self, command):
        """A command that starts this one with what is kept, and those descriptors,
        which it must inherit."""
        self._hear()
        moves = " ".join(f"{3 + i}<&{fd}" for i, (_, fd) in enumerate(self._kept))
        # Bash knows descriptors of more than a digit.
        script = (f"exec {moves}; LISTEN_PID=$$ LISTEN_FDS={len(self._kept)} "
                  f"LISTEN_FDNAMES={':'.join(self.names())} exec \"$@\"")
        return ["bash", "-c", script, "bash", *command], tuple(fd for _, fd in self._kept)

    def close(self):
        for _, fd in self._kept:
            os.close(fd)
        self._kept = []
        self._socket.close()
        self._folder.cleanup()

    def _hear(self):
        while True:
            try:
                message, fds, _, _ = socket.recv_fds(self._socket, 4096, 4)
            except BlockingIOError:
                return
            fields = dict(line.split("=", 1) for line in message.decode().splitlines())
            name = fields.get("FDNAME")
            if fields.get("FDSTORE") == "1":
                self._kept += [(name, fd) for fd in fds]
            elif fields.get("FDSTOREREMOVE") == "1":
                for kept in [k for k in self._kept if k[0] == name]:
                    os.close(kept[1])
                    self._kept.remove(kept)

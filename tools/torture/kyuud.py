"""The kyuud under test, as an operator starts it."""

import ctypes
import os
import re
import select
import signal
import subprocess
import time

BINARY = os.environ.get("KYUUD", "bazel-bin/tools/kyuud/kyuud")


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Kyuud:
    """A running kyuud; its log is read only where a test says so.

    `host` is where it runs; `files` its soft and hard limit of descriptors;
    `manager` what has started it, if that is one."""

    def __init__(self, host, *flags, files=None, manager=None, stderr=subprocess.DEVNULL):
        command = [os.path.abspath(BINARY), *flags]
        if files is not None:
            command = ["prlimit", f"--nofile={files[0]}:{files[1]}", *command]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KYUU")}
        given = ()
        if manager is not None:
            command, given = manager.starts(command)
            environment["NOTIFY_SOCKET"] = manager.path
        self.process = subprocess.Popen(
            host.command(*command), stdout=subprocess.PIPE, stderr=stderr,
            env=environment, pass_fds=given, preexec_fn=_die_with_parent)
        self.banner = b""
        while b"STUN and TURN" not in self.banner:
            ready, _, _ = select.select([self.process.stdout], [], [], 15)
            part = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not part:
                self.process.kill()
                raise AssertionError(f"kyuud did not start: {self.banner!r}")
            self.banner += part

    def _status(self, key):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"{key}:\s+(\d+)", file.read())[1])

    def rss_mb(self):
        return self._status("VmRSS") / 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_share(self, seconds):
        """What part of a core it uses while nobody asks anything of it."""
        before = self.cpu_seconds()
        time.sleep(seconds)
        return (self.cpu_seconds() - before) / seconds

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, wait=10):
        """Ends it by SIGTERM; its exit status, or "hung"."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(wait)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "hung"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.alive():
            self.process.kill()
            self.process.wait()


def until(condition, wait=10.0, every=0.05):
    """Whether `condition()` comes true within `wait` seconds."""
    end = time.monotonic() + wait
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(every)
    return bool(condition())

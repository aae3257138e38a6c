"""The tests of kyuud's security and of what it says on the wire, once more with
--kernel-path: what they see has to be the same.

They speak to 127.0.0.1. Here that is no loopback but a cable from the host to
itself, at whose end the program in the kernel listens.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

import hosts
from kyuud import BINARY

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kyuud")
SECONDS = 120


class KernelRows(unittest.TestCase):
    def setUp(self):
        network = hosts.Network()
        self.enterContext(network)
        self.host = network.host("self")
        out, back = network.cable(self.host, None, self.host, None)
        for name in (out, back):
            self.host.run("ethtool", "-K", name, "tx", "off", "gro", "on")
        for name in ("all", "default", "lo", out, back):
            for key in ("rp_filter=0", "accept_local=1", "route_localnet=1"):
                self.host.run("sysctl", "-qw", f"net.ipv4.conf.{name}.{key}")
        # Each end has an address of the server, so that both are its own.
        self.host.ip("addr", "del", "127.0.0.1/8", "dev", "lo")
        self.host.ip("addr", "add", "127.0.0.1/8", "dev", back)
        self.host.ip("addr", "add", "127.0.0.99/8", "dev", out)
        self.host.ip("route", "replace", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
        # What comes is the host's; what it sends goes out, before it is asked
        # whether that would be the host's too.
        self.host.ip("route", "add", "127.0.0.0/8", "dev", out, "table", "100")
        for rule in (f"pref 10 iif {back} lookup local", f"pref 11 iif {out} lookup local",
                     "pref 20 to 127.0.0.0/8 lookup 100", "pref 30 lookup local"):
            self.host.ip("rule", "add", *rule.split())
        self.host.ip("rule", "del", "pref", "0")

    def play(self, file, pattern="", relayed=0):
        """Each test of a file by itself, so that its server is the one with the
        program; `relayed` is what the kernel has to have relayed by then."""
        path = os.path.join(TESTS, file)
        with open(path, encoding="utf-8") as source:
            text = source.read()
        group = re.findall(r"^class (\w+Test)\(", text, re.M)[-1]
        names = re.findall(rf"^    def (test_{pattern}\w+)\(", text, re.M)
        self.assertGreater(len(names), 3)
        with tempfile.NamedTemporaryFile() as report:
            for name in names:
                with self.subTest(name):
                    ended = subprocess.run(
                        self.host.command(sys.executable, path, f"{group}.{name}", BINARY),
                        env={**os.environ, "KYUUD_TEST_KERNEL_PATH": report.name},
                        capture_output=True, text=True, timeout=SECONDS, check=False)
                    self.assertEqual(ended.returncode, 0, ended.stderr)
                    self.assertRegex(ended.stderr, r"(?m)^Ran 1 test")
            in_kernel = sum(map(int, re.findall(r"datagrams=(\d+)", report.read().decode())))
        self.assertGreaterEqual(in_kernel, relayed)

    def test_s01_to_s10(self):
        self.play("kyuud_security_test.py", "s", relayed=230)

    def test_s11_to_s20(self):
        self.play("kyuud_abuse_test.py", "s", relayed=1)

    def test_s21_to_s26(self):
        self.play("kyuud_doors_test.py", "s")

    def test_relaying(self):
        self.play("kyuud_relay_test.py", relayed=1)

    def test_turn(self):
        self.play("kyuud_turn_test.py")

    def test_limits(self):
        self.play("kyuud_limits_test.py")


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""kyuu against kyuud by whatever way TURN is reached: UDP, TCP, TLS and DTLS."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

KYUU = os.path.abspath(sys.argv.pop(1))

from testing.kyuud import KyuudTestCase, WAIT  # noqa: E402 (it takes the last argument)
from testing.peers import join  # noqa: E402


class KyuudFallbackTest(KyuudTestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.certificate, cls.key = (os.path.join(cls.folder.name, n) for n in ("c.pem", "k.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kyuu",
                        "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-out",
                        cls.certificate, "-keyout", cls.key], check=True, capture_output=True)

    def setUp(self):
        self.server = self.start(f"--tls-certificate={self.certificate}",
                                 f"--tls-key={self.key}", "--user=a:1")

    def ways(self):
        """How each protocol is written, for TURN and for STUN."""
        http, turn = self.server.http_port, self.server.turn_port
        return {"udp": f"turn:a:1@127.0.0.1:{turn}",
                "tcp": f"turn:a:1@127.0.0.1:{http}?transport=tcp",
                "tls": f"turns:a:1@localhost:{http}",
                "dtls": f"turns:a:1@localhost:{turn}?transport=udp"}

    def kyuu(self, *arguments, trust=True):
        flags = ("--ca-file", self.certificate) if trust else ()
        return subprocess.run([KYUU, *flags, *arguments], capture_output=True, text=True,
                              timeout=2 * WAIT, check=False)

    def test_turn_and_stun_by_every_protocol(self):
        for protocol, url in self.ways().items():
            named = "" if protocol == "udp" else f" over {protocol}"
            with self.subTest(protocol):
                run = self.kyuu("turn", url)
                self.assertEqual(run.returncode, 0, run)
                self.assertEqual(len(re.findall(rf"(?m)^allocated [\d.]+:\d+{named} for", run.stdout)), 2)
                self.assertIn("relayed and back", run.stdout)
                run = self.kyuu("stun", url.replace("turn", "stun").replace("a:1@", ""))
                self.assertEqual(run.returncode, 0, run)
                self.assertRegex(run.stdout, rf"^127\.0\.0\.1:\d+{named} sees this machine at 127")

    def test_an_allocation_goes_on_from_another_port_or_stream(self):
        for protocol, url in self.ways().items():
            with self.subTest(protocol):
                run = self.kyuu("turn", "--move", url)
                self.assertEqual(run.returncode, 0, run)
                self.assertRegex(run.stdout, r"(?m)^moved; relayed and back in")
        forbidding = self.start("--user=a:1", "--mobility=forbid")
        run = self.kyuu("turn", "--move", f"turn:a:1@127.0.0.1:{forbidding.turn_port}")
        self.assertEqual(run.returncode, 1, run)
        self.assertIn("gives no ticket to move with", run.stderr)

    def test_a_client_on_dtls_moves_to_whichever_thread(self):
        server = self.start(f"--tls-certificate={self.certificate}", f"--tls-key={self.key}",
                            "--user=a:1", "--threads=4")
        # Each time it is another thread three times in four.
        for _ in range(8):
            run = self.kyuu("turn", "--move", f"turns:a:1@localhost:{server.turn_port}?transport=udp")
            self.assertEqual(run.returncode, 0, run)
            self.assertRegex(run.stdout, r"(?m)^moved; relayed and back in")

    def test_a_server_that_nobody_vouches_for_gets_nothing(self):
        for command, url in (("turn", self.ways()["tls"]),
                             ("stun", f"stuns:localhost:{self.server.http_port}")):
            run = self.kyuu(command, url, trust=False)
            self.assertEqual(run.returncode, 1, run)
            self.assertIn("certificate verify failed", run.stderr)
        # Nor one that somebody vouches for under another name.
        run = self.kyuu("turn", f"turns:a:1@127.0.0.2:{self.server.http_port}")
        self.assertEqual(run.returncode, 1, run)

    def test_a_port_that_is_no_turn_server_is_told(self):
        run = self.kyuu("stun", "stun:127.0.0.1:1?transport=tcp")
        self.assertEqual(run.returncode, 1, run)
        self.assertIn("refused", run.stderr)

    def pair(self, url):
        """Two peers that may only relay; returns what each says at its end."""
        def start(role, *flags):
            return subprocess.Popen(
                [KYUU, "--ca-file", self.certificate, "peer", "--role", role, "--relay", "--turn",
                 url, "--size=1000", *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        peers = [start("offer", "--send=500"), start("answer", "--expect=500")]
        results, said = join(peers, 2 * WAIT)
        self.assertEqual([peer.wait(WAIT) for peer in peers], [0, 0], said)
        for peer in peers:
            peer.stdin.close()
            peer.stdout.close()
        return results

    def test_peers_meet_by_every_protocol(self):
        for protocol, url in self.ways().items():
            with self.subTest(protocol):
                for result in self.pair(url):
                    self.assertEqual(result["path"], "relay-relay")
                    self.assertEqual(result["relay_protocol"], protocol)


if __name__ == "__main__":
    unittest.main(warnings="ignore")

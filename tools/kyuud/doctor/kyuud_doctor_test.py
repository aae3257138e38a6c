#!/usr/bin/env python3
"""`kyuud doctor` before and beside a running kyuud."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from testing.kyuud import KYUUD, WAIT, KyuudTestCase  # noqa: E402


def doctor(*flags, status=0):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KYUU_")}
    run = subprocess.run([KYUUD, "doctor", *flags], capture_output=True, text=True, check=False,
                         timeout=WAIT, env=environment)
    assert run.returncode == status, (run.returncode, run.stdout, run.stderr)
    return run


def findings(*flags, status=0):
    """verdicts and fixes by name: {"port": [("pass", "...", "..."), ...]}"""
    found = {}
    for finding in json.loads(doctor("--json", *flags, status=status).stdout)["findings"]:
        found.setdefault(finding["name"], []).append(
            (finding["verdict"], finding["what"], finding["fix"]))
    return found


class KyuudDoctorTest(KyuudTestCase):
    def test_beside_a_running_server_nothing_fails_and_nothing_is_disturbed(self):
        server = self.start()
        flags = (f"--http-listen=127.0.0.1:{server.http_port}",
                 f"--turn-listen=127.0.0.1:{server.turn_port}")
        found = findings(*flags)
        self.assertEqual([verdict for verdict, _, _ in found["port"]], ["pass", "pass"])
        self.assertIn(f"held by a running kyuud, process {server.process.pid}",
                      found["port"][0][1])
        self.assertEqual(found["running"][0][0], "pass")
        self.assertEqual(found["firewall"][0][0], "pass")
        self.assertIn("0 failures", doctor(*flags).stdout)
        self.assertEqual(server.stop(), 0)
        found = findings(*flags)
        self.assertEqual([what.split(" is ")[1] for _, what, _ in found["port"]], ["free"] * 2)
        self.assertEqual(found["running"][0][0], "not_seen")

    def test_a_port_of_somebody_else_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            found = findings(f"--http-listen=127.0.0.1:{port}", "--turn-listen=none", status=5)
            self.assertEqual(found["port"][0][0], "fail")
            self.assertIn(f"kill {os.getpid()}", found["port"][0][2])

    def test_certificates_and_secrets(self):
        with tempfile.TemporaryDirectory() as folder:
            files = [os.path.join(folder, name) for name in ("c.pem", "k.pem", "d.pem", "l.pem")]
            for certificate, key in (files[:2], files[2:]):
                subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                                "/CN=kyuu", "-addext", "subjectAltName=DNS:kyuu.example",
                                "-out", certificate, "-keyout", key],
                               check=True, capture_output=True)
            listen = ("--http-listen=127.0.0.1:0", "--turn-listen=127.0.0.1:0")
            os.chmod(files[1], 0o600)
            own = (*listen, f"--tls-certificate={files[0]}", f"--tls-key={files[1]}")
            found = findings(*own, "--public-url=https://kyuu.example")
            self.assertEqual(found["certificate"][0][0], "pass")
            self.assertEqual(found["tls-expiry"][0][0], "warn")
            self.assertEqual(found["secret"][0][0], "pass")
            self.assertNotIn("tls-name", found)
            os.chmod(files[1], 0o644)
            found = findings(*own, "--public-url=https://other.example", status=5)
            self.assertEqual(found["tls-name"][0][0], "fail")
            self.assertEqual(found["secret"][0][0], "warn")
            self.assertIn(f"chmod 640 {files[1]}", found["secret"][0][2])
            found = findings(*listen, f"--tls-certificate={files[0]}", f"--tls-key={files[3]}",
                             status=5)
            self.assertEqual(found["certificate"][0][0], "fail")

    def test_the_configuration_is_a_check_and_a_wrong_flag_is_none(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("[turn]\nlisten = 7\n")
            file.flush()
            found = findings("--config", file.name, status=5)
            self.assertEqual(found["configuration"][0][0], "fail")
            self.assertIn(":2:", found["configuration"][0][1])
        self.assertIn("--no-such", doctor("--no-such", status=2).stderr)

    def test_a_redis_that_is_not_there_or_silent_is_told_in_time(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            found = findings("--http-listen=none", "--turn-listen=127.0.0.1:0",
                             f"--backplane=redis://127.0.0.1:{port}", status=5)
            self.assertIn("does not answer in time", found["backplane"][0][1])
        found = findings("--http-listen=none", "--turn-listen=127.0.0.1:0",
                         f"--backplane=redis://127.0.0.1:{port}", status=5)
        self.assertIn("refused", found["backplane"][0][1])


if __name__ == "__main__":
    unittest.main()

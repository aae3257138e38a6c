#!/usr/bin/env python3
"""The package as a machine meets it: installed below another root, run as it was
installed, removed, purged."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest

FLAGS = [flag for flag in sys.argv[1:] if flag.startswith("--")]
DEB = next(os.path.abspath(flag) for flag in sys.argv[1:] if flag.endswith(".deb"))
HERE = "packaging"
WAIT = 90
# Of whom dpkg believes that he may install: in a namespace if he is nobody.
ROOT = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def version():
    with open("VERSION", encoding="ascii") as file:
        return file.read().strip()


class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.tree = os.path.join(cls.folder.name, "tree")
        run("dpkg-deb", "--extract", DEB, cls.tree)
        cls.control = dict(re.findall(r"(?m)^([\w-]+): (.*)$", run("dpkg-deb", "--field", DEB)))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def at(self, path, root=None):
        return os.path.join(root or self.tree, path)

    def dpkg(self, root, *words):
        """Runs dpkg, and the package's scripts, on a machine of its own in a folder."""
        environment = os.environ | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return run(*ROOT, "dpkg", f"--root={root}", "--force-not-root", "--force-depends",
                   "--force-script-chrootless", "--force-unsafe-io", "--log=/dev/null", *words, env=environment)

    # --- What it is made of ---

    def test_the_same_inputs_give_the_same_bytes(self):
        again = os.path.join(self.folder.name, "again.deb")
        run(sys.executable, os.path.join(HERE, "make_deb.py"), f"--out={again}", *FLAGS,
            env={"PATH": os.environ["PATH"], "TZ": "Asia/Tokyo", "LANG": "C"}, umask=0o077)
        with open(DEB, "rb") as one, open(again, "rb") as other:
            self.assertTrue(one.read() == other.read())

    def test_everything_is_where_debian_looks_for_it(self):
        found = {os.path.relpath(os.path.join(folder, name), self.tree)
                 for folder, _, names in os.walk(self.tree) for name in names}
        self.assertEqual(found, {
            "etc/kyuud/kyuud.toml", "lib/systemd/system/kyuud.service", "usr/bin/kyuu",
            "usr/bin/kyuud", "usr/share/bash-completion/completions/kyuu",
            "usr/share/bash-completion/completions/kyuud",
            "usr/share/zsh/vendor-completions/_kyuu", "usr/share/zsh/vendor-completions/_kyuud",
            "usr/share/fish/vendor_completions.d/kyuu.fish",
            "usr/share/fish/vendor_completions.d/kyuud.fish",
            "usr/share/doc/kyuu/changelog.Debian.gz",
            "usr/share/doc/kyuu/changelog.gz", "usr/share/doc/kyuu/copyright",
            "usr/share/man/man1/kyuu.1.gz", "usr/share/man/man5/kyuud.toml.5.gz",
            "usr/share/man/man8/kyuud.8.gz", "usr/share/lintian/overrides/kyuu"})
        for line in run("dpkg-deb", "--contents", DEB).splitlines():
            self.assertIn(" root/root ", line)

    def test_there_is_one_version(self):
        self.assertEqual(self.control["Version"].split("-")[0], version())
        for program in ("kyuu", "kyuud"):
            self.assertEqual(run(self.at("usr/bin/" + program), "--version").strip(),
                             f"{program} {version()}")
        for path, pattern in (("MODULE.bazel", r'name = "kyuu",\s+version = "(.*)"'),
                              ("CHANGELOG.md", r"(?m)^## \[(\d.*?)\]")):
            with open(path, encoding="utf-8") as file:
                self.assertEqual(re.search(pattern, file.read())[1], version(), path)

    def test_it_depends_on_what_the_programs_are_linked_with(self):
        paths = set()
        for program in ("usr/bin/kyuu", "usr/bin/kyuud"):
            needed = set(re.findall(r"NEEDED +(\S+)", run("objdump", "-p", self.at(program))))
            for name, path in re.findall(r"(\S+) => (\S+)", run("ldd", self.at(program))):
                if name in needed:
                    # A merged /usr has libraries by two names, dpkg only one.
                    paths |= {path.removeprefix("/usr"), "/usr" + path.removeprefix("/usr")}
        told = subprocess.run(["dpkg-query", "--search", *sorted(paths)], capture_output=True,
                              text=True).stdout
        packages = {line.split(":")[0] for line in told.splitlines()}
        depends = {word.split(" ")[0] for word in self.control["Depends"].split(", ")}
        self.assertEqual(depends - packages, {"adduser", "init-system-helpers"})
        self.assertEqual(packages - depends, set())
        # What the programs run with here is new enough.
        for name, least in re.findall(r"(\S+) \(>= (.*?)\)", self.control["Depends"]):
            there = run("dpkg-query", "--show", "--showformat=${Version}", name)
            run("dpkg", "--compare-versions", there, "ge", least)

    # --- What it says ---

    def test_the_manual_has_all_that_the_programs_have(self):
        pages = {}
        for page in ("man1/kyuu.1", "man8/kyuud.8", "man5/kyuud.toml.5"):
            source = run("gzip", "-dc", self.at(f"usr/share/man/{page}.gz"))
            self.assertNotRegex(source, r"[^\x00-\x7f]")
            pages[page[5:]] = source.replace("\\-", "-")
        kyuud, kyuu = self.at("usr/bin/kyuud"), self.at("usr/bin/kyuu")
        flags = set(re.findall(r"(?m)^  (?:-\w,)?(--[\w-]+)", run(kyuud, "--help")))
        self.assertGreater(len(flags), 50)
        self.assertEqual({f for f in flags if not re.search(rf"{f}\b(?!-)", pages["kyuud.8"])}, set())
        keys = re.findall(r"(?m)^#(?: (?=[a-z-]+ = ))?([a-z-]+) = ", run(kyuud, "config", "default"))
        self.assertGreater(len(keys), 50)
        for key in keys:
            self.assertRegex(pages["kyuud.toml.5"], rf"\.TP\n\\fB{key}\\fR = ")
        commands = re.findall(r"(?m)^  ([a-z]+)[ ,]", run(kyuu, "--help").split("Subcommands:")[1])
        self.assertLessEqual({"connect", "send"}, set(commands))
        for command in commands:
            page = re.search(rf"\.SS kyuu {command}(?:, chat)?\n((?:.|\n)*?)(?=\n\.S)", pages["kyuu.1"])[1]
            for flag in re.findall(r"(?m)^  (--[\w-]+)", run(kyuu, command, "--help")):
                self.assertIn(flag, page)

    def completed(self, program, *words):
        script = (f"source {self.at('usr/share/bash-completion/completions/' + program)}; "
                  f"COMP_WORDS=({program} {' '.join(words)}) COMP_CWORD={len(words)}; "
                  f"_{program} {program} '{words[-1]}'; echo ${{COMPREPLY[@]}}")
        return run("bash", "-c", script.replace("'\"\"'", "''")).split()

    def test_bash_completes_commands_and_flags(self):
        self.assertEqual(self.completed("kyuud", "adm"), ["admin"])
        self.assertEqual(self.completed("kyuud", "admin", "se"), ["sessions"])
        self.assertIn("--turn-listen", self.completed("kyuud", "--turn-"))
        self.assertEqual(self.completed("kyuu", "net"), ["netcheck"])
        self.assertEqual(self.completed("kyuu", "send", "--re"), ["--relay"])

    def test_the_unit_fits_the_package(self):
        with open(self.at("lib/systemd/system/kyuud.service"), encoding="utf-8") as file:
            unit = file.read()
        self.assertRegex(unit, r"(?m)^Type=notify$")
        for path in re.findall(r"(?m)^Exec\w+=(/usr/\S+)|(/etc/\S+)$", unit):
            self.assertTrue(os.path.exists(self.tree + (path[0] or path[1])), path)
        self.assertNotIn("/usr/local", unit)

    # --- What it does ---

    def test_it_is_installed_runs_and_goes(self):
        root = tempfile.mkdtemp(dir=self.folder.name)
        for folder in ("info", "updates", "triggers"):
            os.makedirs(self.at("var/lib/dpkg/" + folder, root))
        for name in ("status", "available"):
            open(self.at("var/lib/dpkg/" + name, root), "w").close()
        self.dpkg(root, "--install", DEB)
        self.assertIn("install ok installed", self.dpkg(root, "--status", "kyuu"))
        wanted = self.at("etc/systemd/system/multi-user.target.wants/kyuud.service", root)
        self.assertEqual(os.readlink(wanted), "/lib/systemd/system/kyuud.service")
        self.serve(root)
        # What is an operator's own outlives all but a purge.
        with open(self.at("etc/kyuud/secret", root), "w") as file:
            file.write("s\n")
        self.dpkg(root, "--install", DEB)
        self.dpkg(root, "--remove", "kyuu")
        self.assertFalse(os.path.exists(self.at("usr/bin/kyuud", root)))
        self.assertTrue(os.path.exists(self.at("etc/kyuud/kyuud.toml", root)))
        self.dpkg(root, "--purge", "kyuu")
        left = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names
                if not folder.startswith(self.at("var/lib/dpkg", root))]
        self.assertEqual(left, [])
        self.assertFalse(os.path.exists(self.at("etc/kyuud", root)))

    def serve(self, root):
        """Plays systemd for the installed kyuud with the installed settings."""
        kyuud, config = self.at("usr/bin/kyuud", root), self.at("etc/kyuud/kyuud.toml", root)
        self.assertIn("is sound", run(kyuud, "check-config", config))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.settimeout(WAIT)
        notify.bind(self.at("notify", self.folder.name))
        self.addCleanup(notify.close)
        environment = {"NOTIFY_SOCKET": notify.getsockname(), "WATCHDOG_USEC": "100000",
                       "KYUU_CONFIG": config, "KYUU_HTTP_LISTEN": f"127.0.0.1:{port}",
                       "KYUU_TURN_LISTEN": "127.0.0.1:0"}
        server = subprocess.Popen([kyuud], env=environment, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(server.kill)

        def hear(word):
            while (heard := notify.recv(1000).decode()).split("\n")[0] != word:
                self.assertEqual(heard, "WATCHDOG=1")
        hear("READY=1")
        for _ in range(3):
            self.assertEqual(notify.recv(1000), b"WATCHDOG=1")
        self.assertEqual(run(kyuud, "healthcheck", env=environment), "")
        run("kill", "-HUP", str(server.pid))
        hear("RELOADING=1")
        hear("READY=1")
        with socket.create_connection(("127.0.0.1", port), WAIT) as http:
            http.sendall(f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                         "Connection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: http.recv(65536), b"")).decode()
        self.assertIn(f'kyuu_build_info{{version="{version()}"}} 1\n', answer)
        self.look_at_dashboard(answer)
        server.terminate()
        hear("STOPPING=1")
        self.assertEqual(server.wait(WAIT), 0)
        asked = subprocess.run([kyuud, "healthcheck"], env=environment, capture_output=True, text=True)
        self.assertEqual(asked.returncode, 1)
        self.assertRegex(asked.stderr, r"^kyuud healthcheck: .*refused")

    def healthcheck(self, port, *flags):
        asked = subprocess.run([self.at("usr/bin/kyuud"), "healthcheck",
                                f"--http-listen=0.0.0.0:{port}", *flags], capture_output=True,
                               text=True, timeout=WAIT, env={})
        return asked.returncode, asked.stderr

    def test_a_healthcheck_speaks_tls_where_the_server_does(self):
        pair = [self.at(name, self.folder.name) for name in ("crt", "key")]
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", "/CN=elsewhere", "-out", pair[0], "-keyout", pair[1])
        flags = (f"--tls-certificate={pair[0]}", f"--tls-key={pair[1]}")
        server = subprocess.Popen(
            [self.at("usr/bin/kyuud"), "--http-listen=0.0.0.0:0", "--turn-listen=127.0.0.1:0",
             *flags], env={}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        port = re.search(r":(\d+)/", server.stdout.readline())[1]
        self.assertEqual(self.healthcheck(port, *flags), (0, ""))
        self.assertEqual(self.healthcheck(port)[0], 1)

    def test_a_healthcheck_tells_what_is_wrong(self):
        for answer, why in ((b"HTTP/1.1 503 Service Unavailable\r\n", "it answers HTTP/1.1 503 Service"),
                            (b"HTTP/1.1 2000 x\r\n", "it answers HTTP/1.1 2000 x"),
                            (b"", "gone without an answer"), (b"x" * 3000, "does not speak HTTP")):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                asked = subprocess.Popen(
                    [self.at("usr/bin/kyuud"), "healthcheck",
                     f"--http-listen=0.0.0.0:{listener.getsockname()[1]}"],
                    env={}, stderr=subprocess.PIPE, text=True)
                listener.settimeout(WAIT)
                with listener.accept()[0] as client:
                    self.assertRegex(client.recv(1000), rb"^GET /healthz HTTP/1.1\r\nHost: 127\.0\.0\.1:")
                    client.sendall(answer)
                self.assertRegex(asked.communicate(timeout=WAIT)[1], "^kyuud healthcheck: .*" + why)
                self.assertEqual(asked.returncode, 1)

    def look_at_dashboard(self, metrics):
        with open(os.path.join(HERE, "grafana/kyuud.json"), encoding="utf-8") as file:
            dashboard = json.load(file)
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        self.assertGreater(len(queries), 15)
        there = set(re.findall(r"(?m)^(\w+)(?:\{.*\})? ", metrics))
        used = {name for query in queries for name in re.findall(r"\b(?:kyuu|process)_\w+", query)}
        self.assertEqual(used - there, set())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

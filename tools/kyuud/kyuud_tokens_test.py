#!/usr/bin/env python3
"""Who may come to kyuud, by tokens that openssl and Python have signed; and tokens
that kyuud has made, as openssl verifies them."""

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

KYUU = os.path.abspath(sys.argv.pop(1))

# It takes the last argument.
from testing.kyuud import KYUUD, KyuudTestCase, Turn, WAIT, WebSocket, get, http, upgrade  # noqa: E402

SECRET = b"a secret of thirty-two bytes or more"
API_KEY = "an-api-key-of-some-length"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def der_to_raw(der):
    """r || s of SEQUENCE { INTEGER r, INTEGER s }, which is short for P-256."""
    parts, at = [], 2
    for _ in range(2):
        size = der[at + 1]
        parts.append(der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0"))
        at += 2 + size
    return b"".join(parts)


def raw_to_der(raw):
    def integer(number):
        number = number.lstrip(b"\0") or b"\0"
        if number[0] & 0x80:
            number = b"\0" + number
        return bytes([2, len(number)]) + number
    body = integer(raw[:32]) + integer(raw[32:])
    return bytes([0x30, len(body)]) + body


class Key:
    """A key of openssl's, or a secret, in files."""

    def __init__(self, folder, algorithm, name):
        self.algorithm, self.name = algorithm, name
        self.private = os.path.join(folder, name + ".key")
        self.public = os.path.join(folder, name + ".pub")
        kind = {"RS256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                "ES256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                "EdDSA": ["ED25519"], "HS256": None}[algorithm]
        if kind:
            openssl("genpkey", "-algorithm", *kind, "-out", self.private)
            openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)
        else:
            self.public = self.private
            with open(self.private, "wb") as file:
                file.write(SECRET + b"\n")

    def flag(self, kid=""):
        return f"--admission-key={kid}:{self.algorithm}:{self.public}"

    def sign(self, text):
        if self.algorithm == "HS256":
            return hmac.new(SECRET, text, hashlib.sha256).digest()
        if self.algorithm == "EdDSA":
            with tempfile.NamedTemporaryFile() as file:
                file.write(text)
                file.flush()
                return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.private, "-in", file.name)
        signature = openssl("dgst", "-sha256", "-sign", self.private, data=text)
        return der_to_raw(signature) if self.algorithm == "ES256" else signature

    def verifies(self, text, signature):
        if self.algorithm == "HS256":
            return hmac.compare_digest(self.sign(text), signature)
        if self.algorithm == "ES256":
            signature = raw_to_der(signature)
        with tempfile.NamedTemporaryFile() as signed, tempfile.NamedTemporaryFile() as file:
            signed.write(signature)
            signed.flush()
            file.write(text)
            file.flush()
            how = (["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", self.public, "-sigfile",
                    signed.name, "-in", file.name] if self.algorithm == "EdDSA" else
                   ["dgst", "-sha256", "-verify", self.public, "-signature", signed.name, file.name])
            return subprocess.run(["openssl", *how], capture_output=True, check=False).returncode == 0

    def token(self, kid=None, header=None, **claims):
        claims = {"sub": "ada", "exp": time.time() + 300, **claims}
        head = {"alg": self.algorithm, "typ": "JWT", **({"kid": kid} if kid else {}), **(header or {})}
        text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}".encode()
        return f"{text.decode()}.{b64(self.sign(text))}"

    def jwk(self, **more):
        if self.algorithm == "HS256":
            return {"kty": "oct", "k": b64(SECRET), **more}
        der = openssl("pkey", "-in", self.private, "-pubout", "-outform", "DER")
        if self.algorithm == "EdDSA":
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(der[-32:]), **more}
        if self.algorithm == "ES256":
            return {"kty": "EC", "crv": "P-256", "x": b64(der[-64:-32]), "y": b64(der[-32:]), **more}
        text = openssl("rsa", "-in", self.private, "-noout", "-modulus").decode()
        return {"kty": "RSA", "n": b64(bytes.fromhex(text.strip().split("=")[1])), "e": "AQAB", **more}


class KyuudTokensTest(KyuudTestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.keys = {a: Key(cls.folder.name, a, a) for a in ("HS256", "RS256", "ES256", "EdDSA")}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def file(self, name, content):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        return path

    def hello(self, server, token=None, **more):
        """Returns a WebSocket and what it was answered."""
        socket = WebSocket(server.http_port)
        return socket, self.say_hello(socket, token, **more)

    def say_hello(self, socket, token=None, **more):
        socket.send(type="hello", version=1, **({"token": token} if token else {}), **more)
        return socket.receive()

    def code(self, server, token=None):
        answer = self.hello(server, token)[1]
        return answer.get("code", answer["type"])

    def metric(self, server, name):
        body = get(server.http_port, "/metrics")[2].decode()
        return float(re.search(rf"^kyuu_admission_{name}_total (\S+)$", body, re.M)[1])

    def run_token(self, *arguments, token=""):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KYUU_")}
        return subprocess.run([KYUUD, "token", *arguments], input=token, capture_output=True,
                              text=True, timeout=WAIT, check=False, env=environment)

    def until(self, what, wanted):
        end = time.monotonic() + WAIT
        while (found := what()) != wanted:
            self.assertLess(time.monotonic(), end, found)

    def test_tokens_of_all_four_algorithms_let_in(self):
        flags = [key.flag(a) for a, key in self.keys.items()]
        server = self.start("--anonymous=forbid", *flags)
        for algorithm, key in self.keys.items():
            with self.subTest(algorithm):
                _, welcome = self.hello(server, key.token(kid=algorithm))
                self.assertEqual((welcome["type"], welcome.get("user")), ("welcome", "ada"))
                forged = key.token(kid=algorithm)[:-8] + "AAAAAAAA"
                self.assertEqual(self.code(server, forged), "unauthorized")
                self.assertEqual(self.code(server, key.token(kid="other")), "unauthorized")
                self.assertEqual(self.code(server, key.token(kid=algorithm, exp=time.time() - 90)),
                                 "token_expired")
                self.assertEqual(self.code(server, key.token(kid=algorithm, nbf=time.time() + 90)),
                                 "unauthorized")
        self.assertEqual(self.code(server), "unauthorized")
        for name, count in {"by_token": 4, "refused_signature": 4, "refused_unknown_key": 4,
                            "refused_expired": 4, "refused_not_yet": 4, "refused_anonymous": 1}.items():
            self.assertEqual(self.metric(server, name), count, name)

    def test_a_token_is_of_its_keys_algorithm(self):
        rsa = self.keys["RS256"]
        server = self.start("--anonymous=forbid", rsa.flag())
        with open(rsa.public, "rb") as file:
            public = file.read()
        text = f'{b64(json.dumps({"alg": "HS256"}).encode())}.{b64(json.dumps({"sub": "eve", "exp": 9e9}).encode())}'
        mac = hmac.new(public, text.encode(), hashlib.sha256).digest()
        self.assertEqual(self.code(server, f"{text}.{b64(mac)}"), "unauthorized")
        none = b64(json.dumps({"alg": "none"}).encode()) + "." + text.split(".")[1] + "."
        self.assertEqual(self.code(server, none), "unauthorized")
        self.assertEqual(self.code(server, rsa.token(header={"crit": ["x"], "x": 1})), "unauthorized")
        self.assertEqual(self.code(server, rsa.token()), "welcome")

    def test_the_first_refusal_is_told_and_another_token_may_follow(self):
        key = self.keys["EdDSA"]
        server = self.start("--anonymous=forbid", key.flag())
        socket, refused = self.hello(server)
        self.assertEqual(refused["type"], "error")
        self.assertIn("token", refused["message"])
        self.assertEqual(self.say_hello(socket, key.token(name="Ada", rooms=["team-*"]))["type"], "welcome")
        socket.send(type="join", name="whoever", room="lobby")
        self.assertEqual(socket.receive()["code"], "forbidden")
        socket.send(type="join", name="whoever", room="team-7")
        self.assertEqual(socket.receive()["name"], "Ada")
        self.assertEqual(self.metric(server, "refused_room"), 1)
        # Who guesses is cut.
        guess, _ = self.hello(server, "a.b.c")
        for _ in range(4):
            self.say_hello(guess, "a.b.c")
        self.assertEqual(guess.frame()[0], 8)

    def test_issuer_and_audience_are_those_of_the_settings(self):
        key = self.keys["ES256"]
        server = self.start(key.flag(), "--admission-issuer=https://id.example", "--admission-audience=kyuu")
        good = {"iss": "https://id.example", "aud": ["kyuu", "other"]}
        self.assertEqual(self.code(server, key.token(**good)), "welcome")
        self.assertEqual(self.code(server, key.token(**{**good, "iss": "https://eve.example"})), "unauthorized")
        self.assertEqual(self.code(server, key.token(**{**good, "aud": "other"})), "unauthorized")
        self.assertEqual(self.metric(server, "refused_claims"), 2)
        # Anonymous ones come as ever.
        self.assertEqual(self.code(server), "welcome")

    def test_keys_of_a_jwk_set_and_their_rotation_by_a_reload(self):
        old, new = self.keys["RS256"], self.keys["ES256"]
        jwks = self.file("jwks.json", json.dumps({"keys": [old.jwk(kid="old", use="sig", alg="RS256"),
                                                           {"kty": "EC", "crv": "P-384"}]}))
        server = self.start("--anonymous=forbid", f"--admission-jwks={jwks}")
        self.assertEqual(self.code(server, old.token(kid="old")), "welcome")
        self.assertEqual(self.code(server, new.token(kid="new")), "unauthorized")
        socket, _ = self.hello(server, old.token(kid="old"))
        # A broken file changes nothing.
        self.file("jwks.json", "{")
        server.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.code(server, old.token(kid="old")), "welcome")
        self.file("jwks.json", json.dumps({"keys": [k.jwk(kid="new") for k in (new,)] +
                                           [self.keys["EdDSA"].jwk(kid="e"), self.keys["HS256"].jwk(kid="h")]}))
        server.process.send_signal(signal.SIGHUP)
        self.until(lambda: self.code(server, new.token(kid="new")), "welcome")
        self.assertEqual(self.code(server, old.token(kid="old")), "unauthorized")
        self.assertEqual(self.code(server, self.keys["EdDSA"].token(kid="e")), "welcome")
        self.assertEqual(self.code(server, self.keys["HS256"].token(kid="h")), "welcome")
        # Who is in stays in.
        socket.send(type="ping")
        self.assertEqual(socket.receive()["type"], "pong")

    def relay(self, server, servers):
        turn = next(s for s in servers if "credential" in s)
        return Turn(server.turn_port, turn["username"], turn["credential"]).allocate()

    def test_credentials_of_the_relay_end_with_the_token(self):
        key = self.keys["HS256"]
        server = self.start("--anonymous=forbid", key.flag())
        socket, welcome = self.hello(server, key.token())
        self.assertEqual(self.relay(server, welcome["ice_servers"]), 0)
        # Expired, and within what clocks may differ: in he comes, and the relay is no more.
        socket, welcome = self.hello(server, key.token(exp=time.time() - 5))
        self.assertEqual(welcome["type"], "welcome")
        self.until(lambda: self.relay(server, welcome["ice_servers"]), 401)
        socket.send(type="credentials")
        self.assertEqual(socket.receive()["code"], "token_expired")
        socket.send(type="credentials", token=key.token(sub="eve"))
        self.assertEqual(socket.receive()["code"], "forbidden")
        socket.send(type="credentials", token=key.token())
        renewed = socket.receive()
        self.assertEqual(renewed["type"], "ice_servers")
        self.assertEqual(self.relay(server, renewed["ice_servers"]), 0)

    def test_a_session_goes_on_for_its_own_user_with_a_token_that_is_good(self):
        key = self.keys["HS256"]
        server = self.start("--anonymous=forbid", key.flag())
        first, welcome = self.hello(server, key.token(), resume={})
        first.socket.close()
        back = {"session": welcome["session"], "secret": welcome["resume"]["secret"], "received": 0}
        socket, refused = self.hello(server, key.token(exp=time.time() - 100), resume=back)
        self.assertEqual(refused["code"], "token_expired")
        self.assertIs(self.say_hello(socket, key.token(sub="eve"), resume=back)["resume"]["resumed"], False)
        self.assertIs(self.hello(server, key.token(), resume=back)[1]["resume"]["resumed"], True)

    def test_api_keys(self):
        keys = self.file("api-keys", f"another-key-of-some-length\n{API_KEY}\n")
        server = self.start("--anonymous=forbid", f"--api-key-file={keys}")
        self.assertEqual(self.code(server, API_KEY), "welcome")
        self.assertEqual(self.code(server, API_KEY + "x"), "unauthorized")
        self.assertEqual(self.code(server), "unauthorized")
        self.assertEqual(self.metric(server, "by_api_key"), 1)
        self.file("api-keys", "a-third-key-of-some-length\n")
        server.process.send_signal(signal.SIGHUP)
        self.until(lambda: self.code(server, API_KEY), "unauthorized")

    def test_other_programs_clients(self):
        key = self.keys["EdDSA"]
        server = self.start("--anonymous=forbid", key.flag(), f"--api-key={API_KEY}")

        def peer(name, token, api_key="peerjs"):
            socket = WebSocket(server.http_port, f"/peerjs?key={api_key}&id={name}&token={token}", "")
            return socket.receive()

        self.assertEqual(peer("ada", key.token()), {"type": "OPEN"})
        self.assertIn("another id", peer("eve", key.token())["payload"]["msg"])
        self.assertIn("token", peer("eve", "made-up")["payload"]["msg"])
        self.assertEqual(peer("eve", "made-up", API_KEY), {"type": "OPEN"})
        self.assertEqual(get(server.http_port, f"/{API_KEY}/id")[0], 200)

        status, _, body = http(server.http_port, upgrade(server.http_port, "/y-webrtc", "Connection: close\n"))
        self.assertEqual(status, 403)
        self.assertIn(b"token", body)
        page = WebSocket(server.http_port, f"/y-webrtc?token={key.token(rooms=['doc'])}", "")
        page.send(type="subscribe", topics=["doc"])
        page.send(type="subscribe", topics=["other"])
        self.assertIn("topic", page.receive()["message"])
        page.send(type="publish", topic="doc", data=1)
        self.assertEqual(page.receive()["clients"], 1)

    def test_kyuu_shows_a_token_of_a_file(self):
        key = self.keys["ES256"]
        server = self.start("--anonymous=forbid", key.flag())

        def send(*flags):
            run = subprocess.run([KYUU, "send", f"http://127.0.0.1:{server.http_port}", __file__, "--to", "nobody",
                                  *flags], capture_output=True, text=True, timeout=2 * WAIT, check=False)
            return run.returncode, run.stderr

        # Who is let in finds that nobody is there.
        token = self.file("ada.token", key.token(name="Ada", rooms=["lobby"]) + "\n")
        code, why = send("--token-file", token)
        self.assertEqual((code, "is not here" in why), (1, True), why)
        self.assertEqual(self.metric(server, "by_token"), 1)
        code, why = send("--token-file", token, "--room", "other")
        self.assertEqual((code, "does not let you into this room" in why), (1, True), why)
        code, why = send()
        self.assertEqual((code, "shows a token" in why), (1, True), why)
        code, why = send("--token-file", self.file("old.token", key.token(exp=time.time() - 90)))
        self.assertEqual((code, "it has expired" in why), (1, True), why)
        code, why = send("--token-file", "/nowhere")
        self.assertEqual((code, "no token can be read from /nowhere" in why), (1, True), why)

    def test_settings_that_let_nobody_in_are_refused(self):
        for flags, why in {("--anonymous=forbid",): "nobody could come",
                           ("--api-key=short",): "16 to 256",
                           ("--admission-key=HS256:x",): "KID:ALGORITHM:FILE",
                           ("--admission-key=:HS256:/nowhere",): "/nowhere: cannot be read",
                           (self.keys["RS256"].flag().replace("RS256:", "ES256:", 1),): "not of ES256",
                           ("--admission-key=:RS256:" + self.keys["RS256"].private,): "private key"}.items():
            run = subprocess.run([KYUUD, "check-config", *flags], capture_output=True, text=True,
                                 timeout=WAIT, check=False)
            self.assertEqual(run.returncode, 2, flags)
            self.assertIn(why, run.stderr)

    def test_tokens_that_kyuud_makes(self):
        for algorithm, key in self.keys.items():
            with self.subTest(algorithm):
                made = self.run_token("create", "--key", key.private, "--sub", "ada", "--name", "Ada",
                                      "--rooms", "team-*,lobby", "--expires", "90s", "--kid", "k",
                                      "--issuer", "me", "--audience", "you")
                self.assertEqual(made.returncode, 0, made.stderr)
                head, claims, signature = made.stdout.strip().split(".")
                self.assertTrue(key.verifies(f"{head}.{claims}".encode(), unb64(signature)))
                self.assertEqual(json.loads(unb64(head)), {"alg": algorithm, "typ": "JWT", "kid": "k"})
                said = json.loads(unb64(claims))
                self.assertAlmostEqual(said.pop("exp"), time.time() + 90, delta=WAIT)
                self.assertAlmostEqual(said.pop("iat"), time.time(), delta=WAIT)
                self.assertEqual(said, {"sub": "ada", "name": "Ada", "rooms": ["team-*", "lobby"],
                                        "iss": "me", "aud": "you"})
                flags = (key.flag("k"), "--admission-issuer=me", "--admission-audience=you")
                good = self.run_token("verify", *flags, token=made.stdout)
                self.assertEqual(good.returncode, 0, good.stderr)
                self.assertEqual(json.loads(good.stdout)["rooms"], ["team-*", "lobby"])
                bad = self.run_token("verify", *flags, token=made.stdout[:-9] + "AAAAAAAA\n")
                self.assertEqual((bad.returncode, bad.stderr), (1, "kyuud: the token is refused: its signature is wrong\n"))

    def test_wrong_use_of_the_command(self):
        key = self.keys["HS256"].private
        for arguments in ([], ["make"], ["create"], ["create", "--key", key],
                          ["create", "--key", "/nowhere", "--sub", "a"],
                          ["create", "--key", key, "--sub", "a\nb"],
                          ["create", "--key", key, "--sub", "a", "--expires", "soon"],
                          ["create", "--key", self.keys["RS256"].public, "--sub", "a"],
                          ["verify", "--no-such-flag"]):
            run = self.run_token(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertTrue(run.stderr)
        self.assertEqual(self.run_token("create", "--help").returncode, 0)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Six digits that stand for a room, and the picture of an address."""

import json
import unittest
import xml.etree.ElementTree
from urllib.parse import quote

from testing.kyuud import KyuudTestCase, get, http


def post(port, path, body="", extra=""):
    return http(port, f"POST {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nConnection: close\n"
                f"Content-Length: {len(body)}\n{extra}\n{body}")


class KyuudCodesTest(KyuudTestCase):
    def test_a_code_leads_to_its_room_five_times(self):
        port = self.start().http_port
        status, headers, body = post(port, "/v1/codes", "garden")
        self.assertEqual((status, headers["cache-control"]), (200, "no-store"))
        made = json.loads(body)
        self.assertRegex(made["code"], r"^\d{6}$")
        self.assertEqual(made["expires_s"], 300)
        for _ in range(5):
            status, _, body = post(port, f"/v1/codes/{made['code']}")
            self.assertEqual((status, json.loads(body)), (200, {"room": "garden"}))
        self.assertEqual(post(port, f"/v1/codes/{made['code']}")[0], 404)
        metrics = get(port, "/metrics")[2].decode()
        for name, value in (("made", 1), ("used", 5), ("unknown", 1), ("limited", 0)):
            self.assertIn(f"\nkyuu_codes_{name}_total {value}\n", metrics)
        # The default room has no name.
        made = json.loads(post(port, "/v1/codes")[2])
        self.assertEqual(json.loads(post(port, f"/v1/codes/{made['code']}")[2]), {"room": ""})

    def test_one_source_may_try_ten(self):
        # Whose request it is tells a proxy here: loopback itself has no share.
        port = self.start("--proxy=127.0.0.1").http_port
        made = json.loads(post(port, "/v1/codes", "garden")[2])
        guesser = "X-Forwarded-For: 192.0.2.1\n"
        wrong = "/v1/codes/" + ("000000" if made["code"] != "000000" else "000001")
        for _ in range(10):
            self.assertEqual(post(port, wrong, "", guesser)[0], 404)
        status, headers, _ = post(port, f"/v1/codes/{made['code']}", "", guesser)
        self.assertEqual((status, headers["retry-after"]), (429, "30"))
        self.assertEqual(post(port, f"/v1/codes/{made['code']}", "",
                              "X-Forwarded-For: 192.0.2.2\n")[0], 200)
        maker = "X-Forwarded-For: 192.0.2.3\n"
        answers = [post(port, "/v1/codes", "garden", maker)[0] for _ in range(6)]
        self.assertEqual(answers, 5 * [200] + [429])

    def test_what_is_wrong_is_refused(self):
        port = self.start().http_port
        self.assertEqual(get(port, "/v1/codes")[:1], (405,))
        self.assertEqual(get(port, "/v1/codes/123456")[0], 405)
        self.assertEqual(post(port, "/v1/codes", 65 * "x")[0], 400)
        self.assertEqual(post(port, "/v1/codes", "a\0b")[0], 400)
        for path in ("/v1/codes/", "/v1/codes/1", "/v1/codes/%20", "/v1/codes/123456/7"):
            self.assertEqual(post(port, path)[0], 404, path)
        foreign = "Origin: https://evil.example\n"
        self.assertEqual(post(port, "/v1/codes", "garden", foreign)[0], 403)
        self.assertEqual(get(port, "/v1/qr.svg?link=http://a/", foreign)[0], 403)
        for query in ("", "?link=", "?link=javascript:1", "?link=x",
                      "?link=http://" + 510 * "x", "?link=http://a%00"):
            self.assertEqual(get(port, "/v1/qr.svg" + query)[0], 400, query)
        self.assertEqual(post(port, "/v1/qr.svg?link=http://a/")[0], 405)

    def test_the_picture_is_an_image_and_nothing_else(self):
        port = self.start().http_port
        link = quote(f"http://127.0.0.1:{port}/?room=gärten", safe="")
        status, headers, body = get(port, f"/v1/qr.svg?link={link}")
        self.assertEqual((status, headers["content-type"]), (200, "image/svg+xml"))
        self.assertEqual(headers["content-security-policy"], "default-src 'none'")
        root = xml.etree.ElementTree.fromstring(body)
        self.assertEqual({child.tag.split("}")[1] for child in root}, {"path"})
        # 37 bytes or so are version 3: 29 modules, and four beyond them on each side.
        self.assertEqual(root.get("viewBox"), "0 0 37 37")


if __name__ == "__main__":
    unittest.main()

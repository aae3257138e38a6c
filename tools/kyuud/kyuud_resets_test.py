#!/usr/bin/env python3
"""Connections that are reset under load, and sessions that go on."""

import unittest

from testing.kyuud import KyuudTestCase
from testing.resets import Resets


class KyuudResetsTest(KyuudTestCase):
    def test_300_resets_under_load_lose_double_and_reorder_nothing(self):
        server = self.start()
        load = Resets(server.http_port, pairs=15)
        self.addCleanup(load.close)
        load.run(resets=300, per_second=100)
        result = load.result()
        self.assertEqual(result["resets"], 300)
        self.assertEqual((result["lost"], result["doubled"]), (0, 0), result)
        self.assertGreater(result["messages"], 1000)
        # Some were reset before they had resumed.
        self.assertGreater(result["resumptions"], 100)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()

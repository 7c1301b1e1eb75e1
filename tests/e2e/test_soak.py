"""A soak of a minute; tests/soak/run is the same for an hour. Memory has had no time to become flat, so its bound is wider here.

STAFFETTA_SOAK says how many seconds of load. A build with sanitizers, which never gives memory back, is left out.
"""
import os

import soak
from harness import Case, sanitized

GROWTH = 8192  # KiB from the second quarter to the last


class Soak(Case):
    config = {"queue": {"retry": ["1s", "2s"]}, "relay": {"idle_time": "5s", "command_time": "30m"}, "log_level": "warning"}

    def test_a_minute_of_everything(self):
        if sanitized():
            self.skipTest("memory says nothing with sanitizers")
        watch = soak.soak(self.server, float(os.environ.get("STAFFETTA_SOAK", "60")), 0.02, lambda line: print("     " + line, flush=True), every=4)
        self.assertEqual(soak.grows(watch, GROWTH), [])

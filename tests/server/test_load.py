"""A short run of the load test (load.py) against the server on the scripted engine."""
import os
import subprocess
import sys
import unittest

from harness import ServerTest

SECONDS = os.environ.get("HYPURA_LOAD_SECONDS", "6")


class Load(ServerTest):
    options = {"parallel": 4, "timeout": 5}

    def test_mixed_load(self):
        done = subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py"), str(self.server.port), "--seconds", SECONDS,
                               "--clients", "16", "--pid", str(self.server.process.pid), "--embed", "embed", "--tools", "tools"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(self.server.wait_metric("jobs_active", 0))
        self.assertTrue(self.server.wait_metric("jobs_waiting", 0))


if __name__ == "__main__":
    unittest.main()

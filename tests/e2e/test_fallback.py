"""Never worse than mmap: streaming that waits too much gives way to plain mmap where the model fits, and never where it does not."""
import json
import os
import re
import shutil
import tempfile
import unittest

import test_streaming
from support import make_model, run
from test_streaming import MOE, PROMPT, least_budget

SLOW = "delay=1,us=15000"  # every read takes 15 ms more: many times what a token takes to compute
SENTENCE = re.compile(r"(?m)^mode mmap from here on: streaming gave ([\d.]+) tok/s, plain mmap should give ([\d.]+)$")


def generate(model, *args, n="60"):
    done = run("run", model, "-p", PROMPT, "-n", n, "--temp", "0", "--ignore-eos", "-t", "1", "-c", "1024", "--no-repack", "--no-memory",
               "--logits-digest", "--json", *args)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout), done.stderr


class Fallback(unittest.TestCase):
    def models(self):
        for mode, name, args in (("ffn", "dense", test_streaming.Dense.ARGS), ("experts", "moe64", MOE["moe64"])):
            model = make_model(name, *args)
            yield mode, model, str(least_budget(model, mode))

    def test_it_fires_and_changes_no_result(self):
        for mode, model, tight in self.models():
            report, notes = generate(model, "--ram", tight, "--io-faults", SLOW)
            self.assertRegex(notes, rf"(?m)^mode {mode}: ")
            found = SENTENCE.search(notes)
            self.assertIsNotNone(found, notes)
            self.assertGreater(float(found[2]), 1.25 * float(found[1]))
            self.assertEqual(report["mode"], "mmap")
            wanted, _ = generate(model, "--mode", "mmap", "-b", str(report["batch_tokens"]))
            self.assertEqual(report["logits_digest"], wanted["logits_digest"], mode)
            self.assertEqual(report["text"], wanted["text"])

    def test_whoever_insists_is_obeyed(self):
        for mode, model, tight in self.models():
            report, notes = generate(model, "--mode", mode, "--ram", tight, "--io-faults", SLOW)
            self.assertEqual(report["mode"], mode)
            self.assertIsNone(SENTENCE.search(notes))

    def test_not_while_streaming_keeps_up(self):
        # A large output matrix, and layers that are read while it is computed; in memory, so that no other work on a disk disturbs.
        model = make_model("wide-output", "--arch", "llama", "--layers", "12", "--width", "2048", "--heads", "16", "--kv-heads", "2", "--ffn", "2048",
                           "--vocab", "128000", "--tied")
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            fast = shutil.copy(model, folder)
            report, notes = generate(fast, "--ram", str(least_budget(fast, "ffn") + 16_000_000), n="50")
        self.assertEqual(report["mode"], "ffn", notes)
        self.assertIsNone(SENTENCE.search(notes))
        self.assertGreater(report["io"]["demand_bytes"] + report["io"]["prefetch_bytes"], 50 * 1_000_000)

    def test_never_into_thrashing(self):
        # A model half again as large as the machine's memory (its experts are holes of the file), on a disk as slow as can be.
        with open("/proc/meminfo", encoding="ascii") as f:
            total = int(f.readline().split()[1]) * 1024
        width = total * 3 // 2 * 10 // 9 * 16 // (3 * 2048 * 256 * 2 * 10) // 256 * 256
        model = make_model("huge", "--arch", "qwen3moe", "--layers", "2", "--width", "2048", "--heads", "16", "--kv-heads", "2", "--experts", "256",
                           "--used", "1", "--expert-width", str(width), "--vocab", "2048", "--sparse")
        try:
            self.assertGreater(os.path.getsize(model), total)
            report, notes = generate(model, "--ram", str(least_budget(model, "experts") + 500_000_000), "--io-faults", SLOW, n="40")
            self.assertEqual(report["mode"], "experts")
            self.assertIsNone(SENTENCE.search(notes))
            self.assertGreater(report["io"]["stall_ms"], 0)
        finally:
            os.unlink(model)
            os.unlink(model + ".args")


if __name__ == "__main__":
    unittest.main(verbosity=2)

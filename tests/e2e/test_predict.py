"""What is predicted, before a run and beside its measurement: one predictor, and a least budget that holds. Speeds are never asserted."""
import json
import os
import tempfile
import unittest

import devices
from support import demo_model, make_model, parse_size, run, run_json
from test_streaming import MOE

ARGS = ("--temp", "0", "--ignore-eos", "-t", "1", "-c", "512", "--device", "none", "--no-memory")
KEYS = ("load_ms", "ttft_ms", "prefill_tok_per_s", "decode_tok_per_s", "compute_ms", "read_ms", "read_bytes", "hit_rate", "bound_tok_per_s")


class Prediction(unittest.TestCase):
    def test_estimate_and_run_say_the_same(self):
        model = demo_model()
        where = ("-c", "512", "-t", "1", "--device", "none", "--mode", "resident")
        done = run("estimate", model, *where, "--prompt-tokens", "200", "--json", timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        before = json.loads(done.stdout)["plan"]["prediction"]
        report = run_json(model, *ARGS, "--mode", "resident", "--prompt-tokens", "200", "-n", "257")
        beside = report["predicted"]
        self.assertTrue(beside["rates_measured"])  # estimate has measured them
        self.assertEqual(beside["limited_by"], before["limited_by"])
        # An answer as long as estimate assumes. Figures of a run are rounded.
        self.assertLess(abs(beside["decode_tok_per_s"] / before["decode_tok_per_s"] - 1), 0.01)
        self.assertLess(abs(beside["ttft_ms"] / 1e3 / before["first_token_s"] - 1), 0.01)
        for key in KEYS:
            self.assertGreaterEqual(beside[key], 0, key)

    def test_every_run_ends_with_it(self):
        model = demo_model()
        args = (*ARGS, "-p", "Once", "-n", "6")
        number = r"[0-9.]+"
        line = rf"decode {number} tok/s \(predicted {number}\), prefill {number} tok/s \(predicted {number}\), first token {number} s \(predicted {number}\)"
        done = run("run", model, *args)
        self.assertRegex(done.stderr, line)
        self.assertNotIn("predicted", done.stdout)
        self.assertEqual(run("run", model, *args, "--stats").stderr.count("(predicted"), 3)
        self.assertNotIn("predicted", run("run", model, *args, "--quiet").stderr)

    def test_streams_are_predicted_with_their_frames(self):
        model = make_model("predicted-experts", "--arch", "qwen3moe", "--layers", "4", "--width", "256", "--experts", "64", "--used", "8",
                           "--expert-width", "256")
        done = run("inspect", model, "-c", "512", "-t", "1", "--mode", "experts", "--json")
        least = json.loads(done.stdout)["plan"]["least_budget_bytes"]
        tight, roomy = (run_json(model, *ARGS, "--mode", "experts", "--ram", str(least + more), "--prompt-tokens", "60", "-n", "20")
                        for more in (2_000_000, 6_000_000))
        for report in (tight, roomy):
            self.assertGreater(report["predicted"]["read_bytes"], 0)
            self.assertIn(report["predicted"]["limited_by"], ("disk", "memory", "compute"))  # which, is the machine's
            # What frames there were, over what all experts would take: no cache does worse with routing this even.
            self.assertLess(report["predicted"]["hit_rate"], 1)
        self.assertGreater(roomy["predicted"]["hit_rate"], tight["predicted"]["hit_rate"])
        self.assertLess(roomy["predicted"]["read_bytes"], tight["predicted"]["read_bytes"])


    def test_known_routing_is_planned_with(self):
        """What a run has learnt of unequal experts: plans expect more of the cache, say so, and need no more memory."""
        model = make_model("predicted-skewed", "--arch", "qwen3moe", "--layers", "4", "--width", "256", "--experts", "64", "--used", "4",
                           "--expert-width", "256", "--skew", "2")
        where = ("-c", "512", "-t", "1", "--device", "none", "--mode", "experts")
        with tempfile.TemporaryDirectory() as cache:
            env = {**os.environ, "XDG_CACHE_HOME": cache}
            inspect = lambda *more: json.loads(run("inspect", model, *where, *more, "--json", env=env).stdout)["plan"]
            ram = ("--ram", str(inspect()["least_budget_bytes"] + 4_000_000))
            before = inspect(*ram)
            self.assertEqual(before["notes"], [])
            args = (*where, *ram, "-p", "Once upon a time", "-n", "100", "--temp", "0", "--ignore-eos", "--no-repack", "--logits-digest")
            first = run_json(model, *args, env=env)
            after = inspect(*ram)
            self.assertEqual(after["notes"], ["the routing is that of earlier runs"])
            self.assertEqual(after["least_budget_bytes"], before["least_budget_bytes"])
            self.assertGreater(after["prediction"]["hit_rate"], before["prediction"]["hit_rate"])
            again = run_json(model, *args, env=env)
            self.assertEqual(again["logits_digest"], first["logits_digest"])
            self.assertGreater(again["predicted"]["hit_rate"], first["predicted"]["hit_rate"])
            # Nothing is known of a machine that is not there but what the command line says.
            self.assertEqual(inspect(*ram, "--disk-rate", "1G", "--cpu-rate", "10G")["notes"], [])


class LeastBudget(unittest.TestCase):
    """One figure: what inspect and estimate name runs, and so does what a refusal names."""
    WHERE = ("-c", "1024", "-t", "1")
    DIGEST = ("-p", "The capital of France is a city that", "-n", "4", "--temp", "0", "--ignore-eos", "--no-memory", "--no-repack", "--logits-digest")

    def named(self, text, before):
        return str(parse_size(text.split(before)[1]))

    def check(self, model, mode, *device, env=None, exact=True):
        where = (*self.WHERE, "--mode", mode, *(device or ("--device", "none")))
        shown = run("inspect", model, *where, env=env)
        self.assertIn("least budget ", shown.stdout, shown.stderr)
        least = self.named(shown.stdout, "least budget ")
        refused = run("run", model, *where, "-p", "x", "-n", "1", "--ram", "1M", env=env)
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(self.named(refused.stderr, "at least "), least)
        got = run_json(model, *where, *self.DIGEST, "--ram", least, env=env)
        self.assertEqual(got["mode"], mode)
        if exact:
            wanted = run_json(model, *self.WHERE, *self.DIGEST, "--device", "none", "--mode", "mmap", "-b", str(got["batch_tokens"]))
            self.assertEqual(got["logits_digest"], wanted["logits_digest"])

    def test_of_every_shape_of_experts(self):
        for name, args in MOE.items():
            with self.subTest(name):
                self.check(make_model(name, *args), "experts")

    def test_of_linear_attention(self):
        for arch in ("qwen3next", "qwen35moe"):
            with self.subTest(arch):
                self.check(make_model(f"least-{arch}", "--arch", arch, "--layers", "8", "--experts", "64", "--used", "8", "--expert-width", "512",
                                      "--width", "1024", "--vocab", "32768"), "experts")

    def test_of_dense_rings(self):
        for arch in ("llama", "gemma3"):
            with self.subTest(arch):
                self.check(make_model(f"least-{arch}", "--arch", arch, "--layers", "8", "--width", "512", "--ffn", "2048"), "ffn")

    def test_beside_a_device(self):
        model = demo_model()
        why_not = devices.why_no_vulkan(model)
        if why_not is not None:
            self.skipTest(why_not)
        for vram in ("45M", "100M"):
            with self.subTest(vram):
                self.check(model, "ffn", "--device", devices.VULKAN, "--vram", vram, env=devices.vulkan_env(), exact=False)


if __name__ == "__main__":
    unittest.main()

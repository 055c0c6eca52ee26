"""What is predicted, before a run and beside its measurement: one predictor, and a least budget that holds. Speeds are never asserted."""
import json
import unittest

from support import demo_model, make_model, run, run_json

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
            self.assertEqual(report["predicted"]["limited_by"], "disk")
            # What frames there were, over what all experts would take: no cache does worse with routing this even.
            self.assertLess(report["predicted"]["hit_rate"], 1)
        self.assertGreater(roomy["predicted"]["hit_rate"], tight["predicted"]["hit_rate"])
        self.assertLess(roomy["predicted"]["read_bytes"], tight["predicted"]["read_bytes"])


if __name__ == "__main__":
    unittest.main()

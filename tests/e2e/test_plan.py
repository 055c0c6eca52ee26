"""One road from machine to plan: where `estimate` says that each layer lies is where `run` and `serve` put it."""
import json
import os
import struct
import tempfile
import unittest

from devices import Serve
from support import make_model, run, run_json
from test_streaming import MOE

MODELS = {
    "llama": ["--arch", "llama", "--layers", "4", "--width", "256"],
    "moe8": MOE["moe8"],
    "moe64": MOE["moe64"],
    "shared": MOE["shared"],
    "mla": MOE["mla"],
    "linear": MOE["linear"],
}
WHERE = ("-c", "512", "-t", "1", "--device", "none")
SHARES = (0.3, 0.8)  # of what streams, as frames: little, and nearly all
PARALLEL = "3"
# Many heads of latent attention: their buffers, for wide batches, are several times the estimate.
OUTGROWS = ("--arch", "deepseek2", "--layers", "4", "--width", "256", "--heads", "64", "--experts", "32", "--used", "4", "--vocab", "1024",
            "--q-rank", "64", "--kv-rank", "256")


def estimate(model, *more):
    done = run("estimate", model, *WHERE, *more, "--prompt-tokens", "8", "--json", timeout=600)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def served(model, *more):
    """The placement that `serve` executed, out of its log, in the form that `estimate` prints."""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        server = Serve(model, *WHERE, *more, "--parallel", PARALLEL, "--log-level", "plan:debug", "--log-format", "json", "--log-file", log)
        try:
            status, answer = server.post("/v1/completions", {"prompt": "a", "max_tokens": 1})
            if status != 200:
                raise AssertionError(answer)
        finally:
            server.stop()
        with open(log, encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
    first = max(i for i, e in enumerate(events) if e["message"] == "plan")
    plan, layers = events[first], events[first + 1:]
    kept = ("site", "bulk_site", "bulk_resident")
    frame = ("time", "level", "category", "message", "layer")
    placement = {name: plan[name] for name in ("mode", "pinned_bytes", "cache_bytes", "batch_tokens")}
    placement["layers"] = [{**{k: e[k] for k in kept}, "tiers": {k: v for k, v in e.items() if k not in kept + frame}} for e in layers]
    return placement


def rounded(placement):
    """Shares as the 32-bit numbers that they are, however they were printed."""
    single = lambda x: struct.unpack("f", struct.pack("f", x))[0]
    return {**placement, "layers": [{**layer, "bulk_resident": single(layer["bulk_resident"])} for layer in placement["layers"]]}


class Plan(unittest.TestCase):
    def compare(self, planned, executed, whole):
        planned, executed = rounded(planned), rounded(executed)
        self.assertGreater(len(planned["layers"]), 1)
        self.assertEqual(len(planned["layers"]), len(executed["layers"]))
        for before, after in zip(planned["layers"], executed["layers"]):
            self.assertEqual(before, after)
        if whole:
            self.assertEqual(planned, executed)

    def test_what_is_estimated_is_executed(self):
        for name, args in MODELS.items():
            model = make_model("plan-" + name, *args)
            mode = ("--mode", "ffn" if name == "llama" else "experts")
            streaming = estimate(model, *mode, "--parallel", PARALLEL)["plan"]
            least = streaming["least_budget_bytes"] + 4_000_000  # what the real context takes more
            budgets = [(*mode, "--ram", str(int(least + share * streaming["streamed_bytes"]))) for share in SHARES]
            budgets.append(("--ram", str(least + 2 * streaming["streamed_bytes"] + 40_000_000)))
            for ram in ((), *budgets):
                with self.subTest(model=name, ram=ram):
                    # Without a budget, the memory that is free differs between two moments.
                    before = estimate(model, *ram)["placement"]
                    done = run_json(model, *WHERE, *ram, "--prompt-tokens", "8", "-n", "2", "--temp", "0")
                    if mode[0] in ram:
                        self.assertEqual(done["mode"], mode[1])
                    self.compare(before, done["placement"], whole=ram != ())
                    self.compare(estimate(model, *ram, "--parallel", PARALLEL)["placement"], served(model, *ram), whole=ram != ())

    def test_a_context_that_outgrows_its_plan(self):
        model = make_model("plan-outgrows", *OUTGROWS)
        where = ("-c", "4096", "-b", "2048", "--mode", "experts")
        wide = estimate(model, *where, "--ram", "2G")["plan"]
        self.assertEqual(wide["batch_tokens"], 2048)
        ram = ("--ram", str(wide["budget_bytes"] - wide["spare_bytes"]))  # all that was planned, and nothing more
        go = ("-t", "1", "--device", "none", *where, "--prompt-tokens", "40", "-n", "4", "--temp", "0", "--no-memory", "--logits-digest")
        before = estimate(model, *where, *ram)["placement"]
        done = run_json(model, *go, *ram)
        first, executed = done["first_plan"], done["placement"]
        self.compare(before, first["placement"], whole=True)
        self.assertGreater(first["compute_scale"], 1.5)
        self.assertNotEqual(first["placement"], executed)
        self.assertEqual((executed["mode"], executed["batch_tokens"]), ("experts", done["batch_tokens"]))
        self.assertLess(done["batch_tokens"], 2048)
        self.assertLessEqual(done["memory"]["peak_rss_bytes"], done["memory"]["budget_bytes"])
        whole = run_json(model, *go, "--ram", "2G")
        self.assertNotIn("first_plan", whole)
        self.assertEqual(done["logits_digest"], whole["logits_digest"])
        # Both are told in the log, too.
        said = run("run", model, *go[:-1], *ram, "--log-level", "plan:info", timeout=600).stderr
        self.assertIn("the context takes more than planned planned_bytes=", said)
        self.assertEqual(len([line for line in said.split("\n") if " info plan: plan " in line]), 2)


if __name__ == "__main__":
    unittest.main()

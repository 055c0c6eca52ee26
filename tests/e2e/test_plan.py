"""One road from machine to plan: where `estimate` says that each layer lies is where `run` puts it."""
import json
import unittest

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


def estimate(model, *more):
    done = run("estimate", model, *WHERE, *more, "--prompt-tokens", "8", "--json", timeout=600)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


class Plan(unittest.TestCase):
    def test_what_is_estimated_is_executed(self):
        for name, args in MODELS.items():
            model = make_model("plan-" + name, *args)
            mode = ("--mode", "ffn" if name == "llama" else "experts")
            streaming = estimate(model, *mode)["plan"]
            least = streaming["least_budget_bytes"] + 4_000_000  # what the real context takes more
            budgets = [(*mode, "--ram", str(int(least + share * streaming["streamed_bytes"]))) for share in SHARES]
            budgets.append(("--ram", str(least + 2 * streaming["streamed_bytes"] + 40_000_000)))
            for ram in ((), *budgets):
                with self.subTest(model=name, ram=ram):
                    before = estimate(model, *ram)["placement"]
                    done = run_json(model, *WHERE, *ram, "--prompt-tokens", "8", "-n", "2", "--temp", "0")
                    self.assertGreater(len(before["layers"]), 1)
                    if mode[0] in ram:
                        self.assertEqual(done["mode"], mode[1])
                    self.assertEqual(len(before["layers"]), len(done["placement"]["layers"]))
                    for planned, executed in zip(before["layers"], done["placement"]["layers"]):
                        self.assertEqual(planned, executed)
                    if ram:  # without, the memory that is free differs between two moments
                        self.assertEqual(before, done["placement"])


if __name__ == "__main__":
    unittest.main()

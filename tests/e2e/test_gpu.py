"""GPU, RAM and SSD together, on Mesa's software Vulkan device: the same text as the CPU's, logits equal within rounding."""
import json
import os
import shutil
import unittest

import devices
from devices import VULKAN, Serve, plan_of
from support import MODELS, demo_model, make_model, run, run_json

PROMPT = "1, 2, 3, 4, 5, 6, 7, 8, 9,"  # what follows is certain: rounding does not change it
ARGS = ("-p", PROMPT, "-n", "12", "--temp", "0", "--ignore-eos", "-t", "1", "-c", "256", "-b", "32", "--no-memory", "--no-repack")
PLAN = ("-c", "256", "-b", "32", "-t", "1", "--no-repack")


class Gpu(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dense = demo_model()
        why_not = devices.why_no_vulkan(cls.dense)
        if why_not is not None:
            raise unittest.SkipTest(why_not)
        cls.env = devices.vulkan_env()
        # A real model, no two of whose experts are alike: its text is certain. Its logits are not: on the CPU activations are rounded
        # to 8 bits before they meet quantised weights, on the device they are not, which alone moves them by some 0.5.
        cls.mixture = make_model("varied-for-gpu", "--upcycle", cls.dense, "--experts", "4", "--used", "2", "--vary", "0.2")
        # Weights of 32 bits meet activations of 32 bits on the CPU.
        cls.precise = make_model("precise-for-gpu", "--arch", "qwen3moe", "--layers", "8", "--width", "512", "--vocab", "4096", "--experts",
                                 "16", "--used", "2", "--expert-width", "384", "-q", "F32")

    def three_tiers(self, model):
        """A budget that leaves attention on the device and most experts on the SSD."""
        least = plan_of(model, *PLAN, "--mode", "experts", "--device", "none")[0]["least_budget_bytes"]
        budget = ("--mode", "experts", "--ram", str(least + 30_000_000), "--vram", "100M", "--device", VULKAN)
        plan, tiers = plan_of(model, *PLAN, *budget, env=self.env)
        self.assertEqual(plan["mode"], "experts")
        self.assertGreater(plan["gpu_layers"], 1)
        self.assertGreater(tiers[VULKAN], 0)
        self.assertGreater(tiers["SSD"], 0)
        self.assertGreater(tiers["RAM cache"], 0)
        return budget

    def test_three_tiers_give_the_cpus_text(self):
        budget = self.three_tiers(self.mixture)
        wanted = run_json(self.mixture, *ARGS, "--device", "none")
        got = run_json(self.mixture, *ARGS, *budget, env=self.env)
        self.assertEqual(got["text"], wanted["text"])
        self.assertEqual(got["mode"], "experts")
        self.assertGreater(got["cache"]["miss_bytes"], 0)
        self.assertGreater(got["cache"]["hit_bytes"], 0)

    def logprobs(self, model, *args, env=None):
        """What the server gives for each token of an answer: its text, and the 20 likeliest {token: log probability}."""
        server = Serve(model, "-c", "256", "-b", "32", "-t", "1", "--parallel", "1", "--no-repack", *args, env=env)
        try:
            status, answer = server.post("/v1/completions", {"prompt": PROMPT, "max_tokens": 12, "temperature": 0, "logprobs": 20})
        finally:
            server.stop()
        self.assertEqual(status, 200, answer)
        content = answer["choices"][0]["logprobs"]["content"]
        return [t["token"] for t in content], [{tuple(p["bytes"]): p["logprob"] for p in t["top_logprobs"]} for t in content]

    def apart(self, a, b):
        """The largest difference between log probabilities of the same tokens, those that both tell."""
        return max(abs(x[token] - y[token]) for x, y in zip(a, b) for token in x if token in y)

    def one_layer_mixed_up(self):
        """The precise mixture with the experts of one layer each in the place of the next."""
        path = os.path.join(MODELS, "mixed-up-for-gpu.gguf")
        shutil.copyfile(self.precise, path)
        self.addCleanup(os.unlink, path)
        tensors = json.loads(run("inspect", path, "--tensors", "--no-plan", "--json").stdout)["tensors"]
        moved = 0
        with open(path, "r+b") as f:
            for t in tensors:
                if t["layer"] == 4 and t["role"] == "routed expert":
                    f.seek(t["offset"])
                    data = f.read(t["bytes"])
                    f.seek(t["offset"])
                    f.write(data[t["expert_bytes"]:] + data[:t["expert_bytes"]])
                    moved += 1
        self.assertEqual(moved, 3)
        return path

    def test_three_tiers_give_the_cpus_logits_within_rounding(self):
        """The device multiplies batches and attends in 16 bits: 2^-11 for each of some ten products in each of eight layers, whose
        errors add up like their root, on logits of deviation 3: 3 * 2^-11 * sqrt(80) = 0.013. Twice that is allowed, to the whole
        model on the device, without streaming, as to three tiers. One wrong expert in one layer is off by ten times as much."""
        words, cpu = self.logprobs(self.precise, "--device", "none")
        self.assertEqual(len(words), 12)
        for args in (("--device", VULKAN), self.three_tiers(self.precise)):
            got_words, got = self.logprobs(self.precise, *args, env=self.env)
            self.assertEqual(got_words, words)
            self.assertGreater(sum(token in y for x, y in zip(got, cpu) for token in x), 200, "nearly the same 20 tokens are likely")
            self.assertLess(self.apart(got, cpu), 0.026)
            self.assertGreater(self.apart(got, cpu), 0, "it did run on the device")
        wrong = self.logprobs(self.one_layer_mixed_up(), "--device", "none")[1]
        self.assertGreater(self.apart(wrong[:1], cpu[:1]), 0.26)

    def test_the_server_tells_what_is_on_the_device(self):
        budget = self.three_tiers(self.mixture)
        on_device = plan_of(self.mixture, *PLAN, *budget, env=self.env)[1][VULKAN]
        server = Serve(self.mixture, *PLAN, "--parallel", "1", *budget, env=self.env)
        try:
            status, answer = server.post("/v1/completions", {"prompt": PROMPT, "max_tokens": 4, "temperature": 0})
            self.assertEqual(status, 200, answer)
            loaded, = server.get("/api/ps")["models"]
            state = server.get("/ui/state")
            metrics = server.get_text("/metrics")
        finally:
            server.stop()
        self.assertEqual(loaded["size_vram"], on_device)
        self.assertGreater(loaded["size"], on_device)
        self.assertEqual((state["gpu_bytes"], state["remote_bytes"]), (on_device, 0))
        for tier in ("cached", "disk"):
            self.assertGreater(state[tier + "_bytes"], 0, tier)
        self.assertEqual(sum(state[t + "_bytes"] for t in ("gpu", "remote", "pinned", "cached", "disk")), loaded["size"])
        self.assertRegex(metrics, rf"(?m)weights_gpu_bytes {on_device}$")

    def test_a_dense_ffn_streams_beside_the_device(self):
        where = ("--mode", "ffn", "--vram", "45M", "--device", VULKAN)
        least = plan_of(self.dense, *PLAN, *where, env=self.env)[0]["least_budget_bytes"]
        budget = (*where, "--ram", str(least + 30_000_000))
        plan, tiers = plan_of(self.dense, *PLAN, *budget, env=self.env)
        self.assertGreater(tiers[VULKAN], 0)
        self.assertGreater(tiers["SSD"], 0)
        wanted = run_json(self.dense, *ARGS, "--device", "none")
        got = run_json(self.dense, *ARGS, *budget, env=self.env)
        self.assertEqual(got["mode"], "ffn")
        self.assertEqual(got["text"], wanted["text"])

    def test_everything_on_the_device(self):
        plan, tiers = plan_of(self.dense, *PLAN, "--device", VULKAN, env=self.env)
        self.assertEqual(list(tiers), [VULKAN])
        wanted = run_json(self.dense, *ARGS, "--device", "none")
        got = run_json(self.dense, *ARGS, "--device", VULKAN, env=self.env)
        self.assertEqual((got["mode"], got["text"]), ("resident", wanted["text"]))

    def test_a_software_device_is_used_only_when_named(self):
        for args in ((), ("--device", "none")):
            plan, tiers = plan_of(self.dense, *PLAN, *args, env=self.env)
            self.assertEqual(plan["gpu_layers"], 0)
            self.assertNotIn(VULKAN, tiers)

    def test_an_unknown_device_is_refused(self):
        done = run("run", self.dense, *ARGS, "--device", "Vulkan9", env=self.env)
        self.assertEqual(done.returncode, 1)
        self.assertIn('there is no device "Vulkan9"', done.stderr)
        self.assertIn(VULKAN, done.stderr)


if __name__ == "__main__":
    unittest.main()

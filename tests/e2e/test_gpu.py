"""GPU, RAM and SSD together, on Mesa's software Vulkan device: the same text as the CPU's, logits equal within rounding."""
import unittest

import devices
from devices import VULKAN, Serve, plan_of
from support import demo_model, make_model, run, run_json

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
        cls.mixture = make_model("upcycled-for-gpu", "--upcycle", cls.dense, "--experts", "4", "--used", "2")
        cls.least = plan_of(cls.mixture, *PLAN, "--mode", "experts", "--device", "none")[0]["least_budget_bytes"]

    def three_tiers(self):
        """A budget that leaves attention on the device and most experts on the SSD."""
        budget = ("--mode", "experts", "--ram", str(self.least + 30_000_000), "--vram", "100M", "--device", VULKAN)
        plan, tiers = plan_of(self.mixture, *PLAN, *budget, env=self.env)
        self.assertEqual(plan["mode"], "experts")
        self.assertGreater(plan["gpu_layers"], 1)
        self.assertGreater(tiers[VULKAN], 0)
        self.assertGreater(tiers["SSD"], 0)
        self.assertGreater(tiers["RAM cache"], 0)
        return budget

    def test_three_tiers_give_the_cpus_text(self):
        budget = self.three_tiers()
        wanted = run_json(self.mixture, *ARGS, "--device", "none")
        got = run_json(self.mixture, *ARGS, *budget, env=self.env)
        self.assertEqual(got["text"], wanted["text"])
        self.assertEqual(got["mode"], "experts")
        self.assertGreater(got["cache"]["miss_bytes"], 0)
        self.assertGreater(got["cache"]["hit_bytes"], 0)

    def logprobs(self, *args, env=None):
        server = Serve(self.mixture, "-c", "256", "-b", "32", "-t", "1", "--parallel", "1", "--no-repack", *args, env=env)
        try:
            status, answer = server.post("/v1/completions", {"prompt": PROMPT, "max_tokens": 12, "temperature": 0, "logprobs": 5})
        finally:
            server.stop()
        self.assertEqual(status, 200, answer)
        return answer["choices"][0]["logprobs"]["content"]

    def test_three_tiers_give_the_cpus_probabilities(self):
        """The device rounds otherwise than the CPU: how far that alone goes is what the whole model on the device shows, without
        any streaming. Three tiers, where some layers change sides, may be off by twice as much."""
        cpu = self.logprobs("--device", "none")
        self.assertGreater(len(cpu), 4)
        apart = []
        for args in (("--device", VULKAN), self.three_tiers()):
            got = self.logprobs(*args, env=self.env)
            self.assertEqual([t["token"] for t in got], [t["token"] for t in cpu])
            apart.append(max(abs(a["logprob"] - b["logprob"]) for a, b in zip(got, cpu)))
        self.assertLess(apart[0], 0.3)
        self.assertLess(apart[1], 2 * apart[0] + 0.02)

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

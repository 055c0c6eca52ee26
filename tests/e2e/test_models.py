"""The models that tests stand on: every architecture of make-model loads, computes and routes; upcycling keeps the text."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from support import BUILD, MODELS, ROOT, demo_model, make_model, run

TOKENS = "72,101,300,5,310,99,264,17"
DENSE = {
    "llama": ["--arch", "llama"],
    "llama-tied-f16": ["--arch", "llama", "--tied", "-q", "F16"],
    "qwen3": ["--arch", "qwen3"],
    "gemma3": ["--arch", "gemma3"],
}
MIXTURES = {
    "mixtral": ["--arch", "mixtral"],
    "qwen3moe": ["--arch", "qwen3moe"],
    "qwen3moe-types": ["--arch", "qwen3moe", "--quant-down", "Q6_K", "--quant-attn", "Q8_0", "--quant-embed", "Q2_K"],
    "qwen3moe-512": ["--arch", "qwen3moe", "--layers", "2", "--experts", "512", "--used", "10", "-q", "IQ4_XS"],
    "qwen3moe-aligned": ["--arch", "qwen3moe", "--alignment", "4096"],
    "qwen2moe": ["--arch", "qwen2moe"],
    "gpt-oss": ["--arch", "gpt-oss", "--quant-experts", "MXFP4", "--quant-down", "MXFP4"],
    "deepseek2": ["--arch", "deepseek2"],
    "deepseek2-lite": ["--arch", "deepseek2", "--layers", "27", "--expert-width", "256", "--experts", "8", "--used", "2"],
    "qwen3next": ["--arch", "qwen3next"],
    "qwen3next-merged": ["--arch", "qwen3next", "--merge-gate-up"],
    "qwen35moe": ["--arch", "qwen35moe", "--layers", "8"],
    "mixtral-knobs": ["--arch", "mixtral", "--skew", "1", "--sticky", "0.5"],
    "deepseek2-knobs": ["--arch", "deepseek2", "--skew", "1", "--sticky", "0.5"],
}


def tool(name, *args):
    done = subprocess.run([os.path.join(BUILD, "tests/tools", name), *args], capture_output=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"{name} {' '.join(args)}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout.decode(errors="replace"))


def digest(model, *args):
    return tool("logits-digest", model, *(args or ("--tokens", TOKENS, "-n", "8", "--context", "256")))


class Architectures(unittest.TestCase):
    def test_each_computes(self):
        digests = set()
        for name, args in {**DENSE, **MIXTURES}.items():
            with self.subTest(name):
                r = digest(make_model(name, *args))
                self.assertEqual(len(r["tokens"]), 8)
                self.assertTrue(r["finite"])
                digests.add(r["digest"])
        # Each computes something else; what only the alignment tells apart computes the same.
        self.assertEqual(len(digests), len(DENSE) + len(MIXTURES) - 1)

    def test_each_mixture_routes_by_the_token(self):
        for name, args in MIXTURES.items():
            with self.subTest(name):
                r = tool("route-stats", make_model(name, *args), "--random", "64")
                self.assertLess(r["overlap"], 0.9)
                self.assertGreater(r["effective"], 1.5 * r["used"])

    def test_a_split_model_computes_the_same(self):
        whole = digest(make_model("qwen3moe", "--arch", "qwen3moe"))
        self.assertEqual(whole, digest(make_model("qwen3moe-split", "--arch", "qwen3moe", "--split-tensors", "10")))
        self.assertEqual(whole, digest(make_model("qwen3moe-split-bytes", "--arch", "qwen3moe", "--split-bytes", "2M")))

    def test_every_expert_counts(self):
        """Other weights, other logits: nothing is right by chance."""
        self.assertNotEqual(digest(make_model("qwen3moe", "--arch", "qwen3moe"))["digest"],
                            digest(make_model("qwen3moe-seed", "--arch", "qwen3moe", "--seed", "2"))["digest"])

    def test_a_sparse_model_computes(self):
        r = digest(make_model("sparse", "--arch", "deepseek2", "--experts", "64", "--sparse-all", "--vocab", "8192"))
        self.assertTrue(r["finite"])


class ContextMemory(unittest.TestCase):
    def test_the_log_tells_what_a_context_takes(self):
        """Of every architecture libllama's log has the lines that src/engine/context_memory.c reads."""
        env = {**os.environ, "HYPURA_LOG": "llama:info"}
        for name, args in {**DENSE, **MIXTURES}.items():
            with self.subTest(name):
                done = run("run", make_model(name, *args), "-p", "x", "-n", "1", "-c", "256", env=env)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("compute buffer size", done.stderr)
                self.assertNotIn("cannot be read from libllama's log", done.stderr)


class Knobs(unittest.TestCase):
    SHAPE = ["--arch", "qwen3moe", "--layers", "4", "--width", "512", "--experts", "32", "--used", "4", "--vocab", "2048"]

    def stats(self, name, *knobs):
        return tool("route-stats", make_model("knobs-" + name, *self.SHAPE, *knobs), "--random", "256")

    def test_skew_and_stickiness_shift_the_routing(self):
        even, skewed = self.stats("even"), self.stats("skew", "--skew", "1")
        sticky = self.stats("sticky", "--sticky", "1")
        # Measured: top_quarter 0.33, 0.63, 0.41; overlap 0.14, 0.33, 0.62.
        self.assertLess(even["top_quarter"], 0.45)
        self.assertGreater(skewed["top_quarter"], even["top_quarter"] + 0.15)
        self.assertLess(even["overlap"], even["independent"] + 0.05)
        self.assertGreater(sticky["overlap"], sticky["independent"] + 0.25)


class Upcycled(unittest.TestCase):
    PROMPTS = ("The capital of France is", "Once upon a time, in a small village,")

    def mixture(self, dense, *args):
        return make_model("upcycled-" + "-".join(args), "--upcycle", dense, *args)

    def test_logits_are_the_dense_models(self):
        dense = demo_model()
        for args in (("--experts", "4", "--used", "1"), ("--experts", "6", "--used", "2", "--exact", "--split-tensors", "99")):
            mixture = self.mixture(dense, *args)
            for prompt in self.PROMPTS:
                args = ("--prompt", prompt, "-n", "16", "--context", "256")
                self.assertEqual(digest(dense, *args), digest(mixture, *args))

    def test_text_is_the_dense_models_up_to_near_ties(self):
        dense = demo_model()
        mixture = self.mixture(dense, "--experts", "5", "--used", "2")
        for prompt in self.PROMPTS:
            args = ("--prompt", prompt, "-n", "16", "--context", "256")
            a, b = digest(dense, *args), digest(mixture, *args)
            self.assertNotEqual(a["digest"], b["digest"])
            same = next((i for i, (x, y) in enumerate(zip(a["tokens"], b["tokens"])) if x != y), None)
            # Rounding moves logits by some 0.2: a token may change where the lead was no larger, not elsewhere.
            self.assertTrue(same is None or a["margins"][same] < 0.5, (a, b))
            self.assertGreaterEqual(16 if same is None else same, 4)

    def tearDown(self):
        for entry in os.listdir(MODELS):
            if entry.startswith("upcycled-"):
                os.unlink(os.path.join(MODELS, entry))


class FetchModel(unittest.TestCase):
    def fetch(self, folder, *args, **env):
        return subprocess.run([os.path.join(ROOT, "tools/fetch-model.sh"), *args, BUILD], capture_output=True, text=True,
                              env={**os.environ, "HYPURA_MODELS": folder, **env}, timeout=300)

    def test_without_a_network_a_synthetic_model_takes_its_place(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        done = self.fetch(folder, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, os.path.join(folder, "synthetic-llama.gguf") + "\n")
        self.assertIn("using a synthetic model", done.stderr)
        # Nothing but the model is left, and it is not made twice.
        self.assertEqual(os.listdir(folder), ["synthetic-llama.gguf"])
        before = os.stat(done.stdout.strip()).st_mtime_ns
        self.assertEqual(self.fetch(folder, "--small").stdout, done.stdout)
        self.assertEqual(os.stat(done.stdout.strip()).st_mtime_ns, before)
        self.assertTrue(digest(done.stdout.strip())["finite"])

    def test_what_is_there_is_not_fetched_again(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        model = os.path.join(folder, "smollm2-135m-instruct-q4_1.gguf")
        with open(model, "wb") as f:
            f.truncate(98362432)
        done = self.fetch(folder, PATH="/usr/bin:/bin", PIP_NO_INDEX="1")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, model + "\n", ""))


class CommandLine(unittest.TestCase):
    def make(self, *args):
        return subprocess.run([os.path.join(BUILD, "tools/make-model"), *args], capture_output=True, text=True, timeout=60)

    def test_wrong_arguments(self):
        done = self.make("--arch", "qwen3mo", "-o", "x.gguf")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(done.stderr, 'make-model: there is no architecture "qwen3mo" here\nhint: did you mean qwen3moe?\n')
        self.assertEqual(self.make().returncode, 2)
        self.assertEqual(self.make("--arch", "llama", "-o", "/nowhere/x.gguf").returncode, 1)

    def test_help_names_every_architecture(self):
        done = self.make("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("deepseek2", "gpt-oss", "qwen3next", "--skew", "--upcycle"):
            self.assertIn(word, done.stdout)

    def test_dry_run_writes_nothing(self):
        done = self.make("--arch", "mixtral", "--dry-run", "-o", "/nowhere/x.gguf")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^43 tensors, \d+ bytes\n$")


if __name__ == "__main__":
    unittest.main()

"""A model larger than its budget: the same logits, bit for bit, as plain llama.cpp."""
import os
import subprocess
import unittest

from support import BUILD, HYPURA, demo_model, is_real, make_model, parse_size, run, run_json

PROMPT = "The capital of France is a city that"
COUNTING = "1, 2, 3, 4, 5, 6, 7, 8, 9,"
LONG = " ".join(f"word{i % 37} and number {i * 7 % 101}" for i in range(60))

MOE = {
    "moe8": ["--arch", "mixtral", "--layers", "3", "--width", "256", "--experts", "8", "--used", "2", "--expert-width", "512"],
    "moe64": ["--arch", "qwen3moe", "--layers", "4", "--width", "256", "--experts", "64", "--used", "8", "--expert-width", "256"],
    "moe128": ["--arch", "qwen3moe", "--layers", "3", "--width", "256", "--experts", "128", "--used", "8", "--expert-width", "256",
               "-q", "Q8_0", "--split-tensors", "9"],
    "moe512": ["--arch", "qwen3moe", "--layers", "2", "--width", "256", "--experts", "512", "--used", "10", "--expert-width", "256"],
    "shared": ["--arch", "qwen2moe", "--layers", "3", "--width", "256", "--experts", "16", "--used", "4", "--expert-width", "256"],
    "mla": ["--arch", "deepseek2", "--layers", "4", "--dense-layers", "1", "--experts", "32", "--used", "4", "--width", "256",
            "--expert-width", "256"],
    "biased": ["--arch", "gpt-oss", "--layers", "2", "--experts", "16", "--used", "4", "--expert-width", "256", "--width", "256"],
    "linear": ["--arch", "qwen3next", "--layers", "4", "--experts", "16", "--used", "4", "--expert-width", "256", "--width", "256"],
    "merged": ["--arch", "qwen35moe", "--layers", "4", "--experts", "16", "--used", "4", "--expert-width", "256", "--width", "256",
               "--merge-gate-up"],
}


def digest(model, *args, n="6", prompt=PROMPT):
    r = run_json(model, "-p", prompt, "-n", n, "--temp", "0", "--ignore-eos", "-t", "1", "-c", "1024", "--logits-digest", "--no-repack",
                 *args)
    return r["logits_digest"], r


def least_budget(model, mode):
    """The least budget in bytes, as a refusal names it."""
    done = run("run", model, "-p", "x", "-n", "1", "-c", "1024", "--mode", mode, "--ram", "1000000", "--no-memory")
    if "at least" not in done.stderr:
        raise AssertionError(done.stderr)
    return parse_size(done.stderr.split("at least ")[1])


class Experts(unittest.TestCase):
    def test_a_trace_is_written_or_it_is_said_why_not(self):
        model, trace = make_model("moe8", *MOE["moe8"]), os.path.join(BUILD, "test.trace")
        command = ("run", model, "-p", "x", "-n", "2", "-q", "-t", "1", "--no-memory", "--trace")
        done = run(*command, trace, "--mode", "experts")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(run("replay", trace, "--ram", "1G", "--disk-rate", "1G").returncode, 0)
        os.remove(trace)
        done = run(*command, trace)
        self.assertEqual(done.returncode, 1)
        self.assertIn("mode resident has no routing to record\nhint: --mode experts", done.stderr)
        self.assertFalse(os.path.exists(trace))
        done = run(*command, "/dev/full", "--mode", "experts")
        self.assertEqual((done.returncode, done.stderr), (1, "hypura: cannot write the trace /dev/full: No space left on device\n"))

    def check(self, model, *variants, **kw):
        wanted, _ = digest(model, "--mode", "mmap", **kw)
        for variant in variants:
            got, report = digest(model, "--mode", "experts", *variant, **kw)
            self.assertEqual(got, wanted, f"{os.path.basename(model)} {variant}")
            self.assertEqual(report["mode"], "experts")
        return report

    def test_every_shape(self):
        for name, args in MOE.items():
            with self.subTest(name):
                model = make_model(name, *args)
                tight = str(least_budget(model, "experts"))
                self.check(model, ["--ram", tight, "--no-memory"], ["--no-memory"])

    def test_every_policy_backend_and_prefetch(self):
        model = make_model("moe64", *MOE["moe64"])
        tight = str(least_budget(model, "experts"))
        self.check(model, *[["--ram", tight, "--policy", p, "--no-memory"] for p in ("hypura", "lru", "lfu")],
                   *[["--ram", tight, "--io", b, "--no-memory"] for b in ("threads", "plain", "auto")],
                   ["--ram", tight, "--no-prefetch", "--no-memory"])

    def test_wide_batches(self):
        model = make_model("moe64", *MOE["moe64"])
        tight = str(least_budget(model, "experts"))
        for batch in ("1", "17", "512"):
            wanted, _ = digest(model, "--mode", "mmap", "-b", batch, n="3", prompt=LONG)
            got, _ = digest(model, "--mode", "experts", "--no-memory", "-b", batch, n="3", prompt=LONG)
            self.assertEqual(got, wanted, batch)
        # A tight budget narrows the batch by itself: then the same width must be given to the reference.
        got, report = digest(model, "--mode", "experts", "--no-memory", "--ram", tight, "-b", "17", n="3", prompt=LONG)
        wanted, _ = digest(model, "--mode", "mmap", "-b", str(report["batch_tokens"]), n="3", prompt=LONG)
        self.assertEqual(got, wanted)

    def test_what_was_learnt_changes_no_result(self):
        model = make_model("moe64", *MOE["moe64"])
        ram = str(least_budget(model, "experts") + 10_000_000)
        self.check(model, ["--ram", ram], ["--ram", ram], ["--ram", ram])

    def test_delays_change_no_result(self):
        model = make_model("moe64", *MOE["moe64"])
        tight = str(least_budget(model, "experts"))
        self.check(model, ["--ram", tight, "--io-faults", "delay=3,us=3000,random,seed=5", "--no-memory"],
                   ["--ram", tight, "--io-faults", "short=2,seed=7", "--no-memory"])

    def test_a_failed_prefetch_is_forgotten(self):
        model = make_model("moe64", *MOE["moe64"])
        tight = str(least_budget(model, "experts"))
        self.check(model, ["--ram", tight, "--io-faults", "fail=2,class=prefetch", "--no-memory"])

    def test_real_language(self):
        dense = demo_model()
        if not is_real(dense):
            self.skipTest("the demo model could not be fetched")
        model = make_model("upcycled", "--upcycle", dense, "--experts", "16", "--used", "2")
        ram = str(max(os.path.getsize(model) // 4, least_budget(model, "experts")))
        report = self.check(model, ["--ram", ram], n="24")
        self.assertGreater(report["cache"]["miss_bytes"], 0)
        # Its experts are copies of one FFN: it says what the dense model says, where another rounding does not change that.
        said = [run_json(*args, "-p", COUNTING, "-n", "24", "-c", "1024", "--temp", "0", "--ignore-eos", "-t", "1")["text"]
                for args in ((dense,), (model, "--mode", "experts", "--ram", ram))]
        self.assertEqual(said[1], said[0])
        self.assertTrue(said[0].startswith(" 10, 11, 12,"), said[0])


class Dense(unittest.TestCase):
    ARGS = ["--arch", "llama", "--layers", "8", "--width", "512", "--ffn", "8192"]

    def test_budgets(self):
        model = make_model("dense", *self.ARGS)
        wanted, _ = digest(model, "--mode", "mmap")
        least = least_budget(model, "ffn")
        for extra in (0, 4_000_000, 8_000_000, 10**9):
            got, report = digest(model, "--mode", "ffn", "--ram", str(least + extra))
            self.assertEqual((got, report["mode"]), (wanted, "ffn"), extra)
            if extra == 0:  # layers are truly read again for every token
                self.assertGreater(report["io"]["bytes_read"], 2 * os.path.getsize(model))

    def test_split_wide_and_slow(self):
        model = make_model("dense-split", *self.ARGS, "--split-tensors", "11")
        least = str(least_budget(model, "ffn"))
        for batch in ("1", "17", "512"):
            for faults in ("delay=3,us=2000,random", "short=2"):
                got, report = digest(model, "--mode", "ffn", "--ram", least, "-b", batch, "--io-faults", faults, n="3", prompt=LONG)
                self.assertEqual(report["mode"], "ffn")
                # The least budget holds narrower batches than 512: the same shape is compared.
                wanted, _ = digest(model, "--mode", "mmap", "-b", str(report["batch_tokens"]), n="3", prompt=LONG)
                self.assertEqual(got, wanted, (batch, report["batch_tokens"], faults))


class Failures(unittest.TestCase):
    def setUp(self):
        self.model = make_model("moe64", *MOE["moe64"])
        self.tight = str(least_budget(self.model, "experts"))

    def fails(self, *args):
        done = run("run", self.model, "-p", PROMPT, "-n", "8", "-t", "1", "-c", "1024", "--ignore-eos", "-q", *args)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, r"^hypura: .*(cannot be read|could not be read|cannot read|failed|shorter)")
        return done

    def test_a_failing_disk_ends_the_answer(self):
        self.fails("--mode", "experts", "--ram", self.tight, "--no-memory", "--io-faults", "fail=40,class=demand")

    def test_a_truncated_read_ends_the_answer(self):
        self.fails("--mode", "experts", "--ram", self.tight, "--no-memory", "--io-faults", "truncate=40,class=demand")

    def test_failing_while_loading(self):
        self.fails("--mode", "experts", "--ram", self.tight, "--no-memory", "--io-faults", "fail=1")

    def test_a_file_cut_short_under_us(self):
        # Long enough to be cut while it runs; every page that is gone is then a failed read or a SIGBUS that must not kill.
        copy = self.model + ".cut"
        subprocess.run(["cp", self.model, copy], check=True)
        try:
            for mode in (["--mode", "experts", "--ram", self.tight], ["--mode", "mmap"]):
                subprocess.run(["cp", self.model, copy], check=True)
                p = subprocess.Popen([HYPURA, "run", copy, "-p", PROMPT, "-n", "100000", "-c", "8192", "-t", "1", "--ignore-eos", "-q", "--no-memory", *mode],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                                     errors="replace")
                p.stdout.read(40)
                os.truncate(copy, os.path.getsize(copy) // 4)
                out, err = p.communicate(timeout=300)
                self.assertEqual(p.returncode, 1, (mode, out[-200:], err))
                self.assertRegex(err, r"hypura: ")
        finally:
            os.unlink(copy)

    def test_too_small_a_budget_names_the_least(self):
        done = run("run", self.model, "-p", "x", "--ram", "2M", "--mode", "experts")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"too small|does not hold")
        self.assertRegex(done.stderr, r"hint: it needs at least [\d.]+ [MG]B \(--ram\)")


if __name__ == "__main__":
    unittest.main(verbosity=2)

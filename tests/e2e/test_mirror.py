"""A second copy of a model: both are read, either may fail, and the answer is the same."""
import json
import os
import shutil
import subprocess
import unittest
import urllib.request

import test_streaming
from support import HYPURA, MODELS, make_model, run
from test_streaming import MOE, PROMPT, digest, least_budget

COPIES = os.path.join(MODELS, "copies")


def copy(model):
    """The folder with a copy of the model, all of its parts if it is split."""
    os.makedirs(COPIES, exist_ok=True)
    stem = model[:-len("00001-of-00001.gguf")] if "-00001-of-" in model else model
    for name in os.listdir(MODELS):
        path = os.path.join(MODELS, name)
        if path.startswith(stem) and name.endswith(".gguf"):
            shutil.copyfile(path, os.path.join(COPIES, name))
    return COPIES


def warnings(done):
    return [line for line in done.stderr.splitlines() if line.startswith("warning: ")]


class Mirror(unittest.TestCase):
    def setUp(self):
        self.model = make_model("moe64", *MOE["moe64"])
        self.tight = str(least_budget(self.model, "experts"))
        self.mirror = os.path.join(copy(self.model), os.path.basename(self.model))
        self.base = ["-p", PROMPT, "-n", "6", "--temp", "0", "--ignore-eos", "-t", "1", "-c", "1024", "--no-repack", "--no-memory",
                     "--logits-digest", "--json", "--mode", "experts", "--ram", self.tight]

    def tearDown(self):
        shutil.rmtree(COPIES, ignore_errors=True)

    def read(self, *args):
        done = run("run", self.model, *self.base, *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout), done

    def test_both_are_read(self):
        wanted, _ = digest(self.model, "--mode", "mmap")
        for backend in ("auto", "threads", "plain"):
            for faults in ("delay=3,us=2000,random", "rate=300M,source=primary;rate=60M,source=mirror", "short=2"):
                report, done = self.read("--mirror", self.mirror, "--io", backend, "--io-faults", faults)
                self.assertEqual(report["logits_digest"], wanted, (backend, faults))
                sources = report["io"]["sources"]
                self.assertEqual([s["path"] for s in sources], [self.model, self.mirror])
                for s in sources:
                    self.assertGreater(s["bytes"], 0)
                    self.assertFalse(s["dropped"])
                self.assertEqual(sum(s["bytes"] for s in sources), report["io"]["demand_bytes"] + report["io"]["prefetch_bytes"])
                self.assertEqual(warnings(done), [])

    def test_dense_and_split_models(self):
        model = make_model("dense-split", *test_streaming.Dense.ARGS, "--split-tensors", "11")
        folder = copy(model)
        wanted, _ = digest(model, "--mode", "mmap")
        least = str(least_budget(model, "ffn"))
        for mirror in (folder, os.path.join(folder, os.path.basename(model))):
            got, report = digest(model, "--mode", "ffn", "--ram", least, "--mirror", mirror)
            self.assertEqual(got, wanted, mirror)
            self.assertGreater(report["io"]["sources"][1]["bytes"], 0)

    def test_one_dies(self):
        wanted, _ = digest(self.model, "--mode", "mmap")
        for which, index in (("mirror", 1), ("primary", 0)):
            for faults in ("die=1", "die=5", "truncate=4,class=demand"):
                report, done = self.read("--mirror", self.mirror, "--io-faults", f"{faults},source={which};rate=400M,source=primary;"
                                         "rate=400M,source=mirror")
                self.assertEqual(report["logits_digest"], wanted, (which, faults))
                self.assertEqual([s["dropped"] for s in report["io"]["sources"]], [index == 0, index == 1])
                self.assertEqual(len(warnings(done)), 1, done.stderr)
                self.assertIn("is not read any more", warnings(done)[0])

    def test_both_die(self):
        done = run("run", self.model, *self.base, "--mirror", self.mirror, "--io-faults", "die=80,source=primary;die=80,source=mirror")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"(?m)^hypura: .*cannot read")

    def test_a_file_cut_short_under_us(self):
        # Reads of the cut file fail, and so do page faults on it; what it held comes from the other.
        args = ["-p", PROMPT, "-n", "1000", "-c", "1024", "-t", "1", "--ignore-eos", "--temp", "0", "-q", "--no-memory", "--no-repack"]
        wanted = run("run", self.model, *args, "--mode", "mmap").stdout
        ours = self.model + ".cut"
        for mode in (["--mode", "experts", "--ram", self.tight], ["--mode", "mmap"]):
            for victim in (ours, self.mirror):
                if mode[1] == "mmap" and victim != ours:
                    continue
                shutil.copyfile(self.model, ours)
                shutil.copyfile(self.model, self.mirror)
                p = subprocess.Popen([HYPURA, "run", ours, *args, *mode, "--mirror", self.mirror], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, bufsize=0)
                start = p.stdout.read(1)
                os.truncate(victim, os.path.getsize(victim) // 8)
                out, err = p.communicate(timeout=300)
                os.unlink(ours)
                self.assertEqual(p.returncode, 0, (mode, victim, err))
                self.assertEqual((start + out).decode("utf-8", "replace"), wanted, (mode, victim))
                self.assertEqual(err.decode().count("is not read any more"), 1, (mode, victim, err))

    def test_what_is_no_copy(self):
        other = make_model("moe8", *MOE["moe8"])
        altered = self.mirror
        with open(altered, "r+b") as f:
            f.seek(-100, 2)
            byte = f.read(1)
            f.seek(-100, 2)
            f.write(bytes([byte[0] ^ 1]))
        empty = os.path.join(COPIES, "empty")
        os.makedirs(empty)
        for mirror, words in ((other, r"is not a copy of .*: \S+ has \d+ bytes instead of \d+"),
                              (altered, "is not a copy of .*: its header or its weights differ"),
                              (self.model, "is not a copy of .*: it is the same file"),
                              (empty, "the mirror cannot be used: .*"), ("/nonexistent", "the mirror cannot be used: .*"),
                              (HYPURA, "the mirror cannot be used: .*")):
            for mode in ("experts", "resident"):
                done = run("run", self.model, "-p", "x", "-n", "1", "-q", "--mode", mode, "--mirror", mirror)
                self.assertEqual((done.returncode, done.stdout), (1, ""), mirror)
                self.assertRegex(done.stderr, rf"\Ahypura: {'' if words.startswith('the') else 'the mirror .* '}{words}\nhint: .*\n\Z")

    def test_a_model_that_fits(self):
        done = run("run", self.model, "-p", "x", "-n", "1", "-q", "--mode", "resident", "--mirror", self.mirror)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(warnings(done)), 1)
        self.assertIn("fits in memory", warnings(done)[0])

    def test_stats(self):
        done = run("run", self.model, "-p", PROMPT, "-n", "4", "-t", "1", "--mode", "experts", "--ram", self.tight, "--no-memory", "-c", "1024",
                   "--stats", "--mirror", self.mirror)
        self.assertEqual(done.returncode, 0, done.stderr)
        for path in (self.model, self.mirror):
            self.assertRegex(done.stderr, rf"(?m)^  {path}: [\d.]+ [kMG]?B at [\d.]+ [kMG]?B/s$")

    def test_served(self):
        for mirror, n_warnings in ((COPIES, 0), (os.path.join(COPIES, "none"), 1)):
            os.makedirs(mirror, exist_ok=True)
            p = subprocess.Popen([HYPURA, "serve", self.model, "--port", "0", "--mode", "experts", "--no-memory", "-t", "1", "--parallel",
                                  "1", "-c", "512", "--mirror", mirror], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                p.stdout.readline()
                endpoint = p.stdout.readline().split()[1]
                body = {"model": os.path.basename(self.model)[:-5], "prompt": PROMPT, "stream": False, "raw": True,
                        "options": {"num_predict": 4, "temperature": 0}}
                with urllib.request.urlopen(endpoint + "/api/generate", json.dumps(body).encode(), timeout=120) as answer:
                    self.assertGreater(json.load(answer)["eval_count"], 0)
            finally:
                p.terminate()
                _, err = p.communicate(timeout=60)
            self.assertEqual(err.count("does not hold"), n_warnings, err)


if __name__ == "__main__":
    unittest.main(verbosity=2)

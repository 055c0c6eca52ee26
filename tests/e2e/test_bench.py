"""`hypura bench`: both sides run, agree, and are reported; a baseline that would hurt is refused."""
import glob
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
import xml.dom.minidom

from support import HYPURA, MODELS, make_model, run

SHORT = ["-t", "1", "--runs", "2", "--prompt-tokens", "12", "-n", "6", "-c", "64", "--quiet"]


class Bench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.moe = make_model("bench-moe", "--arch", "mixtral", "--layers", "3", "--experts", "8", "--used", "2", "--seed", "5")

    def bench(self, *args):
        done = run("bench", self.moe, *SHORT, *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_both_sides_agree(self):
        with tempfile.TemporaryDirectory() as folder:
            results, chart = os.path.join(folder, "results"), os.path.join(folder, "chart.svg")
            table = self.bench("--mode", "experts", "--out", results, "--svg", chart).stdout
            with open(glob.glob(results + "/bench-moe-*.json")[0], encoding="utf-8") as f:
                saved = json.load(f)
            self.assertEqual(xml.dom.minidom.parse(chart).documentElement.tagName, "svg")
        self.assertIn("| median (least to most) | hypura (experts) | llama.cpp mmap | ratio |", table)
        self.assertIn("identical output: yes, every logit of every token", table)
        self.assertEqual([s["mode"] for s in saved["sides"]], ["experts", "mmap"])
        for side in saved["sides"]:
            self.assertEqual(len(side["runs"]), 2)
            self.assertEqual((side["prompt_tokens"], side["output_tokens"]), (12, 6))
            self.assertTrue(side["repeatable"])
            decode = side["figures"]["decode_tok_per_s"]
            self.assertTrue(0 < decode["min"] <= decode["median"] <= decode["max"])
        self.assertEqual(len({r["logits_digest"] for s in saved["sides"] for r in s["runs"]}), 1)
        self.assertEqual(saved["output"], {"same_logits": True, "same_text": True, "same_logits_computed_alike": None})

    def test_what_differs_by_repacking_is_checked_without(self):
        report = json.loads(self.bench("--mode", "resident", "--cache", "warm", "--json").stdout)
        output = report["output"]
        self.assertTrue(output["same_logits"] or output["same_logits_computed_alike"])
        self.assertEqual(report["settings"]["cache"], "warm")

    def test_the_baseline_alone(self):
        report = json.loads(self.bench("--baseline", "--json").stdout)
        self.assertEqual([s["mode"] for s in report["sides"]], ["mmap"])
        self.assertIsNone(report["output"]["same_logits"])
        self.assertIsNone(report["ratios"]["decode_tok_per_s"])

    def test_a_dangerous_baseline_is_refused(self):
        """A sparse copy larger than this machine's memory: its header is that of a model, nothing else is read."""
        path = os.path.join(MODELS, "bench-huge.gguf")
        with open(self.moe, "rb") as model, open(path, "wb") as huge:
            huge.write(model.read())
            try:
                huge.truncate(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") + (1 << 30))
            except OSError as error:
                self.skipTest("this file system has no sparse files of that size: %s" % error)
        try:
            done = run("bench", path, *SHORT, "--baseline")
        finally:
            os.remove(path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("would make the machine unusable", done.stderr)
        self.assertIn("--force", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_a_failing_run_is_explained(self):
        done = run("bench", self.moe, *SHORT, "--mode", "experts", "--ram", "1M")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "hypura: run 1 of 2, hypura failed with status 1: a budget of 1.05 MB does not hold")
        self.assertIn("hint: it needs at least", done.stderr)
        self.assertEqual(done.stdout, "")
        shown = run("bench", self.moe, *(o for o in SHORT if o != "--quiet"), "--mode", "experts", "--ram", "1M")
        self.assertRegex(shown.stderr, "(?m)^hypura: run 1 of 2")

    def test_a_chart_that_cannot_be_written_is_noticed_before(self):
        for command in (["bench", self.moe, *(o for o in SHORT if o != "--quiet")], ["iobench", self.moe]):
            done = run(*command, "--svg", "/nonexistent/chart.svg")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertEqual(done.stderr, "hypura: cannot write /nonexistent/chart.svg: No such file or directory\n")

    def children_of(self, pid):
        found = []
        for stat in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(stat, encoding="utf-8", errors="replace") as f:
                    text = f.read()
            except OSError:
                continue
            if int(text.rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(text.split()[0]))
        return found

    def test_children_end_with_their_parent(self):
        for signum in (signal.SIGTERM, signal.SIGKILL):
            bench = subprocess.Popen([HYPURA, "bench", self.moe, "-t", "1", "-n", "100000", "-c", "200000", "--quiet"],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            deadline = time.time() + 60
            children = []
            while not children and bench.poll() is None and time.time() < deadline:
                time.sleep(0.05)
                children = self.children_of(bench.pid)
            self.assertTrue(children, bench.poll())
            bench.send_signal(signum)
            bench.communicate(timeout=60)
            self.assertEqual(bench.returncode, 130 if signum == signal.SIGTERM else -signum)
            while any(os.path.exists("/proc/%d" % c) for c in children) and time.time() < deadline:
                time.sleep(0.05)
            self.assertFalse([c for c in children if os.path.exists("/proc/%d" % c)])


if __name__ == "__main__":
    unittest.main()

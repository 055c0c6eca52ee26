"""A model that fits: what hypura says is what llama.cpp says."""
import json
import subprocess
import os
import unittest

from support import BUILD, HYPURA, demo_model, interrupt_after, is_real, reference, run, run_json

PROMPTS = ["The capital of France is", "def fibonacci(n):", "Once upon a time, äöü € 😀, there was"]


class Resident(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = demo_model()

    def test_greedy_text_is_llama_completions(self):
        for prompt in PROMPTS:
            theirs = reference("llama-completion", "-m", self.model, "-p", prompt, "-n", "32", "--temp", "0", "-no-cnv",
                               "--no-display-prompt", "-t", "2", "-c", "4096").stdout
            ours = run_json(self.model, "-p", prompt, "-n", "32", "--temp", "0", "-t", "2")["text"]
            self.assertTrue(ours.strip())
            # The tool ends its output with a line of its own.
            self.assertEqual(ours.rstrip("\n"), theirs.rstrip("\n"))

    def test_logits_are_libllamas(self):
        for repack in (False, True):
            flags = ["--extra-bufts"] if repack else []
            theirs = json.loads(subprocess.run([os.path.join(BUILD, "tests/tools/logits-digest"), self.model, "--prompt", PROMPTS[0],
                                                "-n", "16", "--threads", "2", "--ignore-eos", *flags], capture_output=True, text=True, check=True).stdout)
            ours = run_json(self.model, "-p", PROMPTS[0], "-n", "16", "--temp", "0", "-t", "2", "--ignore-eos", "--logits-digest",
                            *([] if repack else ["--no-repack"]))
            self.assertEqual(ours["logits_digest"], theirs["digest"])

    def test_text_streams_as_it_is_reported(self):
        plain = run("run", self.model, "-p", PROMPTS[2], "-n", "24", "--temp", "0", "-q")
        self.assertEqual(plain.returncode, 0, plain.stderr)
        self.assertEqual(plain.stdout, run_json(self.model, "-p", PROMPTS[2], "-n", "24", "--temp", "0")["text"] + "\n")
        self.assertEqual(plain.stderr, "")

    def test_seed_decides(self):
        a, b, c = (run_json(self.model, "-p", PROMPTS[0], "-n", "24", "-s", seed, "--temp", "1.5")["text"] for seed in ("7", "7", "8"))
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)

    def test_stop_strings_end_the_text_before_them(self):
        whole = run_json(self.model, "-p", PROMPTS[0], "-n", "32", "--temp", "0")["text"]
        stop = whole[8:12]
        cut = run_json(self.model, "-p", PROMPTS[0], "-n", "32", "--temp", "0", "--stop", stop, "--stop", "never said")
        self.assertEqual(cut["text"], whole[:whole.index(stop)])
        self.assertEqual(cut["stop_reason"], "stop")

    def test_lengths(self):
        r = run_json(self.model, "-p", PROMPTS[0], "-n", "5", "--ignore-eos")
        self.assertEqual((r["output_tokens"], r["stop_reason"]), (5, "length"))
        self.assertEqual(run_json(self.model, "-p", PROMPTS[0], "-n", "0")["output_tokens"], 0)
        full = run_json(self.model, "-p", PROMPTS[0], "-n", "1000", "-c", "64", "--ignore-eos")
        self.assertEqual(full["stop_reason"], "length")
        self.assertLessEqual(full["prompt_tokens"] + full["output_tokens"], full_context(64) + 1)

    def test_a_prompt_beyond_the_context_is_refused(self):
        done = run("run", self.model, "-p", "word " * 600, "-c", "256")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^hypura: the prompt has \d+ tokens, more than the context of 256\nhint: try --context \d+\n$")

    def test_chat_uses_the_models_template(self):
        if not is_real(self.model):
            self.skipTest("the demo model could not be fetched")
        # What SmolLM2's own template makes of the message, its default system message included, written out.
        rendered = ("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
                    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n")
        chat = run_json(self.model, "--chat", "-p", "What is the capital of France?", "-n", "24", "--temp", "0")
        raw = run_json(self.model, "-p", rendered, "-n", "24", "--temp", "0")
        self.assertEqual((chat["text"], chat["prompt_tokens"]), (raw["text"], raw["prompt_tokens"]))
        theirs = reference("llama-completion", "-m", self.model, "-p", rendered, "-n", "24", "--temp", "0", "-no-cnv",
                           "--no-display-prompt", "-t", "2", "-c", "4096").stdout
        self.assertEqual(chat["text"].rstrip("\n"), theirs.rstrip("\n"))

    def test_ctrl_c_ends_the_answer_and_reports(self):
        out, err, status = interrupt_after(["run", self.model, "-p", PROMPTS[0], "-n", "100000", "-c", "16384", "--ignore-eos", "--json"], 4)
        self.assertEqual(status, 130, err)
        report = json.loads(out)
        self.assertEqual(report["stop_reason"], "interrupted")
        self.assertGreater(report["output_tokens"], 0)

    def test_a_closed_pipe_ends_it(self):
        p = subprocess.Popen([HYPURA, "run", self.model, "-p", PROMPTS[0], "-n", "100000", "--ignore-eos"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdout.read(8)
        p.stdout.close()
        self.assertNotEqual(p.wait(timeout=60), 0)
        p.stderr.close()


def full_context(n):
    """libllama rounds the context up to a multiple of 256."""
    return (n + 255) // 256 * 256


if __name__ == "__main__":
    unittest.main(verbosity=2)

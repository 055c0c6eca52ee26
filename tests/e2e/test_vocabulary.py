"""A tokenizer that would end the process inside libllama is a clear error instead, and one that works is not."""
import os
import sys
import tempfile
import unittest

from support import ROOT, run

sys.path.insert(0, os.path.join(ROOT, "tests/support"))
import gguf_bytes as g  # noqa: E402

BYTES = ["<0x%02X>" % i for i in range(256)]
SPM = [("tokenizer.ggml.model", g.STR, "llama"), ("tokenizer.ggml.merges", (g.ARR, g.STR), None), ("tokenizer.ggml.pre", g.STR, None),
       ("tokenizer.ggml.tokens", (g.ARR, g.STR), BYTES), ("tokenizer.ggml.scores", (g.ARR, g.F32), [0.0] * 256),
       ("tokenizer.ggml.token_type", (g.ARR, g.I32), [6] * 256)]
UNIGRAM = [("tokenizer.ggml.model", g.STR, "t5") if item[0] == "tokenizer.ggml.model" else item for item in SPM]
BEGIN = ("tokenizer.ggml.add_bos_token", g.BOOL, 1)
END = ("tokenizer.ggml.add_eos_token", g.BOOL, 1)


class Vocabulary(unittest.TestCase):
    def generate(self, extra, vocab=256):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "m.gguf")
            with open(path, "wb") as f:
                f.write(g.build(g.llama_meta(vocab=vocab, extra=extra), g.dense_tensors(vocab=vocab)))
            return run("run", path, "-p", "abc", "-n", "2", "-q", "-t", "1", "-c", "64")

    def refused(self, extra, words, vocab=256):
        done = self.generate(extra, vocab)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertRegex(done.stderr, rf"\Ahypura: .*{words}.*\n(hint: .*\n)?\Z")

    def test_no_tokenizer(self):
        for name in ("none", "no_vocab"):
            self.refused([("tokenizer.ggml.model", g.STR, name), ("llama.vocab_size", g.U32, 256)], "no tokenizer")
        self.refused([("tokenizer.ggml.model", g.STR, None)], "tokenizer")
        self.refused([("tokenizer.ggml.model", g.STR, "klingon")], "tokenizer")

    def test_special_tokens_that_are_not_there(self):
        # A unigram tokenizer has no first token of its own; byte pairs take number 11 for both when the file names none.
        self.refused(UNIGRAM + [BEGIN], "begin with a token that its vocabulary does not have")
        self.refused([BEGIN], "begin with a token that its vocabulary does not have", vocab=8)
        self.refused([END], "end with a token that its vocabulary does not have", vocab=8)

    def test_what_is_there_works(self):
        for extra in (SPM + [BEGIN, END], SPM + [(BEGIN[0], g.BOOL, 0)], [BEGIN, END]):
            done = self.generate(extra)
            self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
"""Golden tests of the command line: what a command prints and how it ends, compared with tests/cli/golden/NAME.txt.

A golden file holds the command, its exit status, its standard output and its standard error. After an intended change run

    HYPURA_BUILD=build HYPURA_UPDATE_GOLDEN=1 python3 tests/cli/test_cli.py

and read the difference before committing it. Commands run in a folder of their own that holds the models of models().
"""
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import gguf_bytes as gguf  # noqa: E402

GOLDEN = os.path.join(HERE, "golden")
HYPURA = os.path.join(os.path.abspath(os.environ.get("HYPURA_BUILD", "build")), "hypura")
UPDATE = os.environ.get("HYPURA_UPDATE_GOLDEN") == "1"

# Every case: name, arguments, further environment. The name is the golden file's.
CASES = [
    ("no-arguments", [], {}),
    ("help", ["help"], {}),
    ("help-inspect", ["help", "inspect"], {}),
    ("help-by-option", ["inspect", "--help"], {}),
    ("help-of-a-typo", ["help", "inspct"], {}),
    ("help-of-nothing", ["help", "nothing"], {}),
    ("version", ["version"], {}),
    ("version-by-option", ["--version"], {}),
    ("unknown-command", ["inspekt"], {}),
    ("unknown-command-far", ["zzzzzzzz"], {}),
    ("unknown-option", ["inspect", "dense.gguf", "--tensor"], {}),
    ("option-without-value", ["inspect", "--model"], {}),
    ("flag-with-value", ["inspect", "dense.gguf", "--json=yes"], {}),
    ("size-of-nothing", ["inspect", "dense.gguf", "--ram", "0"], {}),
    ("two-models", ["inspect", "dense.gguf", "experts.gguf"], {}),
    ("too-many-words", ["inspect", "a", "b", "c", "d", "e"], {}),
    ("inspect-no-model", ["inspect"], {}),
    ("inspect-dense", ["inspect", "dense.gguf", "--no-plan"], {}),
    ("inspect-by-option", ["inspect", "-m", "dense.gguf", "--no-plan"], {}),
    ("inspect-experts", ["inspect", "experts.gguf", "--no-plan"], {}),
    ("inspect-experts-tensors", ["inspect", "experts.gguf", "--tensors", "--no-plan"], {}),
    ("inspect-narrow", ["inspect", "mixed.gguf", "--no-plan"], {"COLUMNS": "60"}),
    ("inspect-json", ["inspect", "experts.gguf", "--json", "--no-plan"], {}),
    ("inspect-json-tensors", ["inspect", "dense.gguf", "--json", "--tensors", "--no-plan"], {}),
    ("inspect-split", ["inspect", "split-00001-of-00002.gguf", "--tensors", "--no-plan"], {}),
    ("inspect-second-part", ["inspect", "split-00002-of-00002.gguf"], {}),
    ("inspect-part-missing", ["inspect", "half-00001-of-00002.gguf"], {}),
    ("inspect-missing", ["inspect", "missing.gguf"], {}),
    ("inspect-folder", ["inspect", "."], {}),
    ("inspect-empty", ["inspect", "empty.gguf"], {}),
    ("inspect-text", ["inspect", "readme.md"], {}),
    ("inspect-truncated", ["inspect", "truncated.gguf"], {}),
    ("inspect-hostile", ["inspect", "hostile.gguf"], {}),
    ("inspect-device", ["inspect", "/dev/null"], {}),
    ("iobench-no-file", ["iobench"], {}),
    ("iobench-missing", ["iobench", "missing.bin"], {}),
    ("iobench-small", ["iobench", "dense.gguf"], {}),
    ("iobench-two-files", ["iobench", "a", "b"], {}),
    ("iobench-no-amount", ["iobench", "dense.gguf", "--read-gb", "0"], {}),
    ("help-iobench", ["help", "iobench"], {}),
    ("help-bench", ["help", "bench"], {}),
    ("help-optimize", ["help", "optimize"], {}),
    ("optimize-no-model", ["optimize"], {}),
    ("optimize-no-place", ["optimize", "experts.gguf", "--in-gguf"], {}),
    ("bench-no-model", ["bench"], {}),
    ("bench-missing", ["bench", "missing.gguf"], {}),
    ("bench-context", ["bench", "dense.gguf", "--prompt-tokens", "2000"], {}),
    ("bench-no-folder", ["bench", "dense.gguf", "--out", "missing/folder"], {}),
    ("inspect-plan", ["inspect", "experts.gguf", "--ram", "1G", "--disk-rate", "1G", "--cpu-rate", "10G"], {}),
    ("inspect-too-small", ["inspect", "experts.gguf", "--ram", "1M", "--disk-rate", "1G", "--cpu-rate", "10G"], {}),
    ("estimate-resident", ["estimate", "dense.gguf", "--ram", "1G", "--disk-rate", "1G", "--cpu-rate", "10G"], {}),
    ("estimate-gpu", ["estimate", "dense.gguf", "--ram", "1G", "--disk-rate", "1G", "--cpu-rate", "10G", "--device",
                      "gpu:8G:300G"], {}),
    ("estimate-vram", ["estimate", "dense.gguf", "--ram", "1G", "--disk-rate", "1G", "--cpu-rate", "10G", "--vram", "8G"], {}),
    ("inspect-imagined-devices", ["inspect", "experts.gguf", "--ram", "1G", "--disk-rate", "1G", "--cpu-rate", "10G", "--device",
                                  "apu:8G:80G:unified", "--device", "pc:8G:20G:remote", "--vram", "16G"], {}),
    ("estimate-no-kind", ["estimate", "dense.gguf", "--ram", "1G", "--disk-rate", "1G", "--cpu-rate", "10G", "--device",
                          "pc:8G:20G:far"], {}),
    ("inspect-no-address", ["inspect", "dense.gguf", "--ram", "1G", "--disk-rate", "1G", "--cpu-rate", "10G", "--rpc", "host"], {}),
    ("estimate-json", ["estimate", "experts.gguf", "--ram", "1G", "--disk-rate", "1G", "--cpu-rate", "10G", "--json"], {}),
    ("estimate-too-small", ["estimate", "dense.gguf", "--ram", "1M", "--disk-rate", "1G", "--cpu-rate", "10G"], {}),
    ("estimate-too-small-for-all", ["estimate", "dense.gguf", "--ram", "1M", "--disk-rate", "1G", "--cpu-rate", "10G", "--mode",
                                    "resident"], {}),
    ("estimate-wrong-mode", ["estimate", "dense.gguf", "--ram", "1G", "--disk-rate", "1G", "--cpu-rate", "10G", "--mode",
                             "experts"], {}),
    ("estimate-no-device", ["estimate", "dense.gguf", "--ram", "1G", "--disk-rate", "1G", "--cpu-rate", "10G", "--device",
                            "gpu9"], {}),
    ("help-replay", ["help", "replay"], {}),
    ("replay", ["replay", "routing.trace", "--ram", "700M", "--disk-rate", "1.4G", "--compute-time", "20",
                "--policy", "lru"], {}),
    ("replay-json", ["replay", "routing.trace", "--ram", "300M", "--disk-rate", "1G", "--policy", "belady",
                     "--prefetch", "off", "--json"], {}),
    ("replay-no-trace", ["replay"], {}),
    ("replay-no-rate", ["replay", "routing.trace", "--ram", "1G"], {}),
    ("replay-no-room", ["replay", "routing.trace", "--ram", "1M", "--disk-rate", "1G"], {}),
    ("replay-other-file", ["replay", "dense.gguf", "--ram", "1G", "--disk-rate", "1G"], {}),
    ("inspect-error-in-json", ["inspect", "missing.gguf", "--json"], {}),
]


def models():
    """The files that the commands see: name -> bytes."""
    u16, i32 = gguf.U16, gguf.I32
    experts = [("llama.expert_count", gguf.U32, 4), ("llama.expert_used_count", gguf.U32, 2)]
    dense = gguf.build(gguf.llama_meta(), gguf.dense_tensors())
    tensors = gguf.dense_tensors()

    def part(no, meta=(), which=None):
        extra = [("split.no", u16, no), ("split.count", u16, 2), ("split.tensors.count", i32, len(tensors)), *meta]
        return gguf.build(gguf.llama_meta(extra=extra), which)
    mixed = [t[:2] + ((gguf.TYPE_F16,) if t[0].startswith(("blk.1.", "blk.4.")) and t[2] != gguf.TYPE_F32 else t[2:])
             for t in gguf.dense_tensors(layers=9)]
    hostile = gguf.build(gguf.llama_meta(extra=[("general.name", gguf.STR, "\x1b[31mred\n")]), tensors, n_tensors=1 << 40)
    return {
        "dense.gguf": dense,
        "routing.trace": open(os.path.join(HERE, "..", "data", "routing-smollm2-32x4.trace"), "rb").read(),
        "experts.gguf": gguf.build(gguf.llama_meta(extra=experts), gguf.moe_tensors()),
        "mixed.gguf": gguf.build(gguf.llama_meta(layers=9), mixed),
        "split-00001-of-00002.gguf": part(0, which=tensors[:7]),
        "split-00002-of-00002.gguf": part(1, which=tensors[7:]),
        "half-00001-of-00002.gguf": part(0, which=tensors[:7]),
        "empty.gguf": b"",
        "readme.md": b"# A model\n\nThis is a model card.\n",
        "truncated.gguf": dense[:-9000],
        "hostile.gguf": hostile,
    }


def stable(text):
    """Without what differs between machines: versions and commits."""
    text = re.sub(r"(?m)^hypura \d+\.\d+\.\d+$", "hypura VERSION", text)
    return re.sub(r"(?m)^llama\.cpp: .*$", "llama.cpp: VERSION", text)


class CommandLine(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="hypura-cli-")
        for name, data in models().items():
            with open(os.path.join(cls.folder, name), "wb") as out:
                out.write(data)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def run_hypura(self, args, env=None, **how):
        plain = {"PATH": os.environ["PATH"], "HOME": self.folder, "LC_ALL": "C", "COLUMNS": "100"}
        plain.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        plain.update(env or {})
        how.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([HYPURA, *args], cwd=self.folder, env=plain, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              timeout=120, check=False, **how)

    def test_golden(self):
        for name, args, env in CASES:
            with self.subTest(name):
                done = self.run_hypura(args, env)
                shown = "".join("%s=%s " % item for item in env.items()) + " ".join(["hypura", *args])
                got = "$ %s\nexit status %d\n--- standard output\n%s--- standard error\n%s" % (
                    shown, done.returncode, stable(done.stdout.decode()), stable(done.stderr.decode()))
                path = os.path.join(GOLDEN, name + ".txt")
                if UPDATE:
                    with open(path, "w", encoding="utf-8") as out:
                        out.write(got)
                    continue
                with open(path, encoding="utf-8") as golden:
                    self.assertEqual(golden.read(), got)

    @unittest.skipIf(UPDATE, "they are being written")
    def test_every_golden_file_has_a_case(self):
        self.assertEqual(sorted(os.listdir(GOLDEN)), sorted(case[0] + ".txt" for case in CASES))

    def test_json_adds_up(self):
        report = json.loads(self.run_hypura(["inspect", "experts.gguf", "--json", "--tensors"]).stdout)
        self.assertEqual(sum(r["bytes"] for r in report["roles"]), report["model"]["tensor_bytes"])
        self.assertEqual(sum(r["touched_bytes"] for r in report["roles"]), report["touched_bytes"])
        self.assertEqual(sum(t["bytes"] for t in report["tensors"]), report["model"]["tensor_bytes"])
        self.assertEqual(len(report["layers"]), report["model"]["n_layers"])
        size = os.path.getsize(os.path.join(self.folder, "experts.gguf"))
        self.assertEqual(report["model"]["bytes"], size)
        for tensor in report["tensors"]:
            self.assertLessEqual(tensor["offset"] + tensor["bytes"], size)
            self.assertEqual(tensor["n_experts"] * tensor["expert_bytes"],
                             tensor["bytes"] if tensor["role"] == "routed expert" else 0)

    def test_a_file_larger_than_memory(self):
        """270 GB, almost all of it a hole: only the header may be read."""
        tensors, offset = [("token_embd.weight", [32, 16], gguf.TYPE_F16, 0)], 1024
        for i in range(2):
            tensors.append(("blk.%d.ffn_up_exps.weight" % i, [4096, 16384, 1000], gguf.TYPE_F16, offset))
            offset += 4096 * 16384 * 1000 * 2
        extra = [("llama.expert_count", gguf.U32, 1000), ("llama.expert_used_count", gguf.U32, 4)]
        data = gguf.build(gguf.llama_meta(extra=extra), tensors, data=False)
        path = os.path.join(self.folder, "huge.gguf")
        with open(path, "wb") as out:
            out.write(data)
            try:
                out.truncate(len(data) + gguf.pad(len(data), 32) + offset)
            except OSError as error:
                self.skipTest("this file system has no sparse files of 270 GB: %s" % error)
        done = self.run_hypura(["inspect", "huge.gguf", "--json"])
        os.remove(path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(json.loads(done.stdout)["model"]["bytes"], 260e9)
        # The largest of all children so far; a sanitizer's shadow memory does not count as ours.
        if not any(k.endswith("SAN_OPTIONS") for k in os.environ):
            self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, 200 * 1024)

    def test_iobench_measures_a_file(self):
        with tempfile.TemporaryDirectory(dir=os.path.dirname(HYPURA)) as folder:
            with open(os.path.join(folder, "data.bin"), "wb") as f:
                f.write(os.urandom(2 << 20))
            command = [HYPURA, "iobench", "data.bin", "--read-gb", "0.001", "--json", "--svg", "chart.svg"]
            result = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)
            chart = xml.dom.minidom.parse(os.path.join(folder, "chart.svg")).documentElement
        self.assertEqual(result["bytes"], 2 << 20)
        self.assertEqual({p["cache"] for p in result["points"]}, {"direct", "cold", "warm"})
        self.assertTrue({"threads", "plain"} <= {p["method"] for p in result["points"]})
        self.assertTrue(all(p["bytes_per_s"] > 0 for p in result["points"]))
        chosen = result["recommended"]
        self.assertIn(chosen["chunk_bytes"], {p["size_bytes"] for p in result["points"]})
        self.assertTrue(2 <= chosen["prefetch_depth"] <= chosen["depth"])
        self.assertEqual(chart.tagName, "svg")
        self.assertGreaterEqual(len(chart.getElementsByTagName("polyline")), 4)

    @unittest.skipIf(os.geteuid() == 0, "root may read everything")
    def test_no_permission(self):
        path = os.path.join(self.folder, "secret.gguf")
        shutil.copy(os.path.join(self.folder, "dense.gguf"), path)
        os.chmod(path, 0)
        done = self.run_hypura(["inspect", "secret.gguf"])
        os.remove(path)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"Permission denied", done.stderr)

    def test_a_pipe_is_no_file(self):
        """One without a writer: it must not be waited for."""
        path = os.path.join(self.folder, "pipe")
        os.mkfifo(path)
        for args in (["inspect", "pipe"], ["iobench", "pipe"], ["replay", "pipe", "--ram", "1G", "--disk-rate", "1G"], ["list", "pipe"]):
            done = self.run_hypura(args)
            self.assertEqual(done.returncode, 1, args)
            self.assertIn(b"pipe", done.stderr)
        os.remove(path)

    def test_names_cannot_steer_the_terminal(self):
        data = gguf.build(gguf.llama_meta(extra=[("general.name", gguf.STR, b"\x1b[31mred\n\xc2\x9b\xff")]), gguf.dense_tensors())
        with open(os.path.join(self.folder, "steer.gguf"), "wb") as out:
            out.write(data)
        for args in (["inspect", "steer.gguf"], ["inspect", "steer.gguf", "--json"]):
            text = self.run_hypura(args).stdout.decode()  # throws on what is not UTF-8
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
            self.assertIn("?[31mred?", text)
        os.remove(os.path.join(self.folder, "steer.gguf"))

    def test_nothing_is_written_over_a_model(self):
        with open(os.path.join(self.folder, "dense.gguf"), "rb") as f:
            before = f.read()
        for args in (["inspect", "dense.gguf", "--svg", "dense.gguf"], ["estimate", "dense.gguf", "--svg", "dense.gguf"],
                     ["iobench", "dense.gguf", "--svg", "dense.gguf"], ["bench", "dense.gguf", "--svg", "dense.gguf"],
                     ["run", "dense.gguf", "-p", "x", "--mode", "experts", "--trace", "dense.gguf"]):
            done = self.run_hypura(args)
            self.assertEqual(done.returncode, 1, args)
            self.assertIn(b"dense.gguf is a model and will not be overwritten\n", done.stderr, args)
            with open(os.path.join(self.folder, "dense.gguf"), "rb") as f:
                self.assertEqual(f.read(), before, args)

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "wb") as full:
            for args in (["inspect", "dense.gguf"], ["inspect", "dense.gguf", "--json"], ["version"]):
                done = self.run_hypura(args, stdout=full)
                self.assertEqual(done.returncode, 1, args)
                self.assertEqual(done.stderr, b"hypura: cannot write to standard output: No space left on device\n", args)

    def test_a_closed_output_is_an_error(self):
        for args in (["inspect", "dense.gguf", "--no-plan"], ["version"]):
            done = self.run_hypura(args, stdout=None, preexec_fn=lambda: os.close(1))
            self.assertEqual(done.returncode, 1, args)
            self.assertIn(b"cannot write to standard output", done.stderr)

    def completion(self, shell):
        return self.run_hypura(["help", "completion", shell]).stdout.decode()

    def commands(self):
        return re.findall(r"(?m)^  (\w+) ", self.run_hypura(["help"]).stdout.decode())

    def test_completion_of_bash(self):
        def complete(*words):
            script = self.completion("bash") + '\nCOMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _hypura; echo "${COMPREPLY[@]}"'
            done = subprocess.run(["bash", "-c", script, "bash", *words], cwd=self.folder, capture_output=True, check=True)
            self.assertEqual(done.stderr, b"")
            return done.stdout.decode().split()
        self.assertEqual(complete("hypura", "b"), ["bench"])
        self.assertEqual(complete("hypura", "help", "b"), ["bench"])
        self.assertEqual(complete("hypura", "run", "--mode", "re"), ["resident"])
        self.assertEqual(complete("hypura", "replay", "--policy", "b"), ["belady"])
        self.assertEqual(complete("hypura", "run", "--disk"), [])
        self.assertEqual(complete("hypura", "inspect", "--disk"), ["--disk-rate"])
        self.assertEqual(complete("hypura", "inspect", "read"), ["readme.md"])

    def test_completion_of_fish(self):
        """One command a line, each with all its quotes closed: an apostrophe in a text once swallowed what followed."""
        described = {}
        for line in self.completion("fish").splitlines():
            words = shlex.split(line)
            self.assertEqual(words[:3], ["complete", "-c", "hypura"])
            if "__fish_use_subcommand" in words:
                described[words[words.index("-a") + 1]] = words[words.index("-d") + 1]
        self.assertEqual(list(described), self.commands())
        self.assertIn("model's", described["optimize"])

    def test_completion_of_zsh(self):
        script = self.completion("zsh")
        self.assertTrue(script.startswith("#compdef hypura\n"))
        for shell in ("bash", "zsh"):  # what is quoted is quoted alike
            if shutil.which(shell):
                subprocess.run([shell, "-n"], input=script.encode(), check=True)

    def test_every_command_has_a_man_page(self):
        with open(os.path.join(HERE, "..", "..", "man", "meson.build"), encoding="utf-8") as f:
            installed = re.search(r"foreach c : \[(.*?)\]", f.read(), re.S).group(1)
        self.assertEqual(sorted(re.findall(r"'(\w+)'", installed)), sorted(self.commands()))
        for command in self.commands():
            page = self.run_hypura(["help", "man", command]).stdout.decode()
            self.assertIn("hypura\\-%s \\- " % command, page)
            self.assertNotRegex(page, r"(?m)^[^.].*[^\\]--")  # copied from a page, a bare hyphen may be another character


if __name__ == "__main__":
    unittest.main()

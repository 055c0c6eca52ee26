"""The packed copy of a model's experts: the same logits with it as without, and never a wrong one whatever happens to it."""
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from support import BUILD, HYPURA, MODELS, demo_model, is_real, make_model, reference, run
from test_streaming import MOE, PROMPT, digest, least_budget

SMALL = {name: MOE[name] for name in ("moe8", "moe128", "shared", "biased", "merged", "mla")}
DENSE = ["--arch", "llama", "--layers", "32", "--width", "512", "--ffn", "2048"]


def packed(model):
    return model + ".packed"


def read(path):
    with open(path, "rb") as f:
        return f.read()


def forget(model):
    for path in (packed(model), packed(model) + ".partial"):
        if os.path.exists(path):
            os.remove(path)


def optimize(model, *args, status=0):
    done = run("optimize", model, *args)
    if done.returncode != status:
        raise AssertionError(f"optimize {args}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Packed(unittest.TestCase):
    def fresh(self, name, args):
        model = make_model(name, *args)
        forget(model)
        self.addCleanup(forget, model)
        return model

    def test_every_shape(self):
        for name, args in SMALL.items():
            with self.subTest(name):
                model = self.fresh(name, args)
                tight = str(least_budget(model, "experts"))
                wanted, _ = digest(model, "--mode", "mmap")
                optimize(model, "-q")
                for ram in (["--ram", tight], []):
                    got, report = digest(model, "--mode", "experts", "--no-memory", *ram)
                    self.assertEqual(got, wanted)
                    self.assertEqual((report["sidecar"]["used"], report["sidecar"]["path"]), (True, packed(model)))
                    self.assertGreater(report["sidecar"]["bytes_read"], 0)
                    without, plain = digest(model, "--mode", "experts", "--no-memory", "--no-sidecar", *ram)
                    self.assertEqual((without, plain["sidecar"]["used"]), (wanted, False))
                # What streams comes from the copy alone: beside it only what is always needed was read.
                self.assertGreaterEqual(report["sidecar"]["bytes_read"], report["cache"]["miss_bytes"])

    def test_every_backend_policy_and_batch(self):
        model = self.fresh("moe64", MOE["moe64"])
        tight = str(least_budget(model, "experts"))
        wanted, _ = digest(model, "--mode", "mmap")
        optimize(model, "-q")
        for extra in (["--io", "io_uring"], ["--io", "threads"], ["--io", "plain"], ["--no-prefetch"], ["--policy", "lru"]):
            done = run("run", model, "-p", "x", "-n", "1", "--mode", "experts", *extra[:2], "--no-memory", "-q")
            if extra[0] == "--io" and done.returncode != 0 and "io_uring" in done.stderr:
                continue  # the kernel refuses it
            got, report = digest(model, "--mode", "experts", "--ram", tight, "--no-memory", *extra)
            self.assertEqual((got, report["sidecar"]["used"]), (wanted, True), extra)
        for batch in ("1", "64"):
            wanted, _ = digest(model, "--mode", "mmap", "-b", batch, prompt=PROMPT * 6, n="2")
            got, report = digest(model, "--mode", "experts", "-b", batch, "--no-memory", prompt=PROMPT * 6, n="2")
            self.assertEqual((got, report["sidecar"]["used"]), (wanted, True), batch)

    def test_whole_experts_are_fewer_reads(self):
        """The governor tries both ways within the first hundred tokens: fewer reads for the same bytes, the same words."""
        model = self.fresh("moe64", MOE["moe64"])
        ram = str(least_budget(model, "experts"))
        optimize(model, "-q")
        got, report = digest(model, "--mode", "experts", "--no-memory", "--ram", ram, "--no-prefetch", n="64")
        wanted, plain = digest(model, "--mode", "experts", "--no-memory", "--ram", ram, "--no-prefetch", "--no-sidecar", n="64")
        self.assertEqual(got, wanted)
        self.assertLess(report["io"]["reads"], 0.9 * plain["io"]["reads"])

    def test_dense_layers(self):
        model = self.fresh("packed-dense", DENSE)
        wanted, _ = digest(model, "--mode", "mmap")
        optimize(model, "-q")
        least = least_budget(model, "ffn")
        for extra in (0, 4_000_000):
            got, report = digest(model, "--mode", "ffn", "--ram", str(least + extra))
            self.assertEqual((got, report["sidecar"]["used"]), (wanted, True))
            self.assertGreater(report["sidecar"]["bytes_read"], 0)

    def test_no_other_file_is_written_over(self):
        """Neither the model itself, whatever it is called, nor anything that optimize has not made."""
        model = self.fresh("moe8", MOE["moe8"])
        with tempfile.TemporaryDirectory(dir=os.path.dirname(model)) as folder:
            copy, link, other = (os.path.join(folder, name) for name in ("model.gguf", "link.gguf", "notes.txt"))
            shutil.copy(model, copy)
            os.link(copy, link)
            with open(other, "w") as f:
                f.write("kept")
            for args in (["-o", copy], ["-o", link], ["-o", other], ["--in-gguf", "-o", copy], ["--in-gguf", "-o", link],
                         ["--in-gguf", "-o", "/dev/null"]):
                done = optimize(copy, "--force", *args, status=2)
                self.assertIn("hint: choose another name", done.stderr)
            with open(copy, "rb") as a, open(model, "rb") as b:
                self.assertEqual(a.read(), b.read())
            with open(other) as f:
                self.assertEqual(f.read(), "kept")
            optimize(copy, "--force", "--in-gguf", "-o", other)  # which --force is for
            self.assertEqual(sorted(os.listdir(folder)), ["link.gguf", "model.gguf", "notes.txt"])

    def test_in_the_order_of_a_trace(self):
        model = self.fresh("moe64", MOE["moe64"])
        trace = os.path.join(os.path.dirname(model), "optimize.trace")
        wanted, _ = digest(model, "--mode", "mmap")
        digest(model, "--mode", "experts", "--no-memory", "--trace", trace, n="24")
        optimize(model, "-q")
        by_number = read(packed(model))
        optimize(model, "-q", "--trace", trace)
        self.assertNotEqual(read(packed(model)), by_number)
        shown = json.loads(run("inspect", model, "--json", "--no-plan").stdout)["sidecar"]
        self.assertEqual((shown["state"], shown["order"]), ("present", "by trace"))
        got, report = digest(model, "--mode", "experts", "--no-memory")
        self.assertEqual((got, report["sidecar"]["used"]), (wanted, True))
        optimize(make_model("moe8", *MOE["moe8"]), "-q", "--trace", trace, status=2)
        os.remove(trace)

    def test_stale_and_damaged_copies_are_left(self):
        model = self.fresh("packed-stale", MOE["moe8"])
        wanted, _ = digest(model, "--mode", "mmap")
        optimize(model, "-q")
        os.utime(model, ns=(0, os.stat(model).st_mtime_ns + 7))
        done = run("run", model, "-p", "x", "-n", "1", "--mode", "experts", "--no-memory")
        self.assertEqual((done.returncode, done.stderr.count("the packed copy is not used")), (0, 1), done.stderr)
        got, report = digest(model, "--mode", "experts", "--no-memory")
        self.assertEqual((got, report["sidecar"]["used"]), (wanted, False))
        self.assertIn("written to", report["sidecar"]["why"])
        self.assertIn("stale", run("inspect", model, "--no-plan").stdout)
        # The same content as before: compared and taken over.
        again = json.loads(optimize(model, "--json").stdout)
        self.assertEqual(again["resumed_bytes"] > 0, True)
        self.assertTrue(digest(model, "--mode", "experts", "--no-memory")[1]["sidecar"]["used"])
        good = read(packed(model))
        draw = random.Random(1)
        for attempt in range(12):
            data = bytearray(good)
            kind = attempt % 4
            if kind == 0:  # one byte of the pages
                data[draw.randrange(16384, len(data))] ^= 1 << draw.randrange(8)
            elif kind == 1:  # many of them
                for _ in range(2000):
                    data[draw.randrange(len(data))] ^= 0xff
            elif kind == 2:
                del data[draw.randrange(len(data)):]
            else:
                start = draw.randrange(len(data))
                data[start:start + 70000] = bytes(len(data[start:start + 70000]))
            with open(packed(model), "wb") as out:
                out.write(data)
            got, report = digest(model, "--mode", "experts", "--no-memory")
            self.assertEqual(got, wanted, f"attempt {attempt}")

    def test_a_changed_model_is_noticed(self):
        model = self.fresh("packed-changed", MOE["moe8"])
        optimize(model, "-q")
        stat = os.stat(model)
        with open(model, "r+b") as f:
            f.seek(stat.st_size // 2 + 999)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 0x01]))
        wanted, _ = digest(model, "--mode", "mmap")
        got, report = digest(model, "--mode", "experts", "--no-memory")
        self.assertEqual((got, report["sidecar"]["used"]), (wanted, False))
        done = optimize(model, "-q", status=1)  # the old pages are compared with the model, and are not its any more
        self.assertIn("not the model's", done.stderr)
        optimize(model, "-q")
        got, report = digest(model, "--mode", "experts", "--no-memory")
        self.assertEqual((got, report["sidecar"]["used"]), (wanted, True))
        os.remove(model)
        os.remove(model + ".args")

    def test_faults(self):
        model = self.fresh("moe64", MOE["moe64"])
        tight = str(least_budget(model, "experts"))
        wanted, _ = digest(model, "--mode", "mmap")
        optimize(model, "-q")
        for faults in ("delay=3,us=3000,random,seed=5", "short=2,seed=7", "fail=2,class=prefetch"):
            got, report = digest(model, "--mode", "experts", "--ram", tight, "--io-faults", faults, "--no-memory")
            self.assertEqual(got, wanted, faults)
        # When the model's own file fails too, it ends in an error, not in words.
        done = run("run", model, "-p", PROMPT, "-n", "8", "--mode", "experts", "--ram", tight, "--io-faults", "fail=2",
                   "--no-memory", "-q")
        self.assertEqual(done.returncode, 1)

    def test_named_and_absent(self):
        model = self.fresh("moe8", MOE["moe8"])
        elsewhere = os.path.join(os.path.dirname(model), "elsewhere.bin")
        wanted, _ = digest(model, "--mode", "mmap")
        optimize(model, "-q", "-o", elsewhere)
        got, report = digest(model, "--mode", "experts", "--sidecar", elsewhere, "--no-memory")
        self.assertEqual((got, report["sidecar"]["path"]), (wanted, elsewhere))
        got, report = digest(model, "--mode", "experts", "--no-memory")  # found again where it was put
        self.assertEqual((got, report["sidecar"]["used"]), (wanted, True))
        os.remove(elsewhere)
        done = run("run", model, "-p", "x", "-n", "1", "--mode", "experts", "--sidecar", elsewhere)
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no sidecar", done.stderr)
        self.assertFalse(digest(model, "--mode", "experts", "--no-memory")[1]["sidecar"]["used"])

    def test_a_dry_run_writes_nothing(self):
        model = self.fresh("moe64", MOE["moe64"])
        told = json.loads(optimize(model, "--dry-run", "--json", "-c", "1024", "--ram", str(least_budget(model, "experts"))).stdout)
        self.assertFalse(told["written"])
        self.assertFalse(os.path.exists(packed(model)) or os.path.exists(packed(model) + ".partial"))
        self.assertGreater(told["needed_bytes"], 0)
        self.assertGreater(told["gain"]["read_bytes_then"], told["gain"]["read_bytes_now"])
        estimate = json.loads(run("estimate", model, "--json", "-q", "-c", "1024", "--ram", str(least_budget(model, "experts"))).stdout)
        self.assertEqual(estimate["sidecar"]["state"], "absent")
        self.assertEqual(estimate["sidecar"]["gain"]["read_bytes_then"], told["gain"]["read_bytes_then"])


class Interrupted(unittest.TestCase):
    """Killed and stopped at any time, the file that comes out in the end is the same."""
    ARGS = ["--arch", "qwen3moe", "--layers", "6", "--width", "512", "--experts", "64", "--used", "4", "--expert-width", "512",
            "-q", "Q8_0"]  # 310 MB
    SLOW = ["--io", "threads", "--io-faults", "delay=1,us=8000"]

    @classmethod
    def setUpClass(cls):
        cls.model = make_model("interrupted", *cls.ARGS)
        forget(cls.model)
        optimize(cls.model, "-q")
        cls.whole = packed(cls.model) + ".whole"
        os.rename(packed(cls.model), cls.whole)

    @classmethod
    def tearDownClass(cls):
        forget(cls.model)
        os.remove(cls.whole)
        os.remove(cls.model)
        os.remove(cls.model + ".args")

    def same(self):
        return subprocess.run(["cmp", "-s", self.whole, packed(self.model)]).returncode == 0

    def stop(self, signum, seconds):
        p = subprocess.Popen([HYPURA, "optimize", self.model, *self.SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        partial = packed(self.model) + ".partial"
        end = time.time() + 60
        while not os.path.exists(partial) and time.time() < end and p.poll() is None:
            time.sleep(0.01)
        time.sleep(seconds)
        p.send_signal(signum)
        out, err = p.communicate(timeout=60)
        return p.returncode, err

    def test_killed(self):
        for seconds in (0.0, 0.3, 1.0):
            forget(self.model)
            status, _ = self.stop(signal.SIGKILL, seconds)
            self.assertEqual(status, -signal.SIGKILL)
            self.assertFalse(os.path.exists(packed(self.model)))
            self.assertIn("partial", run("inspect", self.model, "--no-plan").stdout)
            optimize(self.model, "-q")
            self.assertTrue(self.same(), seconds)

    def test_stopped(self):
        forget(self.model)
        status, err = self.stop(signal.SIGINT, 0.5)
        self.assertEqual(status, 130, err)
        self.assertIn(".partial", err)
        self.assertIn("goes on where it stopped", err)
        told = json.loads(optimize(self.model, "--json").stdout)
        self.assertGreater(told["resumed_bytes"], 0)
        self.assertTrue(self.same())


class Gguf(unittest.TestCase):
    """The whole model once more: llama.cpp reads it with the same result."""

    def check(self, model):
        out = os.path.join(os.path.dirname(model), "aligned.gguf")
        if os.path.exists(out):
            os.remove(out)
        optimize(model, "--in-gguf", "-o", out, "-q")
        wanted, _ = digest(model, "--mode", "mmap")
        self.assertEqual(digest(out, "--mode", "mmap")[0], wanted)
        if "experts" in run("inspect", out, "--no-plan").stdout:
            self.assertEqual(digest(out, "--mode", "experts", "--no-memory")[0], wanted)
        tool = os.path.join(BUILD, "tests/tools/logits-digest")
        of = [subprocess.run([tool, m, "--prompt", PROMPT, "-n", "6"], capture_output=True, check=True).stdout for m in (model, out)]
        self.assertEqual(*of)
        self.assertEqual(run("optimize", model, "--in-gguf", "-o", out, "-q").returncode, 2)  # there already
        os.remove(out)

    def test_shapes(self):
        for name in ("moe8", "moe128", "biased", "merged"):
            with self.subTest(name):
                self.check(make_model(name, *MOE[name]))

    def test_dense(self):
        self.check(make_model("packed-dense", *DENSE))

    def test_llama_cpp_reads_it(self):
        model = demo_model()
        if not is_real(model):
            self.skipTest("the demo model could not be fetched")
        out = os.path.join(MODELS, "aligned.gguf")
        optimize(model, "--in-gguf", "-o", out, "--force", "-q")
        args = ["-p", PROMPT, "-n", "12", "--temp", "0", "-no-cnv", "--no-display-prompt", "-t", "1"]
        said = [reference("llama-completion", "-m", m, *args).stdout for m in (model, out)]
        self.assertEqual(*said)
        self.assertTrue(said[0].strip())
        os.remove(out)

    def test_it_needs_a_place(self):
        self.assertEqual(run("optimize", make_model("moe8", *MOE["moe8"]), "--in-gguf").returncode, 2)


class Refused(unittest.TestCase):
    def test_reads_that_are_long_enough(self):
        model = make_model("long-parts", "--arch", "mixtral", "--layers", "1", "--width", "1024", "--experts", "2", "--used", "1",
                           "--ffn", "2048", "-q", "Q8_0")
        forget(model)
        done = run("optimize", model)
        self.assertEqual(done.returncode, 1)
        self.assertIn("would gain nothing", done.stderr)
        self.assertFalse(os.path.exists(packed(model)))
        optimize(model, "-q", "--force")
        wanted, _ = digest(model, "--mode", "mmap")
        self.assertEqual(digest(model, "--mode", "experts", "--no-memory")[0], wanted)
        forget(model)

    def test_too_little_space_is_said_before(self):
        small = "/dev/shm"
        if not os.path.isdir(small) or shutil.disk_usage(small).free > 200_000_000:
            self.skipTest("no small file system here")
        model = make_model("interrupted", *Interrupted.ARGS)
        done = run("optimize", model, "-o", os.path.join(small, "x.packed"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"would take .* only .* free")


if __name__ == "__main__":
    unittest.main()

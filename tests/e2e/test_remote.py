"""Other machines' memory: two RPC servers on this one. Their absence and their death are sentences, not crashes."""
import json
import os
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.request

from devices import RpcServer, Serve, free_port, plan_of
from support import HYPURA, demo_model, run, run_json

PROMPT = "The capital of France is"
ARGS = ("-p", PROMPT, "-n", "16", "--temp", "0", "--ignore-eos", "-t", "1", "-c", "256", "-b", "64", "--no-repack")
FOREVER = ("-p", PROMPT, "-n", "100000", "-c", "8192", "--temp", "0", "--ignore-eos", "-t", "1", "-q")


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(word) for word in f.read().split()]


class Remote(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = demo_model()

    def servers(self, n):
        made = []
        for _ in range(n):
            made.append(RpcServer())
            self.addCleanup(made[-1].stop)
        return made

    def test_two_servers_give_the_same_logits(self):
        a, b = self.servers(2)
        size = os.path.getsize(self.model)
        wanted = run_json(self.model, *ARGS, "--device", "none", "--logits-digest")
        # Each has room for its buffers and about two thirds of the model.
        got = run_json(self.model, *ARGS, "--device", "none", "--logits-digest", "--rpc", f"{a.address},{b.address}", "--vram",
                       str(size * 2 // 3 + 25_000_000), "--ram", "90M")
        self.assertEqual(got["text"], wanted["text"])
        self.assertEqual(got["logits_digest"], wanted["logits_digest"])

    def test_each_server_holds_a_part(self):
        servers = self.servers(2)
        size = os.path.getsize(self.model)
        process = subprocess.Popen([HYPURA, "run", self.model, *FOREVER, "--rpc", servers[0].address, "--rpc", servers[1].address,
                                    "--vram", str(size * 2 // 3 + 150_000_000), "--ram", "200M"], stdout=subprocess.PIPE)
        try:
            self.assertTrue(process.stdout.read(8))
            for server in servers:
                self.assertGreater(server.resident_bytes() - server.idle_bytes, size // 10)
        finally:
            process.terminate()
            process.communicate(timeout=60)

    def test_plans_with_servers_without_loading(self):
        a, b = self.servers(2)
        size = os.path.getsize(self.model)
        where = ("--device", "none", "--rpc", f"{a.address},{b.address}", "--vram", str(size * 2 // 3 + 25_000_000), "--ram", "90M",
                 "-c", "256", "-b", "64", "--no-repack")
        plan, tiers = plan_of(self.model, *where)
        self.assertEqual(plan["mode"], "resident")
        for name, server in (("RPC0", a), ("RPC1", b)):
            self.assertGreater(tiers[name], size // 10)
            self.assertRegex("\n".join(plan["notes"]), rf"(?m)^{name} is {server.address}: .* free, measured ")
            self.assertLess(server.resident_bytes() - server.idle_bytes, size // 10, "nothing was loaded there")
        done = run("estimate", self.model, *where)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"RPC1 is {b.address}", done.stdout)
        self.assertIn("layers on devices", done.stdout)

    def test_the_server_tells_what_is_elsewhere(self):
        rpc, = self.servers(1)
        where = ("--device", "none", "--rpc", rpc.address, "--ram", "90M", "-c", "256", "-b", "64", "--no-repack", "-t", "1")
        elsewhere = plan_of(self.model, *where)[1]["RPC0"]
        serve = Serve(self.model, *where, "--parallel", "1")
        try:
            status, answer = serve.post("/v1/completions", {"prompt": PROMPT, "max_tokens": 4, "temperature": 0})
            self.assertEqual(status, 200, answer)
            loaded, = serve.get("/api/ps")["models"]
            state = serve.get("/ui/state")
        finally:
            serve.stop()
        self.assertGreater(elsewhere, loaded["size"] // 2)
        self.assertEqual(loaded["size_vram"], elsewhere)
        self.assertEqual((state["gpu_bytes"], state["remote_bytes"]), (0, elsewhere))

    def test_plans_say_which_server_is_not_there(self):
        address = f"127.0.0.1:{free_port()}"
        for command in ("inspect", "estimate"):
            done = run(command, self.model, "--rpc", address, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, rf"^hypura: cannot reach the RPC server {address}: Connection refused\nhint: .*\n$")

    def test_an_address_where_nobody_listens(self):
        address = f"127.0.0.1:{free_port()}"
        done = run("run", self.model, *ARGS, "--rpc", address, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rf"^hypura: cannot reach the RPC server {address}: Connection refused\nhint: .*\n$")
        self.assertEqual(done.stdout, "")

    def test_what_is_no_address(self):
        for word in ("127.0.0.1", ":50052", "host:port", "a:b:c"):
            done = run("run", self.model, *ARGS, "--rpc", word, timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertIn("is no address of an RPC server", done.stderr)

    def test_a_server_of_something_else(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            done = run("run", self.model, *ARGS, "--rpc", address, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"what listens at {address} is no RPC server that this ggml understands", done.stderr)

    def test_a_server_that_dies_ends_the_answer(self):
        kept, lost = self.servers(2)
        process = subprocess.Popen([HYPURA, "run", self.model, *FOREVER, "--rpc", f"{kept.address},{lost.address}", "--vram", "250M"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertTrue(process.stdout.read(8))
        # The planner is free to use one of them alone: the one that holds more is in use.
        if lost.resident_bytes() - lost.idle_bytes < kept.resident_bytes() - kept.idle_bytes:
            kept, lost = lost, kept
        lost.process.kill()
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, err)
        self.assertRegex(err, rf"^hypura: the RPC server {lost.address} went away\nhint: .*\n$")

    def test_a_server_that_dies_ends_the_benchmark(self):
        rpc, = self.servers(1)
        process = subprocess.Popen([HYPURA, "bench", self.model, "--rpc", rpc.address, "--device", "none", "--ram", "90M", "-n", "4000",
                                    "--context", "8192", "--prompt-tokens", "16", "--batch", "64", "--threads", "1", "--runs", "1"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while rpc.resident_bytes() - rpc.idle_bytes < os.path.getsize(self.model) // 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        rpc.process.kill()
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (1, ""), err)
        self.assertRegex(err, rf"(?m)^hypura: run 1 of 1, hypura failed with status 1: the RPC server {rpc.address} went away$")

    def test_signals_reach_the_child(self):
        server, = self.servers(1)
        process = subprocess.Popen([HYPURA, "run", self.model, *FOREVER, "--rpc", server.address], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.assertTrue(process.stdout.read(8))
        child, = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertFalse(os.path.exists(f"/proc/{child}"))

    def test_the_child_does_not_outlive_its_parent(self):
        server, = self.servers(1)
        process = subprocess.Popen([HYPURA, "run", self.model, *FOREVER, "--rpc", server.address], stdout=subprocess.PIPE)
        self.assertTrue(process.stdout.read(8))
        child, = children_of(process.pid)
        process.kill()
        process.communicate(timeout=60)
        deadline = time.monotonic() + 30
        while os.path.exists(f"/proc/{child}") and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertFalse(os.path.exists(f"/proc/{child}"))

    def stream(self, serve, path, body):
        """The lines of a streamed answer, as they come; a broken connection is a failure of the test."""
        request = urllib.request.Request(serve.url + path, json.dumps({"model": serve.model, "stream": True, **body}).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            for line in answer:
                yield line.decode()

    def test_requests_hear_of_a_death_and_the_server_lives_on(self):
        rpc, = self.servers(1)
        serve = Serve(self.model, "-c", "8192", "-t", "1", "--parallel", "2", "--rpc", rpc.address)
        gone = f"the RPC server {rpc.address} went away"
        body = {"prompt": PROMPT, "temperature": 0}
        # A seed of endless words: nothing ends this answer but death.
        endless = {**body, "prompt": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10,", "max_tokens": 8000, "ignore_eos": True}
        waiting = []
        try:
            parent = serve.process.pid
            status, answer = serve.post("/v1/completions", {**body, "max_tokens": 4})
            self.assertEqual(status, 200, answer)
            lines = self.stream(serve, "/v1/completions", endless)
            self.assertIn("data:", next(lines))
            other = threading.Thread(target=lambda: waiting.append(serve.post("/api/generate", {"prompt": PROMPT, "stream": False, "options":
                                                                              {"num_predict": 8000, "temperature": 0, "ignore_eos": True}})))
            other.start()
            for _ in range(5):
                next(lines)
            rpc.process.kill()
            self.assertIn(gone, "".join(lines))  # the stream ends with an error, not with a broken connection
            other.join(timeout=60)
            self.assertEqual(waiting[0][0], 500, waiting)
            self.assertIn(gone, str(waiting[0][1]))
            # The same process still has the port; without its RPC server every request is told so.
            # What reaches the child that is about to die hears why it dies.
            for _ in range(100):
                status, answer = serve.post("/v1/completions", {**body, "max_tokens": 4}, timeout=60)
                self.assertEqual(status, 500, answer)
                if gone not in str(answer):
                    break
                time.sleep(0.1)
            self.assertIn("cannot reach the RPC server", str(answer))
            self.assertIsNone(serve.process.poll())
            self.assertEqual(serve.process.pid, parent)
            again = RpcServer(rpc.port)
            self.addCleanup(again.stop)
            status, answer = serve.post("/v1/completions", {**body, "max_tokens": 4}, timeout=60)
            self.assertEqual(status, 200, answer)
        finally:
            status, err = serve.stop()
        self.assertEqual(status, 0, err)
        self.assertIn(gone, err)


if __name__ == "__main__":
    unittest.main()

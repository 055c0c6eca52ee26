"""The server over the real engine, with small synthetic models: what reuse, checkpoints and parallel slots compute is what a
fresh evaluation computes; and the commands serve, list, ps and stop."""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import bert
from harness import BUILD, TOOLS, Server

HYPURA = os.path.join(os.path.abspath(BUILD), "hypura")
MAKE = os.path.join(os.path.abspath(BUILD), "tools", "make-model")


class Hypura(Server):
    """`hypura serve`, whose second line names the port."""

    def __init__(self, folder, env, *options):
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen([HYPURA, "serve", folder, "--port", "0", "--quiet", "--threads", "2"] + list(options), stdout=subprocess.PIPE,
                                        stderr=self.err, env={**os.environ, **env})
        self.lines = [self.process.stdout.readline().decode().rstrip("\n") for _ in range(3)]
        found = re.search(r":(\d+)$", self.lines[1])
        if not found:
            self.stop()
            raise RuntimeError("the server did not start: " + self.errors())
        self.port = int(found.group(1))


class Engine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.models = cls.folder + "/models"
        cls.env = {"XDG_CACHE_HOME": cls.folder + "/cache", "OLLAMA_HOST": ""}
        os.mkdir(cls.models)
        for arch in ("llama", "gemma3", "qwen3next"):
            subprocess.run([MAKE, "--arch", arch, "--layers", "4", "--width", "256", "--vocab", "4096", "--context", "4096", "-o",
                            "%s/%s.gguf" % (cls.models, arch)], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def serve(self, *options, path=None):
        return Hypura(path or self.models, self.env, *options)

    def hypura(self, *words, port=None, code=0):
        command = [HYPURA] + list(words) + (["--port", str(port)] if port else [])
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.env})
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def logged(self, *options, env=None):
        """A generation, a refused request and a shutdown; what the log holds then."""
        log = os.path.join(self.folder, "log")
        if os.path.exists(log):
            os.remove(log)
        server = Hypura(self.models, {**self.env, **(env or {})}, "--log-file", log, *options)
        try:
            done = server.request("POST", "/api/generate", {"model": "llama", "prompt": "secret words", "stream": False,
                                                            "options": {"num_predict": 5, "seed": 1}})
            self.assertEqual(done.status, 200)
        finally:
            self.assertEqual(server.stop(), 0)
        with open(log, encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn("secret", text)
        return text, json.loads(done.body)

    def test_a_line_for_every_request(self):
        text, done = self.logged("--log-level", "session:info")
        line = next(line for line in text.split("\n") if " info session: request " in line)
        found = dict(re.findall(r"(\w+)=(\S+)", line))
        self.assertEqual(found["route"], "/api/generate")
        self.assertEqual(found["model"], "llama")
        self.assertEqual(found["end"], done["done_reason"])
        self.assertEqual(int(found["prompt_tokens"]), done["prompt_eval_count"])
        self.assertEqual(int(found["output_tokens"]), done["eval_count"])
        self.assertLessEqual(float(found["first_token_s"]), float(found["total_s"]))
        self.assertIn(" info session: loaded %s/llama.gguf" % self.models, text)

    def test_the_log_for_machines(self):
        text, done = self.logged("--log-format", "json", env={"HYPURA_LOG": "info,llama:debug"})
        lines = [json.loads(line) for line in text.strip().split("\n")]
        request = next(line for line in lines if line["message"] == "request")
        self.assertEqual(request["status"], 200)
        self.assertEqual(request["output_tokens"], done["eval_count"])
        self.assertGreater(request["tok_per_s"], 0)
        self.assertTrue({"plan", "session", "llama"} <= {line["category"] for line in lines})

    def test_nothing_is_logged_unasked(self):
        text, _ = self.logged()
        self.assertEqual(text, "")

    def test_a_wrong_level(self):
        said = self.hypura("serve", self.models, "--log-level", "pager:loud", code=2)
        self.assertIn('there is no log level "loud"', said)

    @staticmethod
    def ask(server, model, messages, n=6):
        reply = server.post("/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": n, "temperature": 0, "logprobs": True,
                                                     "top_logprobs": 5})
        assert reply.status == 200, reply.body
        return reply.json

    @staticmethod
    def likely(said):
        return {tuple(t["bytes"]): t["logprob"] for t in said["top_logprobs"]}

    def compare(self, a, b, where):
        """The likeliest tokens after the prompt and after the first token: what the context's state decides. Another batch shape rounds
        differently, so that of two tokens as likely as each other one or the other may come first, and the texts part there; a wrong
        state gives other tokens altogether."""
        for i, (x, y) in enumerate(zip(*(body["choices"][0]["logprobs"]["content"][:2] for body in (a, b)))):
            p, q = self.likely(x), self.likely(y)
            common = set(p) & set(q)
            self.assertGreaterEqual(len(common), 3, (where, i))
            for token in common:
                self.assertAlmostEqual(p[token], q[token], delta=0.3, msg=(where, i))
            if x["token"] != y["token"]:
                break

    def test_reuse_computes_the_same(self):
        for arch in ("llama", "gemma3", "qwen3next"):
            server = self.serve("--parallel", "1", "--context", "2048")
            try:
                messages, reused = [{"role": "system", "content": "word " * 100}], []
                for i in range(4):
                    messages.append({"role": "user", "content": "question %d" % i})
                    reused.append((list(messages), self.ask(server, arch, messages)))
                    messages.append({"role": "assistant", "content": "another answer than was given %d" % i})
                for i, (asked, body) in enumerate(reused):
                    cached = body["usage"]["prompt_tokens_details"]["cached_tokens"]
                    if i > 0:
                        self.assertGreater(cached, body["usage"]["prompt_tokens"] / 2, (arch, i))
                    self.ask(server, arch, [{"role": "user", "content": "zzz %d" % i}], 1)
                    self.ask(server, arch, [{"role": "system", "content": "quite unlike"}, {"role": "user", "content": "zzz %d" % i}], 1)
                    fresh = self.ask(server, arch, asked)
                    self.compare(body, fresh, (arch, i))
            finally:
                self.assertEqual(server.stop(), 0, server.errors())

    def test_parallel_computes_the_same(self):
        for arch in ("llama", "qwen3next"):
            server = self.serve("--parallel", "4", "--context", "1024")
            try:
                prompts = [[{"role": "user", "content": "number %d " % i * (3 + i)}] for i in range(8)]
                together = {}

                def run(i):
                    together[i] = self.ask(server, arch, prompts[i])

                threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
                for t in threads:
                    t.start()
                for t in threads:
                    t.join()
                for i in range(8):
                    self.compare(together[i], self.ask(server, arch, prompts[i]), (arch, i))
            finally:
                self.assertEqual(server.stop(), 0, server.errors())

    def test_required_calls_are_bound(self):
        """A model of random weights that must call: in every format that has a grammar, what it writes is a call with arguments of
        the tool's schema."""
        city = {"type": "object", "required": ["city", "days"], "properties": {
            "city": {"type": "string", "enum": ["Rome", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}, "ok": {"type": "boolean"}}}
        tools = [{"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": city}},
                 {"type": "function", "function": {"name": "other", "description": "d", "parameters": {"type": "object", "properties": {"k": {"enum": ["a"]}}, "required": ["k"]}}}]
        formats = ["command_r7b_tools", "deepseek_v3", "deepseek_v3_1", "glm4_5", "gpt_oss", "granite3", "kimi_k2", "llama3_1_tools",
                   "mistral_tekken_v7", "mistral_v3_tools", "nemotron", "qwen2_5", "qwen3", "qwen3_coder", "seed_oss", "smollm3"]
        server = self.serve("--context", "2048", "--threads", "1")
        try:
            for name in formats:
                with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chat", "templates", name + ".jinja")) as f:
                    self.assertEqual(server.post("/api/create", {"model": "t", "from": "llama", "template": f.read()}).status, 200)
                for choice in ("required", {"type": "function", "function": {"name": "other"}}):
                    body = {"model": "t", "messages": [{"role": "user", "content": "Weather?"}], "tools": tools, "tool_choice": choice, "parallel_tool_calls": False, "max_tokens": 400,
                            "temperature": 0, "reasoning_effort": "none"}
                    reply = server.request("POST", "/v1/chat/completions", body, timeout=120)
                    self.assertEqual(reply.status, 200, (name, reply.body))
                    calls = [c["function"] for c in reply.json["choices"][0]["message"].get("tool_calls", [])]
                    self.assertEqual(len(calls), 1, (name, reply.body))
                    for call in calls:
                        arguments = json.loads(call["arguments"])
                        if call["name"] == "other" or choice != "required":
                            self.assertEqual((call["name"], arguments), ("other", {"k": "a"}), name)
                        else:
                            self.assertEqual(call["name"], "get_weather", name)
                            self.assertIn(arguments["city"], ("Rome", "Oslo"), name)
                            self.assertIn(arguments["days"], range(1, 10), name)
        finally:
            self.assertEqual(server.stop(), 0, server.errors())

    def test_answers_longer_than_the_context(self):
        """The context shifts within an answer, or what is kept of it is evaluated anew; the next request finds nothing of that."""
        for arch in ("llama", "gemma3", "qwen3next"):
            server = self.serve("--context", "256", "--parallel", "2", "--threads", "1")
            try:
                body = {"model": arch, "prompt": "word " * 20, "raw": True, "stream": False, "options": {"temperature": 0, "num_predict": 500}}
                messages = [{"role": "user", "content": "word " * 20}]
                before = self.ask(server, arch, messages)
                said = server.post("/api/generate", body).json
                self.assertEqual((said["eval_count"], said["done_reason"]), (500, "length"), arch)
                self.assertEqual(server.post("/api/generate", body).json["response"], said["response"], arch)
                self.compare(before, self.ask(server, arch, messages), arch)
                cut = server.post("/api/generate", {**body, "shift": False}).json
                self.assertEqual((cut["prompt_eval_count"] + cut["eval_count"], cut["done_reason"]), (256, "length"), arch)
                self.assertTrue(said["response"].startswith(cut["response"]), arch)
            finally:
                self.assertEqual(server.stop(), 0, server.errors())

    def test_shift_while_streaming(self):
        """A shift is a graph of its own: with streamed experts the answer is what plain mmap gives."""
        path, said = self.folder + "/experts.gguf", {}
        subprocess.run([MAKE, "--arch", "qwen3moe", "--layers", "3", "--width", "256", "--experts", "32", "--used", "4", "--expert-width", "256", "--vocab", "4096",
                        "--context", "4096", "-o", path], check=True, stdout=subprocess.DEVNULL)
        for mode in ("mmap", "experts"):
            server = self.serve("--mode", mode, "--context", "128", "--threads", "1", path=path)
            try:
                said[mode] = server.post("/api/generate", {"model": "experts", "prompt": "word " * 10, "raw": True, "stream": False,
                                                           "options": {"temperature": 0, "num_predict": 300}}).json
            finally:
                self.assertEqual(server.stop(), 0, server.errors())
        self.assertEqual(said["experts"]["eval_count"], 300)
        self.assertEqual(said["experts"]["response"], said["mmap"]["response"])

    def test_format_binds(self):
        server = self.serve("--context", "1024")
        try:
            schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}, "w": {"enum": ["a", "b"]}}, "required": ["n", "w"]}
            body = {"model": "llama", "messages": [{"role": "user", "content": "x"}], "stream": False, "options": {"num_predict": 200}}
            for _ in range(3):
                said = json.loads(server.post("/api/chat", {**body, "format": schema}).json["message"]["content"])
                self.assertTrue(0 <= said["n"] <= 9 and said["w"] in ("a", "b") and len(said) == 2, said)
            self.assertEqual(server.post("/api/chat", {**body, "format": {"type": "nonsense"}}).status, 500)
        finally:
            self.assertEqual(server.stop(), 0, server.errors())

    def test_tool_choice(self):
        """A choice by name is one call of that tool; without parallel calls there is one call as well."""
        def tool(name):
            return {"type": "function", "function": {"name": name, "parameters": {
                "type": "object", "properties": {"size": {"enum": ["small", "large"]}}, "required": ["size"], "additionalProperties": False}}}
        server = self.serve("--context", "2048")
        try:
            self.assertEqual(server.post("/api/create", {"model": "tooled", "from": "llama", "template": TOOLS}).status, 200)
            body = {"model": "tooled", "messages": [{"role": "user", "content": "Go."}], "tools": [tool("one"), tool("two"), tool("three")],
                    "max_tokens": 200, "seed": 1, "tool_choice": {"type": "function", "function": {"name": "two"}}}
            for more in ({}, {"tool_choice": "required", "parallel_tool_calls": False}):
                choice = server.post("/v1/chat/completions", {**body, **more}).json["choices"][0]
                self.assertEqual(choice["finish_reason"], "tool_calls")
                (call,) = choice["message"]["tool_calls"]
                self.assertIn(call["function"]["name"], ["one", "two", "three"] if more else ["two"])
                self.assertIn(json.loads(call["function"]["arguments"])["size"], ["small", "large"])
            reply = server.post("/v1/chat/completions", {**body, "tool_choice": {"type": "function", "function": {"name": "four"}}})
            self.assertEqual((reply.status, reply.json["error"]["message"]), (400, 'tool_choice names "four", which is not among the tools'))
        finally:
            self.assertEqual(server.stop(), 0, server.errors())

    def test_commands(self):
        listed = json.loads(self.hypura("list", self.models, "--json"))
        self.assertEqual([m["name"] for m in listed], ["gemma3:latest", "llama:latest", "qwen3next:latest"])
        text = self.hypura("list", self.models)
        self.assertRegex(text, r"(?m)^llama:latest +%s +[\d.]+ MB +\d{4}-\d\d-\d\d +file$" % listed[1]["digest"][:12])
        server = self.serve("--context", "512", "--parallel", "3")
        try:
            self.assertEqual(server.lines[0], "serving 3 models from %s (context 512, 3 at once)" % self.models)
            self.assertEqual(server.lines[1], "endpoint http://127.0.0.1:%d" % server.port)
            self.assertIn("/v1", server.lines[2])
            server.post("/api/generate", {"model": "llama"})
            self.assertRegex(self.hypura("ps", port=server.port), r"(?m)^llama:latest .* 512 ")
            self.assertEqual(json.loads(self.hypura("ps", "--json", port=server.port))["models"][0]["name"], "llama:latest")
            self.hypura("stop", "llama", port=server.port)
            for _ in range(100):
                if json.loads(self.hypura("ps", "--json", port=server.port))["models"] == []:
                    break
            self.assertEqual(self.hypura("ps", port=server.port).count("\n"), 1)
            self.assertIn("the server answered: model 'nope' not found", self.hypura("stop", "nope", port=server.port, code=1))
            self.assertIn("cannot listen on 127.0.0.1 port %d: Address already in use" % server.port,
                          self.hypura("serve", self.models, port=server.port, code=1))
        finally:
            self.assertEqual(server.stop(), 0, server.errors())
        self.assertIn("no server answers", self.hypura("ps", port=server.port, code=1))
        self.assertIn("there is no GGUF model in", self.hypura("serve", self.folder + "/cache", code=1))
        self.assertIn("--port must be between", self.hypura("serve", self.models, "--port", "x", code=2))
        self.assertIn("--keep-alive needs a duration", self.hypura("serve", self.models, "--keep-alive", "soon", code=2))

    def test_key_and_environment(self):
        server = Hypura(self.models, {**self.env, "HYPURA_API_KEY": "k"}, "--context", "512")
        try:
            self.assertEqual(server.get("/api/tags").status, 401)
            self.assertIn("give its key", self.hypura("ps", port=server.port, code=1))
            self.hypura("ps", "--api-key", "k", port=server.port)
        finally:
            self.assertEqual(server.stop(), 0)


class Embeddings(unittest.TestCase):
    """A small BERT in every pooling: alone, in a batch, and as llama-server computes it."""

    TEXTS = ["baba dado c", "a", "b c d e f " * 9, "kaka lala mama", "pipi", "sasa tata"]

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.mkdir(cls.folder.name + "/models")
        for pooling, name in ((1, "mean"), (2, "cls"), (3, "last")):
            bert.write("%s/models/%s.gguf" % (cls.folder.name, name), pooling)
        subprocess.run([MAKE, "--arch", "llama", "--layers", "2", "--width", "256", "--vocab", "1024", "-o", cls.folder.name + "/models/text.gguf"], check=True,
                       stdout=subprocess.DEVNULL)
        cls.server = Hypura(cls.folder.name + "/models", {"XDG_CACHE_HOME": cls.folder.name, "OLLAMA_HOST": ""}, "--context", "512")

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        cls.folder.cleanup()
        assert code == 0, cls.server.errors()

    def embed(self, model, texts, **more):
        reply = self.server.post("/api/embed", {"model": model, "input": texts, **more})
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json

    def close_to(self, a, b, where, delta):
        self.assertEqual(len(a), len(b), where)
        for x, y in zip(a, b):
            self.assertAlmostEqual(x, y, delta=delta, msg=where)

    def test_a_batch_is_what_each_is_alone(self):
        # Attention works in half precision, whose sums depend on what else is in the batch: 5e-5 was seen.
        for model in ("mean", "cls", "last"):
            texts = self.TEXTS * 7  # more than one batch holds
            together = self.embed(model, texts)
            self.assertEqual(len(together["embeddings"]), len(texts))
            count = 0
            for i, text in enumerate(self.TEXTS):
                alone = self.embed(model, text)
                count += alone["prompt_eval_count"]
                for k in range(i, len(texts), len(self.TEXTS)):
                    self.close_to(together["embeddings"][k], alone["embeddings"][0], (model, k), 2e-4)
            self.assertEqual(together["prompt_eval_count"], 7 * count)

    def reference(self, llama, port, text):
        """What llama-server answers, once it is up."""
        for _ in range(300):
            try:
                c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                c.request("POST", "/v1/embeddings", json.dumps({"input": text}))
                answer = c.getresponse()
                body = json.loads(answer.read())
                c.close()
                if answer.status == 200:
                    return body["data"][0]["embedding"]
            except OSError:
                pass
            self.assertIsNone(llama.poll(), "llama-server ended")
            time.sleep(0.1)
        self.fail("llama-server did not answer")

    def test_as_llama_server_computes(self):
        deps = os.environ.get("HYPURA_DEPS")
        tool = os.path.join(deps, "usr/bin/llama-server") if deps else shutil.which("llama-server")
        if not tool or not os.path.exists(tool):
            self.skipTest("no llama-server to compare with")
        reference = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "reference.sh")
        for model in ("mean", "cls", "last"):
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                port = s.getsockname()[1]
            llama = subprocess.Popen([reference, deps or "", "llama-server", "-m", "%s/models/%s.gguf" % (self.folder.name, model), "--embedding", "--port", str(port),
                                      "-t", "2", "-fit", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                for text in self.TEXTS:
                    self.close_to(self.reference(llama, port, text), self.embed(model, text)["embeddings"][0], (model, text), 1e-5)
            finally:
                llama.terminate()
                llama.wait(60)

    def test_too_long(self):
        long = "a b c " * 200
        cut = self.embed("mean", [long, "a"])
        self.assertEqual(cut["prompt_eval_count"], 128 + 3, "the model's own context")
        reply = self.server.post("/api/embed", {"model": "mean", "input": ["a", long], "truncate": False})
        self.assertEqual((reply.status, reply.json["error"]), (400, "the input length exceeds the context length"))

    def test_other_models_do_not_embed(self):
        reply = self.server.post("/api/embed", {"model": "text", "input": "a"})
        self.assertEqual((reply.status, reply.json["error"]), (400, "this model does not support embeddings"))
        reply = self.server.post("/api/chat", {"model": "mean", "messages": [{"role": "user", "content": "a"}]})
        self.assertEqual((reply.status, reply.json["error"]), (400, '"mean" does not support chat'))


if __name__ == "__main__":
    unittest.main()

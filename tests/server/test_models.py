"""What is there and what is loaded: /, version, tags, ps, show, status, me, /v1/models; unknown routes and methods."""
import datetime
import os
import re
import time
import unittest

from harness import Server, ServerTest, gguf

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")


class Models(ServerTest):
    def test_root(self):
        reply = self.server.get("/")
        self.assertEqual((reply.status, reply.text), (200, "Ollama is running"))
        self.assertTrue(reply.headers["Content-Type"].startswith("text/plain"))
        head = self.server.request("HEAD", "/")
        self.assertEqual((head.status, head.body), (200, b""))

    def test_version(self):
        reply = self.server.get("/api/version")
        self.assertRegex(reply.json["version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(reply.headers["Content-Type"], "application/json; charset=utf-8")
        self.assertEqual(self.server.request("HEAD", "/api/version").status, 200)

    def test_tags(self):
        reply = self.server.get("/api/tags")
        models = {m["name"]: m for m in reply.json["models"]}
        self.assertEqual(sorted(models), ["broken:latest", "embed:latest", "fim:latest", "plain:Q4_K_M", "think:latest", "tools:latest"])
        for name, m in models.items():
            self.assertEqual(m["model"], name)
            self.assertRegex(m["digest"], r"^[0-9a-f]{64}$")
            self.assertRegex(m["modified_at"], TIMESTAMP)
            self.assertEqual(m["size"], os.path.getsize(os.path.join(self.models, name.split(":")[0] + ("-Q4_K_M" if "Q4" in name else "") + ".gguf")))
            self.assertEqual(m["details"]["format"], "gguf")
            self.assertEqual(m["details"]["families"], [m["details"]["family"]])
            self.assertEqual(m["details"]["parameter_size"], "192")
            self.assertEqual(m["details"]["quantization_level"], "Q8_0")
        self.assertEqual(len({m["digest"] for m in models.values()}), len(models), "digests tell models apart")
        self.assertEqual(models["plain:Q4_K_M"]["capabilities"], ["completion"])
        self.assertEqual(models["tools:latest"]["capabilities"], ["completion", "tools"])
        self.assertEqual(models["think:latest"]["capabilities"], ["completion", "thinking"])
        self.assertEqual(models["fim:latest"]["capabilities"], ["completion", "insert"])
        self.assertEqual(models["embed:latest"]["capabilities"], ["embedding"])
        self.assertEqual(self.server.request("HEAD", "/api/tags").body, b"")
        self.assertEqual(reply.json, self.server.get("/api/tags").json, "digests and dates are stable")

    def test_show(self):
        for body in ({"model": "plain:Q4_K_M"}, {"name": "plain"}, {"model": "", "name": "PLAIN:q4_k_m"}):
            shown = self.server.post("/api/show", body).json
            self.assertEqual(shown["capabilities"], ["completion"])
            info = shown["model_info"]
            self.assertEqual(info["general.architecture"], "llama")
            self.assertEqual(info["llama.context_length"], 4096, "the server's limit, not the 8192 of the file")
            self.assertEqual(info["tokenizer.ggml.tokens"], [])
            self.assertNotIn("general.name", info)
            self.assertNotIn("tokenizer.chat_template", info)
            self.assertRegex(shown["modified_at"], TIMESTAMP)
            self.assertEqual(shown["license"], "mit")
            for line in shown["parameters"].split("\n"):
                self.assertRegex(line, r"^(\S+)\s+((?:\".*\")|\S+)$")
            self.assertIn("num_ctx                        4096", shown["parameters"])
        verbose = self.server.post("/api/show", {"model": "plain", "verbose": True}).json
        self.assertEqual(verbose["model_info"]["tokenizer.ggml.tokens"], ["<s>", "</s>", "a", "b", "c", "d"])
        self.assertIn(".Suffix", self.server.post("/api/show", {"model": "fim"}).json["template"])

    def test_show_errors(self):
        for body, status, words in (({}, 400, "model is required"), ({"model": None}, 400, "model is required"),
                                    ({"model": "nope"}, 404, "model 'nope' not found"), ({"name": "a/../b"}, 404, "model 'a/../b' not found")):
            reply = self.server.post("/api/show", body)
            self.assertEqual((reply.status, reply.json), (status, {"error": words}))
            self.assertTrue(reply.headers["Content-Type"].startswith("application/json"))
        reply = self.server.post("/api/show", "")
        self.assertEqual((reply.status, reply.json), (400, {"error": "missing request body"}))
        reply = self.server.post("/api/show", "{")
        self.assertEqual(reply.status, 400)
        self.assertIn("invalid JSON at byte", reply.json["error"])
        reply = self.server.post("/api/show", "[1]")
        self.assertEqual((reply.status, reply.json["error"]), (400, "json: cannot unmarshal array into Go value of type api.ShowRequest"))
        reply = self.server.post("/api/show", {"model": 3})
        self.assertEqual(reply.json["error"], "json: cannot unmarshal number into Go struct field ShowRequest.model of type string")

    def test_status_and_me(self):
        self.assertEqual(self.server.get("/api/status").json, {"cloud": {"disabled": True, "source": "env"}})
        reply = self.server.post("/api/me", "")
        self.assertEqual((reply.status, reply.json), (401, {"error": "unauthorized"}))

    def test_unknown_path_and_method(self):
        for method, path in (("GET", "/api/nothing"), ("POST", "/v1"), ("GET", "/api/tags/x")):
            reply = self.server.request(method, path)
            self.assertEqual((reply.status, reply.text), (404, "404 page not found"))
            self.assertEqual(reply.headers["Content-Type"], "text/plain")
        for method, path, allowed in (("GET", "/api/chat", "POST"), ("POST", "/api/tags", "GET HEAD"), ("PUT", "/", "GET HEAD"),
                                      ("OPTIONS", "/api/chat", "POST")):
            reply = self.server.request(method, path)
            self.assertEqual((reply.status, reply.headers["Allow"].replace(",", "")), (405, allowed))

    def test_openai_models(self):
        reply = self.server.get("/v1/models")
        self.assertEqual(reply.headers["Content-Type"], "application/json")
        self.assertEqual(reply.json["object"], "list")
        for m in reply.json["data"]:
            self.assertEqual((m["object"], m["owned_by"]), ("model", "library"))
            self.assertGreater(m["created"], 1600000000)
        self.assertIn("plain:Q4_K_M", [m["id"] for m in reply.json["data"]])
        one = self.server.get("/v1/models/tools")
        self.assertEqual((one.json["id"], one.json["object"]), ("tools", "model"))
        missing = self.server.get("/v1/models/nope")
        self.assertEqual(missing.status, 404)
        self.assertEqual(missing.json, {"error": {"message": "model 'nope' not found", "type": "not_found_error", "param": None, "code": None}})

    def test_metrics(self):
        reply = self.server.get("/metrics")
        self.assertTrue(reply.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        for line in reply.text.splitlines():
            self.assertRegex(line, r"^(# (HELP|TYPE) )?hypura_[a-z0-9_]+ .+$")

    def test_page(self):
        reply = self.server.get("/ui")
        self.assertTrue(reply.headers["Content-Type"].startswith("text/html"))
        self.assertNotRegex(reply.text, r"(src|href)\s*=\s*[\"']?(https?:)?//", "nothing is fetched from elsewhere")


class Loading(ServerTest):
    options = {"keep_alive_s": 300}

    def ps(self):
        return self.server.get("/api/ps").json["models"]

    def tearDown(self):
        for name in ("plain", "tools", "embed"):
            self.server.post("/api/generate", {"model": name, "keep_alive": 0})
        self.wait_unloaded()

    def test_load_ps_unload(self):
        self.assertEqual(self.ps(), [])
        loaded = self.server.post("/api/generate", {"model": "plain"})
        self.assertEqual(loaded.headers["Content-Type"], "application/json; charset=utf-8")
        self.assertEqual({k: v for k, v in loaded.json.items() if k != "created_at"},
                         {"model": "plain", "response": "", "done": True, "done_reason": "load"})
        (m,) = self.ps()
        self.assertEqual((m["name"], m["model"], m["context_length"]), ("plain:Q4_K_M", "plain:Q4_K_M", 4096))
        self.assertGreater(m["size"], 0)
        self.assertEqual(m["size_vram"], m["size"] // 4 + m["size"] // 8)
        left = datetime.datetime.fromisoformat(m["expires_at"]) - datetime.datetime.now(datetime.timezone.utc)
        self.assertTrue(280 < left.total_seconds() <= 300, left)

        self.server.post("/api/chat", {"model": "plain", "messages": [], "keep_alive": -1})
        left = datetime.datetime.fromisoformat(self.ps()[0]["expires_at"]) - datetime.datetime.now(datetime.timezone.utc)
        self.assertGreater(left.days, 20 * 365)

        unloaded = self.server.post("/api/chat", {"model": "plain", "messages": [], "keep_alive": 0})
        self.assertEqual({k: v for k, v in unloaded.json.items() if k != "created_at"},
                         {"model": "plain", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "unload"})
        self.wait_unloaded()
        unloaded = self.server.post("/api/generate", {"model": "plain", "keep_alive": 0, "prompt": ""})
        self.assertEqual((unloaded.status, unloaded.json["done_reason"]), (200, "unload"), "unloading twice is no error")

    def wait_unloaded(self):
        for _ in range(200):
            if self.ps() == []:
                return
            time.sleep(0.02)
        self.fail("still loaded: %s" % self.ps())

    def test_expiry_and_switch(self):
        self.answer("say a", keep_alive="100ms")
        self.wait_unloaded()
        self.answer("say a", keep_alive="1h30m")
        self.answer("say b", model="tools")
        self.assertEqual([m["name"] for m in self.ps()], ["tools:latest"], "one text model at a time")
        self.server.post("/api/embed", {"model": "embed", "input": "x", "keep_alive": "2h"})
        self.assertEqual([m["name"] for m in self.ps()], ["embed:latest", "tools:latest"], "longest expiry first")
        self.answer("say c", model="tools", keep_alive=0)
        for _ in range(100):
            if [m["name"] for m in self.ps()] == ["embed:latest"]:
                break
            time.sleep(0.02)
        self.assertEqual([m["name"] for m in self.ps()], ["embed:latest"])

    def test_keep_alive_errors(self):
        reply = self.server.post("/api/generate", {"model": "plain", "keep_alive": "soon"})
        self.assertEqual((reply.status, reply.json["error"]), (400, 'time: invalid duration "soon"'))

    def test_broken_model(self):
        reply = self.chat("say x", model="broken")
        self.assertEqual((reply.status, reply.json["error"]), (500, "this model is broken (take another)"))
        self.assertEqual(self.answer("say fine"), "fine", "the next request is served")


class OneFile(unittest.TestCase):
    def test_one_file(self):
        import shutil
        import tempfile

        folder = tempfile.mkdtemp()
        try:
            path = gguf(folder + "/only one (v2).gguf")
            server = Server(path, env={"XDG_CACHE_HOME": folder})
            try:
                self.assertEqual([m["name"] for m in server.get("/api/tags").json["models"]], ["only-one--v2-:latest"])
                gguf(folder + "/late.gguf")
                self.assertEqual(server.post("/api/show", {"model": "late"}).status, 404, "only what was named is served")
            finally:
                self.assertEqual(server.stop(), 0)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    unittest.main()

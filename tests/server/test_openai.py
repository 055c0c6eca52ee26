"""The OpenAI layer and embeddings of both layers."""
import base64
import math
import struct
import unittest

from harness import ServerTest


class OpenAI(ServerTest):
    def complete(self, content, model="plain", **more):
        return self.server.post("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": content}], **more})

    def test_plain(self):
        reply = self.complete("say hello")
        self.assertEqual(reply.headers["Content-Type"], "application/json")
        body = reply.json
        self.assertTrue(body["id"].startswith("chatcmpl-"))
        self.assertEqual((body["object"], body["model"]), ("chat.completion", "plain"))
        self.assertEqual(body["choices"], [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}])
        usage = body["usage"]
        self.assertEqual((usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]), (29, 6, 35))

    def test_stream(self):
        reply = self.complete("say hi", stream=True, stream_options={"include_usage": True})
        self.assertEqual(reply.headers["Content-Type"], "text/event-stream")
        events = reply.events
        self.assertIsNone(events[-1])
        self.assertEqual(len({e["id"] for e in events[:-1]}), 1)
        self.assertEqual(events[0]["choices"][0]["delta"], {"role": "assistant", "content": "h"})
        self.assertEqual(events[1]["choices"][0]["delta"], {"content": "i"})
        self.assertEqual((events[2]["choices"][0]["delta"], events[2]["choices"][0]["finish_reason"]), ({}, "stop"))
        self.assertEqual((events[3]["choices"], events[3]["usage"]["completion_tokens"]), ([], 3))
        without = self.complete("say hi", stream=True).events
        self.assertEqual((len(without), "usage" in without[0]), (4, False))

    def test_empty_answer(self):
        events = self.complete("say ", stream=True).events
        self.assertEqual(events[0]["choices"][0]["delta"], {"role": "assistant", "content": ""})
        self.assertEqual(events[1]["choices"][0]["finish_reason"], "stop")

    def test_parts_and_developer(self):
        reply = self.server.post("/v1/chat/completions", {"model": "plain", "messages": [
            {"role": "developer", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": "say a"}, {"type": "text", "text": "b"}]}]})
        self.assertEqual(reply.json["choices"][0]["message"]["content"], "a\nb")

    def test_length_and_stop(self):
        for key in ("max_tokens", "max_completion_tokens"):
            choice = self.complete("forever", **{key: 3}).json["choices"][0]
            self.assertEqual((choice["message"]["content"], choice["finish_reason"]), ("xxx", "length"))
        for stop in ("lo", ["lo"]):
            self.assertEqual(self.complete("say hello", stop=stop).json["choices"][0]["message"]["content"], "hel")
        self.assertEqual(self.complete("say hello", stop=None, max_tokens=None, options={"num_ctx": 512}).status, 200)

    def test_logprobs(self):
        content = self.complete("say h", logprobs=True, top_logprobs=2).json["choices"][0]["logprobs"]["content"]
        self.assertEqual((content[0]["token"], content[0]["bytes"], len(content[0]["top_logprobs"])), ("h", [104], 2))

    def test_errors(self):
        message = [{"role": "user", "content": "x"}]
        for body, status, kind, words in (
                ("", 400, "invalid_request_error", "missing request body"), ({"model": "nope", "messages": message}, 404, "not_found_error", "model 'nope' not found"),
                ({"model": "plain", "messages": []}, 400, "invalid_request_error", "[] is too short - 'messages'"),
                ({"model": "embed", "messages": message}, 400, "invalid_request_error", '"embed" does not support chat'),
                ({"model": "plain", "messages": message, "temperature": -1}, 400, "invalid_request_error", "temperature must be between 0 and 2"),
                ({"model": "plain", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 400, "invalid_request_error", '"plain" does not support images'),
                ({"model": "plain", "messages": [{"role": "user", "content": "fail"}]}, 500, "api_error", "a weight could not be read")):
            reply = self.server.post("/v1/chat/completions", body)
            self.assertEqual((reply.status, reply.json), (status, {"error": {"message": words, "type": kind, "param": None, "code": None}}))

    def test_more_errors(self):
        """Every route of this layer refuses in its own format; the words are Ollama's where it has some."""
        chat = {"model": "plain", "messages": [{"role": "user", "content": "x"}]}
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
        text, vectors = {"model": "plain", "prompt": "x"}, {"model": "embed", "input": "x"}
        for path, body, status, words in (
                ("chat/completions", [], 400, "json: cannot unmarshal array into Go value of type api.ChatCompletionRequest"),
                ("chat/completions", {**chat, "model": None}, 400, "model is required"),
                ("chat/completions", {**chat, "tools": [tool]}, 400, "plain:Q4_K_M does not support tools"),
                ("chat/completions", {**chat, "model": "tools", "tools": [tool], "tool_choice": {"type": "function", "function": {"name": "g"}}}, 400,
                 'tool_choice names "g", which is not among the tools'),
                ("chat/completions", {**chat, "model": "tools", "tools": [tool], "tool_choice": "always"}, 400, 'tool_choice "always" is not known'),
                ("chat/completions", {**chat, "response_format": {"type": "yaml"}}, 400,
                 'response_format.type must be "text", "json_object" or "json_schema", not "yaml"'),
                ("chat/completions", {**chat, "top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
                ("chat/completions", {**chat, "response_format": {"type": "json_schema"}}, 400, "response_format.json_schema.schema is required"),
                ("chat/completions", {**chat, "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nothing"}}}}, 400, None),
                ("chat/completions", {**chat, "stream": 1}, 400, "json: cannot unmarshal number into Go struct field ChatCompletionRequest.stream of type bool"),
                ("completions", {**text, "model": "nope"}, 404, "model 'nope' not found"), ("completions", {**text, "model": "embed"}, 400, '"embed" does not support generate'),
                ("completions", {**text, "suffix": "y"}, 400, "plain:Q4_K_M does not support insert"), ("completions", {"model": "plain"}, 400, "prompt is required"),
                ("embeddings", {**vectors, "model": "nope"}, 404, "model 'nope' not found"), ("embeddings", {**vectors, "input": [7]}, 400, None),
                ("embeddings", {}, 400, "model is required")):
            reply = self.server.post("/v1/" + path, body)
            self.assertEqual((reply.status, reply.headers["Content-Type"]), (status, "application/json"), (path, body, reply.body))
            error = reply.json["error"]
            self.assertEqual((list(error), error["type"]), (["message", "type", "param", "code"], "not_found_error" if status == 404 else "invalid_request_error"))
            if words:
                self.assertEqual(error["message"], words)

    def test_response_format(self):
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        for form in ({"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}, None):
            self.assertEqual(self.complete('say {"n":1}', response_format=form).json["choices"][0]["message"]["content"], '{"n":1}')

    def test_completions(self):
        body = {"model": "plain", "prompt": "say hello=>"}
        reply = self.server.post("/v1/completions", body).json
        self.assertEqual((reply["object"], reply["choices"][0]), ("text_completion", {"text": "hello", "index": 0, "finish_reason": "stop"}))
        self.assertEqual(reply["usage"]["completion_tokens"], 6)
        events = self.server.post("/v1/completions", {**body, "stream": True, "stream_options": {"include_usage": True}}).events
        self.assertIsNone(events[-1])
        self.assertEqual("".join(e["choices"][0]["text"] for e in events[:-2]), "hello")
        self.assertEqual(events[-3]["choices"][0]["finish_reason"], "stop")
        self.assertEqual(events[-2]["choices"], [])
        self.assertEqual(self.server.post("/v1/completions", {**body, "prompt": ["say one=>"]}).json["choices"][0]["text"], "one")
        for prompt in (None, [1, 2], ["a", "b"], ""):
            self.assertEqual(self.server.post("/v1/completions", {**body, "prompt": prompt}).status, 400, prompt)

    def test_embeddings(self):
        body = {"model": "embed", "input": ["abc", "b"]}
        reply = self.server.post("/v1/embeddings", body).json
        self.assertEqual((reply["object"], [d["index"] for d in reply["data"]], reply["model"]), ("list", [0, 1], "embed"))
        coded = self.server.post("/v1/embeddings", {**body, "encoding_format": "base64"}).json
        for plain, packed in zip(reply["data"], coded["data"]):
            floats = struct.unpack("<8f", base64.b64decode(packed["embedding"]))
            for a, b in zip(plain["embedding"], floats):
                self.assertAlmostEqual(a, b, places=6)
        self.assertEqual(reply["usage"], {"prompt_tokens": 6, "total_tokens": 6})
        self.assertEqual(self.server.post("/v1/embeddings", {**body, "encoding_format": "int8"}).status, 400)
        self.assertEqual(self.server.post("/v1/embeddings", {"model": "embed", "input": []}).status, 400)


class Embed(ServerTest):
    def test_embed(self):
        reply = self.server.post("/api/embed", {"model": "embed", "input": ["abc", "aaaab"]}).json
        self.assertEqual((reply["model"], len(reply["embeddings"]), reply["prompt_eval_count"]), ("embed", 2, 10))
        for vector in reply["embeddings"]:
            self.assertAlmostEqual(math.fsum(x * x for x in vector), 1, places=5)
        self.assertGreater(reply["total_duration"], 0)
        self.assertGreater(reply["load_duration"], 0)
        one = self.server.post("/api/embed", {"model": "embed", "input": "abc"}).json
        self.assertEqual(one["embeddings"], reply["embeddings"][:1])
        cut = self.server.post("/api/embed", {"model": "embed", "input": "abc", "dimensions": 2}).json["embeddings"][0]
        self.assertEqual(len(cut), 2)
        self.assertAlmostEqual(math.fsum(x * x for x in cut), 1, places=5)
        for empty in ("", [], None):
            self.assertEqual(self.server.post("/api/embed", {"model": "embed", "input": empty}).json["embeddings"], [])

    def test_old(self):
        reply = self.server.post("/api/embeddings", {"model": "embed", "prompt": "aab"}).json
        self.assertEqual(reply, {"embedding": [1, 2, 1, 0, 0, 0, 0, 0]}, "not normalised")
        self.assertEqual(self.server.post("/api/embeddings", {"model": "embed", "prompt": ""}).json, {"embedding": []})

    def test_overflow(self):
        self.assertEqual(self.server.post("/api/embed", {"model": "embed", "input": "x" * 500}).json["prompt_eval_count"], 64)
        reply = self.server.post("/api/embed", {"model": "embed", "input": "x" * 500, "truncate": False})
        self.assertEqual((reply.status, reply.json["error"]), (400, "the input length exceeds the context length"))

    def test_a_failure_is_no_cancellation(self):
        self.server.post("/api/embed", {"model": "embed", "input": "x"})
        before = [self.server.metric(name) for name in ("jobs_failed_total", "jobs_cancelled_total")]
        self.server.post("/api/embed", {"model": "embed", "input": "x" * 500, "truncate": False})
        self.server.post("/api/embed", {"model": "embed", "input": "x"})  # by now the other has left the compute thread
        self.assertEqual([self.server.metric(name) for name in ("jobs_failed_total", "jobs_cancelled_total")], [before[0] + 1, before[1]])

    def test_a_text_model_is_not_loaded_for_nothing(self):
        self.server.post("/api/embed", {"model": "embed", "input": "x"})
        loads = self.server.metric("model_loads_total")
        for path, field in (("/api/embed", "input"), ("/api/embeddings", "prompt"), ("/v1/embeddings", "input")):
            reply = self.server.post(path, {"model": "plain", field: "x"})
            self.assertEqual(reply.status, 400, path)
            self.assertIn("this model does not support embeddings", reply.text)
        self.server.post("/api/embed", {"model": "embed", "input": "x"})
        self.assertEqual(self.server.metric("model_loads_total"), loads, "the embedding model kept its place")

    def test_errors(self):
        self.assertEqual(self.server.post("/api/embed", {"model": "embed", "input": [1]}).json["error"], "invalid input type")
        self.assertEqual(self.server.post("/api/embed", {"model": "nope", "input": "x"}).status, 404)
        self.assertEqual(self.server.post("/api/embed", {"input": "x"}).json["error"], "model is required")
        for path in ("/api/embed", "/api/embeddings"):
            for body, status, words in (("", 400, "missing request body"), ({"model": "nope"}, 404, "model 'nope' not found"), ({}, 400, "model is required"),
                                        ({"model": "embed", "keep_alive": "soon"}, 400, 'time: invalid duration "soon"')):
                reply = self.server.post(path, body)
                self.assertEqual((reply.status, reply.json), (status, {"error": words}), path)


class Manage(ServerTest):
    def test_pull(self):
        self.assertEqual(self.server.post("/api/pull", {"model": "plain"}).lines, [{"status": "pulling manifest"}, {"status": "success"}])
        self.assertEqual(self.server.post("/api/pull", {"name": "plain", "stream": False}).json, {"status": "success"})
        reply = self.server.post("/api/pull", {"model": "nope"})
        self.assertEqual((reply.status, reply.json), (500, {"error": "pull model manifest: file does not exist"}))
        self.assertEqual(self.server.post("/api/pull", {}).status, 400)

    def test_copy_and_delete(self):
        reply = self.server.post("/api/copy", {"source": "plain", "destination": "mine:v1"})
        self.assertEqual((reply.status, reply.lines, reply.headers["Content-Type"]), (200, [{"status": "success"}], "application/x-ndjson"))
        self.assertEqual(self.answer("say x", model="mine:v1"), "x")
        self.assertIn("mine:v1", [m["name"] for m in self.server.get("/api/tags").json["models"]])
        self.assertEqual(self.server.post("/api/show", {"model": "mine:v1"}).json["details"]["parent_model"], "plain:Q4_K_M")
        reply = self.server.request("DELETE", "/api/delete", {"model": "mine:v1", "stream": False})
        self.assertEqual((reply.status, reply.json), (200, {"status": "success"}))
        self.assertEqual(self.server.request("DELETE", "/api/delete", {"name": "mine:v1"}).status, 404)
        reply = self.server.request("DELETE", "/api/delete", {"name": "plain"})
        self.assertEqual(reply.status, 403)
        self.assertIn("does not delete", reply.json["error"])
        self.assertEqual(self.server.post("/api/copy", {"source": "nope", "destination": "x"}).status, 404)
        self.assertEqual(self.server.post("/api/copy", {"source": "plain", "destination": "../x"}).json["error"], 'destination "../x" is invalid')
        self.assertEqual(self.server.post("/api/copy", {"source": "plain", "destination": "tools"}).status, 400, "a file's name is taken")

    def test_create_with_template(self):
        """An alias's chat template is rendered, and decides what the alias can do."""
        from harness import CHATML, TOOLS
        weather = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
        call = 'say <tool_call>{"name": "weather", "arguments": {}}</tool_call>'
        self.assertEqual(self.chat(call, tools=[weather]).status, 400)
        self.assertEqual(self.server.post("/api/create", {"model": "tooled", "from": "plain", "template": TOOLS}).status, 200)
        self.assertEqual(self.server.post("/api/show", {"model": "tooled"}).json["capabilities"], ["completion", "tools"])
        message = self.chat(call, model="tooled", tools=[weather], stream=False).json["message"]
        self.assertEqual(message["tool_calls"][0]["function"]["name"], "weather")
        reply = self.chat(call, model="tooled", tools=[weather], path="/v1/chat/completions").json
        self.assertEqual(reply["choices"][0]["finish_reason"], "tool_calls")
        shouting = CHATML.replace("{{ m.content }}", "say loud {{ m.content }}")
        self.assertEqual(self.server.post("/api/create", {"model": "loud", "from": "tools", "template": shouting}).status, 200)
        self.assertEqual(self.server.post("/api/show", {"model": "loud"}).json["capabilities"], ["completion"])
        self.assertEqual(self.answer("x", model="loud"), "loud x")
        self.assertEqual(self.server.post("/api/create", {"model": "go", "from": "plain", "template": "{{ .Prompt }}"}).status, 200)
        self.assertEqual(self.answer("say own", model="go"), "own", "Go templates are for /api/generate")
        for name in ("tooled", "loud", "go"):
            self.assertEqual(self.server.request("DELETE", "/api/delete", {"model": name}).status, 200)

    def test_create(self):
        reply = self.server.post("/api/create", {"model": "made", "from": "plain", "system": "s", "parameters": {"stop": ["lo"], "temperature": 0.1},
                                                 "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]})
        self.assertEqual(reply.lines[-1], {"status": "success"})
        self.assertEqual(self.answer("say hello", model="made"), "hel", "its own stop string")
        self.assertEqual(self.answer("say hello", model="made", options={"stop": []}), "hello")
        shown = self.server.post("/api/show", {"model": "made"}).json
        self.assertEqual((shown["system"], shown["messages"][0]["content"]), ("s", "hi"))
        self.assertIn('stop                           "lo"', shown["parameters"])
        plain = self.chat("say x", stream=False).json["prompt_eval_count"]
        self.assertGreater(self.chat("say x", model="made", stream=False).json["prompt_eval_count"], plain + 10)
        self.assertEqual(self.server.post("/api/create", {"model": "m2", "from": "nope"}).status, 404)
        for body in ({"model": "m2"}, {"model": "m2", "from": "plain", "quantize": "q4_0"}, {"model": "m2", "files": {"a": "b"}}):
            self.assertEqual(self.server.post("/api/create", body).status, 501, body)
        self.assertEqual(self.server.post("/api/create", {"model": "m2", "from": "plain", "parameters": {"num_ctx": "x"}}).status, 400)

    def test_push_and_blobs(self):
        self.assertEqual(self.server.post("/api/push", {"name": "plain"}).status, 501)
        self.assertEqual(self.server.request("HEAD", "/api/blobs/sha256:00").status, 404)
        self.assertEqual(self.server.post("/api/blobs/sha256:00", "x").status, 501)


if __name__ == "__main__":
    unittest.main()

"""/api/generate and /api/chat: every field, streaming and not, and every error of the specification."""
import re
import unittest

from harness import ServerTest

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
COUNTS = ["total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"]


class Chat(ServerTest):
    def test_stream(self):
        reply = self.chat("say hello")
        self.assertEqual(reply.headers["Content-Type"], "application/x-ndjson")
        self.assertEqual(reply.headers["Transfer-Encoding"], "chunked")
        lines = reply.lines
        for line in lines:
            self.assertEqual(line["model"], "plain")
            self.assertRegex(line["created_at"], TIMESTAMP)
            self.assertEqual(line["message"]["role"], "assistant")
            self.assertNotIn("error", line)
        self.assertEqual("".join(line["message"]["content"] for line in lines), "hello")
        self.assertTrue(all(line["done"] is False and "done_reason" not in line for line in lines[:-1]))
        last = lines[-1]
        self.assertEqual((last["done"], last["done_reason"], last["message"]["content"]), (True, "stop", ""))
        for key in COUNTS:
            self.assertGreater(last[key], 0, key)
        self.assertEqual(list(last), ["model", "created_at", "message", "done", "done_reason"] + COUNTS)
        self.assertEqual((last["prompt_eval_count"], last["eval_count"]), (29, 6))

    def test_plain(self):
        reply = self.chat("say hello", stream=False)
        self.assertEqual(reply.headers["Content-Type"], "application/json; charset=utf-8")
        self.assertEqual(reply.json["message"], {"role": "assistant", "content": "hello"})
        self.assertEqual(reply.json["done_reason"], "stop")

    def test_lenient(self):
        """Bodies as real clients send them."""
        body = ('{"model":"plain","system":"","template":"","suffix":"","options":null,"format":"","keep_alive":null,"think":null,'
                '"messages":[{"role":"user","content":"say ok","images":[],"foreign":{"x":1}}],"unknown":7,"stream":false,"tools":[]}')
        for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "text/plain", "Authorization": "Bearer "}):
            reply = self.server.post("/api/chat", body, headers)
            self.assertEqual((reply.status, reply.json["message"]["content"]), (200, "ok"))
        reply = self.server.post("/api/chat", {"model": "plain", "stream": False, "messages": [
            {"role": "user", "content": "say ok"}, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]},
            {"role": "tool", "tool_name": "f", "content": "3"}, {"role": "assistant"}, {"role": "user", "content": "say done"}]})
        self.assertEqual(reply.json["message"]["content"], "done")

    def test_unicode(self):
        self.assertEqual(self.answer("say äöü €"), "äöü €")
        lines = self.chat("say \U0001f600x").lines
        self.assertEqual([line["message"]["content"] for line in lines], ["\U0001f600", "x", ""], "a character arrives whole")
        self.assertEqual(self.answer(r"say a\xff\xfeb"), "a\ufffd\ufffdb")
        self.assertEqual(self.answer(r"say a\xf0\x9f"), "a\ufffd\ufffd", "cut off by the end")
        body = b'{"model":"plain","stream":false,"messages":[{"role":"user","content":"say \\ud83d\xff!"}]}'
        self.assertEqual(self.server.post("/api/chat", body).json["message"]["content"], "\ufffd\ufffd!")

    def test_stop(self):
        for stop in (["lo"], "lo", ["zzz", "lo w"], ["l", "lo"]):
            text = self.answer("say hello world", options={"stop": stop})
            self.assertEqual(text, "he" if stop == ["l", "lo"] else "hel", stop)
        lines = self.chat("say hello", options={"stop": ["lox"]}).lines
        self.assertEqual("".join(line["message"]["content"] for line in lines), "hello", "what only looked like a stop is delivered")
        self.assertEqual(self.answer("say a<END>b", options={"stop": ["<END>"]}), "a")

    def test_length(self):
        reply = self.chat("forever", stream=False, options={"num_predict": 7})
        self.assertEqual((reply.json["message"]["content"], reply.json["done_reason"], reply.json["eval_count"]), ("xxxxxxx", "length", 7))
        reply = self.chat("forever", stream=False, shift=False, options={"num_predict": -1, "num_ctx": 100})
        self.assertEqual(reply.json["done_reason"], "length")
        self.assertEqual(reply.json["prompt_eval_count"] + reply.json["eval_count"], 100)

    def test_option_errors(self):
        for options, words in (({"num_ctx": "x"}, 'option "num_ctx" must be of type integer'), ({"top_k": 1.5}, 'option "top_k" must be of type integer'),
                               ({"temperature": "hot"}, 'option "temperature" must be of type float32'),
                               ({"stop": 3}, 'option "stop" must be of type array'), ({"stop": [3]}, 'option "stop" must be of an array of strings'),
                               ({"use_mmap": 1}, 'option "use_mmap" must be of type boolean'), ({"num_gpu": "all"}, 'option "num_gpu" must be of type integer')):
            reply = self.chat("say x", options=options)
            self.assertEqual((reply.status, reply.json), (500, {"error": words}))
        self.assertEqual(self.answer("say x", options={"num_ctx": None, "foreign": "y", "num_gpu": 99, "use_mmap": True, "num_thread": 4,
                                                         "main_gpu": 0, "num_batch": 64, "seed": 1, "temperature": 0, "repeat_last_n": -1}), "x")

    def test_errors(self):
        for body, status, words in (
                ({"messages": []}, 400, "model is required"),
                ({"model": "nope", "messages": []}, 404, "model 'nope' not found"),
                ({"model": "plain", "messages": "x"}, 400, "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []"),
                ({"model": "plain", "messages": [3]}, 400, "json: cannot unmarshal number into Go struct field ChatRequest.messages of type api.Message"),
                ({"model": "plain", "messages": [{"role": "user", "content": 3}]}, 400, "json: cannot unmarshal number into Go struct field Message.content of type string"),
                ({"model": "plain", "stream": "yes", "messages": []}, 400, "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool"),
                ({"model": "plain", "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "plain:Q4_K_M does not support tools"),
                ({"model": "plain", "messages": [{"role": "user", "content": "x"}], "think": True}, 400, '"plain" does not support thinking'),
                ({"model": "embed", "messages": [{"role": "user", "content": "x"}]}, 400, '"embed" does not support chat'),
                ({"model": "plain", "messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}, 400, '"plain" does not support images'),
                ({"model": "plain", "messages": [{"role": "user", "content": "x"}], "format": "xml"}, 500, 'invalid format: "xml"; expected "json" or a valid JSON Schema object'),
                ({"model": "plain", "messages": [{"role": "user", "content": "x"}], "logprobs": True, "top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
                ({"model": "plain", "messages": [{"role": "user", "content": "x"}], "think": "deeply"}, 400,
                 'invalid think value: "deeply" (must be "high", "medium", "low", "max", true, or false)')):
            for stream in (None, False):
                if "stream" in body and body["stream"] == "yes" and stream is not None:
                    continue
                reply = self.server.post("/api/chat", body if stream is None else {**body, "stream": False})
                self.assertEqual((reply.status, reply.json), (status, {"error": words}))
                self.assertTrue(reply.headers["Content-Type"].startswith("application/json"))
        self.assertEqual(self.answer("say x", think=False), "x", "think:false is accepted everywhere")

    def test_mid_stream_error(self):
        self.answer("say x")
        reply = self.chat("fail")
        self.assertEqual((reply.status, reply.json["error"]), (500, "a weight could not be read"), "before the first byte it is a real 500")
        for _ in range(6):
            self.assertEqual(self.chat("fail").status, 500)
            self.assertEqual(self.answer("say ok"), "ok", "a slot's memory is not trusted after a failure")

    def test_logprobs(self):
        reply = self.chat("say hi", stream=False, logprobs=True, top_logprobs=3)
        logprobs = reply.json["logprobs"]
        self.assertEqual([p["token"] for p in logprobs], ["h", "i"])
        for p in logprobs:
            self.assertEqual(p["bytes"], [ord(p["token"])])
            self.assertLess(p["logprob"], 0)
            tops = [t["logprob"] for t in p["top_logprobs"]]
            self.assertEqual((len(tops), tops), (3, sorted(tops, reverse=True)))
            self.assertEqual(p["top_logprobs"][0]["token"], p["token"])
        lines = self.chat("say h€", logprobs=True).lines
        self.assertEqual([[x["bytes"] for x in line.get("logprobs", [])] for line in lines], [[[104]], [[0xe2], [0x82], [0xac]], []])
        self.assertNotIn("top_logprobs", lines[0]["logprobs"][0])

    def test_case_and_echo(self):
        self.assertEqual(self.chat("say x", model="PLAIN:q4_k_m", stream=False).json["model"], "PLAIN:q4_k_m")
        self.assertEqual(self.chat("say x", model="plain-Q4_K_M", stream=False).json["model"], "plain-Q4_K_M", "the file's own name")

    def test_overflow_drops_oldest(self):
        messages = [{"role": "system", "content": "keep me"}]
        for i in range(30):
            messages += [{"role": "user", "content": "question %d " % i + "x" * 20}, {"role": "assistant", "content": "answer"}]
        messages.append({"role": "user", "content": "say {TOKENS}"})
        body = {"model": "plain", "messages": messages, "stream": False, "options": {"num_ctx": 400}}
        reply = self.server.post("/api/chat", body)
        self.assertEqual(reply.status, 200, reply.body)
        used = int(reply.json["message"]["content"])
        self.assertTrue(250 < used <= 350, used)
        self.assertEqual(used, reply.json["prompt_eval_count"])
        for more in ({"truncate": False}, {"shift": False, "messages": messages[:1] + [{"role": "user", "content": "y" * 2000}]}):
            reply = self.server.post("/api/chat", {**body, **more})
            self.assertEqual((reply.status, reply.json["error"]),
                             (400, "the prompt is longer than the context length currently available to the model"))


class Generate(ServerTest):
    def generate(self, prompt, model="plain", **more):
        return self.server.post("/api/generate", {"model": model, "prompt": prompt, **more})

    def test_stream(self):
        reply = self.generate("say hello")
        self.assertEqual(reply.headers["Content-Type"], "application/x-ndjson")
        lines = reply.lines
        self.assertEqual("".join(line["response"] for line in lines), "hello")
        self.assertEqual(list(lines[0]), ["model", "created_at", "response", "done"])
        self.assertEqual(list(lines[-1]), ["model", "created_at", "response", "done", "done_reason", "context"] + COUNTS)
        self.assertEqual(len(lines[-1]["context"]), lines[-1]["prompt_eval_count"] + lines[-1]["eval_count"])

    def test_plain(self):
        reply = self.generate("say hello", stream=False)
        self.assertEqual((reply.json["response"], reply.json["done"], reply.json["done_reason"]), ("hello", True, "stop"))

    def test_raw(self):
        reply = self.generate("say raw=>", raw=True, stream=False)
        self.assertEqual((reply.json["response"], reply.json["prompt_eval_count"]), ("raw", 10))
        self.assertNotIn("context", reply.json)
        for more in ({"system": "s"}, {"template": "t"}, {"context": [1]}):
            reply = self.generate("x", raw=True, **more)
            self.assertEqual((reply.status, reply.json["error"]), (400, "raw mode does not support template, system, or context"))
        self.assertEqual(self.generate("say y=>", raw=True, system="", template="", context=[], stream=False).json["response"], "y")

    def test_system(self):
        with_system = self.generate("say {TOKENS}", system="be kind", stream=False).json
        without = self.generate("say {TOKENS}", stream=False).json
        self.assertEqual(with_system["prompt_eval_count"] - without["prompt_eval_count"], len("system\nbe kind\n") + 2)
        self.assertEqual(int(with_system["response"]), with_system["prompt_eval_count"])

    def test_context(self):
        first = self.generate("say a", stream=False).json
        second = self.generate("say {TOKENS}", context=first["context"], stream=False).json
        self.assertEqual(int(second["response"]), second["prompt_eval_count"])
        self.assertEqual(second["context"][: len(first["context"])], first["context"])
        for bad in ([1, "x"], [-1], [1 << 40]):
            self.assertEqual(self.generate("x", context=bad).status, 400)
        reply = self.generate("x", context=[5000], stream=False)
        self.assertEqual((reply.status, reply.json["error"]), (400, "invalid token 5000 in context"))

    def test_template(self):
        template = "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n{{ .Response }}<|im_end|>"
        self.assertEqual(self.generate("say go", template=template, stream=False).json["response"], "go")
        jinja = "{% for m in messages %}<|im_start|>{{ m.role }}\nsay jinja {{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant{{ '\\n' }}"
        self.assertEqual(self.generate("x", template=jinja, stream=False).json["response"], "jinja x")
        self.assertEqual(self.generate("x", template="{{ range .Messages }}{{ end }}").status, 400)
        self.assertEqual(self.generate("x", template="{% if %}").status, 400)

    def test_suffix(self):
        reply = self.generate("a", model="fim", suffix="b", stream=False, options={"num_predict": 8})
        self.assertEqual((reply.status, reply.json["prompt_eval_count"]), (200, 5), reply.body)
        reply = self.generate("a", suffix="b")
        self.assertEqual((reply.status, reply.json["error"]), (400, "plain:Q4_K_M does not support insert"))

    def test_errors(self):
        for body, status, words in (
                ({"prompt": "x"}, 400, "model is required"), ({"model": "nope", "prompt": "x"}, 404, "model 'nope' not found"),
                ({"model": "embed", "prompt": "x"}, 400, '"embed" does not support generate'),
                ({"model": "plain", "prompt": "x", "images": ["aGk="]}, 400, '"plain" does not support images'),
                ({"model": "plain", "prompt": "x", "think": True}, 400, '"plain" does not support thinking'),
                ({"model": "plain", "prompt": "x", "format": []}, 500, 'invalid format: []; expected "json" or a valid JSON Schema object'),
                ({"model": "plain", "prompt": 4}, 400, "json: cannot unmarshal number into Go struct field GenerateRequest.prompt of type string"),
                ({"model": "plain", "prompt": "x" * 5000, "truncate": False}, 400, "the prompt is longer than the context length currently available to the model")):
            reply = self.server.post("/api/generate", body)
            self.assertEqual((reply.status, reply.json), (status, {"error": words}))

    def test_more_errors(self):
        for body, status, words in (
                ("", 400, "missing request body"), ({"model": "plain", "prompt": "x", "top_logprobs": -1}, 400, "top_logprobs must be between 0 and 20"),
                ({"model": "think", "prompt": "x", "think": "deeply"}, 400, 'invalid think value: "deeply" (must be "high", "medium", "low", "max", true, or false)'),
                ({"model": "plain", "prompt": "x", "options": {"seed": "x"}}, 500, 'option "seed" must be of type integer'),
                ({"model": "plain", "prompt": "", "raw": True, "template": "t"}, 400, "raw mode does not support template, system, or context"),
                ({"model": "plain", "prompt": "x", "context": "x"}, 400, "json: cannot unmarshal string into Go struct field GenerateRequest.context of type []")):
            for stream in (True, False):
                reply = self.server.post("/api/generate", {**body, "stream": stream} if body else body)
                self.assertEqual((reply.status, reply.json), (status, {"error": words}), body)

    def test_logprobs(self):
        plain = self.generate("say hi", stream=False, logprobs=True, top_logprobs=2).json
        self.assertEqual([(p["token"], len(p["top_logprobs"])) for p in plain["logprobs"]], [("h", 2), ("i", 2)])
        lines = self.generate("say hi", logprobs=True).lines
        self.assertEqual([[p["token"] for p in line.get("logprobs", [])] for line in lines], [["h"], ["i"], []])

    def test_thinking_streams(self):
        lines = self.generate("say <think>\\nHm\\n</think>\\n\\nYes.", model="think").lines
        self.assertEqual("".join(line.get("thinking", "") for line in lines).strip(), "Hm")
        self.assertEqual("".join(line["response"] for line in lines).strip(), "Yes.")

    def test_long_prompt_is_cut(self):
        reply = self.generate("x" * 9000, stream=False, options={"num_predict": 2})
        self.assertEqual(reply.status, 200, reply.body)
        self.assertLess(reply.json["prompt_eval_count"], 4096)


class Shift(ServerTest):
    """An answer that reaches the end of the context while it is written."""

    options = {"context": 256, "parallel": 2}
    TEXT = {"model": "plain", "prompt": "forever", "stream": False}

    def generate(self, **more):
        reply = self.server.post("/api/generate", {**self.TEXT, **more})
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json

    def test_shift_goes_on(self):
        done = self.generate(options={"num_predict": 700, "num_keep": -1})
        self.assertEqual((done["response"], done["eval_count"], done["done_reason"]), ("x" * 700, 700, "length"))
        self.assertLess(len(done["context"]), 257)
        prompt = self.generate(options={"num_predict": 1})["context"][: done["prompt_eval_count"]]
        self.assertEqual(done["context"][: len(prompt)], prompt, "the prompt was kept")
        lines = self.server.post("/api/chat", {"model": "plain", "messages": [{"role": "user", "content": "forever"}],
                                               "options": {"num_predict": 300, "num_keep": -1}}).lines
        self.assertEqual("".join(line["message"]["content"] for line in lines), "x" * 300)

    def test_an_end_all_the_same(self):
        self.assertEqual((lambda r: (r["eval_count"], r["done_reason"]))(self.generate(options={"num_keep": -1})), (2560, "length"))

    def test_without_shift(self):
        for more in ({}, {"options": {"num_predict": 700}}):
            done = self.generate(shift=False, **more)
            self.assertEqual((done["prompt_eval_count"] + done["eval_count"], done["done_reason"]), (256, "length"))
            self.assertEqual(len(done["context"]), 256)

    def test_num_keep(self):
        """What is left: num_keep tokens (and the one that begins every text), then the later half."""
        prompt = "say " + "z" * 140 + "=>"
        for num_keep, kept in ((4, 5), (0, 1), (20, 21)):
            done = self.generate(prompt=prompt, template="{{ .Prompt }}", options={"num_keep": num_keep})
            everything = [256] + [ord(c) for c in prompt + done["response"]] + [257]
            self.assertGreater(len(everything), 256)
            self.assertEqual(done["context"], everything[:kept] + everything[kept + (256 - kept) // 2 :], num_keep)

    def test_others_are_not_disturbed(self):
        """What a shifted answer leaves in its slot changes no later answer."""
        for i in range(3):
            self.generate(options={"num_predict": 600, "num_keep": -1})
            self.assertEqual(self.answer("say %d {TOKENS}" % i), "%d %d" % (i, len("user\nsay 0 {TOKENS}\nassistant\n") + 4))


class ShiftWithCheckpoints(Shift):
    """Where memory cannot be cut in the middle, what is kept is evaluated anew: the same answers."""

    options = {"context": 256, "parallel": 2, "checkpoints": 1}


if __name__ == "__main__":
    unittest.main()

"""One session core: `run --chat`, the terminal chat and /api/chat make the same prompt of the same conversation, and answer it
with the same tokens, whatever the template, the tools, a history that outgrows the context, a stop string across tokens, or a
template that cannot be compiled. What they evaluated is what they log with session:trace."""
import json
import os
import re
import signal
import subprocess
import tempfile
import unittest
import urllib.request

from support import HYPURA, ROOT, make_model, run

TEMPLATES = ["chatml", "command_r", "deepseek_r1", "deepseek_v3_1", "exaone", "falcon3", "gemma2", "gemma3", "gemma3_typed", "glm4_5",
             "gpt_oss", "granite3", "hermes_tool_use", "kimi_k2", "llama2", "llama3", "llama3_1_tools", "mistral_v3_tools", "olmo2",
             "phi3", "phi4_mini_tools", "qwen2_5", "qwen3", "qwen3_coder", "smollm3", "zephyr"]
MODEL = ["--arch", "llama", "--layers", "2", "--width", "256", "--vocab", "1024", "--context", "8192"]
CONTEXT, MAX_TOKENS = 4096, 12
# libllama knows a Llama 3 template by these marks; the tag is nobody's.
UNKNOWN = "{% nonsense %}<|start_header_id|>{{ messages }}<|end_header_id|>"
# Nor does it know this one: ChatML is what is left.
NOBODYS = "{% nonsense %}{{ messages }}"

TALK = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "And then?"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "The weather of a city.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "its name"}}, "required": ["city"]}}}]
CALL = [{"role": "user", "content": "How warm is Rome?"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call00001", "type": "function", "function": {
            "name": "weather", "arguments": {"city": "Rome"}}}]},
        {"role": "tool", "tool_name": "weather", "tool_call_id": "call00001", "content": "31 degrees"},
        {"role": "assistant", "content": "It is 31 degrees."}, {"role": "user", "content": "And in Oslo?"}]


def template_text(name):
    with open(os.path.join(ROOT, "tests/chat/templates", name + ".jinja")) as f:
        return f.read()


def traced(log):
    """(prompt tokens, answer tokens) of each answer that a log tells of."""
    pairs, prompt = [], None
    with open(log) as f:
        for line in f:
            event = json.loads(line)
            if event["message"] == "prompt":
                prompt = event["tokens"]
            elif event["message"] == "answer":
                pairs.append((prompt, event["tokens"]))
    return pairs


class Serve:
    def __init__(self, model, log, context):
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen([HYPURA, "serve", model, "--port", "0", "-t", "1", "--context", str(context), "--log-level",
                                         "session:trace", "--log-file", log, "--log-format", "json"], stdout=subprocess.PIPE,
                                        stderr=self.err, text=True)
        self.url = None
        for line in self.process.stdout:
            found = re.search(r"http://[^ ]*?:(\d+)", line)
            if found:
                self.url = f"http://127.0.0.1:{found.group(1)}"
                break

    def chat(self, body):
        request = urllib.request.Request(self.url + "/api/chat", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process.stdout.close()
        self.err.close()


class Session(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name
        self.env = {**os.environ, "XDG_CACHE_HOME": self.folder}

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "w") as f:
                f.write(content)
        return path

    def model(self, template):
        path = self.path("model.gguf")
        maker = os.path.join(os.environ["HYPURA_BUILD"], "tools/make-model")
        subprocess.run([maker, *MODEL, "--chat-template", self.path("template", template), "-o", path], check=True, capture_output=True)
        return path

    def ask(self, model, context, messages, tools, stop):
        """What the three say of one conversation: (prompt tokens, answer tokens) each, the texts told beside, and the answer."""
        for name in ("run.log", "chat.log", "serve.log"):
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))
        system = messages[0]["content"] if messages[0]["role"] == "system" else None
        history, question = messages[system is not None:-1], messages[-1]["content"]
        saved = self.path("history.json", json.dumps({"messages": history, "tools": tools}))
        options = [model, "-t", "1", "--context", str(context), "-n", str(MAX_TOKENS), "--temp", "0", "--messages", saved, "--log-level",
                   "session:trace", "--log-format", "json"]
        if system is not None:
            options += ["--system", system]
        if stop is not None:
            options += ["--stop", stop]
        alone = run("run", "--chat", "-p", question, *options, "--log-file", self.path("run.log"), env=self.env)
        terminal = run("run", "--interactive", *options, "--log-file", self.path("chat.log"), env=self.env, input=question + "\n")
        server = Serve(model, self.path("serve.log"), context)
        try:
            body = {"model": "model", "messages": messages, "tools": tools, "stream": False,
                    "options": {"temperature": 0, "num_predict": MAX_TOKENS, "stop": [stop] if stop is not None else []}}
            reply = server.chat(body)
        finally:
            server.stop()
        self.assertEqual((alone.returncode, terminal.returncode), (0, 0), alone.stderr + terminal.stderr)
        said = {name: traced(self.path(name)) for name in ("run.log", "chat.log", "serve.log")}
        for name, pairs in said.items():
            self.assertEqual(len(pairs), 1, name)
        return [pairs[0] for pairs in said.values()], (alone, terminal), reply

    def assert_same(self, model, messages, tools=(), stop=None, context=CONTEXT):
        said, told, reply = self.ask(model, context, messages, list(tools), stop)
        self.assertTrue(said[0][0])
        self.assertEqual(said[0][0], said[1][0], "prompt of the terminal chat")
        self.assertEqual(said[0][0], said[2][0], "prompt of the server")
        self.assertEqual(said[0][1], said[1][1], "answer of the terminal chat")
        self.assertEqual(said[0][1], said[2][1], "answer of the server")
        return said[0], told, reply

    def test_every_template(self):
        for name in TEMPLATES:
            with self.subTest(template=name):
                text = template_text(name)
                model = self.model(text)
                self.assert_same(model, TALK)
                if "tools" in text:
                    self.assert_same(model, CALL, TOOLS)

    def test_a_history_that_outgrows_the_context(self):
        model = self.model(template_text("qwen2_5"))
        context = 1024
        long = [TALK[0]]
        for i in range(40):
            long += [{"role": "user", "content": f"question {i} " + "why " * 8}, {"role": "assistant", "content": f"because {i}"}]
        dropped = []
        for end in ("Go on.", "And then?"):
            (prompt, _), told, _ = self.assert_same(model, [*long, {"role": "user", "content": end}], context=context)
            self.assertLessEqual(len(prompt.split()), context - MAX_TOKENS)
            self.assertGreater(len(prompt.split()), context // 2)
            dropped.append(re.search(r"the (\d+) oldest messages are forgotten", told[1].stdout).group(1))
            long += [{"role": "user", "content": end}, {"role": "assistant", "content": "Well."}]
        # A turn later the same are dropped: the rest is still in memory.
        self.assertEqual(dropped[0], dropped[1])

    def test_a_stop_string_across_a_token_border(self):
        model = self.model(template_text("chatml"))
        server = Serve(model, self.path("probe.log"), CONTEXT)
        try:
            reply = server.chat({"model": "model", "messages": TALK, "stream": False, "logprobs": True,
                                 "options": {"temperature": 0, "num_predict": MAX_TOKENS}})
        finally:
            server.stop()
        pieces = [bytes(p["bytes"]).decode(errors="replace") for p in reply["logprobs"]]
        # The end of one token and the beginning of the next, of text that JSON and a command line carry.
        borders = [(a, b) for a, b in zip(pieces[1:], pieces[2:]) if (a[-1:] + b[:1]).isprintable() and a[-1:] and b[:1] and "\ufffd" not in a + b]
        self.assertTrue(borders, pieces)
        stop = borders[0][0][-1] + borders[0][1][0]
        (_, answer), _, stopped = self.assert_same(model, TALK, stop=stop)
        self.assertLess(len(answer.split()), MAX_TOKENS)
        self.assertEqual(stopped["done_reason"], "stop")
        self.assertTrue(reply["message"]["content"].startswith(stopped["message"]["content"]))
        self.assertNotIn(stop, stopped["message"]["content"])

    def test_a_template_that_cannot_be_compiled(self):
        for text, words, marks in ((UNKNOWN, "using libllama's built-in one", "<|start_header_id|>system<|end_header_id|>"),
                                   (NOBODYS, "using ChatML", "<|im_start|>system\n")):
            with self.subTest(fallback=words):
                _, told, _ = self.assert_same(self.model(text), TALK)
                for done in told:
                    self.assertIn("the model's chat template is not understood: " + words, done.stderr)
                with open(self.path("serve.log")) as f:
                    events = [json.loads(line) for line in f]
                warned = [e["message"] for e in events if e["level"] == "warn"]
                self.assertTrue(any(words in message for message in warned), warned)
                prompts = [e["text"] for e in events if e["message"] == "prompt"]
                self.assertIn(marks, prompts[0])


if __name__ == "__main__":
    unittest.main()

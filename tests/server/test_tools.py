"""Tool calls and reasoning, in Ollama's and OpenAI's forms, streamed and not."""
import unittest

from harness import TOOLS, ServerTest, gguf

WEATHER = {"type": "function", "function": {"name": "weather", "description": "tells it", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, "required": ["city"]}}}
CALL = 'say On it. <tool_call>\\n{"name": "weather", "arguments": {"city": "K\u00f6ln", "days": 2}}\\n</tool_call>'


class Tools(ServerTest):
    def test_ollama_stream(self):
        lines = self.chat(CALL, model="tools", tools=[WEATHER]).lines
        calls = [c for line in lines for c in line["message"].get("tool_calls", [])]
        self.assertEqual(len(calls), 1)
        self.assertRegex(calls[0]["id"], r"^call_[0-9a-f]{8}$")
        self.assertEqual(calls[0]["function"], {"index": 0, "name": "weather", "arguments": {"city": "K\u00f6ln", "days": 2}})
        self.assertEqual("".join(line["message"]["content"] for line in lines).strip(), "On it.")
        for line in lines:
            self.assertEqual(line["message"]["role"], "assistant")
            self.assertIn("content", line["message"])
        self.assertEqual((lines[-1]["done"], lines[-1]["done_reason"]), (True, "stop"))

    def test_ollama_plain(self):
        message = self.chat(CALL, model="tools", tools=[WEATHER], stream=False).json["message"]
        self.assertEqual(message["content"].strip(), "On it.")
        self.assertEqual(message["tool_calls"][0]["function"]["arguments"], {"city": "K\u00f6ln", "days": 2})

    def test_two_calls(self):
        one = '<tool_call>{"name": "weather", "arguments": {"city": "A"}}</tool_call>'
        message = self.chat("say " + one + one.replace("A", "B"), model="tools", tools=[WEATHER], stream=False).json["message"]
        self.assertEqual([(c["function"]["index"], c["function"]["arguments"]["city"]) for c in message["tool_calls"]], [(0, "A"), (1, "B")])
        self.assertNotEqual(message["tool_calls"][0]["id"], message["tool_calls"][1]["id"])

    def test_without_tools(self):
        self.assertIn("<tool_call>", self.answer(CALL, model="tools"), "nobody offered tools: it is text")

    def test_results_come_back(self):
        for result in ({"role": "tool", "tool_name": "weather", "content": "sunny"}, {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}):
            reply = self.server.post("/api/chat", {"model": "tools", "stream": False, "tools": [WEATHER], "messages": [
                {"role": "user", "content": "hi"}, {"role": "assistant", "content": "", "tool_calls": [
                    {"id": "call_1", "function": {"name": "weather", "arguments": {"city": "A"}}}]},
                result, {"role": "user", "content": "say ok"}]})
            self.assertEqual((reply.status, reply.json["message"]["content"]), (200, "ok"))

    def test_openai(self):
        body = {"model": "tools", "tools": [WEATHER], "messages": [{"role": "user", "content": CALL}]}
        choice = self.server.post("/v1/chat/completions", body).json["choices"][0]
        self.assertEqual(choice["finish_reason"], "tool_calls")
        (call,) = choice["message"]["tool_calls"]
        self.assertEqual((call["type"], call["index"], call["function"]["name"]), ("function", 0, "weather"))
        self.assertIsInstance(call["function"]["arguments"], str)
        self.assertIn('"days"', call["function"]["arguments"])
        events = self.server.post("/v1/chat/completions", {**body, "stream": True}).events[:-1]
        deltas = [e["choices"][0]["delta"] for e in events]
        self.assertEqual(deltas[0]["role"], "assistant")
        self.assertEqual([c["function"]["name"] for d in deltas for c in d.get("tool_calls", [])], ["weather"])
        self.assertEqual(events[-1]["choices"][0]["finish_reason"], "tool_calls")
        none = self.server.post("/v1/chat/completions", {**body, "tool_choice": "none"}).json["choices"][0]
        self.assertEqual((none["finish_reason"], "tool_calls" in none["message"]), ("stop", False))

    def test_bad_tools(self):
        reply = self.chat("x", model="tools", tools=[{"type": "function", "function": {}}])
        self.assertEqual((reply.status, reply.json["error"]), (400, "invalid tool: function.name is required"))


class NamedTemplates(ServerTest):
    """A file with several templates: the one called tool_use is for conversations with tools."""

    def test_tool_use(self):
        says = "{%% for m in messages %%}<|im_start|>user\nsay %s {{ m.content }}<|im_end|>\n{%% endfor %%}<|im_start|>assistant{{ '\\n' }}"
        gguf(self.models + "/named.gguf", says % "plainly", salt=9, extra={
            "tokenizer.chat_templates": ["tool_use", "rag"], "tokenizer.chat_template.rag": says % "never",
            "tokenizer.chat_template.tool_use": says % "{% if tools %}{{ tools[0].function.name }}{% endif %}"})
        shown = self.server.post("/api/show", {"model": "named"}).json
        self.assertEqual(shown["capabilities"], ["completion", "tools"])
        self.assertIn("plainly", shown["template"])
        self.assertEqual(self.answer("x", model="named"), "plainly x")
        self.assertTrue(self.answer("x", model="named", tools=[WEATHER]).startswith("weather"))
        body = {"model": "named", "messages": [{"role": "user", "content": "x"}], "tools": [WEATHER]}
        for choice, said in (("auto", "weather"), ("none", "plainly")):
            reply = self.server.post("/v1/chat/completions", {**body, "tool_choice": choice}).json
            self.assertTrue(reply["choices"][0]["message"]["content"].startswith(said), reply)

    def test_not_understood(self):
        gguf(self.models + "/half.gguf", TOOLS, salt=10, extra={"tokenizer.chat_template.tool_use": "{% if %} tools"})
        self.assertEqual(self.answer("say fine", model="half", tools=[WEATHER]), "fine", "then the other one serves")


class Thinking(ServerTest):
    TEXT = "say <think>\\nHm \u00e4h\\n</think>\\n\\nYes."

    def test_ollama(self):
        lines = self.chat(self.TEXT, model="think").lines
        self.assertEqual("".join(line["message"].get("thinking", "") for line in lines).strip(), "Hm \u00e4h")
        self.assertEqual("".join(line["message"]["content"] for line in lines).strip(), "Yes.")
        message = self.chat(self.TEXT, model="think", stream=False, think=True).json["message"]
        self.assertEqual((message["thinking"].strip(), message["content"].strip()), ("Hm \u00e4h", "Yes."))
        self.assertEqual(self.chat("say ok", model="think", stream=False, think=False).json["message"], {"role": "assistant", "content": "ok"})
        for level in ("low", "medium", "high", "max"):
            self.assertEqual(self.chat("say ok", model="think", think=level).status, 200)

    def test_generate(self):
        reply = self.server.post("/api/generate", {"model": "think", "prompt": self.TEXT, "stream": False}).json
        self.assertEqual((reply["thinking"].strip(), reply["response"].strip()), ("Hm \u00e4h", "Yes."))

    def test_unset_means_true(self):
        shows = "{% for m in messages %}<|im_start|>user\nsay {{ enable_thinking is defined and enable_thinking }} {{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant{{ '\\n' }}"
        for model, think, said in (("think", None, "True"), ("think", True, "True"), ("think", False, "False"), ("plain", None, "False")):
            reply = self.server.post("/api/generate", {"model": model, "prompt": "x", "template": shows, "stream": False, "think": think})
            self.assertEqual((reply.status, reply.json["response"]), (200, said + " x"), (model, think))

    def test_openai(self):
        body = {"model": "think", "messages": [{"role": "user", "content": self.TEXT}], "reasoning_effort": "low"}
        message = self.server.post("/v1/chat/completions", body).json["choices"][0]["message"]
        self.assertEqual((message["reasoning"].strip(), message["content"].strip()), ("Hm \u00e4h", "Yes."))
        events = self.server.post("/v1/chat/completions", {**body, "stream": True}).events[:-1]
        self.assertEqual("".join(e["choices"][0]["delta"].get("reasoning", "") for e in events).strip(), "Hm \u00e4h")
        self.assertEqual(self.server.post("/v1/chat/completions", {**body, "model": "plain"}).status, 200, "clients send it to every model")


if __name__ == "__main__":
    unittest.main()

"""POST /v1/messages: Anthropic's form, whole and streamed."""
import json
import unittest

from harness import ServerTest

WEATHER = {"name": "weather", "description": "tells it", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
CALL = 'say On it. <tool_call>{"name": "weather", "arguments": {"city": "K\u00f6ln"}}</tool_call>'


class Messages(ServerTest):
    def ask(self, content, model="plain", **more):
        return self.server.post("/v1/messages", {"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": content}], **more})

    def events(self, *words, **more):
        """The stream's events, held to its rules: named as their type, blocks opened, filled and closed in order."""
        reply = self.ask(*words, stream=True, **more)
        self.assertEqual((reply.status, reply.headers["Content-Type"]), (200, "text/event-stream"))
        out, still_open, index = [], False, 0
        for part in reply.body.decode().split("\n\n")[:-1]:
            name, data = part.split("\n")
            event = json.loads(data[len("data: "):])
            self.assertEqual(name, "event: " + event["type"])
            if "index" in event:
                self.assertEqual(event["index"], index)
                self.assertEqual(still_open, event["type"] != "content_block_start")
                still_open = event["type"] != "content_block_stop"
                index += not still_open
            out.append(event)
        self.assertFalse(still_open)
        self.assertEqual([out[0]["type"], out[-2]["type"], out[-1]["type"]], ["message_start", "message_delta", "message_stop"])
        return out

    def test_plain(self):
        reply = self.ask("say hello")
        self.assertEqual((reply.status, reply.headers["Content-Type"]), (200, "application/json"))
        body = reply.json
        self.assertRegex(body.pop("id"), r"^msg_[0-9a-f]{24}$")
        usage = body.pop("usage")
        self.assertEqual(body, {"type": "message", "role": "assistant", "model": "plain", "content": [{"type": "text", "text": "hello"}],
                                "stop_reason": "end_turn", "stop_sequence": None})
        self.assertEqual((usage["input_tokens"] + usage["cache_read_input_tokens"], usage["output_tokens"]), (29, 6))

    def test_stream(self):
        events = self.events("say hi")
        start = events[0]["message"]
        self.assertEqual((start["role"], start["content"], start["stop_reason"]), ("assistant", [], None))
        self.assertEqual(start["usage"], {**events[-2]["usage"], "output_tokens": 0})
        self.assertEqual(start["usage"]["input_tokens"] + start["usage"]["cache_read_input_tokens"], 26)
        self.assertEqual(events[1], {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        self.assertEqual([e["delta"] for e in events if e["type"] == "content_block_delta"], [{"type": "text_delta", "text": c} for c in "hi"])
        self.assertEqual((events[-2]["delta"], events[-2]["usage"]["output_tokens"]), ({"stop_reason": "end_turn", "stop_sequence": None}, 3))
        self.assertEqual([e["type"] for e in self.events("say ")], ["message_start", "message_delta", "message_stop"], "nothing was said")

    def test_why_it_stopped(self):
        body = self.ask("forever", max_tokens=3).json
        self.assertEqual((body["content"][0]["text"], body["stop_reason"]), ("xxx", "max_tokens"))
        body = self.ask("say hello world", stop_sequences=["zz", "lo"]).json
        self.assertEqual((body["content"][0]["text"], body["stop_reason"], body["stop_sequence"]), ("hel", "stop_sequence", "lo"))
        self.assertEqual(self.events("say hello", stop_sequences=["lo"])[-2]["delta"], {"stop_reason": "stop_sequence", "stop_sequence": "lo"})

    def test_system_and_blocks(self):
        plain = self.ask("say {TOKENS}").json["content"][0]["text"]
        for system in ("be kind", [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}]):
            with_system = self.ask([{"type": "text", "text": "say {TOKENS}"}], system=system).json["content"][0]["text"]
            self.assertEqual(int(with_system) - int(plain), len("system\nbe kind\n") + 2)

    def test_tools(self):
        body = self.ask(CALL, model="tools", tools=[WEATHER]).json
        text, call = body["content"]
        self.assertEqual((text["type"], text["text"].strip(), body["stop_reason"]), ("text", "On it.", "tool_use"))
        self.assertEqual({k: v for k, v in call.items() if k != "id"}, {"type": "tool_use", "name": "weather", "input": {"city": "K\u00f6ln"}})
        events = self.events(CALL, model="tools", tools=[WEATHER])
        starts = [e["content_block"] for e in events if e["type"] == "content_block_start"]
        self.assertEqual([s["type"] for s in starts], ["text", "tool_use"])
        self.assertEqual((starts[1]["name"], starts[1]["input"]), ("weather", {}))
        parts = [e["delta"]["partial_json"] for e in events if e.get("delta", {}).get("type") == "input_json_delta"]
        self.assertEqual(json.loads("".join(parts)), {"city": "K\u00f6ln"})
        self.assertEqual(events[-2]["delta"]["stop_reason"], "tool_use")
        self.assertIn("<tool_call>", self.ask(CALL, model="tools", tools=[WEATHER], tool_choice={"type": "none"}).json["content"][0]["text"])

    def test_results_come_back(self):
        """The template shows what was called and what came of it, in order."""
        turns = [{"role": "user", "content": "hi"},
                 {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "On it."},
                                                   {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "A"}}]},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "sunny"}]},
                                              {"type": "text", "text": "say {TOKENS}"}]}]
        body = self.server.post("/v1/messages", {"model": "tools", "max_tokens": 50, "tools": [WEATHER], "messages": turns}).json
        same = self.server.post("/v1/chat/completions", {"model": "tools", "tools": [{"type": "function", "function": {
            "name": "weather", "description": "tells it", "parameters": WEATHER["input_schema"]}}], "messages": [
                {"role": "user", "content": "hi"}, {"role": "assistant", "content": "On it.", "reasoning": "hm", "tool_calls": [
                    {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"A"}'}}]},
                {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"}, {"role": "user", "content": "say {TOKENS}"}]}).json
        self.assertEqual(body["content"][0]["text"], same["choices"][0]["message"]["content"])

    def test_thinking(self):
        text = "say <think>\\nHm\\n</think>\\n\\nYes."
        body = self.ask(text, model="think", thinking={"type": "enabled", "budget_tokens": 1024}).json
        self.assertEqual([(b["type"], b[b["type"]].strip()) for b in body["content"]], [("thinking", "Hm"), ("text", "Yes.")])
        events = self.events(text, model="think", thinking={"type": "enabled", "budget_tokens": 1024})
        self.assertEqual([e["content_block"]["type"] for e in events if e["type"] == "content_block_start"], ["thinking", "text"])
        self.assertEqual(self.ask("say ok", thinking={"type": "enabled"}).status, 200, "clients ask every model")

    def count(self, **body):
        reply = self.server.post("/v1/messages/count_tokens", body)
        self.assertEqual((reply.status, reply.headers["Content-Type"], list(reply.json)), (200, "application/json", ["input_tokens"]), reply.body)
        return reply.json["input_tokens"]

    def test_count(self):
        """What is counted is the prompt that would be evaluated, template, system message and tools included."""
        asked = {"messages": [{"role": "user", "content": "say {TOKENS}"}]}
        for more in ({"model": "plain"}, {"model": "plain", "system": "be kind"}, {"model": "tools", "tools": [WEATHER]},
                     {"model": "tools", "tools": [WEATHER], "tool_choice": {"type": "none"}}, {"model": "think", "thinking": {"type": "enabled", "budget_tokens": 9}}):
            text = self.server.post("/v1/messages", {**asked, **more, "max_tokens": 50}).json["content"][0]["text"]
            self.assertEqual(str(self.count(**asked, **more)), text, more)
        decodes = self.server.metric("decodes_total")
        long = self.count(model="plain", messages=[{"role": "user", "content": "y" * 20000}])
        self.assertEqual((long - 20000, self.server.metric("decodes_total")), (self.count(model="plain", messages=[{"role": "user", "content": "y"}]) - 1, decodes),
                         "longer than the context, counted whole, and nothing evaluated")

    def test_count_errors(self):
        good = {"model": "plain", "messages": [{"role": "user", "content": "x"}]}
        for body, status, kind, words in (
                ("", 400, "invalid_request_error", "missing request body"), ({**good, "model": "nope"}, 404, "not_found_error", "model 'nope' not found"),
                ({**good, "model": "broken"}, 500, "api_error", "this model is broken (take another)"),
                ({**good, "messages": []}, 400, "invalid_request_error", "messages: at least one message is required"),
                ({**good, "model": "embed"}, 400, "invalid_request_error", '"embed" does not support chat'),
                ({**good, "tools": [WEATHER]}, 400, "invalid_request_error", "plain:Q4_K_M does not support tools")):
            reply = self.server.post("/v1/messages/count_tokens", body)
            self.assertEqual((reply.status, reply.json), (status, {"type": "error", "error": {"type": kind, "message": words}}))

    def test_errors(self):
        message = [{"role": "user", "content": "x"}]
        good = {"model": "plain", "max_tokens": 5, "messages": message}
        for body, status, kind, words in (
                ("", 400, "invalid_request_error", "missing request body"), ({**good, "model": "nope"}, 404, "not_found_error", "model 'nope' not found"),
                ({**good, "max_tokens": None}, 400, "invalid_request_error", "max_tokens: a positive number is required"),
                ({**good, "messages": []}, 400, "invalid_request_error", "messages: at least one message is required"),
                ({**good, "messages": [{"role": "system", "content": "x"}]}, 400, "invalid_request_error", 'messages: role must be "user" or "assistant", not "system"'),
                ({**good, "messages": ["x"]}, 400, "invalid_request_error", None),
                ({**good, "model": "embed"}, 400, "invalid_request_error", '"embed" does not support chat'),
                ({**good, "tools": [WEATHER]}, 400, "invalid_request_error", "plain:Q4_K_M does not support tools"),
                ({**good, "model": "tools", "tools": [WEATHER], "tool_choice": {"type": "tool", "name": "g"}}, 400, "invalid_request_error",
                 'tool_choice names "g", which is not among the tools'),
                ({**good, "model": "tools", "tools": [{"input_schema": {}}]}, 400, "invalid_request_error", "invalid tool: function.name is required"),
                ({**good, "temperature": 3}, 400, "invalid_request_error", "temperature must be between 0 and 2"),
                ({**good, "messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, 400, "invalid_request_error", '"plain" does not support images'),
                ({**good, "messages": [{"role": "user", "content": "fail"}]}, 500, "api_error", "a weight could not be read")):
            reply = self.server.post("/v1/messages", body)
            self.assertEqual((reply.status, reply.headers["Content-Type"]), (status, "application/json"), (body, reply.body))
            error = reply.json
            self.assertEqual((error["type"], error["error"]["type"], list(error)), ("error", kind, ["type", "error"]))
            if words:
                self.assertEqual(error["error"]["message"], words)


class Waiting(ServerTest):
    options = {"load_ms": 2500, "sign": 0.4, "keep_alive_s": 0}

    def test_error_in_a_stream(self):
        reply = self.chat("say hi", model="broken", path="/v1/messages", stream=True, max_tokens=9)
        parts = reply.body.split(b"\n\n")
        self.assertEqual((parts[0], parts[-2]), (b": working", b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"this model is broken (take another)"}}'))


class Keys(ServerTest):
    options = {"key": "sesame"}

    def test_its_own_header(self):
        for headers, status in (({}, 401), ({"X-Api-Key": "wrong"}, 401), ({"X-Api-Key": "sesame"}, 200), ({"Authorization": "Bearer sesame"}, 200)):
            reply = self.server.post("/v1/messages", {"model": "plain", "max_tokens": 5, "messages": [{"role": "user", "content": "say x"}]}, headers)
            self.assertEqual(reply.status, status, headers)


if __name__ == "__main__":
    unittest.main()

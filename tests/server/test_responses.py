"""POST /v1/responses: OpenAI's newer form of a chat, whole and streamed."""
import json
import unittest

from harness import ServerTest

WEATHER = {"type": "function", "name": "weather", "description": "tells it", "strict": True,
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
CALL = 'say On it. <tool_call>{"name": "weather", "arguments": {"city": "K\u00f6ln"}}</tool_call>'
THOUGHT = "say <think>\\nHm\\n</think>\\n\\nYes."
ECHO = {"instructions": None, "tools": [], "text": {"format": {"type": "text"}}, "metadata": {}, "tool_choice": "auto", "reasoning": None,
        "parallel_tool_calls": True, "temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "top_logprobs": 0,
        "max_output_tokens": None, "max_tool_calls": None, "truncation": "auto", "store": False, "background": False,
        "service_tier": "default", "safety_identifier": None, "prompt_cache_key": None}


def without_ids(items):
    return [{k: v for k, v in item.items() if k not in ("id", "call_id")} for item in items]


def message(text, status="completed"):
    return {"type": "message", "status": status, "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}


def thought(text, **more):
    return {"type": "reasoning", "status": "completed", "summary": [{"type": "summary_text", "text": text}], **more}


class ResponsesTest(ServerTest):
    def ask(self, content, model="plain", **more):
        return self.server.post("/v1/responses", {"model": model, "input": content, **more})

    def text(self, content, **more):
        reply = self.ask(content, **more)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json["output"][-1]["content"][0]["text"]

    def stream(self, content, **more):
        """A stream's events, held to its rules: numbered, named as their type, every item with one id, begun, filled and ended before
        the next begins, and in the end the same as in the last event's response."""
        reply = self.ask(content, stream=True, **more)
        self.assertEqual((reply.status, reply.headers["Content-Type"]), (200, "text/event-stream"))
        events, items, text = [], [], None
        parts = [p for p in reply.body.decode().split("\n\n")[:-1] if not p.startswith(":")]
        for number, part in enumerate(parts):
            name, data = part.split("\n")
            event = json.loads(data[len("data: "):])
            self.assertEqual((name, event["sequence_number"]), ("event: " + event["type"], number))
            kind = event["type"].removeprefix("response.")
            if kind == "output_item.added":
                self.assertIsNone(text)
                opened, text = event["item"], ""
                self.assertEqual(opened["status"], "in_progress")
            if "output_index" in event:
                self.assertEqual(event["output_index"], len(items))
                self.assertEqual(event.get("item_id", opened["id"]), opened["id"])
                self.assertEqual(event.get("summary_index", event.get("content_index", 0)), 0)
            if kind.endswith(".delta"):
                text += event["delta"]
            if kind.endswith("text.done") or kind.endswith("arguments.done") or kind.endswith("part.done"):
                self.assertEqual(event.get("text", event.get("arguments", event.get("part", {}).get("text"))), text)
            if kind == "output_item.done":
                self.assertEqual(event["item"]["id"], opened["id"])
                items.append(event["item"])
                text = None
            events.append(event)
        self.assertEqual([e["type"] for e in events[:2]], ["response.created", "response.in_progress"])
        for event in events[:2]:
            self.assertEqual((event["response"]["status"], event["response"]["output"], event["response"]["usage"]), ("in_progress", [], None))
        last = events[-1]["response"]
        self.assertEqual((events[-1]["type"], last["id"], last["output"]), ("response." + last["status"], events[0]["response"]["id"], items))
        return events


class Responses(ResponsesTest):
    def test_plain(self):
        reply = self.ask("say hello")
        self.assertEqual((reply.status, reply.headers["Content-Type"]), (200, "application/json"))
        body = reply.json
        self.assertRegex(body.pop("id"), r"^resp_[0-9a-f]{24}$")
        self.assertRegex(body["output"][0]["id"], r"^msg_[0-9a-f]{24}$")
        self.assertGreaterEqual(body.pop("completed_at"), body.pop("created_at"))
        self.assertEqual(without_ids(body.pop("output")), [message("hello")])
        cached = body["usage"]["input_tokens_details"].pop("cached_tokens")
        self.assertTrue(0 <= cached < 29)
        self.assertEqual(body.pop("usage"), {"input_tokens": 29, "input_tokens_details": {"cache_write_tokens": 0}, "output_tokens": 6,
                                             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 35})
        self.assertEqual(body, {"object": "response", "status": "completed", "incomplete_details": None, "error": None, "model": "plain",
                                "previous_response_id": None, **ECHO})

    def test_stream(self):
        events = self.stream("say hi")
        self.assertEqual([e["type"].removeprefix("response.") for e in events], [
            "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
            "content_part.done", "output_item.done", "completed"])
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        place = {"item_id": events[2]["item"]["id"], "output_index": 0, "content_index": 0}
        self.assertEqual(without_ids([events[2]["item"]]), [{**message("", "in_progress"), "content": []}])
        self.assertEqual(events[3], {"type": "response.content_part.added", "sequence_number": 3, **place, "part": part})
        self.assertEqual(events[4], {"type": "response.output_text.delta", "sequence_number": 4, **place, "delta": "h", "logprobs": []})
        self.assertEqual(events[6], {"type": "response.output_text.done", "sequence_number": 6, **place, "text": "hi", "logprobs": []})
        self.assertEqual(events[7], {"type": "response.content_part.done", "sequence_number": 7, **place, "part": {**part, "text": "hi"}})
        self.assertEqual((events[-1]["response"]["usage"]["output_tokens"], without_ids([events[8]["item"]])), (3, [message("hi")]))

    def test_nothing_said(self):
        self.assertEqual(without_ids(self.ask("say ").json["output"]), [message("")])
        self.assertEqual(without_ids(self.stream("say ")[-1]["response"]["output"]), [message("")])

    def test_cut_short(self):
        body = self.ask("forever", max_output_tokens=3).json
        self.assertEqual((body["status"], body["incomplete_details"], body["max_output_tokens"]), ("incomplete", {"reason": "max_output_tokens"}, 3))
        self.assertEqual(without_ids(body["output"]), [message("xxx", "incomplete")])
        last = self.stream("forever", max_output_tokens=3)[-1]
        self.assertEqual((last["type"], last["response"]["incomplete_details"]), ("response.incomplete", {"reason": "max_output_tokens"}))
        body = self.ask(THOUGHT, model="think", max_output_tokens=9).json
        self.assertEqual((body["status"], [i["type"] for i in body["output"]], body["output"][0]["status"]), ("incomplete", ["reasoning"], "incomplete"))

    def test_tools(self):
        tools = {"model": "tools", "tools": [{"type": "web_search"}, WEATHER]}
        body = self.ask(CALL, **tools).json
        text, call = body["output"]
        self.assertEqual((text["content"][0]["text"].strip(), body["tools"], body["status"]), ("On it.", [WEATHER], "completed"))
        self.assertRegex(call["id"], r"^fc_[0-9a-f]{24}$")
        self.assertRegex(call["call_id"], r"^call_[0-9a-f]{8}$")
        self.assertEqual(json.loads(call.pop("arguments")), {"city": "K\u00f6ln"})
        self.assertEqual(without_ids([call]), [{"type": "function_call", "status": "completed", "name": "weather"}])
        events = self.stream(CALL, **tools)
        at = [i for i, e in enumerate(events) if e["type"] == "response.output_item.added"][1]
        begun, delta, done, ended = events[at:at + 4]
        self.assertEqual(without_ids([begun["item"]]), [{"type": "function_call", "status": "in_progress", "name": "weather", "arguments": ""}])
        self.assertEqual((delta["type"], done["type"]), ("response.function_call_arguments.delta", "response.function_call_arguments.done"))
        self.assertEqual((json.loads(delta["delta"]), done["arguments"]), ({"city": "K\u00f6ln"}, delta["delta"]))
        self.assertEqual((ended["item"]["call_id"], ended["item"]["status"]), (begun["item"]["call_id"], "completed"))
        self.assertIn("<tool_call>", self.text(CALL, **tools, tool_choice="none"))
        for choice in ("auto", "required", {"type": "function", "name": "weather"}):
            self.assertEqual(self.ask(CALL, **tools, tool_choice=choice, parallel_tool_calls=False).json["tool_choice"], choice)
        self.assertEqual(self.text("say ok", tools=[{"type": "web_search"}]), "ok", "tools for others to run ask nothing of the model")

    def test_reasoning(self):
        body = self.ask(THOUGHT, model="think", reasoning={"effort": "high", "summary": "auto"}).json
        self.assertEqual(without_ids(body["output"]), [thought("Hm"), message("Yes.")])
        self.assertRegex(body["output"][0]["id"], r"^rs_[0-9a-f]{24}$")
        self.assertEqual((body["usage"]["output_tokens_details"], body["reasoning"]), ({"reasoning_tokens": 10}, {"effort": "high", "summary": "auto"}))
        events = self.stream(THOUGHT, model="think", include=["reasoning.encrypted_content"])
        self.assertEqual([e["type"].removeprefix("response.") for e in events[2:10]], [
            "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.delta",
            "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done", "output_item.added"])
        self.assertEqual(without_ids([events[2]["item"]]), [{"type": "reasoning", "status": "in_progress", "summary": []}])
        self.assertEqual(events[3]["part"], {"type": "summary_text", "text": ""})
        self.assertEqual({k: v for k, v in events[4].items() if k != "item_id"}, {
            "type": "response.reasoning_summary_text.delta", "sequence_number": 4, "output_index": 0, "summary_index": 0, "delta": "H"})
        self.assertEqual(without_ids(events[-1]["response"]["output"]), [thought("Hm", encrypted_content="Hm"), message("Yes.")])
        self.assertEqual(without_ids(self.ask("say Yes.", model="think", reasoning={"effort": "none"}).json["output"]), [message("Yes.")])
        for effort in ("minimal", "xhigh"):
            self.assertEqual(self.ask("say ok", reasoning={"effort": effort}).status, 200, "clients ask every model")

    def test_format(self):
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        for form in ({"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "name": "x", "strict": True, "schema": schema}):
            body = self.ask('say {"n":1}', text={"format": form, "verbosity": "low"}).json
            self.assertEqual((body["output"][0]["content"][0]["text"], body["text"]["format"]), ('{"n":1}', form))

    def test_what_is_repeated(self):
        body = self.ask("say x", temperature=0.5, top_p=0.25, truncation="disabled", metadata={"a": "b"}, instructions="be kind", store=True,
                        previous_response_id="", conversation=None, user="me", prompt_cache_key="k", stream_options={"x": 1}).json
        changed = {k: v for k, v in body.items() if k in ECHO and v != ECHO[k]}
        self.assertEqual(changed, {"temperature": 0.5, "top_p": 0.25, "truncation": "disabled", "metadata": {"a": "b"}, "instructions": "be kind"})
        large = self.ask("say x", metadata={"a": "b" * (1 << 20)}, instructions="be kind").json
        self.assertEqual({k: v for k, v in large.items() if k in ECHO}, ECHO)

    def same(self, items, messages, model="plain", tools=None, **more):
        """The prompt that `items` give is the one that `messages` give to /v1/chat/completions, as far as a count tells."""
        asked = {"role": "user", "content": "say {TOKENS}"}
        chat = {"model": model, "messages": messages + [asked]}
        if tools:
            chat["tools"] = [{"type": "function", "function": {k: t[k] for k in ("name", "description", "parameters")}} for t in tools]
            more["tools"] = tools
        text = self.server.post("/v1/chat/completions", chat).json["choices"][0]["message"]["content"]
        self.assertEqual(self.text(items + [asked], model=model, **more), text, items)

    def test_input(self):
        user = {"role": "user", "content": "hi"}
        parts = [{"type": "input_text", "text": "a"}, {"type": "text", "text": "b"}]
        self.same([{"type": "message", **user}], [user])
        self.same([{"type": "message", "role": "user", "content": parts}], [{"role": "user", "content": "a\nb"}])
        self.same([user], [{"role": "system", "content": "be kind"}, user], instructions="be kind")
        self.same([{"role": "developer", "content": parts}, {"role": "system", "content": "c"}, user], [{"role": "system", "content": "be kind\na\nb\nc"}, user],
                  instructions="be kind")
        self.same([{"role": "system", "content": "a"}, {"role": "developer", "content": "b"}, user], [{"role": "system", "content": "a\nb"}, user])
        self.same([user, {"role": "developer", "content": "later"}], [user, {"role": "system", "content": "later"}])
        self.same([user, {"id": "msg_1", **message("ho")}, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}],
                  [user, {"role": "assistant", "content": "ho"}, {"role": "assistant", "content": "no"}])
        self.assertEqual(self.text([{"role": "user", "content": "say \u00e9"}]), "\u00e9")

    def test_turns(self):
        """What came as an answer goes back as one message; results follow, and are found by their calls' ids."""
        user = {"role": "user", "content": "hi"}
        calls = [{"type": "function_call", "id": "fc_%s" % c, "call_id": c, "name": "weather", "arguments": '{"city":"%s"}' % c} for c in "AB"]
        chat_calls = [{"id": c["call_id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}} for c in calls]
        results = [{"type": "function_call_output", "call_id": "A", "output": "sunny"},
                   {"type": "function_call_output", "call_id": "B", "output": [{"type": "input_text", "text": "rain"}, {"type": "input_text", "text": "wind"}]}]
        chat_results = [{"role": "tool", "tool_call_id": "A", "content": "sunny"}, {"role": "tool", "tool_call_id": "B", "content": "rain\nwind"}]
        tools = {"model": "tools", "tools": [WEATHER]}
        self.same([user, {"id": "rs_1", **thought("hm")}, message("On it."), *calls, *results],
                  [user, {"role": "assistant", "content": "On it.", "reasoning": "hm", "tool_calls": chat_calls}, *chat_results], **tools)
        self.same([user, calls[0], results[0], calls[1], results[1]],
                  [user, {"role": "assistant", "tool_calls": chat_calls[:1]}, chat_results[0], {"role": "assistant", "tool_calls": chat_calls[1:]}, chat_results[1]], **tools)
        self.same([user, calls[0], results[0], {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "so"}]}, message("Sunny.")],
                  [user, {"role": "assistant", "tool_calls": chat_calls[:1]}, chat_results[0], {"role": "assistant", "content": "Sunny.", "reasoning": "so"}], **tools)
        self.same([user, thought("a"), calls[0], thought("b"), calls[1], *results],
                  [user, {"role": "assistant", "reasoning": "a", "tool_calls": chat_calls[:1]}, {"role": "assistant", "reasoning": "b", "tool_calls": chat_calls[1:]},
                   *chat_results], **tools)
        self.same([user, {"type": "reasoning", "summary": [], "encrypted_content": "xyz"}, message("ho")], [user, {"role": "assistant", "content": "ho"}])

    def test_errors(self):
        good = {"model": "plain", "input": "x"}
        stored = " is not supported: nothing is stored here, send the whole conversation as input"
        tools = {"model": "tools", "input": "x", "tools": [WEATHER]}
        for body, status, words in (
                ("", 400, "missing request body"), ([], 400, "json: cannot unmarshal array into Go value of type api.ResponsesRequest"),
                ({**good, "model": None}, 400, "model is required"), ({**good, "model": "nope"}, 404, "model 'nope' not found"),
                ({**good, "model": "embed"}, 400, '"embed" does not support chat'), ({"model": "plain"}, 400, "input is required"),
                ({**good, "input": ""}, 400, "input is required"), ({**good, "input": []}, 400, "input is required"),
                ({**good, "input": {"role": "user"}}, 400, "input must be a string or a list of items, not object"),
                ({**good, "input": ["x"]}, 400, 'input[0]: an item of type "" is not supported'),
                ({**good, "input": [{"role": "user", "content": "x"}, {"type": "item_reference", "id": "x"}]}, 400, 'input[1]: an item of type "item_reference" is not supported'),
                ({**good, "input": [{"type": 7}]}, 400, "json: cannot unmarshal number into Go struct field input.type of type string"),
                ({**good, "input": [{"role": "critic", "content": "x"}]}, 400, 'input[0]: role "critic" is not supported'),
                ({**good, "input": [{"type": "message", "content": "x"}]}, 400, 'input[0]: role "" is not supported'),
                ({**good, "input": [{"role": "user", "content": 7}]}, 400, "input[0]: content must be a string or a list"),
                ({**good, "input": [{"role": "user", "content": ["x"]}]}, 400, 'input[0]: content of type "" is not supported'),
                ({**good, "input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]}, 400, 'input[0]: content of type "input_file" is not supported'),
                ({**good, "input": [{"role": "user", "content": [{"type": "input_text"}]}]}, 400, "input[0]: a part without text"),
                ({**good, "input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}]}, 400, '"plain" does not support images'),
                ({**good, "input": [{"type": "function_call", "call_id": "x"}]}, 400, "input[0]: name is required"),
                ({**good, "input": [{"type": "function_call_output", "call_id": "x", "output": {}}]}, 400, "input[0]: content must be a string or a list"),
                ({**good, "input": [{"type": "reasoning", "summary": "x"}]}, 400, "json: cannot unmarshal string into Go struct field input.summary of type []"),
                ({**good, "instructions": ["x"]}, 400, None), ({**good, "stream": 1}, 400, None), ({**good, "include": "x"}, 400, None),
                ({**good, "metadata": "x"}, 400, "json: cannot unmarshal string into Go struct field ResponsesRequest.metadata of type map[string]interface {}"),
                ({**good, "reasoning": "high"}, 400, "json: cannot unmarshal string into Go struct field ResponsesRequest.reasoning of type map[string]interface {}"),
                ({**good, "previous_response_id": "resp_1"}, 400, "previous_response_id" + stored), ({**good, "conversation": {"id": "x"}}, 400, "conversation" + stored),
                ({**good, "prompt": {"id": "x"}}, 400, "prompt" + stored), ({**good, "background": True}, 400, "background is not supported: nothing is stored here"),
                ({**good, "tools": [WEATHER]}, 400, "plain:Q4_K_M does not support tools"),
                ({**tools, "tools": [{"type": "function"}]}, 400, "invalid tool: function.name is required"), ({**tools, "tools": [7]}, 400, "invalid tool: function.name is required"),
                ({**tools, "tool_choice": "always"}, 400, 'tool_choice "always" is not known'),
                ({**tools, "tool_choice": {"type": "function", "name": "g"}}, 400, 'tool_choice names "g", which is not among the tools'),
                ({**tools, "tool_choice": {"type": "function"}}, 400, 'tool_choice names "", which is not among the tools'),
                ({**tools, "tool_choice": {"type": "allowed_tools"}}, 400, 'a tool_choice of type "allowed_tools" is not supported'),
                ({**good, "text": {"format": {"type": "json_schema", "name": "x"}}}, 400, "text.format.schema is required"),
                ({**good, "text": {"format": {"type": "yaml"}}}, 400, 'text.format.type must be "text", "json_object" or "json_schema", not "yaml"'),
                ({**good, "text": {"format": {"type": "json_schema", "schema": {"type": "nothing"}}}}, 400, None),
                ({**good, "reasoning": {"effort": "some"}}, 400, None), ({**good, "temperature": -1}, 400, "temperature must be between 0 and 2"),
                ({**good, "top_p": 2}, 400, "top_p must be between 0 and 1"), ({**good, "max_output_tokens": 0}, 400, "max_output_tokens must be positive"),
                ({**good, "truncation": "some"}, 400, 'truncation must be "auto" or "disabled", not "some"'),
                ({**good, "input": "y" * 9000, "truncation": "disabled"}, 400, "the prompt is longer than the context length currently available to the model"),
                ({**good, "input": "fail"}, 500, "a weight could not be read"), ({**good, "input": "fail", "stream": True}, 500, "a weight could not be read")):
            reply = self.server.post("/v1/responses", body)
            self.assertEqual((reply.status, reply.headers["Content-Type"]), (status, "application/json"), (body, reply.body))
            error = reply.json["error"]
            kind = {404: "not_found_error", 500: "api_error"}.get(status, "invalid_request_error")
            self.assertEqual((list(error), error["type"], list(reply.json)), (["message", "type", "param", "code"], kind, ["error"]))
            if words:
                self.assertEqual(error["message"], words)
        self.assertEqual((self.server.get("/v1/responses").status, self.server.get("/v1/responses/resp_1").status), (405, 404))

    def test_hostile(self):
        deep = "[" * 200 + "]" * 200
        self.assertEqual(self.server.post("/v1/responses", '{"model":"plain","input":%s}' % deep).status, 400)
        many = [{"role": "user", "content": []}] * 70000
        self.assertEqual(self.ask(many).json["error"]["message"], "more than 65536 messages")
        self.assertEqual(self.text([{"role": "user", "content": [{"type": "input_text", "text": ""}] * 3000 + [{"type": "input_text", "text": "x"}]}]), "x")


class Waiting(ResponsesTest):
    options = {"load_ms": 2500, "sign": 0.4, "keep_alive_s": 0}

    def test_failure_in_a_stream(self):
        events = self.stream("say hi", model="broken")
        self.assertEqual([e["type"] for e in events], ["response.created", "response.in_progress", "response.failed"])
        body = events[-1]["response"]
        self.assertEqual((body["status"], body["error"], body["usage"], body["completed_at"]),
                         ("failed", {"code": "server_error", "message": "this model is broken (take another)"}, None, None))


if __name__ == "__main__":
    unittest.main()

"""What openai-python accepts from the /v1 layer: chat completions and responses."""
import json
import os

import openai
import pydantic

client = openai.OpenAI(base_url=os.environ["HYPURA_URL"] + "/v1", api_key="any", max_retries=0)
model = os.environ["HYPURA_MODEL"]

assert model in [m.id for m in client.models.list()]
assert client.models.retrieve(model).id == model
messages = [{"role": "user", "content": "Name a colour."}]
plain = client.chat.completions.create(model=model, messages=messages, max_tokens=8, temperature=0)
assert plain.choices[0].message.content and plain.usage.total_tokens == plain.usage.prompt_tokens + plain.usage.completion_tokens
text, usage, reasons = "", None, []
for chunk in client.chat.completions.create(model=model, messages=messages, max_tokens=8, temperature=0, stream=True, stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    for choice in chunk.choices:
        text += choice.delta.content or ""
        reasons += [choice.finish_reason] if choice.finish_reason else []
assert text == plain.choices[0].message.content and usage.completion_tokens > 0 and len(reasons) == 1
probabilities = client.chat.completions.create(model=model, messages=messages, max_tokens=2, logprobs=True, top_logprobs=3).choices[0].logprobs.content
assert len(probabilities[0].top_logprobs) == 3 and probabilities[0].logprob <= 0
assert client.completions.create(model=model, prompt="One, two,", max_tokens=4).choices[0].text

answer = client.responses.create(model=model, instructions="You are brief.", input="Name a colour.", max_output_tokens=8, temperature=0)
assert answer.output_text and answer.status in ("completed", "incomplete") and answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
kinds, text = [], ""
for event in client.responses.create(model=model, instructions="You are brief.", input=[{"role": "user", "content": "Name a colour."}],
                                     max_output_tokens=8, temperature=0, stream=True):
    kinds.append(event.type)
    text += event.delta if event.type == "response.output_text.delta" else ""
assert text == answer.output_text and (kinds[0], kinds[-1]) == ("response.created", "response." + answer.status), (text, kinds)
weather = {"type": "function", "name": "weather", "description": "Tell the weather of a city.", "strict": True, "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}}
tools = {"model": os.environ["HYPURA_TOOLS_MODEL"], "tools": [weather], "temperature": 0}
asked = [{"role": "user", "content": "What is the weather in Paris?"}]
with client.responses.stream(input=asked, tool_choice={"type": "function", "name": "weather"}, max_output_tokens=100, **tools) as stream:
    arguments = [event.arguments for event in stream if event.type == "response.function_call_arguments.done"]
    called = stream.get_final_response()
(call,) = [item for item in called.output if item.type == "function_call"]
assert call.name == "weather" and isinstance(json.loads(call.arguments)["city"], str) and arguments == [call.arguments], called
again = client.responses.create(input=asked + called.output + [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}],
                                tool_choice="none", max_output_tokens=8, **tools)
assert again.output_text, again


class Person(pydantic.BaseModel):
    name: str
    age: int


person = client.responses.parse(model=model, input="Invent a person with a short name.", text_format=Person, max_output_tokens=120, temperature=0)
assert isinstance(person.output_parsed, Person), person
for wrong in ({"previous_response_id": "resp_1"}, {"tool_choice": {"type": "file_search"}}):
    try:
        client.responses.create(model=model, input="Hi", **wrong)
        raise SystemExit("%s was not refused" % wrong)
    except openai.BadRequestError as error:
        assert "is not supported" in error.body["message"], error.body
try:
    client.chat.completions.create(model="nope", messages=messages)
    raise SystemExit("an unknown model was not refused")
except openai.NotFoundError as error:
    assert error.body["type"] == "not_found_error", error.body

"""What openai-python accepts from the /v1 layer."""
import os

import openai

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
try:
    client.chat.completions.create(model="nope", messages=messages)
    raise SystemExit("an unknown model was not refused")
except openai.NotFoundError as error:
    assert error.body["type"] == "not_found_error", error.body

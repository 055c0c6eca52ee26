"""What ollama-python's own models (pydantic) accept from the server."""
import os

import ollama

client = ollama.Client(host=os.environ["HYPURA_URL"])
model = os.environ["HYPURA_MODEL"]
few = {"num_predict": 8, "temperature": 0, "seed": 1}

(listed,) = [m for m in client.list().models if m.model == model]
assert listed.model == model and listed.size > 0 and len(listed.digest) == 64 and listed.modified_at.year > 2000
shown = client.show(model)
assert shown.modelinfo["general.architecture"] and "completion" in shown.capabilities
plain = client.chat(model=model, messages=[{"role": "user", "content": "Name a colour."}], options=few)
assert plain.message.role == "assistant" and plain.message.content and plain.done and plain.eval_count > 0 and plain.total_duration > 0
streamed = list(client.chat(model=model, messages=[{"role": "user", "content": "Name a colour."}], options=few, stream=True))
assert "".join(p.message.content for p in streamed) == plain.message.content and streamed[-1].done
first = client.generate(model=model, prompt="Say hi.", options=few)
assert first.response and first.context and first.done_reason in ("stop", "length")
second = client.generate(model=model, prompt="Again.", context=first.context, options=few)
assert len(second.context) > len(first.context)
answer = client.chat(model=model, messages=[{"role": "user", "content": "A person, as JSON."}], options={"num_predict": 60, "temperature": 0}, format={
    "type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 1, "maximum": 99}}, "required": ["name", "age"]})
import json

person = json.loads(answer.message.content)
assert set(person) == {"name", "age"} and 1 <= person["age"] <= 99, person
assert client.ps().models[0].model == model
assert [p.status for p in client.pull(model, stream=True)][-1] == "success"
client.copy(model, "copied")
assert client.show("copied").details.parent_model == model
assert client.delete("copied").status == "success"
try:
    client.chat(model="nope", messages=[])
    raise SystemExit("an unknown model was not refused")
except ollama.ResponseError as error:
    assert error.status_code == 404 and "not found" in error.error

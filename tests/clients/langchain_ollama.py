"""What langchain-ollama (ChatOllama, OllamaLLM, OllamaEmbeddings) does with the server."""
import json
import os
import sys

sys.path.pop(0)  # this file has the name of the package that it tests
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM
from pydantic import BaseModel, Field

url, model, tools_model = os.environ["HYPURA_URL"], os.environ["HYPURA_MODEL"], os.environ["HYPURA_TOOLS_MODEL"]
few = {"base_url": url, "temperature": 0, "seed": 1}


class Person(BaseModel):
    """A person."""

    name: str = Field(max_length=12)
    age: int = Field(ge=1, le=99)


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return "sunny in " + city


chat = ChatOllama(model=model, num_predict=8, validate_model_on_init=True, **few)
messages = [SystemMessage("You are brief."), HumanMessage("Name a colour.")]
answer = chat.invoke(messages)
assert isinstance(answer, AIMessage) and answer.content, answer
assert answer.usage_metadata["input_tokens"] > 8 and 0 < answer.usage_metadata["output_tokens"] <= 8, answer
assert answer.response_metadata["done_reason"] in ("stop", "length") and answer.response_metadata["model"] == model
parts = list(chat.stream(messages))
assert len(parts) > 3 and "".join(p.content for p in parts) == answer.content, parts
assert [a.content for a in chat.batch([messages, messages])] == [answer.content] * 2
assert OllamaLLM(model=model, num_predict=4, **few).invoke("The capital of France is")

person = ChatOllama(model=model, num_predict=80, **few).with_structured_output(Person, method="json_schema").invoke("Invent a person.")
assert isinstance(person, Person) and 1 <= person.age <= 99, person
loose = ChatOllama(model=model, num_predict=80, **few, format={"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": [
    "colour"], "additionalProperties": False}).invoke("A colour, as JSON.")
assert json.loads(loose.content)["colour"] in ("red", "blue"), loose

bound = ChatOllama(model=tools_model, num_predict=64, **few).bind_tools([weather])
asked = [HumanMessage("What is the weather in Paris? Use the tool.")]
reply = bound.invoke(asked)
assert reply.tool_calls or reply.content, reply
call = {"name": "weather", "args": {"city": "Paris"}, "id": "call_1", "type": "tool_call"}
if os.environ.get("HYPURA_TOOLS_URL"):  # a model that is large enough to call tools when it is asked to
    real = {**few, "base_url": os.environ["HYPURA_TOOLS_URL"], "model": os.environ["HYPURA_TOOLS_NAME"]}
    bound = ChatOllama(num_predict=64, **real).bind_tools([weather])
    reply = bound.invoke(asked)
    (call,) = reply.tool_calls
    assert call["name"] == "weather" and "paris" in call["args"]["city"].lower() and call["id"], call
    streamed = None
    for part in bound.stream(asked):
        streamed = part if streamed is None else streamed + part
    assert [(c["name"], c["args"]) for c in streamed.tool_calls] == [(call["name"], call["args"])], streamed
    taken = ChatOllama(num_predict=80, **real).with_structured_output(Person, method="function_calling").invoke(
        "Ada is 36 years old. Record her.")
    assert taken is None or isinstance(taken, Person), taken
result = bound.invoke(asked + [AIMessage("", tool_calls=[call]), ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])])
assert result.content or result.tool_calls, result

embeddings = OllamaEmbeddings(model=os.environ.get("HYPURA_EMBEDDING_MODEL", model), base_url=url)
try:
    vectors = embeddings.embed_documents(["a cat", "a dog"])
    assert len(vectors) == 2 and len(vectors[0]) == len(embeddings.embed_query("a cat")) > 8
    assert abs(sum(x * x for x in vectors[0]) - 1) < 1e-3
except Exception as error:  # a text model may refuse, and then says so
    assert "does not support embeddings" in str(error), error
try:
    ChatOllama(model="nope", base_url=url).invoke("Hi")
    raise SystemExit("an unknown model was not refused")
except Exception as error:
    assert "not found" in str(error), error

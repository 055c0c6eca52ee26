"""What langchain-openai does with /v1: ChatOpenAI with tools and structured output, OpenAIEmbeddings."""
import os
import sys

sys.path.pop(0)  # this file has the name of the package that it tests
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel

base, model, tools_model = os.environ["HYPURA_URL"] + "/v1", os.environ["HYPURA_MODEL"], os.environ["HYPURA_TOOLS_MODEL"]
few = {"base_url": base, "api_key": "any", "temperature": 0, "seed": 1, "max_retries": 0}


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return "sunny in " + city


chat = ChatOpenAI(model=model, max_tokens=8, stream_usage=True, **few)
messages = [SystemMessage("You are brief."), HumanMessage("Name a colour.")]
answer = chat.invoke(messages)
assert answer.content and answer.usage_metadata["output_tokens"] <= 8, answer
whole = None
for part in chat.stream(messages):
    whole = part if whole is None else whole + part
assert whole.content == answer.content and whole.usage_metadata["output_tokens"] > 0, whole
assert OpenAI(model=model, max_tokens=4, base_url=base, api_key="any").invoke("The capital of France is")

person = ChatOpenAI(model=model, max_tokens=120, **few).with_structured_output(Person, method="json_schema").invoke("Invent a person with a short name.")
assert isinstance(person, Person), person

# tool_choice forces the call by a grammar, so that any model makes one
bound = ChatOpenAI(model=tools_model, max_tokens=100, **few).bind_tools([weather], tool_choice="weather")
asked = [HumanMessage("What is the weather in Paris?")]
reply = bound.invoke(asked)
(call,) = reply.tool_calls
assert call["name"] == "weather" and isinstance(call["args"]["city"], str) and call["id"], call
whole = None
for part in bound.stream(asked):
    whole = part if whole is None else whole + part
assert [(c["name"], c["args"]) for c in whole.tool_calls] == [("weather", call["args"])], whole
again = ChatOpenAI(model=tools_model, max_tokens=8, **few).bind_tools([weather]).invoke(
    asked + [reply, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])])
assert again.content or again.tool_calls, again
taken = ChatOpenAI(model=tools_model, max_tokens=120, **few).with_structured_output(Person, method="function_calling").invoke("Ada is 36.")
assert isinstance(taken, Person), taken

try:
    vectors = OpenAIEmbeddings(model=os.environ.get("HYPURA_EMBEDDING_MODEL", model), base_url=base, api_key="any", max_retries=0,
                               check_embedding_ctx_length=False).embed_documents(["a cat", "a dog"])
    assert len(vectors) == 2 and len(vectors[0]) > 8
except Exception as error:  # a text model may refuse, and then says so
    assert "does not support embeddings" in str(error), error
try:
    ChatOpenAI(**{**few, "model": "nope"}).invoke("Hi")
    raise SystemExit("an unknown model was not refused")
except Exception as error:
    assert "not found" in str(error), error

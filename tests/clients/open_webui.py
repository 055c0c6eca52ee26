"""Open WebUI itself, installed without PyTorch, with its Ollama connection on the server: its settings, its proxy of Ollama's
routes, and the chats of its page."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

program, url, model = sys.argv[1], os.environ["HYPURA_URL"], os.environ["HYPURA_MODEL"]
data = tempfile.mkdtemp()
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
base, token = "http://127.0.0.1:%d" % port, ""


def call(method, path, body=None, want=200):
    request = urllib.request.Request(base + path, json.dumps(body).encode() if body is not None else None, method=method,
                                     headers={"Content-Type": "application/json", "Authorization": "Bearer " + token})
    try:
        with urllib.request.urlopen(request, timeout=300) as reply:
            status, text = reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    assert status == want, (method, path, status, text[:500])
    return text


def ask(method, path, body=None):
    return json.loads(call(method, path, body))


def exercise():
    global token
    token = ask("POST", "/api/v1/auths/signin", {"email": "", "password": ""})["token"]
    assert ask("POST", "/ollama/verify", {"url": url})["version"].count(".") == 2
    assert ask("GET", "/ollama/api/version")["version"].count(".") == 2
    listed = {m["model"]: m for m in ask("GET", "/ollama/api/tags")["models"]}
    assert listed[model]["size"] > 0 and model in [m["id"] for m in ask("GET", "/api/models")["data"]]
    assert ask("POST", "/ollama/api/show", {"model": model})["model_info"]
    messages = [{"role": "user", "content": "Name a colour."}]
    chat = {"model": model, "messages": messages, "max_tokens": 8, "temperature": 0}
    plain = ask("POST", "/api/chat/completions", {**chat, "stream": False})
    text = plain["choices"][0]["message"]["content"]
    assert text and plain["usage"]["completion_tokens"] > 0 and plain["usage"]["eval_count"] > 0, plain
    events = [json.loads(e[6:]) for e in call("POST", "/api/chat/completions", {**chat, "stream": True}).split("\n\n") if e.startswith("data: {")]
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in events if e.get("choices")), events
    few = {"num_predict": 6, "temperature": 0}
    lines = [json.loads(line) for line in call("POST", "/ollama/api/chat", {"model": model, "messages": messages, "options": few}).splitlines()]
    assert lines[-1]["done"] and "".join(line["message"]["content"] for line in lines)
    lines = [json.loads(line) for line in call("POST", "/ollama/api/generate", {"model": model, "prompt": "Hello", "options": few}).splitlines() if line]
    assert lines[-1]["done"] and "".join(line["response"] for line in lines)
    assert ask("POST", "/ollama/v1/chat/completions", chat)["choices"][0]["message"]["content"]
    assert ask("POST", "/ollama/v1/completions", {"model": model, "prompt": "One, two,", "max_tokens": 4})["choices"][0]["text"]
    assert model in [m["id"] for m in ask("GET", "/ollama/v1/models")["data"]]
    (running,) = [m for m in ask("GET", "/ollama/api/ps")["models"] if m["model"] == model]
    assert running["expires_at"], running
    assert '"success"' in call("POST", "/ollama/api/pull", {"model": model})
    assert '"success"' in call("POST", "/ollama/api/create", {"model": "webui-made", "from": model, "system": "Be brief."})
    ask("POST", "/ollama/api/copy", {"source": model, "destination": "webui-copy"})
    names = [m["name"] for m in json.load(urllib.request.urlopen(url + "/api/tags"))["models"]]
    assert "webui-made:latest" in names and "webui-copy:latest" in names, names
    for name in ("webui-made", "webui-copy"):
        urllib.request.urlopen(urllib.request.Request(url + "/api/delete", json.dumps({"model": name}).encode(), method="DELETE"))
    ask("POST", "/ollama/api/unload", {"model": model})
    for _ in range(50):
        loaded = ask("GET", "/ollama/api/ps")["models"]
        if not loaded:
            break
        time.sleep(0.1)
    assert not loaded, loaded
    tools_url = os.environ.get("HYPURA_TOOLS_URL")
    if tools_url:  # the second server as a second connection, and a tool call through the page's route
        tools_model = os.environ["HYPURA_TOOLS_NAME"]
        ask("POST", "/ollama/config/update", {"ENABLE_OLLAMA_API": True, "OLLAMA_BASE_URLS": [tools_url], "OLLAMA_API_CONFIGS": {}})
        ask("GET", "/api/models?refresh=true")
        weather = {"type": "function", "function": {"name": "weather", "description": "Tell the weather of a city.", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
        answer = ask("POST", "/ollama/api/chat", {"model": tools_model, "stream": False, "tools": [weather], "options": {"temperature": 0, "num_predict": 64},
                                                  "messages": [{"role": "user", "content": "What is the weather in Paris? Use the tool."}]})
        assert answer["message"]["tool_calls"][0]["function"]["name"] == "weather", answer


env = {**os.environ, "DATA_DIR": data, "WEBUI_SECRET_KEY": "0" * 40, "WEBUI_AUTH": "False", "OLLAMA_BASE_URL": url, "OFFLINE_MODE": "true", "HF_HUB_OFFLINE": "1",
       "RAG_EMBEDDING_ENGINE": "ollama", "ENABLE_VERSION_UPDATE_CHECK": "false"}
with open(data + "/log", "w") as log:
    server = subprocess.Popen([program, "serve", "--host", "127.0.0.1", "--port", str(port)], cwd=data, env=env, stdout=log, stderr=log)
try:
    for _ in range(600):
        try:
            if call("GET", "/health"):
                break
        except (OSError, AssertionError):
            assert server.poll() is None, "Open WebUI ended:\n" + open(data + "/log").read()[-3000:]
            time.sleep(0.5)
    exercise()
except BaseException:
    print(open(data + "/log").read()[-3000:], file=sys.stderr)
    raise
finally:
    server.terminate()
    server.wait(60)
    shutil.rmtree(data)

"""The codex command over /v1/responses: an answer, and a call that it runs and sends back. On the scripted engine of tests/server, whose
answer is what the last user's message says: codex's own prompt is longer than the demo model's context.

usage: codex.py CODEX BUILD"""
import os
import subprocess
import sys
import tempfile

codex, build = sys.argv[1:]
os.environ["HYPURA_BUILD"] = build
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "server"))
from harness import TOOLS, Server, gguf

# Results of tools as a user's words, as some models have it: so the scripted answer to a result is the result.
TEMPLATE = TOOLS.replace("{{ m.role }}", "{{ 'user' if m.role == 'tool' else m.role }}")
CONFIG = """model = "tools"
model_provider = "hypura"
[model_providers.hypura]
name = "Hypura"
base_url = "http://127.0.0.1:%d/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""

with tempfile.TemporaryDirectory() as folder:
    gguf(folder + "/models/tools.gguf", TEMPLATE, context=65536)
    server = Server(folder + "/models", env={"XDG_CACHE_HOME": folder + "/cache"}, context=65536)
    os.makedirs(folder + "/home")
    with open(folder + "/home/config.toml", "w", encoding="utf-8") as out:
        out.write(CONFIG % server.port)

    def ask(prompt):
        run = subprocess.run([codex, "exec", "--skip-git-repo-check", "-s", "danger-full-access", "-o", folder + "/last", prompt], cwd=folder, timeout=120,
                             env={**os.environ, "CODEX_HOME": folder + "/home"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert run.returncode == 0, run.stdout.decode()
        with open(folder + "/last", encoding="utf-8") as last:
            return last.read(), run.stdout.decode()

    try:
        last, log = ask("say hello")
        assert last == "hello", log
        last, log = ask('say Looking. <tool_call>{"name": "exec_command", "arguments": {"cmd": "echo one two | tr o 0"}}</tool_call>')
        assert "0ne tw0" in last and "Looking." in log, log
        assert server.metric("jobs_failed_total") == 0
    finally:
        code = server.stop()
    assert code == 0, server.errors()

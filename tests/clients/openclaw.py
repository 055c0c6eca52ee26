"""OpenClaw with its Ollama provider on the server: set up by its command line, by single settings and by its JSON file; the models
it discovers; a plain answer; and, where there is a model that calls tools, a whole turn of its agent that reads a file."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

folder, url, model = sys.argv[1], os.environ["HYPURA_URL"], os.environ["HYPURA_MODEL"]
tools_url, tools_model = os.environ.get("HYPURA_TOOLS_URL"), os.environ.get("HYPURA_TOOLS_NAME")
homes = []


def home():
    homes.append(tempfile.mkdtemp())
    return {**os.environ, "HOME": homes[-1], "PATH": folder + os.pathsep + os.environ["PATH"], "NO_COLOR": "1"}


def openclaw(env, *words, timeout=300):
    done = subprocess.run([folder + "/openclaw", *words], env=env, capture_output=True, text=True, timeout=timeout, cwd=env["HOME"])
    assert done.returncode == 0, (words, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def answer(env, *more):
    reply = json.loads(openclaw(env, "infer", "model", "run", "--local", "--prompt", "Say hi.", "--json", *more))
    assert reply["ok"] and reply["provider"] == "ollama" and reply["outputs"][0]["text"], reply


def onboard(env, base, name):
    openclaw(env, "onboard", "--non-interactive", "--accept-risk", "--skip-health", "--mode", "local", "--auth-choice", "ollama", "--custom-base-url", base,
             "--custom-model-id", name, "--no-install-daemon", "--skip-channels", "--skip-skills", "--skip-ui", "--skip-search")


def exercise():
    env = home()  # its own setting up, which asks the server for its models and their context and tools
    onboard(env, url, model)
    with open(env["HOME"] + "/.openclaw/openclaw.json") as f:
        provider = json.load(f)["models"]["providers"]["ollama"]
    (entry,) = [m for m in provider["models"] if m["id"] == model]
    assert entry["contextWindow"] == 4096 and entry["compat"]["supportsTools"] is False, entry
    assert [m["compat"]["supportsTools"] for m in provider["models"] if m["id"].startswith("with-tools")] == [True], provider
    answer(env)

    env = home()  # single settings
    for key, value in (("baseUrl", url), ("apiKey", "ollama-local"), ("api", "ollama")):
        openclaw(env, "config", "set", "models.providers.ollama." + key, value)
    openclaw(env, "models", "set", "ollama/" + model)
    answer(env)

    env = home()  # the file
    os.mkdir(env["HOME"] + "/.openclaw")
    with open(env["HOME"] + "/.openclaw/openclaw.json", "w") as f:
        json.dump({"models": {"providers": {"ollama": {"baseUrl": url, "apiKey": "ollama-local", "api": "ollama", "models": []}}},
                   "agents": {"defaults": {"model": {"primary": "ollama/" + model}}}}, f)
    openclaw(env, "config", "validate")
    assert re.search("ollama/" + re.escape(model) + r" +text +4k", openclaw(env, "models", "list", "--provider", "ollama", "--refresh"))
    answer(env, "--model", "ollama/" + model)

    if tools_url:
        env = home()
        onboard(env, tools_url, tools_model)
        openclaw(env, "config", "set", "models.providers.ollama.timeoutSeconds", "3000")
        work = env["HOME"] + "/work"
        os.mkdir(work)
        with open(work + "/secret.txt", "w") as f:
            f.write("The secret word is kumquat.\n")
        out = openclaw(env, "agent", "exec", "Use the read tool to read the file secret.txt and tell me the secret word in it.", "--model", "ollama/" + tools_model,
                       "--cwd", work, "--local-model-lean", "--timeout", "3000", "--json", timeout=3600)
        turn = json.loads(out[out.index("{"):])
        assert turn["ok"] and "kumquat" in turn["final"], turn
        assert "read" in turn["toolSummary"]["tools"] and turn["toolSummary"]["failures"] == 0, turn
        print("openclaw: %d tool calls in %d turns, %d prompt tokens: %s" % (turn["toolSummary"]["calls"], turn["assistantTurns"], turn["usage"]["input"], turn["final"]))


try:
    exercise()
finally:
    for name in homes:
        shutil.rmtree(name, ignore_errors=True)

#!/usr/bin/env python3
"""Render the chat corpus with Python's jinja2, set up as the transformers library does it, and write what comes out
to expected/NAME.json. Run it after a change to templates/, features/ or the conversations:

    pip install jinja2 && python3 tests/chat/generate.py

With --check nothing is written: the exit status is 1 if the committed expectations differ, 77 without jinja2."""
import datetime
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = datetime.datetime(2024, 7, 26, 14, 5, 9)  # tests/unit/chat/test_jinja.c has the same moment
try:
    import jinja2
    import jinja2.ext
    import jinja2.sandbox
except ImportError:
    print("jinja2 is not installed: the chat corpus cannot be compared with it")
    sys.exit(77)


class Generation(jinja2.ext.Extension):
    """{% generation %} marks the assistant's part for training; the text is the same with and without it."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller):
        return caller()


class Refused(Exception):
    pass


def environment():
    def raise_exception(message):
        raise Refused(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    # transformers takes the immutable sandbox; the mutable one differs only in allowing list.append and the like.
    env = jinja2.sandbox.SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: NOW.strftime(format)
    return env


def render(env, text, variables):
    try:
        return {"output": env.from_string(text).render(**variables)}
    except Refused as e:
        return {"refused": str(e)}
    except Exception as e:  # any other failure: only that it fails is compared
        return {"error": type(e).__name__}


def read(*path):
    with open(os.path.join(HERE, *path), encoding="utf-8", newline="") as f:
        return f.read()


def cases(folder):
    """(name of the variables, variables) that the templates of a folder are rendered with."""
    if folder == "features":
        return [("values", json.loads(read("values.json")))]
    return list(json.loads(read("conversations.json")).items())


def main():
    check, bad, env = "--check" in sys.argv[1:], 0, environment()
    for folder in ("features", "templates"):
        os.makedirs(os.path.join(HERE, "expected", folder), exist_ok=True)
        for name in sorted(os.listdir(os.path.join(HERE, folder))):
            stem, end = os.path.splitext(name)
            if end != ".jinja":
                continue
            text = read(folder, name)
            result = {case: render(env, text, json.loads(json.dumps(v))) for case, v in cases(folder)}
            path = os.path.join("expected", folder, stem + ".json")
            new = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
            if check:
                if not os.path.exists(os.path.join(HERE, path)) or read(path) != new:
                    print(f"{path} is not what jinja2 {jinja2.__version__} renders")
                    bad += 1
            else:
                with open(os.path.join(HERE, path), "w", encoding="utf-8") as f:
                    f.write(new)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Load: many clients for some time; mixed requests, streamed or not, random disconnects, readers that stall, garbage. Every reply must be
a documented one, memory flat.

usage: tests/server/load.py PORT [--clients 32] [--seconds 600] [--pid PID] [--model NAME] [--embed NAME] [--tools NAME] [--seed N]
       tests/server/load.py --serve BUILD FOLDER [--threads N] ...   starts `hypura serve` itself, and stops it
Prints a summary as JSON: replies by status, what was wrong, the memory's curve. Exit status 1 after an undocumented reply, when memory grew
by half and 64 MB after the warm-up, or when the server did not end well."""
import argparse
import collections
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time


def memory_kb(pid):
    with open("/proc/%d/status" % pid) as status:
        return next((int(line.split()[1]) for line in status if line.startswith("VmRSS")), 0)  # 0: it has ended


TOOL = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": {
    "type": "object", "properties": {"where": {"enum": ["up", "down"]}}, "required": ["where"]}}}


def a_request(rng, args):
    """path, body, statuses that are right."""
    model = args.model
    messages = [{"role": "system", "content": "You are client %d." % rng.randrange(5)}]
    for _ in range(rng.randrange(1, 4)):
        messages += [{"role": "user", "content": "word " * rng.randrange(1, 60)}, {"role": "assistant", "content": "yes"}]
    messages.append({"role": "user", "content": "Say something about %d." % rng.randrange(1000)})
    options = {"num_predict": rng.randrange(1, 40)}
    stream = rng.random() < 0.7
    more = []
    if args.embed:
        more += [("/api/embed", {"model": args.embed, "input": ["word " * rng.randrange(1, 40) for _ in range(rng.randrange(1, 9))]}, (200, 503)),
                 ("/v1/embeddings", {"model": args.embed, "input": "one"}, (200, 503)), ("/api/embeddings", {"model": args.embed, "prompt": "x"}, (200, 503))]
    if args.tools:
        more += [("/api/chat", {"model": args.tools, "messages": messages, "tools": [TOOL], "options": options, "stream": stream}, (200, 503)),
                 ("/v1/chat/completions", {"model": args.tools, "messages": messages, "tools": [TOOL], "tool_choice": "required", "max_tokens": 60, "stream": stream},
                  (200, 503))]
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9, "minimum": 0}}, "required": ["n"]}
    return rng.choice(more + [
        ("/api/chat", {"model": model, "messages": messages, "format": schema, "options": {"num_predict": 30}, "stream": stream}, (200, 503)),
        ("/api/chat", {"model": model, "messages": messages, "options": options, "stream": stream}, (200, 503)),
        ("/api/chat", {"model": model, "messages": messages, "options": {**options, "stop": ["e"]}, "stream": stream, "logprobs": True}, (200, 503)),
        ("/api/generate", {"model": model, "prompt": "Once upon a time", "raw": True, "options": options, "stream": stream}, (200, 503)),
        ("/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": options["num_predict"], "stream": stream}, (200, 503)),
        ("/v1/completions", {"model": model, "prompt": "One, two", "max_tokens": 5}, (200, 503)),
        ("/v1/messages", {"model": model, "messages": messages[1:], "system": "Be brief.", "max_tokens": options["num_predict"], "stream": stream}, (200, 503)),
        ("/api/generate", {"model": model, "prompt": "One, two", "raw": True, "options": {"num_ctx": 64, "num_predict": 90}, "stream": stream}, (200, 503)),  # shifts
        ("/api/show", {"model": model}, (200,)), ("/api/tags", None, (200,)), ("/api/ps", None, (200,)), ("/metrics", None, (200,)),
        ("/api/chat", {"model": "nope", "messages": messages}, (404,)), ("/api/chat", {"model": model, "messages": 3}, (400,)),
        ("/api/generate", {"model": model, "prompt": "x", "options": {"top_k": "y"}}, (500,)), ("/nothing", None, (404,))])


class Load:
    def __init__(self, args):
        self.args = args
        self.end = time.monotonic() + args.seconds
        self.lock = threading.Lock()
        self.counts, self.bad = collections.Counter(), []

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def complain(self, what):
        with self.lock:
            self.bad.append(what)

    def drop(self, rng, path, body):
        """Send a request, or part of it, and leave."""
        data = json.dumps(body).encode()
        s = socket.create_connection(("127.0.0.1", self.args.port), timeout=60)
        head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data))
        s.sendall((head + data)[: rng.randrange(1, len(head + data) + 1)] if rng.random() < 0.3 else head + data)
        time.sleep(rng.random() * 0.3)
        if rng.random() < 0.5:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset instead of a farewell
        s.close()
        self.count("dropped")

    def stall(self, rng, path, body):
        """Read a little of a streamed answer, then nothing for a while, then leave."""
        data = json.dumps({**body, "stream": True}).encode()
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.settimeout(60)
        s.connect(("127.0.0.1", self.args.port))
        s.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data)) + data)
        s.recv(100)
        time.sleep(rng.random() * 3)
        s.close()
        self.count("stalled")

    def garbage(self, rng):
        """Bytes that are no request, or half of one: the answer, if any, is a 4xx or 5xx, or the line is cut."""
        parts = (b"\x16\x03\x01" + rng.randbytes(100), rng.randbytes(rng.randrange(1, 3000)), b"GET / HTTP/9.9\r\n\r\n",
                 b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n{",
                 b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n" + rng.randbytes(5),
                 b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                 b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20000 + b"\r\n")
        s = socket.create_connection(("127.0.0.1", self.args.port), timeout=60)
        reply = b""
        try:
            s.sendall(rng.choice(parts))
            s.shutdown(socket.SHUT_WR)
            reply = s.recv(100)
        except OSError:
            pass  # cut off
        s.close()
        self.count("garbage")
        if reply and not re.match(rb"HTTP/1\.[01] (4|5)\d\d ", reply):
            self.complain("garbage was answered %r" % reply)

    def ask(self, path, body, right):
        c = http.client.HTTPConnection("127.0.0.1", self.args.port, timeout=120)
        c.request("POST" if body is not None else "GET", path, json.dumps(body) if body is not None else None)
        reply = c.getresponse()
        data = reply.read()
        c.close()
        self.count(reply.status)
        if reply.status not in right:
            self.complain("%s answered %d: %s" % (path, reply.status, data[:200]))
        elif reply.status == 200 and reply.headers["Content-Type"] == "application/x-ndjson" and json.loads(data.splitlines()[-1]).get("done") is not True:
            self.complain("%s ended with %s" % (path, data[-200:]))
        elif reply.status == 200 and path == "/api/embed" and len(json.loads(data)["embeddings"]) != len(body["input"]):
            self.complain("%s: %s" % (path, data[-200:]))
        elif reply.status == 200 and reply.headers["Content-Type"] == "text/event-stream" and not data.endswith(
                b'data: {"type":"message_stop"}\n\n' if path == "/v1/messages" else b"data: [DONE]\n\n"):
            self.complain("%s ended with %s" % (path, data[-200:]))

    def client(self, number):
        rng = random.Random(self.args.seed * 1000 + number)
        while time.monotonic() < self.end and len(self.bad) < 20:
            path, body, right = a_request(rng, self.args)
            try:
                what = rng.random()
                if body is not None and what < 0.15:
                    self.drop(rng, path, body)
                elif what < 0.18:
                    self.garbage(rng)
                elif what < 0.21 and path in ("/api/chat", "/v1/chat/completions"):
                    self.stall(rng, path, body)
                else:
                    self.ask(path, body, right)
            except (OSError, http.client.HTTPException) as error:
                self.complain("%s: %r" % (path, error))

    def run(self):
        threads = [threading.Thread(target=self.client, args=(i,)) for i in range(self.args.clients)]
        for t in threads:
            t.start()
        samples, curve = [], []
        begun = time.monotonic()
        while any(t.is_alive() for t in threads):
            at = time.monotonic() - begun
            if self.args.pid:
                curve.append((at, memory_kb(self.args.pid)))
                if at > self.args.seconds * 0.3:
                    samples.append(curve[-1][1])
            time.sleep(1)
        for t in threads:
            t.join()
        step = max(len(curve) // 12, 1)
        grown = bool(samples) and samples[-1] > samples[0] * 1.5 and samples[-1] > samples[0] + 65536
        print(json.dumps({"replies": {str(k): v for k, v in sorted(self.counts.items(), key=str)}, "undocumented": self.bad,
                          "memory_mb": ["%d s: %d" % (at, kb // 1024) for at, kb in curve[::step] + curve[-1:]]}, indent=1), flush=True)
        return 1 if self.bad or grown else 0


def serve(args):
    """The same against a server of its own."""
    with tempfile.TemporaryFile() as errors:
        server = subprocess.Popen([args.serve + "/hypura", "serve", args.gguf, "--port", "0", "--quiet", "--parallel", "4", "--context", "2048"] +
                                  (["--threads", args.threads] if args.threads else []), stdout=subprocess.PIPE, stderr=errors, text=True)
        lines = [server.stdout.readline() for _ in range(3)]
        found = re.search(r":(\d+)$", lines[1].strip())
        result = 1
        if found:
            args.port, args.pid = int(found.group(1)), server.pid
            c = http.client.HTTPConnection("127.0.0.1", args.port, timeout=600)
            c.request("GET", "/api/tags")
            for model in json.loads(c.getresponse().read())["models"]:
                name, can = model["name"], model["capabilities"]
                args.embed = name if "embedding" in can else args.embed
                args.tools = name if "tools" in can else args.tools
                args.model = name if "completion" in can else args.model
            if not args.tools:  # the same model, with a template that knows tools
                template = ("{% if tools %}{% for t in tools %}{{ t | tojson }}{% endfor %}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
                            "{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n{# <tool_call> #}")
                c = http.client.HTTPConnection("127.0.0.1", args.port, timeout=600)
                c.request("POST", "/api/create", json.dumps({"model": "tools", "from": args.model, "template": template, "stream": False}))
                args.tools = "tools" if c.getresponse().status == 200 else None
            result = Load(args).run()
            server.send_signal(signal.SIGTERM)
        try:
            code = server.wait(120)
        except subprocess.TimeoutExpired:
            server.kill()
            code = "not ended"
        errors.seek(0)
        words = errors.read().decode(errors="replace")
        print("the server ended with %s\n%s" % (code, words[-5000:]))
        return 1 if code != 0 or "Sanitizer" in words or "runtime error" in words else result


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("target", help="the port of a server, or with --serve a GGUF file or folder")
    parser.add_argument("--serve", metavar="BUILD")
    parser.add_argument("--threads")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--model", default="plain")
    parser.add_argument("--embed")
    parser.add_argument("--tools")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.gguf = options.target
    options.port = None if options.serve else int(options.target)
    sys.exit(serve(options) if options.serve else Load(options).run())

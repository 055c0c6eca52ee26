#!/usr/bin/env python3
"""Load: many clients for some time, mixed requests, random disconnects. Every reply must be a documented one, memory flat.

usage: tests/server/load.py PORT [--clients 32] [--seconds 600] [--pid PID] [--model NAME] [--seed N]
Prints a summary as JSON; exit status 1 after an undocumented reply or when memory grew by half and 64 MB after the warm-up."""
import argparse
import collections
import http.client
import json
import random
import socket
import sys
import threading
import time


def memory_kb(pid):
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def a_request(rng, model):
    """path, body, statuses that are right."""
    messages = [{"role": "system", "content": "You are client %d." % rng.randrange(5)}]
    for _ in range(rng.randrange(1, 4)):
        messages += [{"role": "user", "content": "word " * rng.randrange(1, 60)}, {"role": "assistant", "content": "yes"}]
    messages.append({"role": "user", "content": "Say something about %d." % rng.randrange(1000)})
    options = {"num_predict": rng.randrange(1, 40)}
    stream = rng.random() < 0.7
    return rng.choice([
        ("/api/chat", {"model": model, "messages": messages, "options": options, "stream": stream}, (200, 503)),
        ("/api/chat", {"model": model, "messages": messages, "options": {**options, "stop": ["e"]}, "stream": stream, "logprobs": True}, (200, 503)),
        ("/api/generate", {"model": model, "prompt": "Once upon a time", "raw": True, "options": options, "stream": stream}, (200, 503)),
        ("/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": options["num_predict"], "stream": stream}, (200, 503)),
        ("/v1/completions", {"model": model, "prompt": "One, two", "max_tokens": 5}, (200, 503)),
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
        elif reply.status == 200 and reply.headers["Content-Type"] == "text/event-stream" and not data.endswith(b"data: [DONE]\n\n"):
            self.complain("%s ended with %s" % (path, data[-200:]))

    def client(self, number):
        rng = random.Random(self.args.seed * 1000 + number)
        while time.monotonic() < self.end and len(self.bad) < 20:
            path, body, right = a_request(rng, self.args.model)
            try:
                if body is not None and rng.random() < 0.15:
                    self.drop(rng, path, body)
                else:
                    self.ask(path, body, right)
            except OSError as error:
                self.complain("%s: %r" % (path, error))

    def run(self):
        threads = [threading.Thread(target=self.client, args=(i,)) for i in range(self.args.clients)]
        for t in threads:
            t.start()
        samples = []
        warm = time.monotonic() + self.args.seconds * 0.3
        while any(t.is_alive() for t in threads):
            if self.args.pid and time.monotonic() > warm:
                samples.append(memory_kb(self.args.pid))
            time.sleep(1)
        for t in threads:
            t.join()
        grown = bool(samples) and samples[-1] > samples[0] * 1.5 and samples[-1] > samples[0] + 65536
        print(json.dumps({"replies": {str(k): v for k, v in sorted(self.counts.items(), key=str)}, "undocumented": self.bad,
                          "memory_kb": samples[:1] + samples[-1:] + ([max(samples)] if samples else [])}, indent=1))
        return 1 if self.bad or grown else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--model", default="plain")
    parser.add_argument("--seed", type=int, default=1)
    sys.exit(Load(parser.parse_args()).run())

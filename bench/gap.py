#!/usr/bin/env python3
"""Does a long prompt delay another's next token? One client reads a stream; a second sends a prompt of several MB. What is
printed are the longest gaps between two pieces of the stream: alone, while the prompt is read, rendered and tokenised, and while
it is evaluated. Interleaved runs of every binary given, medians.

    bench/gap.py MODEL BINARY [BINARY ...]
"""
import http.client
import json
import statistics
import subprocess
import sys
import threading
import time

RUNS, PROMPT_MB, ALONE_S = 3, 4, 3


class Server:
    def __init__(self, binary, model):
        self.process = subprocess.Popen([binary, "serve", model, "--port", "0", "--context", "2048", "-t", "1", "--quiet"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = next(int(line.rsplit(":", 1)[1].split("/")[0]) for line in self.process.stdout if "http://" in line)

    def stop(self):
        self.process.kill()
        self.process.wait()


def post(port, body):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    c.request("POST", "/api/chat", json.dumps(body))
    return c.getresponse()


def read_stream(port, model, times, stop):
    """One stream after the other: an answer may end."""
    while not stop.is_set():
        reply = post(port, {"model": model, "messages": [{"role": "user", "content": "Count from one to a thousand."}], "stream": True,
                            "options": {"num_predict": 1000, "temperature": 0}})
        while not stop.is_set() and reply.readline():
            times.append(time.monotonic())
        reply.close()


def longest(times, start, end):
    inside = [t for t in times if start <= t <= end]
    if not inside or inside[-1] < end - 0.4:
        raise RuntimeError("the stream ended too early")
    return max((b - a for a, b in zip(inside, inside[1:])), default=float("nan")) * 1e3


def measure(binary, model):
    """Longest gaps in ms: alone, and from the moment the prompt is sent until it is evaluated or refused."""
    server = Server(binary, model)
    name = model.rsplit("/", 1)[1].rsplit(".", 1)[0]
    times, stop = [], threading.Event()
    reader = threading.Thread(target=read_stream, args=(server.port, name, times, stop))
    try:
        reader.start()
        while len(times) < 5:
            time.sleep(0.05)
        start = time.monotonic()
        time.sleep(ALONE_S)
        alone = longest(times, start, time.monotonic())
        # Words, so that the tokeniser works; too long for the context, so that it is not evaluated: truncate is false.
        text = "lorem ipsum dolor sit amet " * (PROMPT_MB * 1000000 // 27)
        start = time.monotonic()
        reply = post(server.port, {"model": name, "messages": [{"role": "user", "content": text}], "stream": False, "truncate": False})
        reply.read()
        took = time.monotonic() - start
        time.sleep(0.5)
        return alone, longest(times, start - 0.2, start + took + 0.5), took
    finally:
        stop.set()
        server.stop()
        reader.join()


def main():
    model, binaries = sys.argv[1], sys.argv[2:]
    results = {b: [] for b in binaries}
    for _ in range(RUNS):
        for b in binaries:
            results[b].append(measure(b, model))
    print(f"longest gap between two pieces of a stream, ms, median (least, most) of {RUNS}; a prompt of {PROMPT_MB} MB beside it")
    for b in binaries:
        alone, beside, took = zip(*results[b])
        tell = lambda xs: f"{statistics.median(xs):.0f} ({min(xs):.0f}, {max(xs):.0f})"
        print(f"{b}: alone {tell(alone)}, beside {tell(beside)}; the prompt took {statistics.median(took):.1f} s to be refused")


main()

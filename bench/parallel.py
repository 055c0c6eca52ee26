#!/usr/bin/env python3
"""What streams that decode together gain: `hypura serve --parallel N` answering one client, and N at once, interleaved.

usage: bench/parallel.py MODEL.gguf [--streams 4] [--rounds 3] [--tokens 16] [-- ARGS OF SERVE...]
Prints the sum of the streams' rates (from each one's first token to its last) and its ratio to one stream within a round."""
import argparse
import http.client
import json
import subprocess
import sys
import threading

import lib


def stream(port, model, number, n, out):
    """Tokens a second from the first one on, as the server measured them."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=1800)
    c.request("POST", "/api/generate", json.dumps({"model": model, "prompt": "Story number %d begins like this:" % number, "raw": True, "stream": True,
                                                   "options": {"temperature": 1, "seed": number, "num_predict": n}}))
    last = json.loads(c.getresponse().read().splitlines()[-1])
    out.append((last["eval_count"] - 1) / last["eval_duration"] * 1e9)


def rate(port, model, streams, n, seed):
    out = []
    threads = [threading.Thread(target=stream, args=(port, model, seed + i, n, out)) for i in range(streams)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if len(out) != streams:
        raise SystemExit("a stream failed")
    return sum(out)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--streams", type=int, default=4)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--tokens", type=int, default=16)
    words = sys.argv[1:]
    more = words[words.index("--") + 1:] if "--" in words else []
    a = p.parse_args(words[:words.index("--")] if "--" in words else words)
    server = subprocess.Popen([lib.HYPURA, "serve", a.model, "--port", "0", "--quiet", "--parallel", str(a.streams), *more], stdout=subprocess.PIPE, text=True)
    one, all_of = [], []
    try:
        port = int([server.stdout.readline() for _ in range(3)][1].strip().rsplit(":", 1)[1])
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=1800)
        c.request("GET", "/api/tags")
        model = json.loads(c.getresponse().read())["models"][0]["name"]
        rate(port, model, 1, 2, 0)
        for i in range(a.rounds):
            pair = [(one, 1), (all_of, a.streams)]
            for rows, streams in pair if i % 2 == 0 else pair[::-1]:
                rows.append(rate(port, model, streams, a.tokens, 100 * i))
    finally:
        server.terminate()
        server.wait(120)
    print("one stream %s tok/s, %d streams %s together: %.2f times" % (lib.spread(one), a.streams, lib.spread(all_of), lib.ratio(all_of, one)))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What HTTP adds to decoding: `hypura run` against `hypura serve` with the same model, prompt, context and threads, interleaved.

usage: bench/overhead.py MODEL.gguf [--runs 5] [--tokens 128] [--threads 2] [--context 2048]
The server's rate is its own eval_count and eval_duration, of a streamed answer (every token a chunk, taken off a socket on this machine
as it comes and not looked at: a client's own work is not HTTP's) and of one in a single piece. Prints medians (min-max) and the ratios to `run` within a round."""
import argparse
import http.client
import json
import re
import socket
import subprocess

import lib

PROMPT = "Here is a long story about a ship, its captain and the sea. The ship left the harbour at dawn, and"


def ask(port, model, n, stream):
    body = json.dumps({"model": model, "prompt": PROMPT, "raw": True, "stream": stream, "options": {"temperature": 0, "num_predict": n}}).encode()
    parts = []
    with socket.create_connection(("127.0.0.1", port), timeout=600) as s:
        s.sendall(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        while part := s.recv(65536):
            parts.append(part)
    if stream and len(parts) < 0.9 * n: # now and then two come at once
        raise SystemExit("%d tokens came in %d pieces" % (n, len(parts)))
    last = json.loads(re.findall(rb'\{"model".*\}', b"".join(parts))[-1])
    return last["eval_count"], (last["eval_count"] - 1) / last["eval_duration"] * 1e9


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--tokens", type=int, default=128)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--context", type=int, default=2048)
    a = p.parse_args()
    common = ["--threads", str(a.threads), "--context", str(a.context)]
    server = subprocess.Popen([lib.HYPURA, "serve", a.model, "--port", "0", "--quiet", *common], stdout=subprocess.PIPE, text=True)
    rows = {"run": [], "streamed": [], "whole": []}
    try:
        port = int([server.stdout.readline() for _ in range(3)][1].strip().rsplit(":", 1)[1])
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        c.request("GET", "/api/tags")
        model = json.loads(c.getresponse().read())["models"][0]["name"]
        ask(port, model, 4, True)
        for i in range(a.runs):
            order = ["run", "streamed", "whole"]
            for what in order[i % 3:] + order[:i % 3]:
                if what == "run":
                    r = lib.run_json(["run", a.model, "--prompt", PROMPT, "-n", str(a.tokens), "--temp", "0", *common])
                    rows[what].append(r["decode_tok_per_s"])
                else:
                    count, rate = ask(port, model, a.tokens, what == "streamed")
                    if count != a.tokens:
                        raise SystemExit("the answer ended after %d tokens" % count)
                    rows[what].append(rate)
    finally:
        server.terminate()
        server.wait(60)
    for what in rows:
        print("%-9s decode tok/s %s   against run %.3f" % (what, lib.spread(rows[what]), lib.ratio(rows[what], rows["run"])))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""hypura serve against llama-server of the same llama.cpp, interleaved: time to first token, tokens a second at 1 and 4 clients,
and what the second turn of a long conversation costs. At 4 clients the time to the first token is that of four different prompts of a
third of the first turn's length, sent at once: its mean over the four, and the last one's.

usage: bench/serve.py MODEL.gguf BUILD [--llama] [--rounds N] [--threads N]
llama-server is the one beside the libraries in HYPURA_DEPS (else .deps).
Prints one JSON object; figures are medians over the rounds, ratios are within a round."""
import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import threading
import time

import lib


class Running:
    def __init__(self, name, command, env=None):
        self.name = name
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})})
        for line in self.process.stdout:
            found = re.search(r"(?:endpoint|listening on) http://127.0.0.1:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                break
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        for _ in range(600):
            try:
                if self.call("GET", "/v1/models")[0] == 200 and (name != "llama" or self.call("GET", "/health")[0] == 200):
                    break
            except OSError:
                pass
            time.sleep(0.1)
        self.model = self.call("GET", "/v1/models")[1]["data"][0]["id"]

    def call(self, method, path):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        c.request(method, path)
        r = c.getresponse()
        return r.status, json.loads(r.read())

    def chat(self, messages, n):
        """Seconds to the first token, tokens a second after it, the text."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        begun = time.monotonic()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": self.model, "messages": messages, "max_tokens": n, "temperature": 0, "stream": True,
                                                              "cache_prompt": True}), {"Content-Type": "application/json"})
        reply, first, count, text = c.getresponse(), None, 0, ""
        for line in reply:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            piece = event["choices"][0]["delta"].get("content") if event["choices"] else None
            if piece:
                first = first or time.monotonic()
                count += 1
                text += piece
        end = time.monotonic()
        return first - begun, (count - 1) / max(end - first, 1e-9), text

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def measure(server, round_number, words):
    out = {}
    system = "Notes %d. " % round_number + " ".join("word%d" % (i * 7919 % 1000) for i in range(words))
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Say something short."}]
    out["first_turn_s"], _, text = server.chat(messages, 24)
    messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "And again."}]
    out["second_turn_s"], _, _ = server.chat(messages, 24)
    short = [{"role": "user", "content": "Write a long story about a ship. %d" % round_number}]
    _, out["tok_s_1"], _ = server.chat(short, 96)
    out["tok_s_4"] = sum(rate for _, rate, _ in at_once(server, ["Write a long story about the number %d. %d" % (i, round_number) for i in range(4)], 96))
    notes = ["Client %d.%d: " % (i, round_number) + " ".join("word%d" % ((k + i) * 7919 % 1000) for k in range(words // 3)) for i in range(4)]
    firsts = [first for first, _, _ in at_once(server, notes, 4)]
    out["first_token_4_s"], out["first_token_4_last_s"] = statistics.mean(firsts), max(firsts)
    return out


def at_once(server, texts, n):
    results = []
    threads = [threading.Thread(target=lambda t=t: results.append(server.chat([{"role": "user", "content": t}], n))) for t in texts]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if len(results) != len(texts):
        raise SystemExit("a client failed")
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("build")
    parser.add_argument("--llama", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--words", type=int, default=900)
    parser.add_argument("--context", type=int, default=6144)
    a = parser.parse_args()
    threads = ["--threads", str(a.threads)] if a.threads else []
    servers = [Running("hypura", [a.build + "/hypura", "serve", a.model, "--port", "0", "--context", str(a.context), "--parallel", "4"] + threads)]
    if a.llama:
        # Its own cache of prompts in RAM is left on: it is its default.
        servers.append(Running("llama", [lib.ROOT + "/tools/reference.sh", os.environ.get("HYPURA_DEPS", lib.ROOT + "/.deps"), "llama-server", "-m", os.path.abspath(a.model), "--port", "18577", "-c", str(4 * a.context), "-np", "4", "-fit", "off"] + threads))
    results = {s.name: [] for s in servers}
    try:
        for s in servers:
            s.chat([{"role": "user", "content": "warm"}], 4)
        for i in range(a.rounds):
            for s in servers if i % 2 == 0 else servers[::-1]:
                results[s.name].append(measure(s, i, a.words))
    finally:
        for s in servers:
            s.stop()
    report = {name: {k: round(statistics.median(r[k] for r in rounds), 4) for k in rounds[0]} for name, rounds in results.items()}
    report["second_turn_times_faster"] = round(statistics.median(r["first_turn_s"] / r["second_turn_s"] for r in results["hypura"]), 2)
    report["four_streams_over_one"] = round(statistics.median(r["tok_s_4"] / r["tok_s_1"] for r in results["hypura"]), 2)
    if a.llama:
        report["hypura_over_llama"] = {k: round(statistics.median(h[k] / l[k] for h, l in zip(results["hypura"], results["llama"])), 3) for k in results["llama"][0]}
    report["rounds"] = results
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()

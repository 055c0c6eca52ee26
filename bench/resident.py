#!/usr/bin/env python3
"""`hypura run` on a model that fits against llama.cpp's own llama-bench, interleaved.

  bench/resident.py MODEL [--runs 5] [--tokens 64] [--prompt-tokens 512] [--threads 2]

Both use the same libraries, threads, batch sizes, and weight repacking. llama-bench measures decode from an empty context and
prefill of random tokens; hypura a prompt of the same length and the tokens after it, so its decode carries the longer
context. Prints medians (min-max) and the ratio.
"""
import argparse
import json
import os
import subprocess
import sys

import lib
from stream import prompt_of


def llama_bench(a):
    tool = os.path.join(os.environ["HYPURA_DEPS"], "usr/bin/llama-bench")
    lib_dir = os.path.join(os.environ["HYPURA_DEPS"], "lib")
    out = subprocess.run([os.path.join(lib_dir, "ld-linux-x86-64.so.2"), "--library-path", lib_dir, tool, "-m", a.model, "-t", str(a.threads), "-ngl", "0",
                          "-p", str(a.prompt_tokens), "-n", "0", "-r", "1", "-o", "json"], capture_output=True, text=True, check=True)
    prefill = json.loads(out.stdout)[0]["avg_ts"]
    out = subprocess.run([os.path.join(lib_dir, "ld-linux-x86-64.so.2"), "--library-path", lib_dir, tool, "-m", a.model, "-t", str(a.threads), "-ngl", "0",
                          "-p", "0", "-n", str(a.tokens), "-d", str(a.prompt_tokens), "-r", "1", "-o", "json"], capture_output=True, text=True, check=True)
    return prefill, json.loads(out.stdout)[0]["avg_ts"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--tokens", type=int, default=64)
    p.add_argument("--prompt-tokens", type=int, default=512)
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    ours, theirs = [], []
    for _ in range(a.runs):
        r = lib.run_json(["run", a.model, "-t", str(a.threads), "--prompt", prompt_of(a.prompt_tokens * 9 // 10), "-n", str(a.tokens),
                          "--temp", "0", "--ignore-eos"])
        a.prompt_tokens = r["prompt_tokens"]
        ours.append((r["prefill_tok_per_s"], r["decode_tok_per_s"]))
        theirs.append(llama_bench(a))
        print(f"hypura {ours[-1]}, llama-bench {theirs[-1]}", file=sys.stderr)
    print("| | prefill tok/s | decode tok/s |\n|---|---|---|")
    for name, rows in (("hypura run", ours), ("llama-bench", theirs)):
        print(f"| {name} | {lib.spread([r[0] for r in rows])} | {lib.spread([r[1] for r in rows])} |")
    for i, name in enumerate(("prefill", "decode")):
        print(f"{name} ratio: {lib.ratio([r[i] for r in ours], [r[i] for r in theirs]):.3f}")


if __name__ == "__main__":
    main()

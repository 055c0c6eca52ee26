#!/usr/bin/env python3
"""`hypura run` on a model that fits against llama.cpp's own llama-bench, interleaved.

  bench/resident.py MODEL [--runs 5] [--tokens 64] [--prompt-tokens 512] [--threads 2]

Both use the same libraries, threads, batch sizes, and weight repacking. Decode follows a
prompt of the same length on both sides. Neither warms up first. Prints medians (min-max) and the ratio.
"""
import argparse
import json
import os
import subprocess
import sys

import lib
from stream import prompt_of


def llama_bench(a):
    """(prefill, decode) tok/s of one repetition each, decode after a context of the prompt's length."""
    rates = []
    for shape in (["-p", str(a.prompt_tokens), "-n", "0"], ["-p", "0", "-n", str(a.tokens), "-d", str(a.prompt_tokens)]):
        out = subprocess.run([os.path.join(lib.ROOT, "tools/reference.sh"), os.environ.get("HYPURA_DEPS", os.path.join(lib.ROOT, ".deps")),
                              "llama-bench", "-m", os.path.abspath(a.model), "-t", str(a.threads), "-ngl", "0", *shape, "-r", "1", "--no-warmup", "-o", "json"],
                             capture_output=True, text=True, check=True)
        rates.append(json.loads(out.stdout)[0]["avg_ts"])
    return tuple(rates)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--tokens", type=int, default=64)
    p.add_argument("--prompt-tokens", type=int, default=512)
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    ours, theirs = [], []
    prompt = prompt_of(a.prompt_tokens * 3 // 4)  # below --prompt-tokens in every tokenizer seen: one batch
    for _ in range(a.runs):
        r = lib.run_json(["run", a.model, "-t", str(a.threads), "--prompt", prompt, "-n", str(a.tokens),
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

#!/usr/bin/env python3
"""What the planner predicts beside what is measured.

  bench/calibrate.py CASE... [--rounds 3] [--tokens 48] [--prompt-tokens 256] [--no-profile] [--keep FILE] [-- EXTRA...]

A case is MODEL[:MODE[:BUDGET]]: a GGUF file, resident (the default), experts or ffn, and --ram as a size ("3G") or as a share of
the file ("60%"). The machine is profiled first, so that prediction and measurement are minutes apart; then every case runs once a
round, interleaved. Streaming modes read past the page cache. Each run prints its own prediction, made by the engine for its prompt,
answer and frames as they were (`predicted` in `hypura run --json`). Prints a Markdown table: medians (min-max), and the error of
the prediction. With --keep, runs are added to FILE and the table is of all that is there: a long list can be measured in parts.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

import lib

UNITS = {"K": 1e3, "M": 1e6, "G": 1e9}


def budget_of(text, model):
    if not text:
        return []
    if text.endswith("%"):
        return ["--ram", str(int(float(text[:-1]) / 100 * sum(os.path.getsize(p) for p in lib.parts_of(model))))]
    return ["--ram", str(int(float(text[:-1]) * UNITS[text[-1]]) if text[-1] in UNITS else int(text))]


def measure(case, a):
    model, mode, ram = (case.split(":") + ["", ""])[:3]
    mode = mode or "resident"
    if mode != "resident":
        lib.drop_cache(model)
    r = lib.run_json(["run", model, "--mode", mode, *budget_of(ram, model), "--prompt-tokens", str(a.prompt_tokens), "-n", str(a.tokens),
                      "-c", str(max(1024, a.prompt_tokens + a.tokens)), "--temp", "0", "--ignore-eos", "--no-memory", "--device", "none", *a.extra])
    p = r["predicted"]
    if not p["rates_measured"]:
        sys.exit("there is no profile of this machine: leave --no-profile out")
    tokens = max(1, r["output_tokens"] - 1)
    return {"case": case, "mode": r["mode"], "quant": r["model"]["quant"], "bytes": r["model"]["bytes"], "decode": r["decode_tok_per_s"],
            "decode_predicted": p["decode_tok_per_s"], "prefill": r["prefill_tok_per_s"], "prefill_predicted": p["prefill_tok_per_s"],
            "hit": r["cache"]["hit_bytes"] / max(1, r["cache"]["hit_bytes"] + r["cache"]["miss_bytes"]) if "cache" in r else None,
            "ahead": r["prefetch"]["used_bytes"] / max(1, r["cache"]["miss_bytes"] + r["prefetch"]["used_bytes"]) if r["mode"] == "experts" else None,
            "stall_ms": r["io"]["stall_ms"] / tokens, "compute_ms": p["compute_ms"], "read_ms": p["read_ms"]}


def error(measured, predicted):
    """Median of predicted / measured - 1, in percent."""
    return f"{100 * (statistics.median(p / m for m, p in zip(measured, predicted)) - 1):+.0f} %"


def print_table(runs):
    print("| model | mode, budget | decode tok/s | predicted | error | prefill tok/s | predicted | error |")
    print("|---|---|---|---|---|---|---|---|")
    for case in dict.fromkeys(r["case"] for r in runs):
        rs = [r for r in runs if r["case"] == case]
        model, _, ram = (case.split(":") + ["", ""])[:3]
        name = os.path.basename(model).replace(".gguf", "")
        col = lambda key: [r[key] for r in rs]
        print(f"| {name} ({rs[0]['quant']}, {rs[0]['bytes'] / 1e9:.1f} GB) | {rs[0]['mode']}{', ' + ram if ram else ''} | "
              f"{lib.spread(col('decode'))} | {lib.spread(col('decode_predicted'))} | **{error(col('decode'), col('decode_predicted'))}** | "
              f"{lib.spread(col('prefill'))} | {lib.spread(col('prefill_predicted'))} | {error(col('prefill'), col('prefill_predicted'))} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cases", nargs="*")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--tokens", type=int, default=48)
    p.add_argument("--prompt-tokens", type=int, default=256)
    p.add_argument("--no-profile", action="store_true", help="predict from the kept profile")
    p.add_argument("--keep", help="add the runs to this file, and print the table of all of them")
    argv, _, extra = "\0".join(sys.argv[1:]).partition("\0--\0")
    a = p.parse_args([w for w in argv.split("\0") if w])
    a.extra = [w for w in extra.split("\0") if w]
    runs = []
    if a.keep and os.path.exists(a.keep):
        with open(a.keep) as f:
            runs = [json.loads(line) for line in f]
    if a.cases and not a.no_profile:
        largest = max((c.split(":")[0] for c in a.cases), key=os.path.getsize)
        subprocess.run([lib.HYPURA, "profile", largest, "--force", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        for model in {c.split(":")[0] for c in a.cases}:  # the types of the others
            subprocess.run([lib.HYPURA, "profile", model, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    for _ in range(a.rounds):
        for case in a.cases:
            r = measure(case, a)
            runs.append(r)
            print(f"{case}: decode {r['decode']} predicted {r['decode_predicted']}, prefill {r['prefill']} predicted {r['prefill_predicted']}, "
                  f"hit rate {r['hit']}, read ahead {r['ahead']}, waited {r['stall_ms']:.1f} ms a token, predicted compute {r['compute_ms']} and read {r['read_ms']} ms",
                  file=sys.stderr)
            if a.keep:
                with open(a.keep, "a") as f:
                    f.write(json.dumps(r) + "\n")
    print_table(runs)


if __name__ == "__main__":
    main()

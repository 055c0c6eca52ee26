#!/usr/bin/env python3
"""One streamed model, several ways of reading it, interleaved.

  bench/reads.py MODEL --ram 900M [--mode ffn] [--runs 3] [--tokens 10] --way "threads: --io threads" --way "io_uring: --io io_uring" ...

Each way is a name and options of `hypura run`. The page cache of the model's files is dropped before every run; all runs must
give the same logits digest. Prints a Markdown table: medians (min-max), and what each source delivered.
"""
import argparse
import shlex
import sys

import lib


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--ram", default="900M")
    p.add_argument("--mode", default="ffn")
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--tokens", type=int, default=10)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--way", action="append", required=True)
    a = p.parse_args()
    ways = [(name.strip(), shlex.split(opts)) for name, _, opts in (w.partition(":") for w in a.way)]
    results = {name: [] for name, _ in ways}
    for run in range(a.runs):
        for name, opts in ways:
            lib.drop_cache(a.model)
            r = lib.run_json(["run", a.model, "--mode", a.mode, "--ram", a.ram, "-p", "the quick brown fox", "-n", str(a.tokens), "-t", str(a.threads),
                              "-c", "512", "--temp", "0", "--ignore-eos", "--logits-digest", "--no-repack", "--no-memory", *opts], None)
            results[name].append(r)
            print(f"run {run + 1} {name}: decode {r['decode_tok_per_s']} load {r['load_ms']} stall {r['io']['stall_ms']}", file=sys.stderr)
    col = lambda rs, f: lib.spread([f(r) for r in rs])
    print("| way | decode tok/s | load s | waited s | read GB | of it from each source GB | MB/s of each source |")
    print("|---|---|---|---|---|---|---|")
    for name, rs in results.items():
        n = len(rs[0]["io"]["sources"])
        each = lambda f: " + ".join(col(rs, lambda r, i=i: f(r["io"]["sources"][i])) for i in range(n))
        print(f"| {name} | {col(rs, lambda r: r['decode_tok_per_s'])} | {col(rs, lambda r: r['load_ms'] / 1e3)} | "
              f"{col(rs, lambda r: r['io']['stall_ms'] / 1e3)} | "
              f"{col(rs, lambda r: (r['io']['demand_bytes'] + r['io']['prefetch_bytes']) / 1e9)} | "
              f"{each(lambda s: s['bytes'] / 1e9)} | {each(lambda s: s['bytes_per_s'] / 1e6)} |")
    first = ways[0][0]
    for name, _ in ways[1:]:
        print(f"{name} / {first}: decode {lib.ratio([r['decode_tok_per_s'] for r in results[name]], [r['decode_tok_per_s'] for r in results[first]]):.2f}")
    digests = {r["logits_digest"] for rs in results.values() for r in rs}
    print(f"logits digests: {'identical' if len(digests) == 1 else 'DIFFERENT'}")
    return 0 if len(digests) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())

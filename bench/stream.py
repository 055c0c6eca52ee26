#!/usr/bin/env python3
"""A streamed model against plain mmap under the same memory limit, interleaved.

  bench/stream.py MODEL --limit 12G [--runs 3] [--tokens 64] [--prompt-tokens 32] [--variants experts,mmap] [--cold] [-- EXTRA...]

Each variant is `hypura run --mode VARIANT` in a memory control group of --limit (page cache included); streaming variants get
--ram LIMIT less 5 %. Every variant must produce the same logits digest. Prints a Markdown table: medians (min-max).
"""
import argparse
import sys

import lib


def size(text):
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(float(text[:-1]) * units[text[-1]]) if text[-1] in units else int(text)


def prompt_of(n):
    words = "the quick brown fox jumps over a lazy dog while seven bright stars slowly climb above cold northern hills".split()
    return " ".join(words[(i * 7 + i // 19) % len(words)] for i in range(n))


def run_once(a, variant, ram):
    if a.cold:
        lib.drop_cache(a.model)
    if a.touch_memory:
        lib.touch_memory(a.limit or a.ram)
    mode, *opts = variant.split("+")  # "experts+--no-prefetch"
    args = ["run", a.model, "--mode", mode, "--prompt", prompt_of(a.prompt_tokens), "-n", str(a.tokens), "--temp", "0",
            "--ignore-eos", "--logits-digest", "--no-repack", *opts, *a.extra]
    if mode != "mmap" and ram:
        args += ["--ram", str(ram)]
    with lib.memory_cgroup(a.limit) as join:
        return lib.run_json(args, join)


def tell(run, variant, r):
    print(f"run {run + 1} {variant}: decode {r['decode_tok_per_s']} prefill {r['prefill_tok_per_s']} ttft {r['ttft_ms']} ms "
          f"load {r['load_ms']} ms stall {r['io']['stall_ms']} ms", file=sys.stderr)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--limit", type=size, default=0)
    p.add_argument("--ram", type=size, default=0)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--tokens", type=int, default=64)
    p.add_argument("--prompt-tokens", type=int, default=32)
    p.add_argument("--variants", default="experts,mmap")
    p.add_argument("--cold", action="store_true", help="drop the file's page cache before every run (default: as it is)")
    p.add_argument("--touch-memory", action="store_true",
                   help="before every run touch and free --limit bytes: a virtual machine that gives free memory back to its host "
                        "pays for the first touch of every page, which a physical one does not")
    p.add_argument("--read-ahead", type=int, metavar="KB", default=128,
                   help="the drive's read-ahead during the runs, on which plain mmap's speed hangs (default: 128, Linux's own; 0: as it is)")
    argv, _, extra = " ".join(sys.argv[1:]).partition(" -- ")
    a = p.parse_args(argv.split())
    a.extra = extra.split()
    variants = a.variants.split(",")
    ram = a.ram or int(a.limit * 0.95)
    results = {v: [] for v in variants}
    with lib.read_ahead(a.model, a.read_ahead):
        print(f"read-ahead of the drive: {lib.read_ahead_kb(a.model)} KB")
        for run in range(a.runs):
            for v in variants:
                results[v].append(run_once(a, v, ram))
                tell(run, v, results[v][-1])
    digests = {r["logits_digest"] for rs in results.values() for r in rs}
    print("| variant | decode tok/s | prefill tok/s | first token ms | load ms | read MB/token | stall ms | major faults | peak RSS GB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for v, rs in results.items():
        col = lambda f: lib.spread([f(r) for r in rs])
        print(f"| {v} | {col(lambda r: r['decode_tok_per_s'])} | {col(lambda r: r['prefill_tok_per_s'])} | {col(lambda r: r['ttft_ms'])} | "
              f"{col(lambda r: r['load_ms'])} | {col(lambda r: r['io']['bytes_read'] / 1e6 / max(1, r['output_tokens']))} | "
              f"{col(lambda r: r['io']['stall_ms'])} | {col(lambda r: r['io']['major_faults'])} | {col(lambda r: r['memory']['peak_rss_bytes'] / 1e9)} |")
    base = variants[-1]
    for v in variants[:-1]:
        for key in ("decode_tok_per_s", "prefill_tok_per_s"):
            print(f"{v} / {base} {key}: {lib.ratio([r[key] for r in results[v]], [r[key] for r in results[base]]):.2f}")
    for v in variants[:-1]:  # plain mmap's faults count as computing: its bound says nothing
        bound = [r.get("bound", {}).get("tok_per_s", 0) for r in results[v]]
        if all(bound):
            print(f"{v} decode / its bound: {lib.ratio([r['decode_tok_per_s'] for r in results[v]], bound):.2f} ({results[v][-1]['bound']['limited_by']})")
    print(f"logits digests: {'identical' if len(digests) == 1 else 'DIFFERENT ' + str(digests)}")
    return 0 if len(digests) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())

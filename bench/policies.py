#!/usr/bin/env python3
"""The tables of docs/policies.md: hit rates of the eviction policies on made-up routing and on a recorded trace.

  bench/policies.py [--only WORD]     rows whose name contains WORD

Each cell is a replay with a cache of that share of all experts (C/X): ours / LRU / LFU / Belady, per cent of bytes found in the cache
in the second half of the trace. Nothing is measured but the policies: the same figures on every machine, in a minute or two.
"""
import argparse
import json
import os
import subprocess
import tempfile

import lib

SHARES = (0.03, 0.06, 0.12, 0.25, 0.50, 0.75)
MANY, FEW, VAST = "layers=24 experts=128 used=8", "layers=32 experts=8 used=2", "layers=61 experts=384 used=8"
ROUTINGS = (
    ("uniform, 24 x 128, 8 used", MANY, ""),
    ("uniform, 32 x 8, 2 used", FEW, ""),
    ("Zipf 0.6, 24 x 128", MANY, "skew=0.6"),
    ("Zipf 1, 24 x 128", MANY, "skew=1"),
    ("30 % kept", MANY, "persistence=0.3"),
    ("60 % kept", MANY, "persistence=0.6"),
    ("30 % kept, Zipf 0.6", MANY, "persistence=0.3 skew=0.6"),
    ("4 topics of 150 tokens, 30 % kept, Zipf 0.9", MANY, "topics=4 topic-tokens=150 persistence=0.3 skew=0.9"),
    ("8 topics of 40 tokens, 20 % kept, Zipf 0.9", MANY, "topics=8 topic-tokens=40 persistence=0.2 skew=0.9"),
    ("layers correlated 0.4, 20 % kept, 2 topics", MANY, "correlation=0.4 persistence=0.2 topics=2 skew=0.6"),
    ("after a batch of 256; 3 topics, 30 % kept, Zipf 0.7", MANY, "prefill=256 topics=3 persistence=0.3 skew=0.7"),
    ("32 x 8, 2 used; 3 topics, 20 % kept, Zipf 0.3", FEW, "topics=3 persistence=0.2 skew=0.3"),
    ("61 x 384, 8 used; 3 topics, 30 % kept, Zipf 0.6", VAST, "topics=3 persistence=0.3 skew=0.6"),
)
RECORDED = os.path.join(lib.ROOT, "tests/data/routing-smollm2-32x4.trace")


def replay(trace, share, *options):
    """The replay's object, with a cache of this share of all experts beside what every token touches."""
    size = lambda ram, *more: json.loads(subprocess.run([lib.HYPURA, "replay", trace, "--ram", str(ram), "--disk-rate", "1G", "--json", *more],
                                                        capture_output=True, text=True, check=True).stdout)
    whole = size(1 << 50, "--policy", "lru")
    return size(int(whole["always_bytes"] + share * whole["expert_bytes"]), *options)


def row(name, trace, means):
    """A row of the table; the rates are added to `means`, a list for each policy."""
    cells = []
    for share in SHARES:
        rates = [100 * p["warm_hit_rate"] for p in replay(trace, share, "--prefetch", "off")["policies"]]
        for mean, rate in zip(means, rates):
            mean.append(rate)
        cells.append("**%.0f** / %.0f / %.0f / %.0f" % tuple(rates))
    print("| %s | %s |" % (name, " | ".join(cells)), flush=True)


def prefetch_rows():
    """What prefetching makes of our policy on the recorded trace."""
    print("\n| C/X | 30 ms | used | 200 ms | used |\n|---|---|---|---|---|")
    for share in (0.12, 0.25, 0.50):
        cells = []
        for ms in ("30", "200"):
            off, on = (replay(RECORDED, share, "--policy", "hypura", "--compute-time", ms, "--prefetch", way)["policies"][0] for way in ("off", "on"))
            cells.append("%.2f, %.2f | %.0f %%" % (off["tok_per_s"], on["tok_per_s"], 100 * on["prefetch_used_bytes"] / on["prefetch_issued_bytes"]))
        print("| %.2f | %s |" % (share, " | ".join(cells)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", default="")
    a = p.parse_args()
    heads = "| Routing | %s |\n|%s" % (" | ".join(("C/X " if s == SHARES[0] else "") + ("%.2f" % s)[1:] for s in SHARES), "---|" * (len(SHARES) + 1))
    print(heads)
    means = [[] for _ in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        for name, shape, routing in ROUTINGS:
            if a.only not in name:
                continue
            trace = os.path.join(folder, "trace")
            subprocess.run([os.path.join(lib.BUILD, "tools/make-trace/make-trace"), trace, *shape.split(), *routing.split()], check=True)
            row(name, trace, means)
    if means[0]:
        print("\nmean of %d cells: ours %.1f, LRU %.1f, LFU %.1f, Belady %.1f\n" % (len(means[0]), *(sum(m) / len(m) for m in means)))
    if a.only in "recorded":
        print(heads)
        row("30 x 32, 4 used", RECORDED, [[] for _ in range(4)])
        prefetch_rows()


if __name__ == "__main__":
    main()

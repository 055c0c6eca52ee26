#!/usr/bin/env python3
"""The expert cache of a real run against the policies of `hypura replay` on the same routing.

  bench/hitrate.py MODEL --ram 9690M [--tokens 64] [--prompt-tokens 24] [-- EXTRA...]

Runs MODEL cold with --trace, then replays that trace with a cache of the same size. Prints hit rates by bytes.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import lib
from stream import prompt_of, size


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--ram", type=size, required=True)
    p.add_argument("--tokens", type=int, default=64)
    p.add_argument("--prompt-tokens", type=int, default=24)
    argv, _, extra = " ".join(sys.argv[1:]).partition(" -- ")
    a = p.parse_args(argv.split())
    with tempfile.TemporaryDirectory() as scratch:
        trace = os.path.join(scratch, "run.trace")
        rows = []
        for prefetch in ("off", "on"):
            lib.drop_cache(a.model)
            r = lib.run_json(["run", a.model, "--mode", "experts", "--ram", str(a.ram), "--prompt", prompt_of(a.prompt_tokens), "-n", str(a.tokens),
                              "--temp", "0", "--ignore-eos", "--no-memory", "--trace", trace, *(["--no-prefetch"] if prefetch == "off" else []), *extra.split()])
            c = r["cache"]
            rows.append((f"run, prefetch {prefetch}", c["hit_bytes"] / (c["hit_bytes"] + c["miss_bytes"])))
            compute_ms = max(1, (1e3 / r["decode_tok_per_s"] * r["output_tokens"] - r["io"]["stall_ms"]) / r["output_tokens"])
            replay = json.loads(subprocess.run([lib.HYPURA, "replay", trace, "--ram", str(c["capacity_bytes"] + c["pinned_bytes"]),
                                                "--disk-rate", "1.4G", "--compute-time", f"{compute_ms:.0f}", "--prefetch", prefetch, "--json"], check=True, capture_output=True, text=True).stdout)
            rows += [(f"replay, prefetch {prefetch}, {x['policy']}", x["hit_rate"]) for x in replay["policies"]]
    print("| | hit rate |\n|---|---|")
    for name, rate in rows:
        print(f"| {name} | {100 * rate:.1f} % |")


if __name__ == "__main__":
    main()

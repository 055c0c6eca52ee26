#!/bin/sh
# The short set of benchmarks, about three minutes on two cores: resident against llama-bench, the server against `run`, experts
# and FFN streaming against plain mmap in a memory control group (root). Tables as they are measured, then the ratios again.
# Models are made under BUILD/bench-models and removed again (2 GB at a time).
# usage: bench/short.sh BUILD
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
work=$build/bench-models
export HYPURA_BUILD="$build" XDG_CACHE_HOME="$work/cache"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
began=$(date +%s)

part() { # part TITLE SCRIPT ARGUMENTS...
    echo
    echo "## $1" | tee -a "$work/log"
    script=$2
    shift 2
    python3 "$root/bench/$script" "$@" >"$work/part" || { cat "$work/part"; exit 1; }
    cat "$work/part"
    cat "$work/part" >>"$work/log"
}

make_model() { # make_model NAME ARGUMENTS...
    name=$1
    shift
    "$build/tools/make-model" "$@" --vocab 32000 -q Q4_K -o "$work/$name.gguf" >/dev/null
}

model=$("$root/tools/fetch-model.sh" "$build" | tail -1)
part "Resident: $(basename "$model"), against llama-bench" resident.py "$model" --runs 5
part "Serving: $(basename "$model"), against hypura run" overhead.py "$model" --runs 3
if [ "$(id -u)" = 0 ]; then
    make_model moe --arch qwen3moe --layers 12 --width 1024 --experts 128 --used 8 --expert-width 768
    part "Experts: 128 experts, 8 used, 2 GB under 1.3 GB, cold, against plain mmap" stream.py "$work/moe.gguf" --limit 1.3G --runs 3 \
        --tokens 32 --variants experts,mmap --cold -- -c 1024 --no-memory
    rm "$work/moe.gguf"
    make_model dense --arch llama --layers 16 --width 4096 --heads 32 --kv-heads 8 --ffn 14336
    part "FFN: dense, 2 GB under 1.3 GB, cold, against plain mmap" stream.py "$work/dense.gguf" --limit 1.3G --runs 3 --tokens 8 \
        --variants ffn,mmap --cold -- -c 1024
else
    echo "the streaming benchmarks need root, for a memory control group"
fi
echo
echo "# Summary, after $(($(date +%s) - began)) s: medians of the ratios within a round"
sed -n 's/^## /\n&/p; / ratio: /p; /against run/p; /^[^|#]* \/ /p; /^logits digests/p' "$work/log"

#!/bin/sh
# The short set of benchmarks, under ten minutes: resident against llama-bench, experts and FFN streaming against plain mmap in
# a memory control group (root). Models are made under BUILD/bench-models and removed again.
# usage: bench/short.sh BUILD
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
export HYPURA_BUILD="$build" XDG_CACHE_HOME="$build/bench-models/cache"
mkdir -p "$build/bench-models"
trap 'rm -rf "$build/bench-models"' EXIT
model=$("$root/tools/fetch-model.sh" "$build" | tail -1)
echo "## Resident: $(basename "$model")"
python3 "$root/bench/resident.py" "$model" --runs 5
if [ "$(id -u)" != 0 ]; then
    echo "the streaming benchmarks need root, for a memory control group"
    exit 0
fi
echo "## Experts: 128 experts, 8 used, 2 GB, under 1.3 GB"
"$build/tools/make-model" --arch qwen3moe --layers 12 --width 1024 --experts 128 --used 8 --expert-width 768 --vocab 32000 -o "$build/bench-models/moe.gguf" >/dev/null
python3 "$root/bench/stream.py" "$build/bench-models/moe.gguf" --limit 1.3G --runs 3 --tokens 32 --variants experts,mmap --cold -- -c 1024 --no-memory
rm "$build/bench-models/moe.gguf"
echo "## FFN: dense, 2 GB, under 1.3 GB"
"$build/tools/make-model" --arch llama --layers 16 --width 4096 --heads 32 --kv-heads 8 --ffn 14336 --vocab 32000 -o "$build/bench-models/dense.gguf" >/dev/null
python3 "$root/bench/stream.py" "$build/bench-models/dense.gguf" --limit 1.3G --runs 3 --tokens 8 --variants ffn,mmap --cold -- -c 1024

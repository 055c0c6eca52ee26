#!/bin/sh
# Real clients against the real server: ollama-python, openai-python, ollama-js, curl.
# usage: tests/clients/run.sh MODEL.gguf [BUILD]
# Clients are installed into a folder of their own (HYPURA_CLIENTS, kept between runs) by pip and npm. Without a network the
# clients that cannot be had are skipped and named.
set -u
model=$(readlink -f "$1")
build=$(readlink -f "${2:-build}")
here=$(dirname "$(readlink -f "$0")")
clients=${HYPURA_CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/hypura-clients}
mkdir -p "$clients"
scratch=$(mktemp -d)
server=
# shellcheck disable=SC2064
trap 'if [ -n "$server" ]; then kill "$server"; wait "$server"; fi 2>/dev/null; rm -rf "$scratch"' EXIT

"$build/hypura" serve "$model" --port 0 --context 4096 --parallel 2 >"$scratch/out" 2>"$scratch/err" &
server=$!
i=0
until grep -q '^endpoint' "$scratch/out"; do
    i=$((i + 1))
    [ $i -lt 200 ] || { echo "clients: the server does not start"; cat "$scratch/err"; exit 1; }
    sleep 0.1
done
url=$(sed -n 's/^endpoint //p' "$scratch/out")
name=$(curl -s "$url/api/tags" | sed 's/.*"name":"\([^"]*\)".*/\1/')
export HYPURA_URL="$url" HYPURA_MODEL="$name"
failed=0

check() { # check NAME COMMAND...
    label=$1; shift
    if "$@"; then echo "clients: $label passed"; else echo "clients: $label FAILED"; failed=1; fi
}

# shellcheck disable=SC2016 # expanded by the inner shell
check curl sh -c 'curl -sf "$HYPURA_URL/api/chat" -d "{\"model\":\"$HYPURA_MODEL\",\"stream\":false,\"options\":{\"num_predict\":4},\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}" | grep -q "\"done\":true"'

if { [ -x "$clients/venv/bin/python" ] || python3 -m venv "$clients/venv"; } >/dev/null 2>&1 &&
    { "$clients/venv/bin/python" -c 'import ollama, openai' || "$clients/venv/bin/pip" -q install ollama openai; } >/dev/null 2>&1; then
    check ollama-python "$clients/venv/bin/python" "$here/ollama_python.py"
    check openai-python "$clients/venv/bin/python" "$here/openai_python.py"
else
    echo "clients: ollama-python and openai-python skipped (pip cannot reach its index)"
fi
if command -v npm >/dev/null 2>&1 &&
    { [ -d "$clients/node_modules/ollama" ] || npm --silent --prefix "$clients" install ollama; } >/dev/null 2>&1; then
    cp "$here/ollama_js.mjs" "$clients/"
    check ollama-js node "$clients/ollama_js.mjs"
else
    echo "clients: ollama-js skipped (npm cannot reach its registry)"
fi
exit $failed

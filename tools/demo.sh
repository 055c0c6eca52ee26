#!/bin/sh
# Fetch the demo model and let it answer: tools/demo.sh BUILD [PROMPT]
set -eu
here=$(dirname "$0")
build=${1:-$here/../build}
model=$("$here/fetch-model.sh" "$build")
exec "$build/hypura" run "$model" --chat --temperature 0 --max-tokens 128 \
    --prompt "${2:-What is the capital of France, and what is it known for?}"

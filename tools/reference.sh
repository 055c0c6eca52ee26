#!/bin/sh
# Run one of llama.cpp's own tools from the folder that tools/setup.sh filled: what the tests and benchmarks compare with.
# usage: tools/reference.sh DEPS TOOL [ARG...]     (paths in ARG must be absolute; DEPS "" runs the system's TOOL)
set -eu
deps=$1 tool=$2
shift 2
[ -n "$deps" ] || exec "$tool" "$@"
lib=$deps/lib
for exe in "$deps/usr/bin/$tool" "$deps"/usr/libexec/*/llama/bin/"$tool"; do
    [ ! -x "$exe" ] || break
done
# The tools look for ggml's backends where Debian would have put them, beside the executable, and in the current folder.
cd "$lib/ggml/backends0"
exec "$lib"/ld-linux*.so.* --library-path "$lib:$lib/llama" "$exe" "$@"

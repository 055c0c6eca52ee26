#!/bin/sh
# Run under qemu what tools/cross.sh built for 64-bit ARM: the program itself, then unit tests.
# usage: tools/cross/try.sh CROSS BUILD [meson test arguments]      without any: the unit tests but the slowest
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cross=$1 build=$2
shift 2

hypura() {
    XDG_CACHE_HOME="$build/test-cache" "$cross/emulator/usr/bin/qemu-aarch64" -cpu neoverse-n1 -L "$cross/arm64" \
        -E LD_LIBRARY_PATH="$cross/arm64/lib" "$build/hypura" "$@"
}

model=$("$root/tools/fetch-model.sh" "$root/build")
hypura version
hypura inspect "$model" | sed -n '/^PLAN/,/budget/p'
# Greedily the same words, from plain mmap and from memory for half of the FFN layers: those were evicted and read again.
ask() { hypura run "$model" "$@" --temp 0 -n 4 -t 1 -c 256 --prompt "The capital of France is" --json; }
plain=$(ask --mode mmap)
streamed=$(ask --mode ffn --ram 150M)
python3 - "$plain" "$streamed" <<'P'
import json, sys
plain, streamed = map(json.loads, sys.argv[1:])
evicted = streamed["cache"]["evicted_bytes"]
print(f"plain mmap: {plain['text']!r}, streamed: {streamed['text']!r}, {evicted / 1e6:.0f} MB evicted on the way")
sys.exit(plain["text"] != streamed["text"] or plain["mode"] != "mmap" or streamed["mode"] != "ffn" or evicted == 0)
P
# What makes or replays much data takes minutes in the emulator; hw-profile waits for an idle machine.
slow='make-model-shape make-model-weights make-model-write bench-replay bench-measure predict-coact plan-place
    chat-corpus-jinja2 hw-profile pager-property-disorder pager-property-16k pager-ring-64k'
# shellcheck disable=SC2046,SC2086
[ $# -gt 0 ] || set -- --suite unit -t 5 $(meson introspect --tests "$build" | python3 -c '
import json, sys
print(*(t["name"] for t in json.load(sys.stdin) if "hypura:unit" in t["suite"] and t["name"] not in sys.argv[1:]))' $slow)
exec "$root/tests/run.sh" "$build" "$@"

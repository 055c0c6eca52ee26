#!/bin/sh
# Run every libFuzzer target of a build folder on its corpus, FUZZ_SECONDS (default 60) seconds each.
# usage: tests/fuzz/run.sh BUILD [TARGET...]
# What libFuzzer learns is kept in BUILD/fuzz/NAME; a crash leaves its input in BUILD/fuzz/crash-NAME-*.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$1; shift
seconds=${FUZZ_SECONDS:-60}
ninja -C "$build" || exit 1
targets=${*:-$(cd "$here" && for f in fuzz_*.c; do f=${f#fuzz_}; echo "${f%.c}"; done)}
failed=
for t in $targets; do
    mkdir -p "$build/fuzz/$t"
    echo "fuzz: $t for $seconds s"
    log=$build/fuzz/$t.log
    if "$build/tests/fuzz/fuzz_$t" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$build/fuzz/crash-$t-" "$build/fuzz/$t" "$here/corpus/$t" >"$log" 2>&1; then
        sed -n 's/^stat::number_of_executed_units: */  inputs tried: /p; s/^stat::peak_rss_mb: */  peak MB: /p' "$log"
    else
        tail -60 "$log"
        failed="$failed $t"
    fi
done
if [ -n "$failed" ]; then
    echo "fuzz: FAILED:$failed (inputs in $build/fuzz)"
    exit 1
fi
echo "fuzz: no failure"

#!/bin/sh
# Run the tests of a build folder with meson and close with a plain summary line.
# usage: tests/run.sh BUILD [meson test arguments]       (HYPURA_SUMMARY: a file that the line is added to)
set -u
build=$1; shift
meson test -C "$build" --no-rebuild --print-errorlogs "$@"
status=$?
python3 - "$build" <<'P'
import json, os, sys
ok = bad = skipped = 0
for line in open(sys.argv[1] + "/meson-logs/testlog.json"):
    result = json.loads(line)["result"]
    ok += result in ("OK", "EXPECTEDFAIL")
    skipped += result == "SKIP"
    bad += result not in ("OK", "EXPECTEDFAIL", "SKIP")
line = f"{ok} passed, {bad} failed" + (f", {skipped} skipped" if skipped else "")
print(line)
if "HYPURA_SUMMARY" in os.environ:
    open(os.environ["HYPURA_SUMMARY"], "a").write(line + "\n")
P
exit $status

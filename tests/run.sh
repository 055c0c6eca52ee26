#!/bin/sh
# Run the tests of a build folder with meson and close with a plain summary line.
# usage: tests/run.sh BUILD [meson test arguments]
set -u
build=$1; shift
meson test -C "$build" --no-rebuild --print-errorlogs "$@"
status=$?
python3 - "$build" <<'P'
import json, sys
ok = bad = skipped = 0
for line in open(sys.argv[1] + "/meson-logs/testlog.json"):
    result = json.loads(line)["result"]
    ok += result in ("OK", "EXPECTEDFAIL")
    skipped += result == "SKIP"
    bad += result not in ("OK", "EXPECTEDFAIL", "SKIP")
print(f"{ok} passed, {bad} failed" + (f", {skipped} skipped" if skipped else ""))
P
exit $status

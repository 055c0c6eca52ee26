#!/bin/sh
# Everything that looks at the source without running it: the format, who includes whom, names, cppcheck, shellcheck, clang-tidy.
# usage: tools/lint.sh BUILD [FILE.c...]      (files: clang-tidy looks at these alone)
set -u
build=${1:-build}
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/.." || exit 1
[ -e "$build/compile_commands.json" ] || { echo "lint: $build is not a build folder: run make first"; exit 1; }

lacking() { for tool in clang-format clang-tidy cppcheck shellcheck; do command -v $tool >/dev/null 2>&1 || printf ' %s' $tool; done; }
missing=$(lacking)
if [ -n "$missing" ] && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "lint: installing$missing"
    # shellcheck disable=SC2086
    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install $missing >/dev/null
    missing=$(lacking)
fi
[ -z "$missing" ] || { echo "lint: install$missing, then try again"; exit 1; }

failed=
step() { # step NAME COMMAND...
    name=$1; shift
    if "$@"; then
        echo "lint: $name is clean"
    else
        failed="$failed $name"
        echo "lint: $name has findings"
    fi
}

format() { git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror; }

# The suppressed checks misread p->tok++->op, values returned through function pointers, and "*a = *b = x".
check() {
    cppcheck --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --quiet -j2 \
        --library=tools/cppcheck.cfg --suppress=missingIncludeSystem --suppress=duplicateAssignExpression \
        --suppress=legacyUninitvar --suppress=returnDanglingLifetime --suppress='memleakOnRealloc:tests/*' \
        -I src -D_GNU_SOURCE '-DHYP_VERSION=""' '-DHYP_BACKENDS_DIR=""' src tools tests
}

shell() { git ls-files -z '*.sh' '.ci/*' | xargs -0 shellcheck -x -s sh; }

python() { git ls-files -z '*.py' | xargs -0 python3 -c 'import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)'; }

tidy() {
    # Generated files and files of other folders have entries too: look at what git knows.
    python3 - "$build" "$@" <<'P' | xargs -0 -P 2 -n 4 clang-tidy -quiet -p "$build" 2>"$build/clang-tidy.log"
import json, os, subprocess, sys
build, only = sys.argv[1], [os.path.abspath(f) for f in sys.argv[2:]]
known = {os.path.abspath(f) for f in subprocess.run(["git", "ls-files", "*.c"], stdout=subprocess.PIPE, check=True).stdout.decode().split()}
files = {os.path.abspath(os.path.join(e["directory"], e["file"])) for e in json.load(open(build + "/compile_commands.json"))}
sys.stdout.write("\0".join(sorted(f for f in files & known if not only or f in only)))
P
    status=$?
    # What clang-tidy says on standard error are counts of warnings it suppressed; all but these lines matter.
    grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter|^$' "$build/clang-tidy.log"
    return $status
}

step format format
step source tools/check_source.py . "$build"
step python python
step shellcheck shell
step cppcheck check
step clang-tidy tidy "$@"

if [ -n "$failed" ]; then
    echo "lint: FAILED:$failed"
    exit 1
fi
echo "lint: no findings"

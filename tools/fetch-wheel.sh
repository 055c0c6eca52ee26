#!/bin/sh
# Fetch one Python package's wheel, pinned and checked, without installing anything.
#
#   tools/fetch-wheel.sh DIR NAME==VERSION SHA256...    the wheel for this machine into DIR; one checksum a platform
#
# It comes through pip; where there is none, through the one in Debian's python3-pip-whl, which is not installed either.
set -eu
die() { echo "fetch-wheel: $*" >&2; exit 1; }

[ $# -ge 3 ] || die "usage: tools/fetch-wheel.sh DIR NAME==VERSION SHA256..."
dir=$1 package=$2
shift 2
command -v python3 >/dev/null 2>&1 || die "there is no python3"
mkdir -p "$dir"
tmp=$(mktemp -d "$dir/.pip-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
if python3 -m pip --version >/dev/null 2>&1; then
    pip="python3 -m pip"
else
    command -v apt-get >/dev/null 2>&1 || die "python3 has no pip: install python3-pip"
    ( cd "$tmp" && { apt-get -qq download python3-pip-whl 2>/dev/null ||
        { [ "$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download python3-pip-whl; } &&
        for deb in *.deb; do dpkg-deb -x "$deb" pip; done; } ) >&2 || die "python3 has no pip: install python3-pip"
    pip="python3 $(echo "$tmp"/pip/usr/share/python-wheels/pip-*.whl)/pip"
fi
{ printf '%s' "$package"; for sum; do printf ' --hash=sha256:%s' "$sum"; done; echo; } > "$tmp/wanted"
# shellcheck disable=SC2086
PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore $pip -q download --no-deps --only-binary :all: \
    --require-hashes --retries 1 --timeout 20 -d "$dir" -r "$tmp/wanted" 2>"$tmp/log" ||
    die "$package: $(grep -vE '^WARNING|^ *$' "$tmp/log" | tail -1 | sed 's/^ *//' | cut -c1-160)"

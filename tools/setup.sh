#!/bin/sh
# Make the machine ready to build hypura: the build tools, and the libraries it links with.
#
#   tools/setup.sh tools          compiler, meson, ninja, pkg-config: with apt where root, else named in one message
#   tools/setup.sh libs  DEST     libraries to build and run; prints "system" when pkg-config has them all, else "DEST"
#   tools/setup.sh tests DEST     libs, plus what the tests compare with: llama.cpp's tools, a software GPU, the RPC server
#   tools/setup.sh libs DEST ARCH    the libraries of another architecture, by Debian's name (arm64), to link for it here
#   tools/setup.sh browser        a Chromium for the test of the web page, with apt where root; without one that part is skipped
#   tools/setup.sh emulator DEST     qemu for programs of 64-bit ARM; prints its folder
#
# Where the distribution lacks the libraries they are unpacked from the signed Debian packages into DEST: no root is
# needed and the system is not touched. Idempotent; quick when nothing changed; an interrupted download is resumed.
set -eu
suite=${HYPURA_SUITE:-forky}

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

have_tools() { command -v cc && command -v meson && command -v ninja && command -v pkg-config; } >/dev/null 2>&1

setup_tools() {
    have_tools && return 0
    command -v apt-get >/dev/null 2>&1 || die "install a C compiler, meson, ninja and pkg-config, then try again"
    [ "$(id -u)" = 0 ] || die "run: sudo apt-get install gcc libc6-dev meson ninja-build pkg-config    (then try again)"
    say "installing gcc, meson, ninja and pkg-config"
    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install gcc libc6-dev meson ninja-build pkg-config ca-certificates >/dev/null
    have_tools || die "the build tools could not be installed"
}

has_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null 2>&1

# Never fails: everything but the web page is tested without one.
setup_browser() {
    has_browser && return 0
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        say "installing chromium, for the test of the web page"
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install chromium; } >/dev/null 2>&1 || true
    fi
    has_browser || say "there is no Chromium: the web page is not tested in a browser"
}

system_has_libs() {
    [ "$(uname)" = Darwin ] || pkg-config --exists liburing 2>/dev/null || return 1
    pkg-config --exists 'llama >= 0.7.0' ggml yyjson libedit highs 'libmicrohttpd >= 1.0.0' cmocka 2>/dev/null
}

mirror() {
    [ -z "${HYPURA_MIRROR:-}" ] || { echo "$HYPURA_MIRROR"; return; }
    cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        sed -nE 's#^(deb (\[[^]]*\] )?|URIs: )(https?://[^ ]+/debian)/?( .*)?$#\3#p' | grep -v security | head -1
}

# What apt-get gave as its first reason.
reason() { sed -nE 's/^[EW]: (.{0,200}).*/\1/p' "$1" | head -1; }

# unpack DEST STAMP PACKAGE...: download the packages with all they depend on, and unpack them under DEST.
unpack() {
    dest=$1 stamp=$1/.done-$2; shift 2
    [ "$(cat "$stamp" 2>/dev/null)" = "$suite $*" ] && return 0
    command -v apt-get >/dev/null 2>&1 || die "this system has neither llama.cpp >= 0.7.0 for pkg-config nor apt: install llama.cpp, HiGHS, yyjson, libmicrohttpd, liburing, libedit and cmocka"
    from=$(mirror)
    [ -n "$from" ] || die "no Debian mirror found in /etc/apt: set HYPURA_MIRROR to one"
    st=$dest/.apt
    [ -n "$arch" ] || arch=$(dpkg --print-architecture)
    mkdir -p "$st/lists/partial" "$st/cache/archives/partial"
    : > "$st/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $suite main" > "$st/sources.list"
    opts="-o APT::Architecture=$arch -o APT::Architectures=$arch -o Dir::Etc::SourceList=$st/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State=$st
        -o Dir::State::lists=$st/lists -o Dir::State::status=$st/status -o Dir::Cache=$st/cache
        -o Debug::NoLocking=1 -o APT::Install-Recommends=0 -o APT::Sandbox::User= -o Acquire::Retries=3 -o Acquire::Languages=none -o APT::Update::Error-Mode=any
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::IndexTargets::deb::CNF::DefaultEnabled=false"
    say "fetching $* (Debian $suite, $arch, signed) into $dest"
    # shellcheck disable=SC2086
    apt-get $opts -qq update 2>"$st/log" ||
        die "the package lists could not be fetched from $from: is there a network? ($(reason "$st/log"))"
    # shellcheck disable=SC2086
    apt-get $opts -qq -y --download-only install "$@" 2>"$st/log" ||
        die "the download was cut short: run the same command again, it resumes ($(reason "$st/log"))"
    say "$(du -ch "$st"/cache/archives/*.deb | tail -1 | cut -f1) downloaded, unpacking"
    for deb in "$st"/cache/archives/*.deb; do
        # Documentation and locales are of no use here; a package already unpacked is not unpacked again.
        mark=$st/unpacked-$(basename "$deb")
        [ -e "$mark" ] && continue
        # shellcheck disable=SC2086
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dest" $only --exclude=./usr/share/doc --exclude=./usr/share/locale --exclude=./usr/share/man
        : > "$mark"
    done
    rm -rf "$st/cache"
    headers "$dest"
    echo "$suite $*" > "$stamp"
}

# Only these libraries' headers: the private libc's must not meet the system compiler.
headers() {
    mkdir -p "$1/include"
    for h in llama.h gguf.h yyjson.h microhttpd.h histedit.h liburing.h liburing highs highs_export.h cmocka.h cmocka_version.h cmocka_pbc.h; do
        [ ! -e "$1/usr/include/$h" ] || ln -sfn "../usr/include/$h" "$1/include/$h"
    done
    for h in "$1"/usr/include/ggml*.h; do
        [ ! -e "$h" ] || ln -sfn "../usr/include/$(basename "$h")" "$1/include/$(basename "$h")"
    done
    case $arch in
    amd64) triplet=x86_64-linux-gnu ;;
    arm64) triplet=aarch64-linux-gnu ;;
    *) triplet=$(uname -m)-linux-gnu ;;
    esac
    ln -sfn "usr/lib/$triplet" "$1/lib"
}

libs="libllama-dev libhighs-dev libmicrohttpd-dev libyyjson-dev liburing-dev libedit-dev libcmocka-dev libggml0-backend-rpc"
extra="llama.cpp-tools llama.cpp-tools-extra libggml0-backend-vulkan mesa-vulkan-drivers"

usage="usage: tools/setup.sh tools | libs DEST [ARCH] | tests DEST | browser | emulator DEST"
arch='' only=''
case ${1:-} in
tools) setup_tools ;;
browser) setup_browser ;;
emulator)
    [ $# -eq 2 ] || die "$usage"
    only="--wildcards ./usr/bin/qemu-aarch64"
    unpack "$2" emulator qemu-user
    echo "$2/usr/bin"
    ;;
libs | tests)
    [ $# -eq 2 ] || { [ "$1" = libs ] && [ $# -eq 3 ]; } || die "$usage"
    arch=${3:-}
    if [ -z "$arch" ] && system_has_libs && [ -z "${HYPURA_PRIVATE_LIBS:-}" ]; then
        echo system
        exit 0
    fi
    # shellcheck disable=SC2086
    unpack "$2" libs $libs
    # shellcheck disable=SC2086
    [ "$1" = libs ] || unpack "$2" tests $libs $extra
    echo "$2"
    ;;
*) die "$usage" ;;
esac

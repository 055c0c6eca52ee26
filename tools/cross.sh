#!/bin/sh
# Build hypura for another platform with zig's C compiler, and try here what can be tried here.
#
#   tools/cross.sh aarch64-linux [try [ARGS]]   build the program; "try": its tests too, then version, inspect,
#                                           streamed runs and unit tests under qemu
#   tools/cross.sh aarch64-macos          compile every source file of the program and link it; nothing can run
#
# ARGS go to `meson test`, in place of the names of all unit tests but the slowest: "--suite unit" runs every one.
#
# zig is PyPI's ziglang, pinned; the libraries are Debian's for arm64, and their headers serve for macOS too, where what
# the libraries define is left open; qemu is Debian's. All of it is fetched once into HYPURA_CROSS (.cross), about 600 MB,
# and nothing is installed. The build folder is HYPURA_CROSS/TARGET.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cross=${HYPURA_CROSS:-$root/.cross}
zig_version=0.17.0
zig_sums="97079827064a7492cce5541ceb438ae8003ce1e54e399676da2d62fb7a5dc08b
    d2804f94f54f7fcf8169f4b212a619ad688a4e2e6592e976f0cf2e58e2cd8af3" # for Linux on x86-64, on arm64

say() { echo "cross: $*" >&2; }
die() { say "$*"; exit 1; }

get_zig() {
    zig=$cross/zig-$zig_version/ziglang/zig
    [ -x "$zig" ] && return
    say "fetching zig $zig_version (101 MB)"
    # shellcheck disable=SC2086
    "$root/tools/fetch-wheel.sh" "$cross/wheel" "ziglang==$zig_version" $zig_sums
    rm -rf "$cross/zig-part"
    python3 -m zipfile -e "$cross"/wheel/ziglang-*.whl "$cross/zig-part"
    chmod +x "$cross/zig-part/ziglang/zig"
    rm -rf "$cross/wheel" "$cross/zig-$zig_version"
    mv "$cross/zig-part" "$cross/zig-$zig_version"
}

# The cross file's constants, and the emulator where there is to be one: meson runs a wrapper that it is told of.
# A build folder that was set up with others, or of another checkout, is made anew.
set_up() {
    build=$cross/$target
    {
        echo "[constants]"
        echo "tools = '$root/tools'"
        echo "zig = '$zig'"
        [ -z "$try" ] || echo "[binaries]"
        [ -z "$try" ] || echo "exe_wrapper = ['$cross/emulator/usr/bin/qemu-aarch64', '-cpu', 'neoverse-n1', '-L', '$cross/arm64', '-E', 'LD_LIBRARY_PATH=$cross/arm64/lib']"
    } > "$cross/$target.new"
    cmp -s "$cross/$target.new" "$cross/$target.ini" || { mv "$cross/$target.new" "$cross/$target.ini"; rm -rf "$build"; }
    rm -f "$cross/$target.new"
    [ -e "$build/build.ninja" ] || meson setup "$build" "$root" --cross-file "$cross/$target.ini" \
        --cross-file "$root/tools/cross/$target.ini" -Ddeps="$cross/arm64" -Dwerror=true > "$cross/$target.log" 2>&1 ||
        { cat "$cross/$target.log" >&2; exit 1; }
}

target=${1:-}
[ $# -eq 0 ] || shift
[ -f "$root/tools/cross/$target.ini" ] || die "usage: tools/cross.sh aarch64-linux [try [TEST...]] | aarch64-macos"
try=''
[ "${1:-}" != try ] || { try=yes; shift; }
mkdir -p "$cross"
export ZIG_GLOBAL_CACHE_DIR="$cross/zig-cache" ZIG_LOCAL_CACHE_DIR="$cross/zig-cache"
"$root/tools/setup.sh" tools
get_zig
"$root/tools/setup.sh" libs "$cross/arm64" arm64 > /dev/null
[ -z "$try" ] || "$root/tools/setup.sh" emulator "$cross/emulator" > /dev/null
set_up
ninja -C "$build"
[ "$target" = aarch64-linux ] || { say "$target: compiled and linked without the libraries; not run"; exit 0; }
[ -n "$try" ] || { say "$target: built and linked; not run (\"try\" runs it under an emulator)"; exit 0; }
"$root/tools/cross/try.sh" "$cross" "$build" "$@"

#!/usr/bin/env bash
# The same bits everywhere: compresses on this machine, on older CPUs and on aarch64, compares the
# compressed bytes, and lets each decompress what the others wrote.
#
#   tests/cross_machine.sh [FILE...]       the whole check (default: a part of this repository's README)
#   tests/cross_machine.sh cargo ARGS...   cargo for aarch64, tests and binaries run under qemu, e.g.
#                                          tests/cross_machine.sh cargo test --release --lib kernels
#   tests/cross_machine.sh install         only install what is missing
#
# Needs an x86-64 Debian with cargo. Missing Debian packages are installed (as root, or through sudo):
# qemu-user, a cross compiler, and Debian's own Rust, because its standard library comes for arm64 too.
# The build is the lean one, without candle, hub and conversion.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
features=(--no-default-features --features cli,encode)

root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install() {
    local missing=()
    command -v qemu-aarch64 >/dev/null && command -v qemu-x86_64 >/dev/null || missing+=(qemu-user)
    command -v aarch64-linux-gnu-gcc >/dev/null || missing+=(gcc-aarch64-linux-gnu)
    [ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ] && [ -e /usr/aarch64-linux-gnu/lib/libc.a ] ||
        missing+=(libc6-dev-arm64-cross)
    [ -x /usr/bin/rustc ] || missing+=(rustc-web)
    [ -x /usr/bin/cargo ] || missing+=(cargo-web)
    [ -d "/usr/lib/rustlib/$target/lib" ] || missing+=(libstd-rust-web-dev:arm64)
    [ ${#missing[@]} = 0 ] && return
    echo "cross_machine: installing ${missing[*]}" >&2
    dpkg --print-foreign-architectures | grep -qx arm64 || root dpkg --add-architecture arm64
    root apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive root apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2
}

# Debian's cargo and rustc, so that compiler and aarch64 standard library are of one build.
# qemu runs without -L: the arm64 C library itself is installed along with libstd-rust-web-dev, and a
# program that gets half of its C library from the cross compiler's folder hangs in its first thread.
cross_cargo() {
    env -u RUSTFLAGS -u RUSTUP_TOOLCHAIN \
        RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc \
        CARGO_BUILD_TARGET="$target" \
        CARGO_TARGET_DIR="${CROSS_TARGET_DIR:-target/cross}" \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu max" \
        CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
        /usr/bin/cargo "$@"
}

case "${1:-}" in
install)
    install
    exit
    ;;
cargo)
    install
    shift
    command=$1
    shift
    cross_cargo "$command" --no-default-features "$@"
    exit
    ;;
esac

install
cargo build --quiet --release "${features[@]}"
cross_cargo build --quiet --release "${features[@]}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ $# = 0 ]; then
    head -c 4096 README.md >"$work/sample"
    set -- "$work/sample"
fi

# A copy, because the next build of all features goes to the same place.
native=$work/llmzip
cp "${CARGO_TARGET_DIR:-target}/release/llmzip" "$native"
arm=${CROSS_TARGET_DIR:-target/cross}/$target/release/llmzip
# Every way to run llmzip. The kernels differ, the bits may not.
names=(native reference nehalem haswell aarch64)
declare -A run=(
    [native]="$native"
    [reference]="env LLMZIP_KERNELS=reference $native"
    [nehalem]="qemu-x86_64 -cpu Nehalem $native"
    [haswell]="qemu-x86_64 -cpu Haswell $native"
    [aarch64]="qemu-aarch64 -cpu max $arm"
)

failed=0
# check WHAT COMMAND...: runs it; what an emulated processor lacks is not of interest.
check() {
    if "${@:2}" 2> >(grep -v "TCG doesn't support" >&2); then
        echo "  ok   $1"
    else
        echo "  FAIL $1"
        failed=1
    fi
}
compresses() {
    ${run[$1]} compress -q -f --streams "$streams" -o "$work/$1.llmz" "$2" && cmp "$work/native.llmz" "$work/$1.llmz"
}
decompresses() {
    ${run[$2]} decompress -q -f -o "$work/out" "$work/$1.llmz" && cmp "$work/out" "$3"
}

for file in "$@"; do
    for streams in 1 3; do
        echo "$file: $(wc -c <"$file") bytes in $streams streams"
        for name in "${names[@]}"; do
            check "$name writes what native writes" compresses "$name" "$file"
            check "native -> $name" decompresses native "$name" "$file"
            check "$name -> native" decompresses "$name" native "$file"
        done
        echo "  $(wc -c <"$work/native.llmz") bytes compressed"
    done
done
exit $failed

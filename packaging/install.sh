#!/bin/sh
# Installs llmzip for one user, from the archives of a release; --help says how. It runs under every
# POSIX shell, and needs tar, gzip, curl or wget, and a program that computes SHA-256.
#
# packaging/release.sh fills in the next two lines.
repository=
version=
set -eu

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

usage() {
    cat <<'END'
Installs llmzip for one user, from the archives of a release:

    sh install.sh [--prefix FOLDER] [--version VERSION] [--from ADDRESS] [--force]
    sh install.sh --uninstall [--prefix FOLDER]

Without --prefix, FOLDER is ~/.local. The script needs no root. It checks the SHA-256 of the
archive, and runs the program once, before it installs anything. ADDRESS is where the archives and
SHA256SUMS are: a folder, or the web address of one. A file that something else put where one of
ours goes is left alone without --force. --uninstall deletes what was installed, and no model that
was fetched.
END
}

# The target whose binary runs on this machine.
target() {
    system=$(uname -s)
    machine=$(uname -m)
    case $system in
    Linux)
        # Alpine and others: the archives need the GNU C library.
        if ldd --version 2>&1 | grep -qi musl; then
            fail "there is no archive for musl; cargo install llmzip builds the program"
        fi
        system=unknown-linux-gnu
        ;;
    Darwin)
        system=apple-darwin
        # A shell that Rosetta translates says x86_64.
        [ "$(sysctl -n hw.optional.arm64 2>/dev/null || echo 0)" != 1 ] || machine=aarch64
        ;;
    *) fail "there is no archive for $system; cargo install llmzip builds the program" ;;
    esac
    case $machine in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no archive for $machine; cargo install llmzip builds the program" ;;
    esac
    echo "$machine-$system"
}

# Fetches file $1 of the release to file $2.
fetch() {
    case $from in
    https://*)
        if command -v curl >/dev/null; then
            curl --proto '=https' --tlsv1.2 -fsSL --output "$2" "$from/$1"
        else
            wget -q -O "$2" "$from/$1"
        fi
        ;;
    http://*)
        if command -v curl >/dev/null; then
            curl -fsSL --output "$2" "$from/$1"
        else
            wget -q -O "$2" "$from/$1"
        fi
        ;;
    *) cp "${from#file://}/$1" "$2" ;;
    esac || fail "cannot fetch $from/$1"
}

sha256() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$1" | cut -d ' ' -f 1
    elif command -v shasum >/dev/null; then
        shasum -a 256 "$1" | cut -d ' ' -f 1
    elif command -v openssl >/dev/null; then
        openssl dgst -sha256 -r "$1" | cut -d ' ' -f 1
    else
        fail "sha256sum, shasum or openssl is needed"
    fi
}

# What is installed, as paths below the prefix: each a line "SOURCE PLACE", the source below the
# unpacked folder; a source "@NAME" is a symbolic link to NAME.
layout() {
    echo "llmzip bin/llmzip"
    for link in unllmzip llmzcat llmz; do
        echo "@llmzip bin/$link"
    done
    for page in "$folder"/man/*.1; do
        echo "man/${page##*/} share/man/man1/${page##*/}"
    done
    echo "completions/llmzip.bash share/bash-completion/completions/llmzip"
    echo "completions/_llmzip share/zsh/site-functions/_llmzip"
    echo "completions/llmzip.fish share/fish/vendor_completions.d/llmzip.fish"
    echo "share/magic share/llmzip/magic"
    for document in README.md CHANGELOG.md NOTICE LICENSE-MIT LICENSE-APACHE; do
        echo "$document share/doc/llmzip/$document"
    done
}

is_ours() {
    [ -f "$manifest" ] && grep -qxF "$1" "$manifest"
}

# Deletes place $1 and the folders that it leaves empty, up to the prefix.
remove() {
    rm -f "$prefix/$1" "$prefix/$1.new"
    parent=${1%/*}
    while [ "$parent" != "${parent%/*}" ] && rmdir "$prefix/$parent" 2>/dev/null; do
        parent=${parent%/*}
    done
}

uninstall() {
    [ -f "$manifest" ] || fail "$prefix has no llmzip that this script installed"
    cp "$manifest" "$work/manifest"
    while read -r place; do
        remove "$place"
    done <"$work/manifest"
    remove share/llmzip/installed
    echo "llmzip is removed from $prefix; models that were fetched are kept"
}

install() {
    name=llmzip-$version-$(target)
    echo "fetching $from/$name.tar.gz"
    fetch SHA256SUMS "$work/sums"
    fetch "$name.tar.gz" "$work/archive"
    wanted=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$name\.tar\.gz\$/\1/p" "$work/sums")
    [ -n "$wanted" ] || fail "SHA256SUMS does not list $name.tar.gz"
    found=$(sha256 "$work/archive")
    [ "$found" = "$wanted" ] || fail "$name.tar.gz has SHA-256 $found instead of $wanted"
    tar xzf "$work/archive" -C "$work"
    folder=$work/$name
    # A C library that is too old shows here.
    "$folder/llmzip" --version >/dev/null ||
        fail "the program does not run on this machine; cargo install llmzip builds one that does"

    layout >"$work/layout"
    if [ -z "$force" ]; then
        while read -r source place; do
            if { [ -e "$prefix/$place" ] || [ -L "$prefix/$place" ]; } && ! is_ours "$place"; then
                fail "$prefix/$place exists and is not from this script; --force replaces it"
            fi
        done <"$work/layout"
    fi
    cut -d ' ' -f 2 "$work/layout" >"$work/new"
    # While files are replaced, old and new ones are ours: an interrupted run can be repeated.
    mkdir -p "${manifest%/*}"
    [ -f "$manifest" ] || : >"$manifest"
    grep -vxF -f "$work/new" "$manifest" >"$work/old" || true
    cat "$work/old" "$work/new" >"$manifest"
    while read -r source place; do
        mkdir -p "$prefix/${place%/*}"
        rm -f "$prefix/$place.new"
        case $source in
        @*) ln -s "${source#@}" "$prefix/$place.new" ;;
        *) cp "$folder/$source" "$prefix/$place.new" ;;
        esac
        # A program that runs can be replaced, but not written to.
        mv -f "$prefix/$place.new" "$prefix/$place"
    done <"$work/layout"
    # What an earlier version installed, and this one does not.
    while read -r place; do
        remove "$place"
    done <"$work/old"
    cp "$work/new" "$manifest"
    echo "installed $("$prefix/bin/llmzip" --version) below $prefix"
    case :$PATH: in
    *":$prefix/bin:"*) ;;
    *) echo "$prefix/bin is not in PATH yet" ;;
    esac
}

# The whole script is read before the last line runs anything.
main() {
    prefix=${HOME:+$HOME/.local}
    from=
    force=
    action=install
    while [ $# -gt 0 ]; do
        case $1 in
        --prefix | --version | --from)
            [ $# -gt 1 ] || fail "$1 needs a value"
            case $1 in
            --prefix) prefix=$2 ;;
            --version) version=$2 ;;
            --from) from=$2 ;;
            esac
            shift
            ;;
        --force) force=1 ;;
        --uninstall) action=uninstall ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) fail "unknown option $1; see --help" ;;
        esac
        shift
    done
    case $prefix in
    /*) ;;
    '') fail "HOME is not set; --prefix FOLDER says where to install" ;;
    *) prefix=$PWD/$prefix ;;
    esac
    manifest=$prefix/share/llmzip/installed
    umask 022
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    if [ $action = install ]; then
        [ -n "$version" ] || fail "which version? --version VERSION"
        if [ -z "$from" ]; then
            [ -n "$repository" ] || fail "where are the archives? --from ADDRESS"
            from=$repository/releases/download/v$version
        fi
    fi
    $action
}

main "$@"

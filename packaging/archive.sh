#!/usr/bin/env bash
# Packs a built binary for release:
#
#     packaging/archive.sh TARGET FOLDER
#
# takes target/TARGET/release/llmzip and writes FOLDER/llmzip-VERSION-TARGET.tar.gz, for Windows .zip,
# in which the binary, the README, the licences and the changelog lie in a folder of the same name.
set -euo pipefail
target=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
name=llmzip-$version-$target
suffix=
case $target in
*windows*) suffix=.exe ;;
esac

staging=$(mktemp -d)
trap 'rm -r "$staging"' EXIT
mkdir "$staging/$name"
cp "target/$target/release/llmzip$suffix" README.md CHANGELOG.md LICENSE-* NOTICE "$staging/$name"
cd "$staging"
if [ -n "$suffix" ]; then
    7z a -bd "$out/$name.zip" "$name" >/dev/null
else
    tar czf "$out/$name.tar.gz" "$name"
fi

#!/usr/bin/env bash
# Packs a built binary for release:
#
#     packaging/archive.sh TARGET FOLDER
#
# takes target/TARGET/release/llmzip and writes FOLDER/llmzip-VERSION-TARGET.tar.gz, for Windows
# .zip. It holds a folder of the same name with the binary, the README, the licences and the
# changelog; man/ with the manual pages and completions/ with the scripts for shells, both printed
# by the binary, which must run here; and share/ with what file(1) and desktops know of the files.
#
# All other packages are made from this archive.
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
program=${CARGO_TARGET_DIR:-target}/$target/release/llmzip$suffix

staging=$(mktemp -d)
trap 'rm -r "$staging"' EXIT
folder=$staging/$name
mkdir "$folder" "$folder/man" "$folder/completions" "$folder/share"
cp "$program" README.md CHANGELOG.md LICENSE-* NOTICE "$folder"
cp packaging/magic packaging/llmzip.xml "$folder/share"
"$program" man "$folder/man"
for link in unllmzip llmzcat llmz; do
    [ -e "$folder/man/$link.1" ] || echo '.so man1/llmzip.1' >"$folder/man/$link.1"
done
"$program" completions bash >"$folder/completions/llmzip.bash"
"$program" completions zsh >"$folder/completions/_llmzip"
"$program" completions fish >"$folder/completions/llmzip.fish"
"$program" completions powershell >"$folder/completions/_llmzip.ps1"

cd "$staging"
if [ -n "$suffix" ]; then
    7z a -bd "$out/$name.zip" "$name" >/dev/null
else
    tar czf "$out/$name.tar.gz" "$name"
fi

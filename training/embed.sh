#!/bin/sh
# Makes FOLDER (a Hugging Face folder, as `ladder.py export` writes it) the built-in model NAME:
#
#     training/embed.sh FOLDER NAME
#
# packs it and writes its identity into src/store/embedded.rs, where NAME has its place. LLMZIP may name a built
# binary; otherwise cargo runs one. A test checks that file and identity agree.
set -eu
folder=$(cd "$1" && pwd)
name=$2
cd "$(dirname "$0")/.."
list=src/store/embedded.rs
grep -q "^ *\"$name\",$" $list || { echo "$list has no model $name" >&2; exit 1; }
report=$(${LLMZIP:-cargo run --release --quiet --} model add --force "$folder" --activation-bits 8 \
    --output "src/store/embedded/$name.llmzmodel")
identity=$(echo "$report" | sed -n 's/.*blake3 \([0-9a-f]\{64\}\)$/\1/p')
[ -n "$identity" ] || { echo "no identity in: $report" >&2; exit 1; }
sed -i "/^ *\"$name\",$/{n;s/b\"[^\"]*\"/b\"$identity\"/}" $list
echo "$report"

#!/bin/sh
# Makes FOLDER (a Hugging Face folder, as export.py writes it) the model inside the binary:
#
#     training/embed.sh FOLDER [NAME]
#
# packs it and writes its identity (and NAME) into src/model/embedded.rs. LLMZIP may name a built
# binary; otherwise cargo runs one. A test checks that file and identity agree.
set -eu
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
packed=src/model/embedded/default.llmzmodel
line=$(${LLMZIP:-cargo run --release --quiet --} model add "$folder" --output "$packed")
identity=${line##* }
sed -i "0,/identity: digits(b\"[0-9a-f]*\")/s//identity: digits(b\"$identity\")/" src/model/embedded.rs
if [ $# -gt 1 ]; then
    sed -i "0,/^    name: \"[^\"]*\"/s//    name: \"$2\"/" src/model/embedded.rs
fi
echo "$line"

#!/bin/sh
# Trains all four models at once on one GPU. They differ only in size.
#
#     training/ladder.sh TOKENS_DIR OUT_DIR
#
# OUT_DIR/SIZE-2/last.pt are the models. A phase ends at its tokens or, on a slower machine, at its minutes, and the rate
# reaches zero either way. PYTHON may name an interpreter.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tokens_dir=$1 out=$2
mkdir -p "$out"

# phase NAME SIZE TOKENS MINUTES OPTION...
phase() {
    name=$1 size=$2 tokens=$3 minutes=$4
    shift 4
    ${PYTHON:-python3} -u "$here/train.py" "$tokens_dir" "$out/$name" --size "$size" --tokens "$tokens" --minutes "$minutes" \
        --device cuda --bf16 --compile --context 1024 --step-tokens 65536 --vector-rate 0.01 \
        --save-minutes 2 --eval-minutes 60 --eval-chunks 64 "$@" >"$out/$name.log" 2>&1
}

for size in small mini micro nano; do
    phase $size-1 $size 700e6 8.6 --cooldown 0.7 &
done
# The same size after fewer tokens, for docs/SCALING.md.
phase mini-4th mini 175e6 8.6 --cooldown 0.7 &
phase mini-16th mini 43.75e6 8.6 --cooldown 0.7 &
wait
for size in small mini micro nano; do
    phase $size-2 $size 450e6 3.75 --from "$out/$size-1/last.pt" --rates 0.5 0 &
done
wait

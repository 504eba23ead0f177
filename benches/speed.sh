#!/usr/bin/env bash
# Everything that docs/BENCHMARKS.md says about speed and memory, measured again and printed as Markdown.
#
#   benches/speed.sh TEXT [MODEL]...     TEXT: a file of a megabyte; MODEL: built-in names and paths of packed models
#                                        (default: mini small)
#   HEAD=BYTES THREADS="1 2" STREAMS=1,4,8 benches/speed.sh ...     how much of it, threads, streams
#
# The engine's rooflines are measured in the same run. Use a quiet machine, and compare only what one run printed.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { sed -n '2,8s/^# \?//p' "$0"; exit 2; }
text=$1
shift
[ $# -gt 0 ] || set -- mini small
head=${HEAD:-1000000}
streams=${STREAMS:-1,4,8}
threads=${THREADS:-$(nproc)}
llmzip=${CARGO_TARGET_DIR:-target}/release/llmzip
cargo build --release --quiet
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
head -c "$head" "$text" >"$scratch/text"

bench() { cargo bench --quiet --bench "$@"; }
# Kilobytes that a command has resident at most.
peak() { /usr/bin/time -f %M -o "$scratch/peak" "$@" >"$scratch/out" && cat "$scratch/peak"; }

echo "$(nproc) cores, $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo); $head bytes of $(basename "$text")"
echo
echo "Experts alone"
echo
bench codec -- none "$scratch/text"
echo
echo "Light experts (-1)"
echo
bench experts -- --light "$scratch/text"
for model in "$@"; do
    for count in $threads; do
        echo
        echo "$model, $count threads"
        echo
        bench codec -- --threads "$count" --streams "$streams" --head "$head" "$model" "$scratch/text"
    done
    if [ -e "$model" ]; then
        echo
        bench engine -- "$model"
    fi
    [ -x /usr/bin/time ] || continue
    echo
    compress=$(peak "$llmzip" compress -q -c -m "$model" "$scratch/text")
    mv "$scratch/out" "$scratch/text.llmz"
    decompress=$(peak "$llmzip" decompress -q -c -m "$model" "$scratch/text.llmz")
    cmp "$scratch/out" "$scratch/text"
    echo "$model: at most $((compress / 1000)) MB to compress, $((decompress / 1000)) MB to decompress"
done

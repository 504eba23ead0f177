#!/usr/bin/env bash
# What frames cost, and what they save: for each FILE and length of a frame, the compressed bytes, and
# the seconds to compress, to decompress everything, and to decompress 4 KiB in the middle.
#
#     benches/frames.sh [-m MODEL] [-s "SIZE..."] FILE...
#
# The size `-` stands for one frame. LLMZIP names the program.
set -euo pipefail

llmzip=${LLMZIP:-target/release/llmzip}
model=mini
sizes="- 4MiB 1MiB 256KiB 64KiB"
while getopts m:s: option; do
    case $option in
    m) model=$OPTARG ;;
    s) sizes=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
TIMEFORMAT=%R

echo "| file | model | frame | bytes | compress, s | decompress, s | 4 KiB, s |"
echo "|---|---|---:|---:|---:|---:|---:|"
for file in "$@"; do
    middle=$(($(stat --format %s "$file") / 2))
    for size in $sizes; do
        frames=()
        [ "$size" = - ] || frames=(--frame-size "$size")
        compress=$({ time "$llmzip" compress -q -m "$model" "${frames[@]}" -fo "$folder/file" "$file"; } 2>&1)
        decompress=$({ time "$llmzip" cat "$folder/file" | cmp - "$file"; } 2>&1)
        range=$({ time "$llmzip" cat --range "$middle:4KiB" "$folder/file" >"$folder/part"; } 2>&1)
        head -c $((middle + 4096)) "$file" | tail -c 4096 | cmp - "$folder/part"
        bytes=$(stat --format %s "$folder/file")
        echo "| $(basename "$file") | $model | $size | $bytes | $compress | $decompress | $range |"
    done
done

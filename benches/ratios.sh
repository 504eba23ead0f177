#!/usr/bin/env bash
# Sizes of files under the classical compressors and under llmzip, as a Markdown table.
#
#   benches/ratios.sh [-m MODEL]... FILE...      (default: the embedded model, and none)
#
# Every llmzip file is decompressed and compared before its size is printed. Compressors that are not
# installed leave their column empty. LLMZIP names another binary.
set -euo pipefail
llmzip=${LLMZIP:-$(dirname "$0")/../target/release/llmzip}
models=()
while getopts m: flag; do
  case $flag in
    m) models+=("$OPTARG") ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ ${#models[@]} -gt 0 ] || models=(default none)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

size() { stat -c %s "$1"; }

# Bytes of $2 under the compressor $1, or nothing if it is not installed.
classical() {
  command -v "$1" >/dev/null || return 0
  case $1 in
    gzip) gzip -9nc "$2" | wc -c ;;
    xz) xz -9ec "$2" | wc -c ;;
    zstd) zstd --ultra -22 -qc "$2" | wc -c ;;
    zpaq)
      rm -f "$scratch/a.zpaq"
      zpaq add "$scratch/a.zpaq" "$2" -m5 -t1 >/dev/null 2>&1
      size "$scratch/a.zpaq" ;;
  esac
}

printf '| file | bytes | gzip -9 | zstd -22 | xz -9e | zpaq -m5 |'
printf ' llmzip %s |' "${models[@]}"
printf '\n|---|---|---|---|---|---|'
for _ in "${models[@]}"; do printf -- '---|'; done
printf '\n'
for file; do
  printf '| %s | %s |' "$(basename "$file")" "$(size "$file")"
  for compressor in gzip zstd xz zpaq; do printf ' %s |' "$(classical "$compressor" "$file")"; done
  for model in "${models[@]}"; do
    choice=()
    [ "$model" = default ] || choice=(-m "$model")
    "$llmzip" compress -qfk "${choice[@]}" -o "$scratch/file.llmz" "$file"
    "$llmzip" decompress -qfk -o "$scratch/file" "$scratch/file.llmz"
    cmp "$file" "$scratch/file"
    coded=$(size "$scratch/file.llmz")
    printf ' %s (%s bpb) |' "$coded" "$(awk -v c="$coded" -v n="$(size "$file")" 'BEGIN { printf n ? "%.3f" : "-", n ? 8 * c / n : 0 }')"
  done
  printf '\n'
done

#!/usr/bin/env bash
# Sizes of machine code of five platforms under xz, zpaq and llmzip, as a Markdown table.
#
#   benches/machine_code.sh
#
# Fetches wheels of NumPy 1.26.4 with pip and takes 2,000,000 bytes out of the largest library of each. Every llmzip file
# is decompressed and compared. Without zpaq its column is empty. LLMZIP names another binary.
set -euo pipefail
llmzip=$(realpath "${LLMZIP:-$(dirname "$0")/../target/release/llmzip}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

echo '| platform | zpaq -m5 | xz -9e | xz with its filter | llmzip -m none |'
echo '|---|---|---|---|---|'
for platform in win32 win_amd64 manylinux_2_17_x86_64 manylinux_2_17_aarch64 macosx_11_0_arm64; do
  rm -rf ./*
  python3 -m pip download --no-deps -q --disable-pip-version-check --platform "$platform" --only-binary=:all: \
    --python-version 3.11 numpy==1.26.4
  library=$(unzip -Z1 ./*.whl | grep -E '_multiarray_umath.*\.(so|pyd)$')
  unzip -p ./*.whl "$library" >library
  head -c 3000000 library | tail -c 2000000 >original
  case $platform in *aarch64 | *arm64) filter=--arm64 ;; *) filter=--x86 ;; esac
  zpaq=
  if command -v zpaq >/dev/null; then
    zpaq add a.zpaq original -m5 -t1 >/dev/null 2>&1
    zpaq=$(stat -c %s a.zpaq)
  fi
  "$llmzip" compress -q -m none -o original.llmz original
  "$llmzip" decompress -c original.llmz | cmp - original
  echo "| $platform | $zpaq | $(xz -9ec original | wc -c) |" \
    "$(xz "$filter" --lzma2=preset=9e -c original | wc -c) | $(stat -c %s original.llmz) |"
done

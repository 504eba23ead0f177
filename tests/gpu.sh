#!/bin/sh
# Proves a device: the same bits as the CPU, over models and texts, and at what speed.
#
#   tests/gpu.sh [DEVICE [SHAPE ...]]   builds what it needs, then proves; DEVICE is a part of a
#                                       name, and benches/gpu.rs has the shapes of models
#   tests/gpu.sh pack                   builds, and puts all that the proof needs into target/gpu
#
# BYTES of each text are compressed, by default 60000.
#
# On a machine without Rust and network, copy the working tree with target/gpu: the proof takes what
# it needs from there. It ends within six minutes. Any difference ends it with an error.
set -eu
cd "$(dirname "$0")/.."
kept=target/gpu

build() {
    cargo build --release --features gpu
    bench=$(cargo bench --features gpu --bench gpu --no-run --message-format=json |
        sed -n 's/.*"executable":"\([^"]*\/gpu-[^"]*\)".*/\1/p')
    mkdir -p $kept
    cp target/release/llmzip $kept/llmzip
    cp "$bench" $kept/bench
    # The loader of Vulkan, for machines that have a driver and no loader.
    loader=$(ldconfig -p | sed -n 's/.*libvulkan.so.1 .*=> //p' | head -n 1)
    [ -z "$loader" ] || cp -L "$loader" $kept/
}

if [ "${1-}" = pack ]; then
    build
    ls -l $kept
    exit
fi
if command -v cargo > /dev/null; then
    build
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -f $kept/libvulkan.so.1 ] && ! ldconfig -p | grep -q libvulkan.so.1; then
    export LD_LIBRARY_PATH="$PWD/$kept${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
# A driver of NVIDIA's in a container often lacks the file that names it.
if ! ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json > /dev/null 2>&1; then
    driver=$(ldconfig -p | sed -n 's/.*\(libGLX_nvidia.so.0\) .*/\1/p' | head -n 1)
    if [ -n "$driver" ]; then
        printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.3.0"}}' \
            "$driver" > "$work/nvidia.json"
        export VK_ICD_FILENAMES="$work/nvidia.json"
    fi
fi
if command -v nvidia-smi > /dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || true
fi
export LLMZIP_HOME="$work/home"
mkdir -p "$LLMZIP_HOME"

echo "== devices"
$kept/llmzip devices
device=${1:-gpu}

echo "== files"
# Text, source code, bytes of all values, and Chinese.
bytes=${BYTES:-60000}
cat docs/*.md | head -c "$bytes" > "$work/text"
cat src/engine/*.rs src/codec/*.rs | head -c "$bytes" > "$work/code"
head -c $((bytes / 3)) $kept/llmzip > "$work/bytes"
printf '%s' '只要功夫深，铁杵磨成针。' > "$work/chinese"
for model in nano mini; do
    for file in text code bytes chinese; do
        for streams in 1 7 64; do
            $kept/llmzip compress -q -k -c -m $model --streams $streams --device cpu \
                "$work/$file" > "$work/cpu.llmz"
            $kept/llmzip compress -k -c -m $model --streams $streams --device "$device" \
                "$work/$file" > "$work/gpu.llmz" 2>> "$work/said"
            cmp "$work/cpu.llmz" "$work/gpu.llmz"
            $kept/llmzip decompress -c --device "$device" "$work/cpu.llmz" \
                2>> "$work/said" | cmp - "$work/$file"
        done
        # The CPU may have taken over, which proves nothing.
        if grep 'stopped working' "$work/said"; then
            exit 1
        fi
        echo "$model $file: the same bytes, both ways"
    done
done

echo "== predictions and speed"
timeout 240 $kept/bench "$@"

#!/bin/sh
# Compiles the shaders with glslangValidator into compiled/, or into the folder that is given.
# Shaders with products of bytes are compiled twice: for all devices, and for those that multiply
# four pairs of bytes at once.
set -eu
cd "$(dirname "$0")"
out=${1:-compiled}
mkdir -p "$out"
for source in *.comp; do
    name=${source%.comp}
    set -- -V --target-env vulkan1.2 -g0 --quiet
    glslangValidator "$@" -o "$out/$name.spv" "$source"
    if grep -q '"dot.glsl"' "$source"; then
        glslangValidator "$@" -DDOT -o "$out/$name.dot.spv" "$source"
    fi
done

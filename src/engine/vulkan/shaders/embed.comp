// The embedding of each row, with its learned position if the model has any (section 5).
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#include "exact.glsl"
#include "memory.glsl"
layout(local_size_x = 128) in;
layout(push_constant, std430) uniform Parameters {
    /// The embedding in the layout of weights.
    Words levels;
    Floats scales;
    /// Learned positions, [positions, hidden].
    Floats learned;
    /// For each row its token and its position in its context.
    Words tokens;
    /// [rows, hidden]
    Floats x;
    uint hidden;
    /// Groups of 64 columns.
    uint groups;
    bool has_positions;
};

void main() {
    uint row = gl_WorkGroupID.x;
    uint token = tokens.at[2 * row], position = tokens.at[2 * row + 1];
    float scale = scales.at[token];
    for (uint i = gl_LocalInvocationID.x; i < hidden; i += gl_WorkGroupSize.x) {
        uint group = (token / 16) * groups + i / 64;
        uint word = group * 256 + ((i % 64) / 16) * 64 + (token % 16) * 4 + (i % 16) / 4;
        float value = mul(float(unpacked(levels.at[word], i % 4)), scale);
        if (has_positions) {
            value = add(value, learned.at[position * hidden + i]);
        }
        x.at[row * hidden + i] = value;
    }
}

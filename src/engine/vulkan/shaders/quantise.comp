// The values of a row that the next product takes, quantised (section 3): what attention or a
// recurrence gives, gated or not, or what the function of a feed-forward block makes (section 5).
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#include "exact.glsl"
#include "memory.glsl"
#include "model.glsl"
#include "quantise.glsl"
layout(local_size_x = 128) in;

/// The values times the sigmoid of the gates.
const uint GATED = 1;
/// The function of the values.
const uint ACTIVATED = 2;
/// The same times the gates.
const uint TIMES = 4;
const uint WIDE = 8;

layout(push_constant, std430) uniform Parameters {
    /// [rows, stride]
    Floats values;
    /// [rows, gate_stride]
    Floats gates;
    Words levels;
    Floats scales;
    uint columns;
    uint stride;
    uint gate_stride;
    uint groups;
    uint flags;
    uint kind;
};

void main() {
    uint row = gl_WorkGroupID.x;
    uint word = gl_WorkGroupID.y * 128 + gl_LocalInvocationID.x;
    float h[4];
    for (uint j = 0; j < 4; j++) {
        uint i = word * 4 + j;
        h[j] = 0.0;
        if (i < columns) {
            float v = values.at[row * stride + i];
            if ((flags & ACTIVATED) != 0) {
                v = activation(kind, v);
                if ((flags & TIMES) != 0) {
                    v = mul(v, gates.at[row * gate_stride + i]);
                }
                v = clamped(v);
            } else if ((flags & GATED) != 0) {
                v = mul(v, sigmoid(gates.at[row * gate_stride + i]));
            }
            h[j] = v;
        }
    }
    put_levels(h, row, word, groups * 16, levels, scales, (flags & WIDE) != 0 ? 2 : 1);
}

// What the experts of each row make of it, each times its share, added up (section 5).
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#include "exact.glsl"
#include "memory.glsl"
layout(local_size_x = 128) in;

layout(push_constant, std430) uniform Parameters {
    /// [rows, slots, hidden]
    Floats given;
    /// [rows, slots]
    Floats shares;
    /// [rows, hidden]
    Floats result;
    uint hidden;
    uint slots;
};

void main() {
    uint row = gl_WorkGroupID.x;
    uint i = gl_WorkGroupID.y * 128 + gl_LocalInvocationID.x;
    if (i >= hidden) {
        return;
    }
    float sum = 0.0;
    for (uint slot = row * slots; slot < (row + 1) * slots; slot++) {
        sum = add(sum, mul(shares.at[slot], given.at[slot * hidden + i]));
    }
    result.at[row * hidden + i] = sum;
}

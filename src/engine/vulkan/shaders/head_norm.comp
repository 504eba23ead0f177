// The norm of queries or keys (section 5), in place: of each head, or of all heads together.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#include "exact.glsl"
#include "memory.glsl"
#include "striped.glsl"
layout(local_size_x = 64) in;

layout(push_constant, std430) uniform Parameters {
    /// [rows, stride]
    Floats values;
    /// [count]
    Floats weights;
    uint stride;
    /// Where the first part of a row begins.
    uint offset;
    /// Values of a part.
    uint count;
    float eps;
};

shared float inverse;

void main() {
    uint thread = gl_LocalInvocationID.x;
    uint begin = gl_WorkGroupID.x * stride + offset + gl_WorkGroupID.y * count;
    if (thread < 16) {
        float stripe = 0.0;
        for (uint i = thread; i < count; i += 16) {
            float v = values.at[begin + i];
            stripe = add(stripe, mul(v, v));
        }
        stripes[thread] = stripe;
    }
    barrier();
    if (thread == 0) {
        inverse = inverse_root(sum_of_stripes(), count, eps);
    }
    barrier();
    for (uint i = thread; i < count; i += 64) {
        values.at[begin + i] = mul(mul(values.at[begin + i], inverse), weights.at[i]);
    }
}

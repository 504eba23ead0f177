// One operation of the exact arithmetic for many operands: what a self-test compares.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#include "exact.glsl"
#include "memory.glsl"
#include "model.glsl"
layout(local_size_x = 128) in;

layout(push_constant, std430) uniform Parameters {
    /// [count]
    Floats left;
    Floats right;
    Words result;
    uint count;
    uint operation;
};

float computed(float a, float b) {
    switch (operation) {
    case 0:
        return add(a, b);
    case 1:
        return mul(a, b);
    case 2:
        return quotient(a, b);
    case 3:
        return root(abs(a));
    case 4:
        return power(a);
    case 5:
        return sigmoid(a);
    case 6:
        return gelu(a);
    case 7:
        return gelu_tanh(a);
    case 8:
        return capped(a, b);
    case 9:
        return nearest_float(floatBitsToInt(a));
    default:
        return float(level(a, b));
    }
}

void main() {
    uint index = gl_GlobalInvocationID.x;
    if (index < count) {
        result.at[index] = floatBitsToUint(computed(left.at[index], right.at[index]));
    }
}

// What is before a product: what the block before has made is added to the residual stream, and
// the norm of the stream is quantised (sections 3 and 5). A workgroup has one row.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#include "exact.glsl"
#include "memory.glsl"
#include "striped.glsl"
#include "quantise.glsl"
layout(local_size_x = 128) in;

/// Adds before the norm is taken.
const uint ADD_FIRST = 1;
/// Adds after the norm has been taken.
const uint ADD_AFTERWARDS = 2;
/// What is added is normed itself.
const uint POST_NORM = 4;
/// The result is the norm; without this, the stream itself.
const uint NORM = 8;
/// Norms are layer norms.
const uint LAYER = 16;
/// Levels are followed by those of what they leave over.
const uint WIDE = 32;
/// The result is also quantised as a whole.
const uint STATE = 64;
/// The result is also stored.
const uint STORE = 128;

layout(push_constant, std430) uniform Parameters {
    /// The residual stream, [rows, hidden].
    SharedFloats x;
    /// What is added, [rows, hidden].
    Floats projected;
    /// The weights of its norm, then the bias of a layer norm.
    Floats post;
    /// The same for the norm of the stream.
    Floats norm;
    /// [rows, 1 or 2, words]
    Words levels;
    /// Times RAISED: [rows, 1 or 2, groups].
    Floats scales;
    /// [rows, state_words]
    Words states;
    /// The result, [rows, hidden].
    Floats stored;
    uint hidden;
    uint groups;
    uint state_words;
    float eps;
    uint flags;
};

shared float one;
shared float two;

/// The sum of the result of `value` over a row.
#define STRIPED(expression)                                                                        \
    {                                                                                              \
        if (thread < 16) {                                                                         \
            float stripe = 0.0;                                                                    \
            for (uint i = thread; i < hidden; i += 16) {                                           \
                stripe = add(stripe, expression);                                                  \
            }                                                                                      \
            stripes[thread] = stripe;                                                              \
        }                                                                                          \
        barrier();                                                                                 \
    }

/// Sets `mean` and `inverse` of a row for its norm: a value v becomes
/// ((v - mean) * inverse) * weight.
#define MOMENTS(row_of, mean, inverse)                                                             \
    {                                                                                              \
        mean = 0.0;                                                                                \
        if ((flags & LAYER) != 0) {                                                                \
            STRIPED(row_of)                                                                        \
            if (thread == 0) {                                                                     \
                one = quotient(sum_of_stripes(), float(hidden));                                   \
            }                                                                                      \
            barrier();                                                                             \
            mean = one;                                                                            \
            STRIPED(squared(sub(row_of, mean)))                                                    \
        } else {                                                                                   \
            STRIPED(squared(row_of))                                                               \
        }                                                                                          \
        if (thread == 0) {                                                                         \
            two = inverse_root(sum_of_stripes(), hidden, eps);                                     \
        }                                                                                          \
        barrier();                                                                                 \
        inverse = two;                                                                             \
    }

float squared(float v) {
    return mul(v, v);
}

float normed(float v, float mean, float inverse, Floats weights, uint i) {
    if ((flags & LAYER) != 0) {
        return add(mul(mul(sub(v, mean), inverse), weights.at[i]), weights.at[hidden + i]);
    }
    return mul(mul(v, inverse), weights.at[i]);
}

void main() {
    uint row = gl_WorkGroupID.x, thread = gl_LocalInvocationID.x;
    uint begin = row * hidden;
    float mean = 0.0, inverse = 0.0;

    // x + a, where a may be normed
    bool adds = (flags & (ADD_FIRST | ADD_AFTERWARDS)) != 0;
    if (adds && (flags & POST_NORM) != 0) {
        MOMENTS(projected.at[begin + i], mean, inverse)
    }
    bool afterwards = (flags & ADD_AFTERWARDS) != 0;
    float norm_mean = 0.0, norm_inverse = 0.0;
    if (afterwards && (flags & NORM) != 0) {
        MOMENTS(x.at[begin + i], norm_mean, norm_inverse)
    }
    if (adds && !afterwards) {
        for (uint i = thread; i < hidden; i += 128) {
            float a = projected.at[begin + i];
            a = (flags & POST_NORM) != 0 ? normed(a, mean, inverse, post, i) : a;
            x.at[begin + i] = add(x.at[begin + i], a);
        }
        buffer_barrier();
    }
    if (!afterwards && (flags & NORM) != 0) {
        MOMENTS(x.at[begin + i], norm_mean, norm_inverse)
    }

    // Blocks of 128 words: each thread has four values.
    uint words = groups * 16;
    uint level_rows = (flags & WIDE) != 0 ? 2 : 1;
    float most = 0.0;
    for (uint block = 0; block < words; block += 128) {
        uint word = block + thread;
        float h[4];
        for (uint j = 0; j < 4; j++) {
            uint i = word * 4 + j;
            h[j] = 0.0;
            if (i < hidden) {
                float v = x.at[begin + i];
                h[j] = (flags & NORM) != 0 ? normed(v, norm_mean, norm_inverse, norm, i) : v;
                if ((flags & STORE) != 0) {
                    stored.at[begin + i] = h[j];
                }
                if (afterwards) {
                    float a = projected.at[begin + i];
                    a = (flags & POST_NORM) != 0 ? normed(a, mean, inverse, post, i) : a;
                    x.at[begin + i] = add(v, a);
                }
            }
            most = larger(most, abs(h[j]));
        }
        put_levels(h, row, word, words, levels, scales, level_rows);
    }

    if ((flags & STATE) != 0) {
        barrier();
        largest[thread] = most;
        barrier();
        float amax = largest_of(0, 128);
        float to_level = to_levels(amax);
        for (uint word = thread; word < state_words; word += 128) {
            ivec4 four = ivec4(0);
            for (uint j = 0; j < 4; j++) {
                uint i = word * 4 + j;
                if (i < hidden) {
                    float v = x.at[begin + i];
                    v = (flags & NORM) != 0 ? normed(v, norm_mean, norm_inverse, norm, i) : v;
                    four[j] = level(v, to_level);
                }
            }
            states.at[row * state_words + word] = packed4(four);
        }
    }
}

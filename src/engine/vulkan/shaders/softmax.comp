// The integer weights of the values that one query sees (section 6).
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#include "exact.glsl"
#include "memory.glsl"
#include "attention.glsl"
layout(local_size_x = 128) in;

layout(push_constant, std430) uniform Parameters {
    Rows table;
    /// [rows of the slice, query_heads, score_stride]; the powers take the place of the scores.
    SharedFloats scores;
    /// Upper and lower seven bits of the weights, four columns a word:
    /// [rows of the slice, query_heads, score_stride / 4, 2].
    Words weights;
    /// [rows of the slice, query_heads]
    Floats factors;
    Planes planes;
    uint query_heads;
    uint key_heads;
    uint slice;
    uint score_stride;
    /// The largest weight.
    float top;
};

shared float floats[128];
shared uint low_sums[128];
shared uint high_sums[128];

float largest(float mine) {
    uint thread = gl_LocalInvocationID.x;
    barrier();
    floats[thread] = mine;
    for (uint half_size = 64; half_size > 0; half_size /= 2) {
        barrier();
        if (thread < half_size) {
            floats[thread] = larger(floats[thread], floats[thread + half_size]);
        }
    }
    barrier();
    return floats[0];
}

/// Whether a row sees a column, or a sink behind them.
bool sees(Row row, uint column) {
    return column < row.columns ? column >= row.low && column < row.high
                                : column - row.columns < row.sinks;
}

void main() {
    uint thread = gl_LocalInvocationID.x;
    uint query = gl_WorkGroupID.x;
    Row row = table.at[slice + query / query_heads];
    uint head = (query % query_heads) / (query_heads / key_heads);
    Floats value_scales = Floats(row.stream);
    uint begin = query * score_stride;
    uint end = row.columns + (row.sinks > 0 ? SINKS : 0);

    float m = uintBitsToFloat(0xff7fffffu);
    for (uint column = thread; column < end; column += 128) {
        m = sees(row, column) ? larger(m, scores.at[begin + column]) : m;
    }
    m = largest(m);

    // At most 2^22 a column and 2^30 a thread.
    uint sum = 0;
    float most = 0.0;
    for (uint column = thread; column < end; column += 128) {
        float w = 0.0;
        if (sees(row, column)) {
            // A flushed difference has the power 1, a flushed product the weight 0, as unflushed.
            precise float below = scores.at[begin + column] - m;
            float e = power_or_zero(below);
            sum += units_of(e);
            uint slot = slot_of(planes, row.base, row.columns, column);
            precise float product = e * value_scales.at[value_scale_at(planes, head, slot)];
            w = product;
        }
        scores.at[begin + column] = w;
        most = larger(most, w);
    }
    float wmax = largest(most);
    low_sums[thread] = sum & 0xffffu;
    high_sums[thread] = sum >> 16;
    // The threads read each other's powers.
    buffer_barrier();

    bool is_zero = wmax < TINY;
    float to_weight = is_zero ? 0.0 : quotient(top, wmax);
    uint words = (row.columns + SINKS) / 4;
    for (uint word = thread; word < words; word += 128) {
        uvec4 upper = uvec4(0), lower = uvec4(0);
        for (uint j = 0; j < 4; j++) {
            uint column = word * 4 + j;
            precise float w = column < end ? scores.at[begin + column] * to_weight : 0.0;
            uint u = uint(int(roundEven(w)));
            upper[j] = u >> 7;
            lower[j] = u & 127u;
        }
        uint at = (begin / 4 + word) * 2;
        weights.at[at] = packed4(ivec4(upper));
        weights.at[at + 1] = packed4(ivec4(lower));
    }
    if (thread == 0) {
        uint low = 0, high = 0;
        for (uint i = 0; i < 128; i++) {
            low += low_sums[i];
            high += high_sums[i];
        }
        float of_sum = sum_of_powers(low, high);
        factors.at[query] = is_zero ? 0.0 : quotient(quotient(wmax, top), of_sum);
    }
}

// The experts that a row takes, and its shares of them (section 5): a workgroup has a row.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#include "exact.glsl"
#include "memory.glsl"
#include "striped.glsl"
layout(local_size_x = 128) in;

layout(push_constant, std430) uniform Parameters {
    /// What the experts take, before it is quantised: [rows, hidden].
    Floats h;
    /// [scores, hidden]
    Floats router;
    /// [rows, scores]
    SharedFloats scores;
    /// For each row and each expert that it takes, the row and the expert: what the first product
    /// takes.
    Words routes;
    /// The same for the second, whose rows are pairs of a row and an expert.
    Words pairs;
    /// [rows, used + shared]
    Floats shares;
    uint hidden;
    /// Experts that may be taken, taken by a row, and taken by every row.
    uint count;
    uint used;
    uint always;
    /// Whether the shares of the experts that are taken add up to 1.
    bool normalised;
};

shared float partial[128];

/// Numbers in the order of their floats, of which subnormal ones may be flushed where floats are
/// compared.
uint order_of(float x) {
    uint bits = floatBitsToUint(x);
    if ((bits & ~SIGN) == 0u) {
        return SIGN;
    }
    return (bits & SIGN) != 0u ? ~bits : bits | SIGN;
}

bool is_before(uint row_scores, uint a, uint b) {
    uint x = order_of(scores.at[row_scores + a]), y = order_of(scores.at[row_scores + b]);
    return x > y || (x == y && a < b);
}

float power_of(float score, float most) {
    // A flushed difference has the power 1, as unflushed.
    precise float below = score - most;
    precise float exponent = below * LOG2_E;
    return power_or_zero(exponent);
}

/// The place of an expert among those that are taken, or how many are taken if it is not.
uint place_of(uint row_scores, uint expert) {
    uint rank = 0;
    for (uint other = 0; other < count; other++) {
        rank += uint(is_before(row_scores, other, expert));
    }
    return rank < used ? rank : used;
}

void main() {
    uint row = gl_WorkGroupID.x, thread = gl_LocalInvocationID.x;
    uint total = count + (always > 0 ? 1 : 0);
    uint row_scores = row * total;

    // Eight scores at a time, by 16 threads each.
    for (uint begin = 0; begin < total; begin += 8) {
        uint expert = begin + thread / 16;
        float stripe = 0.0;
        if (expert < total) {
            for (uint i = thread % 16; i < hidden; i += 16) {
                stripe = add(stripe, mul(h.at[row * hidden + i], router.at[expert * hidden + i]));
            }
        }
        barrier();
        partial[thread] = stripe;
        for (uint half_size = 8; half_size > 0; half_size /= 2) {
            barrier();
            if (thread % 16 < half_size) {
                partial[thread] = add(partial[thread], partial[thread + half_size]);
            }
        }
        if (thread % 16 == 0 && expert < total) {
            scores.at[row_scores + expert] = partial[thread];
        }
    }
    buffer_barrier();
    if (thread != 0) {
        return;
    }

    float most = scores.at[row_scores];
    for (uint e = 1; e < count; e++) {
        most = larger(most, scores.at[row_scores + e]);
    }
    uint low = 0, high = 0;
    for (uint e = 0; e < count; e++) {
        if (!normalised || place_of(row_scores, e) < used) {
            uint whole = units_of(power_of(scores.at[row_scores + e], most));
            low += whole & 0xffffu;
            high += whole >> 16;
        }
    }
    float sum = sum_of_powers(low, high);
    uint slots = used + always, slot = row * slots;
    for (uint e = 0; e < count + always; e++) {
        if (e < count && place_of(row_scores, e) == used) {
            continue;
        }
        routes.at[2 * slot] = row;
        routes.at[2 * slot + 1] = e;
        pairs.at[2 * slot] = slot;
        pairs.at[2 * slot + 1] = e;
        shares.at[slot] = e < count ? quotient(power_of(scores.at[row_scores + e], most), sum)
                                    : sigmoid(scores.at[row_scores + count]);
        slot++;
    }
}

// Products of up to FEW rows a workgroup: every weight is read once for all of them, by 16 threads
// for each of 16 groups at a time. Dots of the groups are put aside, because their sum has an
// order.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : require
#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
#endif
#include "exact.glsl"
#include "memory.glsl"
#include "dot.glsl"
#include "product.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 1) const uint FEW = 8;

shared int dots[16 * FEW * 16];

void main() {
    uint thread = gl_LocalInvocationID.x;
    uint lane = thread % 16, slice = thread / 16;
    uint first = gl_WorkGroupID.y * FEW;
    uint tile = gl_WorkGroupID.x;
    uint source = first, expert = 0;
    if ((flags & ROUTED) != 0) {
        // One row a workgroup.
        source = routes.at[2 * first];
        expert = routes.at[2 * first + 1];
    }
    uint weight_tile = expert * (expert_outputs / 16) + tile;

    // The sums that this thread owns: one output row, and the row of activations `slice`.
    float sums[LEVELS];
    [[unroll]] for (uint l = 0; l < LEVELS; l++) {
        sums[l] = 0.0;
    }
    [[unroll]] for (uint l = 0; l < LEVELS; l++) {
        for (uint begin = 0; begin < groups; begin += 16) {
            uint group = begin + slice;
            int sum[FEW];
            [[unroll]] for (uint row = 0; row < FEW; row++) {
                sum[row] = 0;
            }
            if (group < groups) {
                uint block = (weight_tile * groups + group) * 64 + lane;
                [[unroll]] for (uint kk = 0; kk < 4; kk++) {
                    uvec4 weight = weights.at[block + kk * 16];
                    [[unroll]] for (uint row = 0; row < FEW; row++) {
                        uint at = min(source + row, source + rows - 1 - first) * LEVELS + l;
                        sum[row] += dot16(levels.at[(at * groups + group) * 4 + kk], weight);
                    }
                }
            }
            barrier();
            [[unroll]] for (uint row = 0; row < FEW; row++) {
                dots[(slice * FEW + row) * 16 + lane] = sum[row];
            }
            barrier();
            if (slice < FEW && first + slice < rows) {
                uint at = (source + slice) * LEVELS + l;
                uint end = min(groups - begin, 16);
                for (uint g = 0; g < end; g++) {
                    float scale = scales.at[at * groups + begin + g];
                    sums[l] = accumulated(sums[l], dots[(g * FEW + slice) * 16 + lane], scale);
                }
            }
        }
    }
    uint output_row = tile * 16 + lane;
    if (slice < FEW && first + slice < rows && output_row < outputs) {
        float scale = weight_scales.at[expert * expert_outputs + output_row];
        float y = product_of(sums[0], sums[LEVELS - 1], output_row, scale);
        result.at[(first + slice) * stride + output_row] = finished(y);
    }
}

// Products of many rows: a workgroup of 16 x 16 threads computes a tile of the result, each thread
// TM rows times TN columns of it, from weights and activations that it shares group by group.
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
layout(constant_id = 1) const uint TM = 4;
layout(constant_id = 2) const uint TN = 8;
const uint M = 16 * TM;
const uint N = 16 * TN;

/// [4, M] and [4, N] quads of one group.
shared uvec4 shared_levels[4 * M];
shared uvec4 shared_weights[4 * N];
shared float shared_scales[M];

void main() {
    uint thread = gl_LocalInvocationID.x;
    uint tx = thread % 16, ty = thread / 16;
    uint first_row = gl_WorkGroupID.y * M, first_tile = gl_WorkGroupID.x * TN;
    uint tiles = (outputs + 15) / 16;

    float sums[LEVELS][TM][TN];
    [[unroll]] for (uint l = 0; l < LEVELS; l++) {
        [[unroll]] for (uint m = 0; m < TM; m++) {
            [[unroll]] for (uint n = 0; n < TN; n++) {
                sums[l][m][n] = 0.0;
            }
        }
    }
    [[unroll]] for (uint l = 0; l < LEVELS; l++) {
        for (uint group = 0; group < groups; group++) {
            barrier();
            for (uint i = thread; i < 4 * M; i += 256) {
                uint row = min(first_row + i / 4, rows - 1) * LEVELS + l;
                shared_levels[(i % 4) * M + i / 4] = levels.at[(row * groups + group) * 4 + i % 4];
            }
            for (uint i = thread; i < M; i += 256) {
                uint row = min(first_row + i, rows - 1) * LEVELS + l;
                shared_scales[i] = scales.at[row * groups + group];
            }
            for (uint i = thread; i < 4 * N; i += 256) {
                uint tile = min(first_tile + i / 64, tiles - 1);
                uvec4 quad = weights.at[(tile * groups + group) * 64 + i % 64];
                shared_weights[((i % 64) / 16) * N + (i / 64) * 16 + i % 16] = quad;
            }
            barrier();
            int dots[TM][TN];
            [[unroll]] for (uint m = 0; m < TM; m++) {
                [[unroll]] for (uint n = 0; n < TN; n++) {
                    dots[m][n] = 0;
                }
            }
            [[unroll]] for (uint kk = 0; kk < 4; kk++) {
                uvec4 a[TM];
                [[unroll]] for (uint m = 0; m < TM; m++) {
                    a[m] = shared_levels[kk * M + m * 16 + ty];
                }
                [[unroll]] for (uint n = 0; n < TN; n++) {
                    uvec4 b = shared_weights[kk * N + n * 16 + tx];
                    [[unroll]] for (uint m = 0; m < TM; m++) {
                        dots[m][n] += dot16(a[m], b);
                    }
                }
            }
            [[unroll]] for (uint m = 0; m < TM; m++) {
                float scale = shared_scales[m * 16 + ty];
                [[unroll]] for (uint n = 0; n < TN; n++) {
                    sums[l][m][n] = accumulated(sums[l][m][n], dots[m][n], scale);
                }
            }
        }
    }
    [[unroll]] for (uint n = 0; n < TN; n++) {
        uint output_row = (first_tile + n) * 16 + tx;
        if (output_row >= outputs) {
            continue;
        }
        float scale = weight_scales.at[output_row];
        [[unroll]] for (uint m = 0; m < TM; m++) {
            uint row = first_row + m * 16 + ty;
            if (row < rows) {
                float y = product_of(sums[0][m][n], sums[LEVELS - 1][m][n], output_row, scale);
                result.at[row * stride + output_row] = finished(y);
            }
        }
    }
}

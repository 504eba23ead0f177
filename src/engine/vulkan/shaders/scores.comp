// Scores of queries and keys (section 6): a workgroup has a task, a key/value head and 128 columns,
// one for each thread; or, behind the last columns, the sinks.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
#endif
#include "exact.glsl"
#include "memory.glsl"
#include "attention.glsl"
#include "dot.glsl"
layout(local_size_x = 128) in;
layout(constant_id = 0) const uint LEVELS = 1;

layout(push_constant, std430) uniform Parameters {
    Tasks tasks;
    /// As `heads` writes them.
    Quads levels;
    Floats scales;
    /// [rows of the slice, query_heads, score_stride]
    Floats scores;
    Planes planes;
    uint rows;
    uint query_heads;
    uint key_heads;
    /// First row of the slice.
    uint slice;
    uint score_stride;
    float cap;
    bool has_sinks;
};

/// Queries whose sums a thread keeps at a time.
const uint BATCH = 8;

void main() {
    Task task = tasks.at[gl_WorkGroupID.z];
    uint head = gl_WorkGroupID.y;
    uint blocks = (task.columns + 127) / 128;
    bool is_sink = gl_WorkGroupID.x == blocks;
    if (gl_WorkGroupID.x > blocks || (is_sink && !has_sinks)) {
        return;
    }
    uint column = gl_WorkGroupID.x * 128 + gl_LocalInvocationID.x;
    if (is_sink) {
        column = task.columns + gl_LocalInvocationID.x;
    }
    uint end = task.columns + (is_sink ? SINKS : 0);
    if (column >= end) {
        return;
    }
    uint slot = slot_of(planes, task.base, task.columns, column);
    Quads keys = Quads(task.stream);
    Floats key_scales = Floats(task.stream);
    uint key = key_at(planes, head, slot) / 4;
    float key_scale = key_scales.at[key_scale_at(planes, head, slot)];
    uint groups = (planes.head_dim + 63) / 64, quads = planes.key_words / 4;
    uint heads_per_key = query_heads / key_heads;
    uint count = task.rows * heads_per_key;
    for (uint batch = 0; batch < count; batch += BATCH) {
        float t[BATCH];
        [[unroll]] for (uint l = 0; l < LEVELS; l++) {
            float sums[BATCH];
            [[unroll]] for (uint q = 0; q < BATCH; q++) {
                sums[q] = 0.0;
            }
            for (uint group = 0; group < groups; group++) {
                uvec4 four[4];
                [[unroll]] for (uint kk = 0; kk < 4; kk++) {
                    bool inside = group * 4 + kk < quads;
                    four[kk] = inside ? keys.at[key + group * 4 + kk] : uvec4(0);
                }
                [[unroll]] for (uint q = 0; q < BATCH; q++) {
                    uint index = min(batch + q, count - 1);
                    uint row = task.row + index / heads_per_key + (is_sink ? rows : 0);
                    uint query = row * query_heads + head * heads_per_key + index % heads_per_key;
                    uint at = (query * LEVELS + l) * groups + group;
                    int dot_of_group = 0;
                    [[unroll]] for (uint kk = 0; kk < 4; kk++) {
                        dot_of_group += dot16(levels.at[at * 4 + kk], four[kk]);
                    }
                    // As in products: no partial sum is subnormal.
                    precise float sum = sums[q] + float(dot_of_group) * scales.at[at];
                    sums[q] = sum;
                }
            }
            [[unroll]] for (uint q = 0; q < BATCH; q++) {
                float part = mul(mul(sums[q], LOWERED), key_scale);
                t[q] = l == 0 ? part : add(t[q], part);
            }
        }
        [[unroll]] for (uint q = 0; q < BATCH; q++) {
            uint index = batch + q;
            if (index < count) {
                uint row = task.row - slice + index / heads_per_key;
                uint query = row * query_heads + head * heads_per_key + index % heads_per_key;
                scores.at[query * score_stride + column] = cap != 0.0 ? capped(t[q], cap) : t[q];
            }
        }
    }
}

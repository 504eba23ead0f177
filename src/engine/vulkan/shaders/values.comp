// The weighted sums of values (section 6): a workgroup has a task, a key/value head and 64 elements
// of its values, each for four threads.
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
layout(local_size_x = 256) in;

layout(push_constant, std430) uniform Parameters {
    Tasks tasks;
    /// As `softmax` writes them.
    Words weights;
    Floats factors;
    /// [rows, query_heads, head_dim]
    Floats attended;
    Planes planes;
    uint query_heads;
    uint key_heads;
    uint slice;
    uint score_stride;
    bool has_sinks;
};

/// Queries whose sums a thread keeps at a time.
const uint BATCH = 8;
const uint SLICES = 4;

shared int parts[SLICES * BATCH * 64];

void main() {
    Task task = tasks.at[gl_WorkGroupID.z];
    uint head = gl_WorkGroupID.y;
    uint lane = gl_LocalInvocationID.x % 64, part = gl_LocalInvocationID.x / 64;
    uint element = gl_WorkGroupID.x * 64 + lane;
    bool is_element = element < planes.head_dim;
    Words stream = Words(task.stream);
    uint heads_per_key = query_heads / key_heads;
    uint count = task.rows * heads_per_key;
    uint words = (task.columns + (has_sinks ? SINKS : 0)) / 4;
    for (uint batch = 0; batch < count; batch += BATCH) {
        uint queries[BATCH];
        int upper[BATCH];
        int lower[BATCH];
        [[unroll]] for (uint q = 0; q < BATCH; q++) {
            uint index = min(batch + q, count - 1);
            uint row = task.row - slice + index / heads_per_key;
            queries[q] = row * query_heads + head * heads_per_key + index % heads_per_key;
            upper[q] = 0;
            lower[q] = 0;
        }
        for (uint word = part; word < words && is_element; word += SLICES) {
            uint slot = slot_of(planes, task.base, task.columns, word * 4);
            uint four = stream.at[values_at(planes, head, slot / 4) + element];
            [[unroll]] for (uint q = 0; q < BATCH; q++) {
                uint at = (queries[q] * score_stride / 4 + word) * 2;
                upper[q] += dot4(weights.at[at], four);
                lower[q] += dot4(weights.at[at + 1], four);
            }
        }
        barrier();
        [[unroll]] for (uint q = 0; q < BATCH; q++) {
            parts[(part * BATCH + q) * 64 + lane] = upper[q] * 128 + lower[q];
        }
        barrier();
        for (uint q = part; q < BATCH; q += SLICES) {
            uint index = batch + q;
            if (index < count && is_element) {
                int sum = 0;
                for (uint p = 0; p < SLICES; p++) {
                    sum += parts[(p * BATCH + q) * 64 + lane];
                }
                uint row = index / heads_per_key;
                uint of_head = head * heads_per_key + index % heads_per_key;
                uint query = (task.row - slice + row) * query_heads + of_head;
                uint at = ((task.row + row) * query_heads + of_head) * planes.head_dim + element;
                attended.at[at] = mul(nearest_float(sum), factors.at[query]);
            }
        }
    }
}

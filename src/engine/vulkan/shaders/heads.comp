// One head of one row of a projection: queries and keys are rotated, all are quantised, and keys
// and values are stored in their stream (section 6).
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#include "exact.glsl"
#include "memory.glsl"
#include "attention.glsl"
layout(local_size_x = 64) in;

layout(push_constant, std430) uniform Parameters {
    /// Query heads, key heads and value heads: [rows, stride].
    Floats heads;
    Rows table;
    /// Cosines and then sines of the rows: at their own positions, then at those for sinks,
    /// [2, rows, 2, head_dim / 2].
    Floats angles;
    /// [2, rows, query_heads, 1 or 2, groups * 16]: at their own positions, then at those for sinks.
    Words levels;
    /// Times RAISED: [2, rows, query_heads, 1 or 2, groups].
    Floats scales;
    Planes planes;
    uint rows;
    uint stride;
    uint query_heads;
    uint key_heads;
    uint level_rows;
    bool has_sinks;
    /// LOG2_E / sqrt(head_dim)
    float factor;
};

shared float rotated[256];

void rotate(uint row, uint head, uint which) {
    uint pairs = planes.head_dim / 2;
    uint values = row * stride + head * planes.head_dim;
    uint table_row = (which * rows + row) * planes.head_dim;
    for (uint i = gl_LocalInvocationID.x; i < pairs; i += 64) {
        float a = heads.at[values + i], b = heads.at[values + i + pairs];
        float c = angles.at[table_row + i], s = angles.at[table_row + pairs + i];
        rotated[i] = sub(mul(a, c), mul(b, s));
        rotated[i + pairs] = add(mul(b, c), mul(a, s));
    }
    barrier();
}

float largest_of(uint begin, uint end) {
    float amax = 0.0;
    for (uint i = begin; i < end; i++) {
        amax = larger(amax, abs(rotated[i]));
    }
    return amax;
}

/// Quantises a rotated query in groups.
void put_query(uint row, uint head, uint which) {
    uint thread = gl_LocalInvocationID.x, dim = planes.head_dim;
    uint groups = (dim + 63) / 64;
    uint query = (which * rows + row) * query_heads + head;
    for (uint l = 0; l < level_rows; l++) {
        uint at = query * level_rows + l;
        float kept[4];
        for (uint word = thread; word < groups * 16; word += 64) {
            uint group = word / 16;
            float amax = largest_of(group * 64, min(group * 64 + 64, dim));
            float to_level = to_levels(amax), scale = scale_of(amax);
            ivec4 four = ivec4(0);
            for (uint j = 0; j < 4; j++) {
                uint i = word * 4 + j;
                float v = i < dim ? rotated[i] : 0.0;
                four[j] = level(v, to_level);
                precise float back = float(four[j]) * scale;
                precise float rest = v - back;
                kept[j] = rest;
            }
            levels.at[at * groups * 16 + word] = packed4(four);
            if (word % 16 == 0) {
                precise float times = scale * factor;
                precise float raised_scale = times * RAISED;
                scales.at[at * groups + group] = raised_scale;
            }
        }
        barrier();
        // A head has at most 64 words: one for each thread.
        for (uint j = 0; j < 4; j++) {
            if (thread * 4 + j < dim) {
                rotated[thread * 4 + j] = kept[j];
            }
        }
        barrier();
    }
}

void main() {
    uint row = gl_WorkGroupID.x, head = gl_WorkGroupID.y;
    uint thread = gl_LocalInvocationID.x, dim = planes.head_dim;
    if (head < query_heads) {
        for (uint which = 0; which < (has_sinks ? 2 : 1); which++) {
            rotate(row, head, which);
            put_query(row, head, which);
        }
        return;
    }
    bool is_key = head < query_heads + key_heads;
    if (is_key) {
        rotate(row, head, 0);
    } else {
        for (uint i = thread; i < dim; i += 64) {
            rotated[i] = heads.at[row * stride + head * dim + i];
        }
        barrier();
    }
    float amax = largest_of(0, dim);
    float to_level = to_levels(amax), scale = scale_of(amax);
    Words stream = Words(table.at[row].stream);
    uint plane = (head - query_heads) % key_heads;
    // Its slot in the ring, and that of a sink.
    for (uint copy = 0; copy < 2; copy++) {
        uint slot = copy == 0 ? table.at[row].slot : planes.ring + table.at[row].sink;
        if (slot >= slots_of(planes)) {
            continue;
        }
        if (is_key) {
            for (uint word = thread; word < planes.key_words; word += 64) {
                ivec4 four = ivec4(0);
                for (uint j = 0; j < 4; j++) {
                    uint i = word * 4 + j;
                    four[j] = i < dim ? level(rotated[i], to_level) : 0;
                }
                stream.at[key_at(planes, plane, slot) + word] = packed4(four);
            }
        } else {
            // Other rows of this pass write the other bytes.
            uint shift = (slot % 4) * 8;
            for (uint i = thread; i < dim; i += 64) {
                uint byte = uint(level(rotated[i], to_level)) & 0xffu;
                uint at = values_at(planes, plane, slot / 4) + i;
                atomicAnd(stream.at[at], ~(0xffu << shift));
                atomicOr(stream.at[at], byte << shift);
            }
        }
        if (thread == 0) {
            uint at = is_key ? key_scale_at(planes, plane, slot)
                             : value_scale_at(planes, plane, slot);
            stream.at[at] = floatBitsToUint(scale);
        }
    }
}

// Keeps the rows of the projection that a later call needs: those behind the checkpoint, and some
// before it. A thread has a column.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#include "memory.glsl"
#include "recurrence.glsl"
layout(local_size_x = 128) in;

layout(push_constant, std430) uniform Parameters {
    Parts parts;
    /// The projection, [rows, stride].
    Words inputs;
    Shape shape;
    uint stride;
};

void main() {
    Part part = parts.at[gl_WorkGroupID.y];
    Words stream = Words(part.stream);
    uint column = gl_WorkGroupID.x * 128 + gl_LocalInvocationID.x;
    if (column >= kept_rows_of(shape)) {
        return;
    }
    uint front = shape.taps - 1;
    if (part.begins != 0) {
        for (uint row = 0; row < front; row++) {
            uint kept = stream.at[kept_at(shape, part.kept + row) + column];
            stream.at[kept_at(shape, row) + column] = kept;
        }
    }
    uint first = part.begins != 0 ? 0 : part.kept;
    uint begin = part.before - min(part.before, front);
    for (uint index = begin; index < part.rows; index++) {
        uint value = inputs.at[(part.row + index) * stride + column];
        if (index >= part.before) {
            stream.at[kept_at(shape, front + first + index - part.before) + column] = value;
            continue;
        }
        // Only the last rows before the checkpoint stay.
        for (uint row = 1; row < front; row++) {
            uint kept = stream.at[kept_at(shape, row) + column];
            stream.at[kept_at(shape, row - 1) + column] = kept;
        }
        stream.at[kept_at(shape, front - 1) + column] = value;
    }
}

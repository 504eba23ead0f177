// What shaders read and write: addresses in the memory of the device.

layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats {
    float at[];
};
/// Floats that threads of a workgroup read after others of it have written them. Between the two
/// is `buffer_barrier`.
layout(buffer_reference, std430, buffer_reference_align = 4) coherent buffer SharedFloats {
    float at[];
};
/// What threads of a workgroup have written before is read by others of it afterwards.
void buffer_barrier() {
    memoryBarrierBuffer();
    barrier();
    memoryBarrierBuffer();
}

layout(buffer_reference, std430, buffer_reference_align = 4) buffer Words {
    uint at[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Integers {
    int at[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Quads {
    uvec4 at[];
};

/// A row of a pass, as attention of one kind of layer sees it. Columns are positions: column c is
/// position `first position + c`, in slot (base + c) modulo the length of the ring.
struct Row {
    /// The memory of its stream.
    uvec2 stream;
    /// Slot of its own key.
    uint slot;
    /// Its index in its stream's sinks, or 16 if it is none.
    uint sink;
    /// Slot of column 0.
    uint base;
    /// Columns of its task, a multiple of 4.
    uint columns;
    /// The columns that it sees are low to high - 1.
    uint low;
    uint high;
    /// Sinks that it sees outside its window.
    uint sinks;
    uint unused;
};
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Rows {
    Row at[];
};

/// Some rows of one stream, with one key/value head: queries that see the same columns.
struct Task {
    uvec2 stream;
    /// First row, within the pass.
    uint row;
    uint rows;
    uint base;
    uint columns;
};
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Tasks {
    Task at[];
};

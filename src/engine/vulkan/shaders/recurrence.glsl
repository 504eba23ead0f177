// Where a layer with a recurrence keeps what it needs of a stream: two states of its value heads,
// [value_heads, key_dim, value_dim], and the rows of the projection before and behind the
// checkpoint, [taps - 1 + 16, kept_rows].

/// Some rows of one stream in a pass.
struct Part {
    uvec2 stream;
    /// First row, within the pass, and how many.
    uint row;
    uint rows;
    /// Rows behind the checkpoint that are kept from before the part.
    uint kept;
    /// As many of them, the last ones, that run again first.
    uint again;
    /// Rows of the part that come before the new checkpoint.
    uint before;
    /// Whether the checkpoint moves to where the call begins.
    uint begins;
    /// Whether the new checkpoint is in this part.
    uint has_checkpoint;
    /// Which of the two states is that at the checkpoint.
    uint checkpoint;
};
layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Parts {
    Part at[];
};

struct Shape {
    /// Where the layer's memory begins in that of the stream, in words.
    uint first;
    uint key_heads;
    uint value_heads;
    uint key_dim;
    uint value_dim;
    uint taps;
};

uint channels_of(Shape shape) {
    return 2 * shape.key_heads * shape.key_dim + shape.value_heads * shape.value_dim;
}

/// What a later position needs of a row of the projection.
uint kept_rows_of(Shape shape) {
    return channels_of(shape) + 2 * shape.value_heads;
}

/// The matrix of a head in one of the two states.
uint state_at(Shape shape, uint state, uint head) {
    return shape.first + (state * shape.value_heads + head) * shape.key_dim * shape.value_dim;
}

/// A row that is kept.
uint kept_at(Shape shape, uint row) {
    return state_at(shape, 2, 0) + row * kept_rows_of(shape);
}

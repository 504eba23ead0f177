// Where keys and values of a stream lie.
//
// Each layer with attention has a plane for each key/value head. A plane has slots: a ring of
// positions, then 16 for copies of the sinks. It holds, in words: the levels of the keys,
// [slots, key_words]; their scales, [slots]; the levels of the values, those of four slots together,
// [slots / 4, head_dim]; their scales, [slots].

const uint SINKS = 16;

struct Planes {
    /// The first plane of the layer, in words from the beginning of the stream's memory.
    uint first;
    /// Words of a plane.
    uint size;
    /// Slots of the ring, a multiple of 16.
    uint ring;
    uint key_words;
    uint head_dim;
};

uint slots_of(Planes planes) {
    return planes.ring + SINKS;
}

uint plane_of(Planes planes, uint head) {
    return planes.first + head * planes.size;
}

uint key_at(Planes planes, uint head, uint slot) {
    return plane_of(planes, head) + slot * planes.key_words;
}

uint key_scale_at(Planes planes, uint head, uint slot) {
    return plane_of(planes, head) + slots_of(planes) * planes.key_words + slot;
}

/// Of the values of four slots.
uint values_at(Planes planes, uint head, uint four) {
    return plane_of(planes, head) + slots_of(planes) * (planes.key_words + 1)
        + four * planes.head_dim;
}

uint value_scale_at(Planes planes, uint head, uint slot) {
    return values_at(planes, head, slots_of(planes) / 4) + slot;
}

/// The slot of a column: of the ring, or behind the columns of a sink.
uint slot_of(Planes planes, uint base, uint columns, uint column) {
    if (column >= columns) {
        return planes.ring + (column - columns);
    }
    uint slot = base + column;
    return slot < planes.ring ? slot : slot - planes.ring;
}

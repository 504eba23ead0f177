// Quantisation in groups (section 3), by a workgroup of 128 threads with four values each.

shared float largest[128];

float largest_of(uint first, uint count) {
    float amax = 0.0;
    for (uint i = 0; i < count; i++) {
        amax = larger(amax, largest[first + i]);
    }
    return amax;
}

/// Quantises eight groups: stores the levels of four values of row `row`, which become word `word`
/// of `words`, and the scales of the groups times RAISED; with two levels a row, also those of what
/// the first leave over. All threads call this.
void put_levels(
    float h[4], uint row, uint word, uint words, Words levels, Floats scales, uint level_rows
) {
    uint thread = gl_LocalInvocationID.x;
    for (uint l = 0; l < level_rows; l++) {
        barrier();
        largest[thread] = larger(larger(abs(h[0]), abs(h[1])), larger(abs(h[2]), abs(h[3])));
        barrier();
        float amax = largest_of(thread & ~15u, 16);
        float to_level = to_levels(amax), scale = scale_of(amax);
        ivec4 four = ivec4(0);
        for (uint j = 0; j < 4; j++) {
            four[j] = level(h[j], to_level);
            // If the rest is flushed, it has level 0, as it has unflushed.
            precise float back = float(four[j]) * scale;
            precise float rest = h[j] - back;
            h[j] = rest;
        }
        if (word < words) {
            uint at = row * level_rows + l;
            levels.at[at * words + word] = packed4(four);
            if (thread % 16 == 0) {
                precise float raised_scale = scale * RAISED;
                scales.at[at * (words / 16) + word / 16] = raised_scale;
            }
        }
    }
}

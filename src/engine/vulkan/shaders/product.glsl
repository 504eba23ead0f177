// Products of quantised rows with a weight matrix (section 4).
//
// Weights lie in blocks of 16 output rows and one group of 64 columns, 64 quads: quad kk * 16 + r
// holds columns 16 * kk to 16 * kk + 15 of row r. Rows of activations hold four quads a group.

layout(push_constant, std430) uniform Parameters {
    /// [rows, 1 or 2, groups * 4]
    Quads levels;
    /// Times RAISED: [rows, 1 or 2, groups].
    Floats scales;
    Quads weights;
    /// [outputs]
    Floats weight_scales;
    Floats bias;
    /// f32, or logits of section 7: [rows, stride].
    Words result;
    /// For each row, in products with experts: a row of the activations and an expert.
    Words routes;
    uint rows;
    uint outputs;
    uint groups;
    uint stride;
    uint flags;
    float cap;
    /// Output rows of an expert's matrix.
    uint expert_outputs;
};

const uint BIAS = 1;
const uint LOGITS = 2;
const uint ROUTED = 4;

/// Levels of a row of activations: 2 if it is wide.
layout(constant_id = 0) const uint LEVELS = 1;

/// One step of the sum over groups: no partial sum is subnormal, because the scales are raised.
float accumulated(float sum, int dot_of_group, float raised_scale) {
    precise float r = sum + float(dot_of_group) * raised_scale;
    return r;
}

/// The product of a row: the sums over groups of its levels, raised, become a number.
float product_of(float first, float second, uint output_row, float scale) {
    float y = mul(mul(first, LOWERED), scale);
    if (LEVELS == 2) {
        y = add(y, mul(mul(second, LOWERED), scale));
    }
    if ((flags & BIAS) != 0) {
        y = add(y, bias.at[output_row]);
    }
    return y;
}

/// The product as the next step takes it.
uint finished(float y) {
    if ((flags & LOGITS) == 0) {
        return floatBitsToUint(y);
    }
    y = cap != 0.0 ? capped(y, cap) : y;
    // What is flushed rounds to 0.
    precise float l = y * uintBitsToFloat(0x47b8aa3bu);
    return uint(int(roundEven(smaller(larger(l, -536870912.0), 536870912.0))));
}

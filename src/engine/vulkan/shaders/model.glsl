// The functions of a feed-forward block, by number.

const uint SILU = 0;
const uint GELU = 1;
const uint GELU_TANH = 2;
const uint RELU = 3;
const uint RELU_SQUARED = 4;

float gelu(float x) {
    // Both terms are far above any subnormal number, and a large square only has to be large.
    float near = smaller(larger(x, -32.0), 32.0);
    precise float below = 1.0 + abs(near) * uintBitsToFloat(0x3e6d3388u);
    float t = quotient(1.0, below);
    precise float tail = uintBitsToFloat(0x3f07dc22u);
    tail = tail * t + uintBitsToFloat(0xbf3a00e3u);
    tail = tail * t + uintBitsToFloat(0x3f35f0e3u);
    tail = tail * t + uintBitsToFloat(0xbe11a98eu);
    tail = tail * t + uintBitsToFloat(0x3e027906u);
    precise float exponent = (near * near) * uintBitsToFloat(0xbf38aa3bu);
    tail = (tail * t) * power_or_zero(exponent);
    precise float rest = 1.0 - tail;
    return mul(x, is_negative(x) ? tail : rest);
}

float gelu_tanh(float x) {
    // Beyond 16 the sigmoid is that of the clamped exponent in any case.
    float near = smaller(larger(x, -1024.0), 1024.0);
    precise float slope =
        uintBitsToFloat(0x3fcc422au) + uintBitsToFloat(0x3d922279u) * (near * near);
    precise float argument = near * slope;
    return mul(x, sigmoid(argument));
}

float activation(uint kind, float g) {
    float positive = is_negative(g) ? 0.0 : g;
    if (kind == SILU) {
        return mul(g, sigmoid(g));
    }
    if (kind == GELU) {
        return gelu(g);
    }
    if (kind == GELU_TANH) {
        return gelu_tanh(g);
    }
    if (kind == RELU) {
        return positive;
    }
    float z = smaller(positive, 1073741824.0);
    return mul(z, z);
}

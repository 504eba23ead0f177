// Arithmetic of docs/NUMERICS.md on a device.
//
// A device rounds `+`, `-` and `*` of f32 to nearest, ties to even, wherever operands and result
// are normal numbers or 0. Nothing else is taken for granted: subnormal numbers may be flushed to
// 0, and division and square root may be several units off. `add` and `mul` complete what the
// device does where a subnormal number is involved; `quotient` and `root` correct what it estimates.
// Plain operators stand only where a flushed subnormal cannot change the result; the reason is
// beside them.

const uint SIGN = 0x80000000u;
const uint INFINITY_BITS = 0x7f800000u;
#define TINY uintBitsToFloat(0x0da24260u)
#define LOG2_E uintBitsToFloat(0x3fb8aa3bu)
#define ONE_127TH uintBitsToFloat(0x3c010204u)
/// 2^-125
#define NORMAL uintBitsToFloat(0x01000000u)
/// 2^-100: a subnormal number changes no sum with a larger one, and no such sum is subnormal.
#define ABSORBS uintBitsToFloat(0x0d800000u)

bool is_negative(float x) {
    return (floatBitsToUint(x) & SIGN) != 0u;
}

/// The f32 nearest to (hi * 2^32 + lo) * 2^exponent, ties to even. At least 24 bits are set or the
/// result is subnormal.
float rounded(uint sign, uint hi, uint lo, int exponent) {
    int top = hi != 0u ? 32 + findMSB(hi) : findMSB(lo);
    int drop = max(top - 23, -149 - exponent);
    if (drop > 60) {
        return uintBitsToFloat(sign);
    }
    uint q, half_bit;
    bool rest;
    if (drop == 0) {
        q = lo;
        half_bit = 0u;
        rest = false;
    } else if (drop < 32) {
        q = (hi << (32 - drop)) | (lo >> drop);
        half_bit = (lo >> (drop - 1)) & 1u;
        rest = (lo & ((1u << (drop - 1)) - 1u)) != 0u;
    } else if (drop == 32) {
        q = hi;
        half_bit = lo >> 31;
        rest = (lo << 1) != 0u;
    } else {
        q = hi >> (drop - 32);
        half_bit = (hi >> (drop - 33)) & 1u;
        rest = ((hi & ((1u << (drop - 33)) - 1u)) | lo) != 0u;
    }
    q += half_bit & (uint(rest) | q);
    // A number of 2^23 units or more has an exponent field; below, the units are those of 2^-149.
    int field = exponent + drop + 149;
    return uintBitsToFloat(sign | ((uint(field) << 23) + q));
}

/// The mantissa, 2^23 to 2^24 - 1, of a magnitude given by its bits, not 0; the number is
/// mantissa * 2^(exponent - 150).
uint mantissa_of(uint magnitude, out int exponent) {
    exponent = int(magnitude >> 23);
    if (exponent != 0) {
        return (magnitude & 0x7fffffu) | 0x800000u;
    }
    int shift = 23 - findMSB(magnitude);
    exponent = 1 - shift;
    return magnitude << shift;
}

/// a * b, whatever its size.
float any_product(float a, float b) {
    uint x = floatBitsToUint(a), y = floatBitsToUint(b);
    uint sign = (x ^ y) & SIGN;
    x &= ~SIGN;
    y &= ~SIGN;
    if (x == 0u || y == 0u) {
        return uintBitsToFloat(sign);
    }
    int e, f;
    uint hi, lo;
    umulExtended(mantissa_of(x, e), mantissa_of(y, f), hi, lo);
    return rounded(sign, hi, lo, e + f - 300);
}

float mul(float a, float b) {
    precise float r = a * b;
    return abs(r) >= NORMAL ? r : any_product(a, b);
}

/// 2^64 * x for |x| < 2^-99.
float raised(float x) {
    uint bits = floatBitsToUint(x);
    uint magnitude = bits & ~SIGN;
    if (magnitude >= 0x800000u) {
        return uintBitsToFloat(bits + (64u << 23));
    }
    // An integer below 2^23, times 2^-85: exact.
    precise float r = float(magnitude) * uintBitsToFloat(0x15000000u);
    return uintBitsToFloat(floatBitsToUint(r) | (bits & SIGN));
}

/// a + b for magnitudes below 2^-100.
float small_sum(float a, float b) {
    precise float r = raised(a) + raised(b);
    uint bits = floatBitsToUint(r);
    uint magnitude = bits & ~SIGN;
    // 2^-62, which stands for 2^-126.
    if (magnitude >= 0x20800000u) {
        return uintBitsToFloat(bits - (64u << 23));
    }
    // Less than 2^-126 is a multiple of 2^-149 and exact.
    precise float units = uintBitsToFloat(magnitude) * uintBitsToFloat(0x6a000000u);
    return uintBitsToFloat(uint(units) | (bits & SIGN));
}

float add(float a, float b) {
    precise float r = a + b;
    return (abs(a) >= ABSORBS || abs(b) >= ABSORBS) ? r : small_sum(a, b);
}

float sub(float a, float b) {
    return add(a, uintBitsToFloat(floatBitsToUint(b) ^ SIGN));
}

/// a / b, for a finite a and a normal b.
float quotient(float a, float b) {
    uint x = floatBitsToUint(a), y = floatBitsToUint(b);
    uint sign = (x ^ y) & SIGN;
    x &= ~SIGN;
    y &= ~SIGN;
    if (x == 0u) {
        return uintBitsToFloat(sign);
    }
    int e, f;
    uint m = mantissa_of(x, e), n = mantissa_of(y, f);
    // q = m * 2^26 / n rounded down, from an estimate that may be dozens off. The remainder is
    // small, so its lowest 32 bits are all of it.
    uint q = uint(float(m) / float(n) * 67108864.0);
    int left = int((m << 26) - q * n);
    int correction = int(floor(float(left) / float(n)));
    q += uint(correction);
    left -= correction * int(n);
    for (int i = 0; i < 2; i++) {
        if (left < 0) {
            q -= 1u;
            left += int(n);
        } else if (left >= int(n)) {
            q += 1u;
            left -= int(n);
        }
    }
    return rounded(sign, q, uint(left != 0), e - f - 26 - 32);
}

/// The square root of a positive normal number.
float root(float x) {
    uint bits = floatBitsToUint(x);
    int e = int(bits >> 23) - 150;
    uint m = (bits & 0x7fffffu) | 0x800000u;
    // m * 2^shift has 49 or 50 bits and an even exponent; its root r has 25. Of squares and
    // remainder, 32 bits are enough again.
    int shift = 25 + ((e + 25) & 1);
    // The estimate times 2^12.5 or 2^13.
    uint r = uint(sqrt(float(m)) * (shift == 25 ? 5792.6187515 : 8192.0));
    int left = int((m << shift) - r * r);
    for (int i = 0; i < 24; i++) {
        if (left < 0) {
            r -= 1u;
            left += int(2u * r + 1u);
        } else if (left > int(2u * r)) {
            left -= int(2u * r + 1u);
            r += 1u;
        }
    }
    return rounded(0u, r, uint(left != 0), (e - shift) / 2 - 32);
}

/// f32 of hi * 2^32 + lo.
float nearest_float(uint hi, uint lo) {
    // Below 2^24 a conversion is exact.
    return hi == 0u && lo < 0x1000000u ? float(lo) : rounded(0u, hi, lo, 0);
}

float nearest_float(int x) {
    uint magnitude = uint(abs(x));
    float r = nearest_float(0u, magnitude);
    return x < 0 ? -r : r;
}

/// max and min of numbers that are not NaN, as the document writes them.
float larger(float a, float b) {
    return a > b ? a : b;
}

float smaller(float a, float b) {
    return a < b ? a : b;
}

/// 2^x for -125 <= x <= 125. A product with a subnormal fraction vanishes in the sum that follows.
float power(float x) {
    float whole = roundEven(x);
    precise float f = x - whole;
    precise float p = uintBitsToFloat(0x392247e0u);
    p = p * f + uintBitsToFloat(0x3aafa3d8u);
    p = p * f + uintBitsToFloat(0x3c1d94d5u);
    p = p * f + uintBitsToFloat(0x3d635768u);
    p = p * f + uintBitsToFloat(0x3e75fdf0u);
    p = p * f + uintBitsToFloat(0x3f317218u);
    p = p * f + 1.0;
    return uintBitsToFloat(uint(int(floatBitsToUint(p)) + int(whole) * 0x800000));
}

/// 2^x or zero, for x <= 0.
float power_or_zero(float x) {
    return x < -64.0 ? 0.0 : power(x);
}

/// The exponent may be flushed to 0: 2^x is 1 around it.
float sigmoid(float x) {
    precise float t = x * -LOG2_E;
    precise float below = 1.0 + power(smaller(larger(t, -125.0), 125.0));
    return quotient(1.0, below);
}

/// cap * tanh(x / cap). Around a sigmoid of 1/2, its double less 1 is a multiple of 2^-24.
float capped(float x, float cap) {
    precise float twice = 2.0 * quotient(x, cap);
    precise float s = 2.0 * sigmoid(twice) - 1.0;
    precise float r = cap * s;
    return r;
}

/// The level of x among values of which the largest magnitude is amax, at least TINY; `inverse` is
/// 127 / amax. A subnormal x has level 0, as its product with at most 2^107 rounds to 0.
int level(float x, float inverse) {
    precise float y = x * inverse;
    return int(roundEven(smaller(larger(y, -127.0), 127.0)));
}

/// 127 / amax, or 0 where values count as zeros: all of their levels are then 0.
float to_levels(float amax) {
    return amax < TINY ? 0.0 : quotient(127.0, amax);
}

/// The scale of levels whose largest magnitude stands for amax.
float scale_of(float amax) {
    precise float scale = amax * ONE_127TH;
    return amax < TINY ? 0.0 : scale;
}

/// Powers are summed in units of 2^-22, at most 2^30 of them in one number.
const float UNITS = 4194304.0;

uint units_of(float power) {
    precise float units = power * UNITS;
    return uint(int(roundEven(units)));
}

/// The sum of powers, given in units by the sums of their lower and of their upper 16 bits.
float sum_of_powers(uint low, uint high) {
    high += low >> 16;
    float total = nearest_float(high >> 16, (high << 16) | (low & 0xffffu));
    precise float sum = total * (1.0 / UNITS);
    return sum;
}

/// Clamps to +-2^60, so that every later product is finite.
float clamped(float x) {
    const float LIMIT = uintBitsToFloat(0x5d800000u);
    return smaller(larger(x, -LIMIT), LIMIT);
}

uint packed4(ivec4 levels) {
    uvec4 bytes = uvec4(levels) & 0xffu;
    return bytes.x | (bytes.y << 8) | (bytes.z << 16) | (bytes.w << 24);
}

int unpacked(uint word, uint index) {
    return bitfieldExtract(int(word), int(index) * 8, 8);
}

/// Scales of activations are stored times 2^16, so that no partial sum of products with them is
/// subnormal: a scale that is not 0 is at least 2^-111.
const float RAISED = 65536.0;
const float LOWERED = 1.0 / 65536.0;

// Striped sums (section 1) of 16 threads.

shared float stripes[16];

/// The sum of the 16 stripes, once all threads of the workgroup have passed a barrier.
float sum_of_stripes() {
    float left[8];
    for (int i = 0; i < 8; i++) {
        left[i] = add(stripes[i], stripes[i + 8]);
    }
    for (int i = 0; i < 4; i++) {
        left[i] = add(left[i], left[i + 4]);
    }
    return add(add(left[0], left[2]), add(left[1], left[3]));
}

/// 1 / sqrt(sum / n + eps), where n = 0 stands for no division; 0 if the sum has overflowed.
float inverse_root(float sum, uint n, float eps) {
    if ((floatBitsToUint(sum) & ~SIGN) >= INFINITY_BITS) {
        return 0.0;
    }
    float mean = n == 0 ? sum : quotient(sum, float(n));
    return quotient(1.0, root(add(mean, eps)));
}

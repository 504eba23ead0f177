// Products of signed bytes, four or sixteen at a time.

#ifdef DOT
// SPV_KHR_integer_dot_product: SDot of packed vectors of four signed bytes.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int packed_dot(uint a, uint b, spirv_literal int format);

int dot4(uint a, uint b) {
    return packed_dot(a, b, 0);
}
#else
int dot4(uint a, uint b) {
    int sum = bitfieldExtract(int(a), 0, 8) * bitfieldExtract(int(b), 0, 8);
    sum += bitfieldExtract(int(a), 8, 8) * bitfieldExtract(int(b), 8, 8);
    sum += bitfieldExtract(int(a), 16, 8) * bitfieldExtract(int(b), 16, 8);
    return sum + (int(a) >> 24) * (int(b) >> 24);
}
#endif

int dot16(uvec4 a, uvec4 b) {
    return dot4(a.x, b.x) + dot4(a.y, b.y) + dot4(a.z, b.z) + dot4(a.w, b.w);
}

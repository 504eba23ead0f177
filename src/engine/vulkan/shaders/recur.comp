// The recurrence of one value head over the rows of a part (section 10). A thread has a column of
// the head's state.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#include "exact.glsl"
#include "memory.glsl"
#include "striped.glsl"
#include "recurrence.glsl"
layout(local_size_x = 256) in;

layout(push_constant, std430) uniform Parameters {
    Parts parts;
    /// The projection, [rows, stride].
    Floats inputs;
    /// [channels, taps]
    Floats conv;
    /// Rates of the value heads, then their shifts, then the weights of the norm.
    Floats weights;
    /// [rows, value_heads, value_dim]
    Floats given;
    Shape shape;
    uint stride;
    float eps;
    /// 1 / sqrt(key_dim)
    float factor;
};

shared float queries[256];
shared float keys[256];
shared float outputs[256];
shared float inverse;
shared float decay;
shared float learned;

float softplus(float x) {
    // Nothing here is subnormal but what a sum absorbs.
    precise float below = abs(x) * -LOG2_E;
    float t = power_or_zero(below);
    precise float more = 2.0 + t;
    float s = quotient(t, more);
    precise float u = s * s;
    precise float p = uintBitsToFloat(0x3e8f7c38u);
    p = p * u + uintBitsToFloat(0x3e8f5b09u);
    p = p * u + uintBitsToFloat(0x3ecce93eu);
    p = p * u + uintBitsToFloat(0x3f2aaa80u);
    p = p * u + 2.0;
    precise float r = larger(x, 0.0) + p * s;
    return r;
}

/// Number `i` of row `row` of the projection, counted from the first one that the convolution sees.
float input_at(Part part, Floats stream, uint row, uint i) {
    uint front = shape.taps - 1 + part.again;
    if (row >= front) {
        return inputs.at[(part.row + row - front) * stride + i];
    }
    return stream.at[kept_at(shape, part.kept - part.again + row) + i];
}

/// Channel i at a row, convolved.
float convolved(Part part, Floats stream, uint row, uint i) {
    float sum = 0.0;
    for (uint tap = 0; tap < shape.taps; tap++) {
        float value = input_at(part, stream, row + tap, i);
        sum = add(sum, mul(value, conv.at[i * shape.taps + tap]));
    }
    return mul(sum, sigmoid(sum));
}

/// Sets `inverse` to 1 / sqrt(sum of squares + eps), where the sum is divided by n before unless n
/// is 0.
#define SET_INVERSE(values, count, n, epsilon)                                                     \
    {                                                                                              \
        barrier();                                                                                 \
        if (thread < 16) {                                                                         \
            float stripe = 0.0;                                                                    \
            for (uint i = thread; i < count; i += 16) {                                            \
                stripe = add(stripe, mul(values[i], values[i]));                                   \
            }                                                                                      \
            stripes[thread] = stripe;                                                              \
        }                                                                                          \
        barrier();                                                                                 \
        if (thread == 0) {                                                                         \
            inverse = inverse_root(sum_of_stripes(), n, epsilon);                                  \
        }                                                                                          \
        barrier();                                                                                 \
    }

void main() {
    Part part = parts.at[gl_WorkGroupID.y];
    Floats stream = Floats(part.stream);
    uint head = gl_WorkGroupID.x, thread = gl_LocalInvocationID.x;
    uint key_head = head / (shape.value_heads / shape.key_heads);
    uint key_dim = shape.key_dim, value_dim = shape.value_dim;
    uint query = key_head * key_dim;
    uint key = (shape.key_heads + key_head) * key_dim;
    uint value = 2 * shape.key_heads * key_dim + head * value_dim;
    uint channels = channels_of(shape);
    uint all = part.again + part.rows, first = part.again + part.before;
    uint checkpoint = state_at(shape, part.checkpoint, head);
    uint last = state_at(shape, 1 - part.checkpoint, head);
    bool is_column = thread < value_dim;

    for (uint row = 0; row < all; row++) {
        if (row == first && part.has_checkpoint != 0 && is_column) {
            for (uint i = 0; i < key_dim; i++) {
                uint cell = i * value_dim + thread;
                stream.at[last + cell] = stream.at[checkpoint + cell];
            }
        }
        uint state = row < first ? checkpoint : last;

        barrier();
        if (thread < key_dim) {
            queries[thread] = convolved(part, stream, row, query + thread);
            keys[thread] = convolved(part, stream, row, key + thread);
        }
        float v = is_column ? convolved(part, stream, row, value + thread) : 0.0;
        if (thread == 0) {
            uint now = row + shape.taps - 1;
            float learn = input_at(part, stream, now, channels + head);
            float forget = input_at(part, stream, now, channels + shape.value_heads + head);
            float rate = mul(weights.at[head], -LOG2_E);
            float shifted = add(forget, weights.at[shape.value_heads + head]);
            decay = power_or_zero(mul(rate, softplus(shifted)));
            learned = sigmoid(learn);
        }
        SET_INVERSE(queries, key_dim, 0, uintBitsToFloat(0x358637bdu))
        if (thread < key_dim) {
            queries[thread] = mul(mul(queries[thread], inverse), factor);
        }
        SET_INVERSE(keys, key_dim, 0, uintBitsToFloat(0x358637bdu))
        if (thread < key_dim) {
            keys[thread] = mul(keys[thread], inverse);
        }
        barrier();

        if (is_column) {
            float found = 0.0;
            for (uint i = 0; i < key_dim; i++) {
                uint cell = state + i * value_dim + thread;
                float m = mul(stream.at[cell], decay);
                stream.at[cell] = m;
                found = add(found, mul(m, keys[i]));
            }
            float step = clamped(mul(sub(v, found), learned));
            float o = 0.0;
            for (uint i = 0; i < key_dim; i++) {
                uint cell = state + i * value_dim + thread;
                float m = add(stream.at[cell], mul(keys[i], step));
                stream.at[cell] = m;
                o = add(o, mul(m, queries[i]));
            }
            outputs[thread] = o;
        }
        if (row < part.again) {
            continue;
        }
        SET_INVERSE(outputs, value_dim, value_dim, eps)
        if (is_column) {
            uint of_pass = part.row + row - part.again;
            uint gate_at = of_pass * stride + kept_rows_of(shape) + head * value_dim + thread;
            float y = mul(mul(outputs[thread], inverse), weights.at[2 * shape.value_heads + thread]);
            float gate = inputs.at[gate_at];
            uint at = (of_pass * shape.value_heads + head) * value_dim + thread;
            given.at[at] = mul(y, mul(gate, sigmoid(gate)));
        }
    }
}

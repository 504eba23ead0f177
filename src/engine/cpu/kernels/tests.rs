//! The kernels of every instruction set of this machine equal the reference bit for bit, over
//! shapes, values and extremes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::operands::LINE;
use super::*;
use crate::numerics;
use crate::predict::Weights;

/// Ordinary values, and those at which a kernel might go wrong: zeros of both signs, subnormal,
/// tiny and huge numbers.
fn float() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -8.0f32..8.0,
        1 => Just(0.0f32),
        1 => Just(-0.0f32),
        1 => -1e-38f32..1e-38,
        1 => -1e-30f32..1e-30,
        1 => -1e20f32..1e20,
    ]
}

/// Values of which whole runs are extreme, so that a whole group may be zero or subnormal.
fn floats(len: usize) -> impl Strategy<Value = Vec<f32>> {
    let uniform = |value: f32| Just(vec![value; len]);
    prop_oneof![
        8 => vec(float(), len),
        4 => vec(-4.0f32..4.0, len),
        1 => uniform(0.0),
        1 => uniform(1e-40),
        1 => uniform(127.0),
        1 => uniform(-3e18),
    ]
}

/// Stored weights: all but the byte 0, often at the ends.
fn weights(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(1u8..=255, len),
        1 => vec(prop_oneof![Just(1u8), Just(255)], len),
        1 => Just(vec![255; len]),
        1 => Just(vec![1; len]),
    ]
}

const ACTIVATIONS: [Activation; 5] = [
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Relu,
    Activation::ReluSquared,
];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn all() -> impl Iterator<Item = Kernels> {
    InstructionSet::available().into_iter().map(Kernels::new)
}

fn others() -> Vec<Kernels> {
    all()
        .filter(|kernels| *kernels != Kernels::REFERENCE)
        .collect()
}

#[derive(Clone, Debug)]
struct ProductCase {
    columns: usize,
    pad: usize,
    wide: bool,
    tiles: usize,
    x: Vec<Vec<f32>>,
    weights: Vec<u8>,
    scales: Vec<f32>,
    bias: Option<Vec<f32>>,
}

fn product_case() -> impl Strategy<Value = ProductCase> {
    let sizes = (
        prop_oneof![8 => 1usize..200, 1 => Just(64), 1 => 500usize..1200],
        prop_oneof![Just(4usize), Just(64)],
        1usize..7,
        prop_oneof![0usize..15, 15usize..40],
    );
    sizes.prop_flat_map(|(columns, pad, tiles, rows)| {
        let padded = columns.next_multiple_of(pad);
        (
            vec(floats(columns), rows),
            weights(tiles * 16 * padded),
            vec(
                prop_oneof![8 => 0.0f32..0.1, 1 => Just(0.0f32), 1 => 1e-40f32..1e-38],
                tiles * 16,
            ),
            proptest::option::of(vec(-4.0f32..4.0, tiles * 16)),
            any::<bool>(),
        )
            .prop_map(move |(x, weights, scales, bias, wide)| ProductCase {
                columns,
                pad,
                wide,
                tiles,
                x,
                weights,
                scales,
                bias,
            })
    })
}

impl ProductCase {
    fn rows(&self, kernels: Kernels) -> QuantizedRows {
        let mut rows = QuantizedRows::default();
        rows.resize(self.x.len(), self.columns, self.pad, self.wide);
        for (row, x) in self.x.iter().enumerate() {
            rows.set(kernels, row, x);
        }
        rows
    }

    fn run(&self, kernels: Kernels, pool: Option<&Pool>) -> Vec<u32> {
        let (rows, stride) = (self.rows(kernels), self.tiles * 16 + 16);
        let lines = self.columns.next_multiple_of(self.pad) / 4;
        let product = Product::new(
            &self.weights,
            lines,
            &self.scales,
            self.bias.as_deref(),
            rows.view(),
            stride,
        )
        .cold(pool.is_none());
        let mut out = vec![7.0; product.room()];
        match pool {
            Some(pool) => kernels.product_in(pool, &product, &mut out),
            None => kernels.product(&product, &mut out),
        }
        bits(&out[..self.x.len() * stride])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn products_are_equal(case in product_case()) {
        let want = case.run(Kernels::REFERENCE, None);
        let pool = Pool::new(3);
        for kernels in others() {
            prop_assert_eq!(&case.run(kernels, None), &want, "{}", kernels.instructions().name());
            let name = kernels.instructions().name();
            prop_assert_eq!(&case.run(kernels, Some(&pool)), &want, "{} in a pool", name);
        }
    }

    #[test]
    fn logits_are_the_product_in_fixed_point(
        case in product_case(),
        cap in prop_oneof![Just(0.0f32), Just(30.0)],
    ) {
        let (kernels, columns) = (Kernels::REFERENCE, case.tiles * 16);
        let rows = case.rows(kernels);
        let lines = case.columns.next_multiple_of(case.pad) / 4;
        let bias = case.bias.as_deref();
        let product =
            Product::new(&case.weights, lines, &case.scales, bias, rows.view(), columns);
        let mut floats = vec![0.0; product.room()];
        let mut want = vec![0; case.x.len() * columns];
        kernels.product(&product, &mut floats);
        floats.truncate(case.x.len() * columns);
        kernels.soft_cap(&mut floats, cap);
        kernels.logits(&floats, &mut want);
        let starts: Vec<usize> = (0..case.x.len()).map(|row| 3 + row * (columns + 5)).collect();
        for threads in [1, 2] {
            for kernels in all() {
                let mut out = vec![1; 3 + case.x.len() * (columns + 5)];
                let mut scratch = vec![Vec::new(); threads];
                let pool = Pool::new(threads);
                kernels.logits_in(&pool, &product, cap, &mut scratch, &starts, &mut out);
                for (start, want) in starts.iter().zip(want.chunks_exact(columns)) {
                    prop_assert_eq!(&out[*start..start + columns], want);
                    prop_assert_eq!(out[start - 1], 1);
                }
            }
        }
    }

    #[test]
    fn quantised_rows_are_equal(
        x in (1usize..300).prop_flat_map(floats),
        pad in prop_oneof![Just(4usize), Just(64)],
        wide in any::<bool>(),
    ) {
        let quantize = |kernels| {
            let mut rows = QuantizedRows::default();
            rows.resize(1, x.len(), pad, wide);
            rows.levels.fill(99);
            rows.set(kernels, 0, &x);
            let mut whole = vec![0; x.len()];
            let scale = Kernels::quantize_whole(kernels, &x, &mut whole);
            (rows.levels.to_vec(), bits(&rows.scales), rows.corrections, whole, scale.to_bits())
        };
        let want = quantize(Kernels::REFERENCE);
        prop_assert!(want.0.iter().chain(&want.3).all(|level| *level != -128));
        for kernels in others() {
            prop_assert_eq!(&quantize(kernels), &want, "{}", kernels.instructions().name());
        }
    }

    #[test]
    fn norms_gates_and_sums_are_equal(
        (x, y) in (1usize..200).prop_flat_map(|len| (floats(len), floats(len))),
        eps in prop_oneof![Just(0.0f32), Just(1e-5)],
    ) {
        let run = |kernels: Kernels| {
            let (mut normed, mut sum) = (x.clone(), x.clone());
            let mut layer = x.clone();
            // A row of zeros with no epsilon has no norm; weights of real models always come with
            // one.
            kernels.rms_norm(&x, &y, eps.max(1e-12), &mut normed);
            kernels.layer_norm(&x, &y, &y, eps.max(1e-12), &mut layer);
            kernels.add(&mut sum, &y);
            kernels.add_times(&mut sum, 0.3, &x);
            let mut products = [0.0; 2];
            kernels.striped_products(&x, &[&x[..], &y[..]].concat(), &mut products);
            sum.extend(products);
            let (mut gated, mut ungated) = (vec![], vec![]);
            for kind in ACTIVATIONS {
                let mut out = x.clone();
                kernels.activate(kind, &x, &y, &mut out);
                gated.extend(bits(&out));
                kernels.activate(kind, &x, &[], &mut out);
                ungated.extend(bits(&out));
            }
            let mut capped = x.clone();
            kernels.soft_cap(&mut capped, 30.0);
            let normed = [bits(&normed), bits(&layer)];
            (normed, gated, ungated, bits(&sum), bits(&capped))
        };
        let want = run(Kernels::REFERENCE);
        for kernels in others() {
            prop_assert_eq!(&run(kernels), &want, "{}", kernels.instructions().name());
        }
    }

    #[test]
    fn recurrences_are_equal(
        (dim, keys, values, shares) in (1usize..40, 1usize..5).prop_flat_map(|(dim, rows)| {
            let values = floats(rows * RECURRENT_WIDTH);
            (Just(dim), floats(rows * dim), values, vec(0.0f32..=1.0, rows))
        }),
    ) {
        let run = |kernels: Kernels| {
            let mut units = keys.clone();
            units.chunks_exact_mut(dim).for_each(|key| kernels.unit(key, 0.3));
            let (values, _) = values.as_chunks();
            let mut state = vec![[0.25; RECURRENT_WIDTH]; dim];
            let mut out = vec![[0.0; RECURRENT_WIDTH]; values.len()];
            let rows = DeltaRows {
                keys: &units,
                queries: &units,
                values,
                kept: &shares,
                learned: &shares,
            };
            kernels.delta_rule(&mut state, &rows, &mut out);
            let mut convolved = keys.clone();
            kernels.convolve(&[&keys, &units], &[&units, &keys], &mut convolved);
            let (mut silu, mut sigmoid) = (keys.clone(), keys.clone());
            kernels.gate_silu(&mut silu, &units);
            kernels.gate_sigmoid(&mut sigmoid, &units);
            let rest = [units, convolved, silu, sigmoid].concat();
            [bits(out.as_flattened()), bits(state.as_flattened()), bits(&rest)]
        };
        let want = run(Kernels::REFERENCE);
        for kernels in others() {
            prop_assert_eq!(&run(kernels), &want, "{}", kernels.instructions().name());
        }
    }

    #[test]
    fn rotations_are_equal(
        (head, angles) in (1usize..70)
            .prop_flat_map(|pairs| (floats(2 * pairs), vec(any::<u64>(), pairs))),
    ) {
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.into_iter().map(numerics::cos_sin).unzip();
        let run = |kernels: Kernels| {
            let mut out = head.clone();
            kernels.rotate(&head, &cos, &sin, &mut out);
            bits(&out)
        };
        for kernels in others() {
            let name = kernels.instructions().name();
            prop_assert_eq!(run(kernels), run(Kernels::REFERENCE), "{}", name);
        }
    }

    #[test]
    fn softmax_weights_are_equal(
        (scores, scales) in (1usize..40).prop_flat_map(|tiles| {
            let masked = Just(reference::MASKED);
            let score = prop_oneof![4 => -40.0f32..40.0, 1 => masked, 1 => -1e4f32..1e4];
            let scale = prop_oneof![8 => 0.0f32..0.1, 1 => Just(0.0f32), 1 => Just(1e-38f32)];
            (vec(score, tiles * 16), vec(scale, tiles * 16))
        }),
        top in prop_oneof![Just(16383.0f32), Just(1023.0)],
    ) {
        let run = |kernels: Kernels| {
            let mut scores = scores.clone();
            scores[3] = 1.5;
            let (mut high, mut low) = (vec![200; scores.len()], vec![200; scores.len()]);
            let factor = kernels.softmax(&mut scores, &scales, top, &mut high, &mut low);
            (factor.to_bits(), high, low)
        };
        let want = run(Kernels::REFERENCE);
        prop_assert!(want.1.iter().chain(&want.2).all(|half| *half < 128));
        for kernels in others() {
            prop_assert_eq!(&run(kernels), &want, "{}", kernels.instructions().name());
        }
    }

    #[test]
    fn logits_in_fixed_point_are_equal(
        x in vec(prop_oneof![8 => -30.0f32..30.0, 1 => -1e30f32..1e30, 1 => Just(0.0f32)], 1..150),
    ) {
        let run = |kernels: Kernels| {
            let mut logits = vec![0; x.len()];
            kernels.logits(&x, &mut logits);
            logits
        };
        for kernels in others() {
            let name = kernels.instructions().name();
            prop_assert_eq!(run(kernels), run(Kernels::REFERENCE), "{}", name);
        }
    }

    #[test]
    fn weighted_values_are_equal(
        (width, queries, positions) in (1usize..9, prop_oneof![0usize..8, 8usize..36], 0usize..30),
        (before, after) in (0usize..3, 0usize..3),
        seed in any::<u64>(),
        extreme in any::<bool>(),
        // Of 8 weights so many are not zero, as it is after a softmax.
        dense in 0u64..9,
    ) {
        let (width, positions, offset) = (width * 16, positions * 16, before * 16);
        let stride = offset + positions + after * 16;
        let mut state = seed | 1;
        let mut next = |span: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % span
        };
        let values: Vec<i8> = (0..width * positions)
            .map(|_| if extreme { -127 } else { next(255) as i8 })
            .map(|v| v.max(-127))
            .collect();
        let mut half = || -> Vec<u8> {
            let halves = (0..queries * stride).map(|_| match next(8) < dense {
                false => 0,
                true if extreme => 127,
                true => next(128) as u8,
            });
            halves.collect()
        };
        let (high, low) = (half(), half());
        let run = |kernels: Kernels| {
            let mut sums: Vec<i32> = (0..queries * width).map(|i| i as i32 - 40).collect();
            let values = Values {
                values: &values,
                width,
                queries,
                high: &high,
                low: &low,
                stride,
                offset,
                cold: seed % 2 == 0,
            };
            kernels.values(&values, &mut sums);
            sums
        };
        for kernels in others() {
            let name = kernels.instructions().name();
            prop_assert_eq!(run(kernels), run(Kernels::REFERENCE), "{}", name);
        }
    }

}

/// Asserts that the kernels refuse sizes with which they would read or write out of bounds.
fn assert_refused(what: &str, work: impl FnOnce()) {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    assert!(result.is_err(), "{what}");
}

#[test]
fn sizes_that_overflow_are_refused() {
    const WILD: usize = 1 << (usize::BITS - 6);
    let kernels = Kernels::REFERENCE;
    let mut rows = QuantizedRows::default();
    assert_refused("rows", || rows.resize(1 << 60, 1 << 60, 64, false));
    rows.resize(3, 64, 64, false);
    let (tiles, scales) = (vec![128; 16 * LINE], vec![1.0; LANES]);
    let sound = Product::new(&tiles, 16, &scales, None, rows.view(), LANES);
    let mut out = vec![0.0; 3 * LANES];
    kernels.product(&sound, &mut out);
    for (lines, stride, tiles) in [
        (WILD, LANES, &[][..]),
        (16, usize::MAX / 2 + 1, &tiles),
        (16, LANES - 1, &tiles),
        (15, LANES, &tiles),
    ] {
        let product = Product::new(tiles, lines, &scales, None, rows.view(), stride);
        assert_refused("a product", || kernels.product(&product, &mut out));
    }
    let pool = Pool::new(1);
    let (mut scratch, mut logits) = (vec![Vec::new()], vec![0; 3 * LANES]);
    for starts in [
        [0, LANES, usize::MAX - LANES + 1],
        [0, LANES - 1, 2 * LANES],
        [0, LANES, 2 * LANES + 1],
    ] {
        assert_refused("starts", || {
            kernels.logits_in(&pool, &sound, 0.0, &mut scratch, &starts, &mut logits);
        });
    }
}

#[test]
fn values_of_impossible_sizes_are_refused() {
    let (values, halves) = (vec![1i8; 16 * 16], vec![1u8; 16]);
    let sound = Values {
        values: &values,
        width: 16,
        queries: 1,
        high: &halves,
        low: &halves,
        stride: 16,
        offset: 0,
        cold: true,
    };
    let mut sums = vec![0; 16];
    for kernels in all() {
        kernels.values(&sound, &mut sums);
        for wrong in [
            Values { width: 0, ..sound },
            Values { width: 8, ..sound },
            Values {
                width: usize::MAX - 15,
                ..sound
            },
            Values {
                queries: usize::MAX / 16 + 2,
                ..sound
            },
            Values {
                stride: usize::MAX,
                ..sound
            },
            Values { offset: 1, ..sound },
            Values {
                offset: usize::MAX - 7,
                ..sound
            },
            Values {
                stride: 0,
                offset: usize::MAX - 15,
                ..sound
            },
            Values {
                high: &halves[1..],
                ..sound
            },
        ] {
            assert_refused("values", || kernels.values(&wrong, &mut sums));
        }
    }
}

/// Bits of the definition itself: a change here is a new version of the numerics.
#[test]
fn the_reference_does_not_move() {
    let x: Vec<f32> = (0..150u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect();
    let mut rows = QuantizedRows::default();
    rows.resize(1, 150, 64, false);
    let mut normed = x.clone();
    Kernels::REFERENCE.rms_norm(&x, &x, 1e-5, &mut normed);
    rows.set(Kernels::REFERENCE, 0, &normed);
    let weights: Vec<u8> = (0..16 * 192u32).map(|i| (i * 37 % 255) as u8 + 1).collect();
    let scales = [0.01; 16];
    let product = Product::new(&weights, 48, &scales, None, rows.view(), 16);
    let mut out = [0.0; 16];
    Kernels::REFERENCE.product(&product, &mut out);
    let gate = out;
    Kernels::REFERENCE.activate(Activation::Silu, &gate, &x[..16], &mut out);
    let mut scores: Vec<f32> = out.iter().map(|x| x * 3.0).collect();
    let (mut high, mut low) = ([0; 16], [0; 16]);
    let factor = Kernels::REFERENCE.softmax(
        &mut scores,
        &x[16..32].iter().map(|x| x.abs()).collect::<Vec<_>>(),
        16383.0,
        &mut high,
        &mut low,
    );
    let mut logits = [0; 16];
    Kernels::REFERENCE.logits(&out, &mut logits);
    let mut weights = Weights::new(logits.len()).unwrap();
    weights.set(InstructionSet::PORTABLE, &logits, None);
    let mut hash = blake3::Hasher::new();
    for value in normed.iter().chain(&gate).chain(&out).chain([&factor]) {
        hash.update(&value.to_bits().to_le_bytes());
    }
    hash.update(&high).update(&low);
    for row in 0..=logits.len() {
        hash.update(&weights.sum_below(row).to_le_bytes());
    }
    assert_eq!(hash.finalize().to_hex()[..16], *"356229985de93cc7");
}

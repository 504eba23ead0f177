//! The inner loops of the CPU engine: integer products, and float operations in a fixed order.
//!
//! [`mod@reference`] defines the results in plain Rust. The files for AVX2, AVX-512 VNNI, AMX and
//! NEON with dot products give the same bits; an [`InstructionSet`] chooses among them. All calls
//! go through [`Kernels`], which checks every size, so that the loops need not. This folder knows
//! slices and tiles of weights, and nothing of transformers.

mod float_products;
mod operands;
mod recurrence;
pub mod reference;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;

use crate::arch::block::Activation;
use crate::arch::config::GROUP;
use crate::machine::instructions::{Family, InstructionSet, compile_for_each};
use crate::machine::pool::{Pool, Raw};
use std::ops::Range;

use operands::RowLevels;
pub use recurrence::{DeltaRows, WIDTH as RECURRENT_WIDTH};

pub use operands::{
    LANES, Product, QuantizedRowMut, QuantizedRows, QuantizedRowsRef, Values, levels_of,
};

/// The operations of the engine, in code compiled for one instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels(InstructionSet);

// The operations that every instruction set compiles from the reference's safe code.
compile_for_each! {
    fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) = reference::rms_norm;
    fn layer_norm(
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        eps: f32,
        out: &mut [f32],
    ) = reference::layer_norm;
    fn quantize(
        x: &[f32],
        levels: &mut [i8],
        scales: &mut [f32],
        corrections: &mut [i32],
    ) = reference::quantize;
    fn left_over(
        x: &[f32],
        levels: &[i8],
        scales: &[f32],
        out: &mut [f32],
    ) = reference::left_over;
    fn quantize_whole(x: &[f32], levels: &mut [i8]) -> f32 = reference::quantize_whole;
    fn activate(
        kind: Activation,
        gate: &[f32],
        up: &[f32],
        out: &mut [f32],
    ) = reference::activate;
    fn soft_cap(x: &mut [f32], cap: f32) = reference::soft_cap;
    fn add(x: &mut [f32], y: &[f32]) = reference::add;
    fn add_times(x: &mut [f32], factor: f32, y: &[f32]) = reference::add_times;
    fn striped_products(x: &[f32], w: &[f32], out: &mut [f32]) = reference::striped_products;
    fn rotate(head: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) = reference::rotate;
    fn softmax(
        scores: &mut [f32],
        value_scales: &[f32],
        top: f32,
        high: &mut [u8],
        low: &mut [u8],
    ) -> f32 = reference::softmax;
    fn scale_sums(sums: &[i32], factor: f32, out: &mut [f32]) = reference::scale_sums;
    fn logits(x: &[f32], out: &mut [i32]) = reference::logits;
    fn convolve(rows: &[&[f32]], weights: &[&[f32]], out: &mut [f32]) = recurrence::convolve;
    fn unit(x: &mut [f32], factor: f32) = recurrence::unit;
    fn delta_rule(
        state: &mut [[f32; RECURRENT_WIDTH]],
        rows: &DeltaRows<'_>,
        out: &mut [[f32; RECURRENT_WIDTH]],
    ) = recurrence::delta_rule;
    fn gate_silu(x: &mut [f32], gate: &[f32]) = recurrence::gate_silu;
    fn gate_sigmoid(x: &mut [f32], gate: &[f32]) = recurrence::gate_sigmoid;
    fn float_product(x: &[f32], w: &[f32], width: usize, out: &mut [f32])
        = float_products::float_product;
    fn float_weighted(weights: &[f32], values: &[f32], out: &mut [f32])
        = float_products::float_weighted;
}

/// Calls the function of this name in the module written for the instruction set.
macro_rules! dispatch {
    ($kernels:expr, $operation:ident ( $($argument:expr),* $(,)? )) => {
        // SAFETY: an `InstructionSet` is proof that the processor has the instructions and that
        // this process may use them. What the operation itself requires is shown where it is
        // called.
        unsafe {
            match $kernels.0.family() {
                Family::Portable => reference::$operation($($argument),*),
                #[cfg(target_arch = "x86_64")]
                Family::Avx2 => avx2::$operation($($argument),*),
                #[cfg(target_arch = "x86_64")]
                Family::Avx512 => avx512vnni::$operation($($argument),*),
                #[cfg(target_arch = "x86_64")]
                Family::Amx => amx::$operation($($argument),*),
                #[cfg(target_arch = "aarch64")]
                Family::Neon => neon::$operation($($argument),*),
            }
        }
    };
}

impl Kernels {
    /// The definition of the results: plain Rust, compiled for instructions that every processor of
    /// the architecture has.
    pub const REFERENCE: Kernels = Kernels(InstructionSet::PORTABLE);

    /// The operations in code compiled for `instructions`.
    pub fn new(instructions: InstructionSet) -> Kernels {
        Kernels(instructions)
    }

    /// The instruction set that the operations are compiled for.
    pub fn instructions(self) -> InstructionSet {
        self.0
    }

    /// Root-mean-square norm of `x` times `weight`; all of one length.
    pub fn rms_norm(self, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        assert!(x.len() == weight.len() && x.len() == out.len());
        rms_norm(self.0, x, weight, eps, out);
    }

    /// Norm of `x` without its mean, times `weight`, plus `bias`; all of one length.
    pub fn layer_norm(self, x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
        assert!(x.len() == weight.len() && x.len() == bias.len() && x.len() == out.len());
        layer_norm(self.0, x, weight, bias, eps, out);
    }

    /// Quantises `x` in groups of 64. `levels` is at least as long as `x` and has no more groups;
    /// `scales` and `corrections` have one value for each group.
    pub fn quantize(
        self,
        x: &[f32],
        levels: &mut [i8],
        scales: &mut [f32],
        corrections: &mut [i32],
    ) {
        let groups = x.len().div_ceil(GROUP);
        assert!(levels.len() >= x.len() && levels.len() <= groups * GROUP);
        assert!(scales.len() == groups && corrections.len() == groups);
        quantize(self.0, x, levels, scales, corrections);
    }

    /// What quantisation in groups has lost: `x` minus level times scale. `levels` is at least as
    /// long as `x`, `out` exactly so, and `scales` has one value for each group.
    pub fn left_over(self, x: &[f32], levels: &[i8], scales: &[f32], out: &mut [f32]) {
        assert!(levels.len() >= x.len() && out.len() == x.len());
        assert!(scales.len() == x.len().div_ceil(GROUP));
        left_over(self.0, x, levels, scales, out);
    }

    /// Quantises `x` with one scale, which is returned.
    pub fn quantize_whole(self, x: &[f32], levels: &mut [i8]) -> f32 {
        assert!(x.len() == levels.len());
        quantize_whole(self.0, x, levels)
    }

    /// `f(gate) * up`, with the function f that `kind` names; all of one length. Without a gate,
    /// `up` is empty.
    pub fn activate(self, kind: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
        assert!(up.is_empty() || gate.len() == up.len());
        assert!(gate.len() == out.len());
        activate(self.0, kind, gate, up, out);
    }

    /// `x = cap * tanh(x / cap)`; a cap of 0 leaves x as it is.
    pub fn soft_cap(self, x: &mut [f32], cap: f32) {
        if cap != 0.0 {
            soft_cap(self.0, x, cap);
        }
    }

    /// `x += y`; both of one length.
    pub fn add(self, x: &mut [f32], y: &[f32]) {
        assert!(x.len() == y.len());
        add(self.0, x, y);
    }

    /// `x += factor * y`; both of one length.
    pub fn add_times(self, x: &mut [f32], factor: f32, y: &[f32]) {
        assert!(x.len() == y.len());
        add_times(self.0, x, factor, y);
    }

    /// `out[n]` is the striped sum of `x * w[n]`, rows of the length of x.
    pub fn striped_products(self, x: &[f32], w: &[f32], out: &mut [f32]) {
        assert!(x.len().checked_mul(out.len()) == Some(w.len()));
        striped_products(self.0, x, w, out);
    }

    /// Rotary embedding of one head; `cos` and `sin` have one value for each pair (i, i + half).
    pub fn rotate(self, head: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
        assert!(cos.len() == sin.len() && head.len() == 2 * cos.len() && out.len() == head.len());
        rotate(self.0, head, cos, sin, out);
    }

    /// Turns the scores of one query into integer weights; see [`reference::softmax`]. All slices
    /// have one length, a multiple of 16. At least one score is not masked.
    pub fn softmax(
        self,
        scores: &mut [f32],
        value_scales: &[f32],
        top: f32,
        high: &mut [u8],
        low: &mut [u8],
    ) -> f32 {
        let len = scores.len();
        assert!(
            len.is_multiple_of(LANES)
                && value_scales.len() == len
                && high.len() == len
                && low.len() == len
        );
        softmax(self.0, scores, value_scales, top, high, low)
    }

    /// `sums * factor`; both of one length.
    pub fn scale_sums(self, sums: &[i32], factor: f32, out: &mut [f32]) {
        assert!(sums.len() == out.len());
        scale_sums(self.0, sums, factor, out);
    }

    /// Turns logits in nats into units of 2^-16 bit; both of one length.
    pub fn logits(self, x: &[f32], out: &mut [i32]) {
        assert!(x.len() == out.len());
        logits(self.0, x, out);
    }

    /// `out = z * sigmoid(z)`, with z the sum of `rows[tap] * weights[tap]` in the order of the
    /// taps; all of one length.
    pub fn convolve(self, rows: &[&[f32]], weights: &[&[f32]], out: &mut [f32]) {
        assert!(rows.len() == weights.len());
        let fits = |row: &&[f32]| row.len() == out.len();
        assert!(rows.iter().all(fits) && weights.iter().all(fits));
        convolve(self.0, rows, weights, out);
    }

    /// `x = (x / sqrt(sum of x^2 + 1e-6)) * factor`
    pub fn unit(self, x: &mut [f32], factor: f32) {
        unit(self.0, x, factor);
    }

    /// Runs the gated delta rule over rows: columns of the state, `[key_dim]`, decay; what they
    /// then have for the key moves towards the value; `out`, `[rows]`, gets what they have for the
    /// query.
    pub fn delta_rule(
        self,
        state: &mut [[f32; RECURRENT_WIDTH]],
        rows: &DeltaRows<'_>,
        out: &mut [[f32; RECURRENT_WIDTH]],
    ) {
        let numbers = Some(rows.keys.len());
        assert!(out.len().checked_mul(state.len()) == numbers);
        assert!(rows.queries.len() == rows.keys.len() && rows.values.len() == out.len());
        assert!(rows.kept.len() == out.len() && rows.learned.len() == out.len());
        delta_rule(self.0, state, rows, out);
    }

    /// `x = x * (gate * sigmoid(gate))`; both of one length.
    pub fn gate_silu(self, x: &mut [f32], gate: &[f32]) {
        assert!(x.len() == gate.len());
        gate_silu(self.0, x, gate);
    }

    /// `x = x * sigmoid(gate)`; both of one length.
    pub fn gate_sigmoid(self, x: &mut [f32], gate: &[f32]) {
        assert!(x.len() == gate.len());
        gate_sigmoid(self.0, x, gate);
    }

    /// `out[n][r] = x[r] . w[n]` in f32, rows of `width` values; not exact, see
    /// [`crate::check::float`].
    pub fn float_product(self, x: &[f32], w: &[f32], width: usize, out: &mut [f32]) {
        assert!(x.len().is_multiple_of(width) && w.len().is_multiple_of(width));
        assert!(out.len() == x.len() / width * (w.len() / width));
        float_product(self.0, x, w, width, out);
    }

    /// `out += sum of weights[j] * values[j]` in f32; not exact, see [`crate::check::float`].
    pub fn float_weighted(self, weights: &[f32], values: &[f32], out: &mut [f32]) {
        assert!(values.len() == weights.len() * out.len());
        float_weighted(self.0, weights, values, out);
    }

    /// One product on this thread.
    pub fn product(self, product: &Product<'_>, out: &mut [f32]) {
        product.check(out.len());
        // SAFETY: `check` has seen every slice long enough, and `out` is ours alone.
        unsafe { self.tiles(product, 0..product.tile_count(), &Raw(out.as_mut_ptr())) };
    }

    /// Some tiles of a product.
    ///
    /// # Safety
    /// `product.check` has passed for `out`, `tiles` are among its tiles, and no other thread
    /// touches their columns.
    unsafe fn tiles(self, product: &Product<'_>, tiles: Range<usize>, out: &Raw<f32>) {
        if !product.rows.wide {
            dispatch!(self, product(product, tiles, out.at(0)));
            return;
        }
        let without_bias = &Product {
            bias: None,
            ..*product
        };
        dispatch!(self, product(without_bias, tiles.clone(), out.at(0)));
        let (columns, rows) = (tiles.start * LANES..tiles.end * LANES, product.rows());
        for row in 0..rows {
            let at = |row: usize| out.at(row * product.stride + columns.start);
            // SAFETY: different rows, in bounds as `check` has seen; the columns are ours alone.
            let (first, second) = unsafe {
                let len = columns.len();
                let first = std::slice::from_raw_parts_mut(at(row), len);
                (first, std::slice::from_raw_parts(at(rows + row), len))
            };
            self.add(first, second);
            if let Some(bias) = product.bias {
                self.add(first, &bias[columns.clone()]);
            }
        }
    }

    /// One product, shared by the threads of `pool`.
    pub fn product_in(self, pool: &Pool, product: &Product<'_>, out: &mut [f32]) {
        product.check(out.len());
        let tiles = product.tile_count();
        // Shares of at least 32 kB of weights, at most eight a thread.
        let smallest = (512 / product.lines.max(1)).max(4);
        let share = tiles
            .div_ceil(pool.threads() * 8)
            .max(smallest)
            .next_multiple_of(4);
        let out = Raw(out.as_mut_ptr());
        pool.run(tiles.div_ceil(share), &|_, task| {
            let range = task * share..tiles.min((task + 1) * share);
            // SAFETY: `check` has seen every slice long enough; the tasks write different columns.
            unsafe { self.tiles(product, range, &out) };
        });
    }

    /// One product, shared by the threads of `pool` and turned into logits: row i goes to `out`
    /// from `starts[i]` on, in units of 2^-16 bit, after [`Kernels::soft_cap`]. `scratch` has one
    /// buffer for each thread.
    pub fn logits_in(
        self,
        pool: &Pool,
        product: &Product<'_>,
        cap: f32,
        scratch: &mut [Vec<f32>],
        starts: &[usize],
        out: &mut [i32],
    ) {
        let columns = product.tile_count() * LANES;
        let (rows, all_rows) = (product.rows(), product.rows.count);
        // The last start that leaves room for a row; sums with it cannot overflow.
        let last = out.len().checked_sub(columns);
        let fits = |start: &usize| last.is_some_and(|last| *start <= last);
        assert!(starts.len() == rows && starts.iter().all(fits));
        assert!(starts.windows(2).all(|pair| pair[0] + columns <= pair[1]));
        assert!(scratch.len() >= pool.threads());
        let tiles = product.tile_count();
        let share = (4096 / rows.max(1)).clamp(4, 64).next_multiple_of(4);
        let (scratch, out) = (Raw(scratch.as_mut_ptr()), Raw(out.as_mut_ptr()));
        pool.run(tiles.div_ceil(share), &|thread, task| {
            let range = task * share..tiles.min((task + 1) * share);
            // SAFETY: no two calls at the same time have the same thread number.
            let buffer = unsafe { &mut *scratch.at(thread) };
            let stride = range.len() * LANES;
            buffer.resize(all_rows * stride, 0.0);
            self.product(&product.part(range.clone(), stride), buffer);
            self.soft_cap(&mut buffer[..rows * stride], cap);
            for (start, values) in starts.iter().zip(buffer.chunks_exact(stride)) {
                // SAFETY: in bounds and apart from every other row by the checks above, and from
                // every other task by its columns.
                let out = unsafe {
                    std::slice::from_raw_parts_mut(out.at(start + range.start * LANES), stride)
                };
                self.logits(values, out);
            }
        });
    }

    /// Adds weighted values to `sums`, `values.width` for each query.
    pub fn values(self, values: &Values<'_>, sums: &mut [i32]) {
        values.check(sums.len());
        // `check` has seen every slice long enough.
        dispatch!(self, values(values, sums));
    }
}

impl QuantizedRows {
    /// Quantises `x` into row `row`.
    pub fn set(&mut self, kernels: Kernels, row: usize, x: &[f32]) {
        self.slots().nth(row).expect("row in range").set(kernels, x);
    }
}

impl QuantizedRowMut<'_> {
    /// Quantises `x` into this row.
    pub fn set(&mut self, kernels: Kernels, x: &[f32]) {
        assert!(x.len() == self.columns);
        self.first.set(kernels, x);
        if let Some(second) = &mut self.second {
            let mut left_over = vec![0.0; x.len()];
            kernels.left_over(x, self.first.levels, self.first.scales, &mut left_over);
            second.set(kernels, &left_over);
        }
    }
}

impl RowLevels<'_> {
    fn set(&mut self, kernels: Kernels, x: &[f32]) {
        let used = self.levels.len().min(x.len().div_ceil(GROUP) * GROUP);
        kernels.quantize(x, &mut self.levels[..used], self.scales, self.corrections);
    }
}

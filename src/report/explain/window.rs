//! Measures the bits that a longer context saves: the cost under the model alone, with attention
//! windows of several lengths.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::codec::Symbol;
use crate::codec::costs;
use crate::engine::{Engine, Runtime};
use crate::{Error, Model};

/// Windows measured, in tokens, as far as the model's own window reaches.
const WINDOWS: [usize; 4] = [16, 64, 256, 1024];
/// Tokens of one stretch. The model starts each stretch with an empty context.
const STRETCH: usize = 1024;
/// Most stretches taken from a file; they are spread evenly over it.
const STRETCHES: usize = 24;

/// What the model alone pays with one length of window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowCost {
    /// Tokens that the model sees.
    pub tokens: usize,
    /// Over all stretches.
    pub all: Cost,
    /// By the number of tokens before the predicted one: 0, 1, 2 to 3, 4 to 7 and so on.
    pub by_position: Vec<Cost>,
    /// Which part of the file was measured.
    pub sample: Sampling,
    /// Standard error of the bits per byte of `all` as those of the whole file. It is that of a
    /// ratio of sums over a random sample without replacement: W. G. Cochran, "Sampling Techniques"
    /// (1977), section 6.4. 0 if all stretches were measured, `None` if only one of several was.
    pub standard_error: Option<f64>,
}

/// How many stretches of a file were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Stretches measured.
    pub measured: usize,
    /// Stretches in the file.
    pub all: usize,
}

/// A number of bytes and what they cost together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Original bytes.
    pub bytes: u64,
    /// Bits.
    pub bits: f64,
}

impl WindowCost {
    /// Number of tokens before the first position of class `class` of
    /// [`by_position`](WindowCost::by_position).
    pub fn first_position(class: usize) -> usize {
        match class {
            0 => 0,
            _ => 1 << (class - 1),
        }
    }
}

impl Cost {
    /// Bits per byte; `None` if there are no bytes.
    pub fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.bits / self.bytes as f64)
    }

    pub(super) fn add(&mut self, bytes: u64, bits: f64) {
        self.bytes += bytes;
        self.bits += bits;
    }
}

/// Measures every window on stretches of `bytes`. `on_window` is told how many windows are done,
/// and how many there are, and may cancel.
pub(super) fn measure(
    model: &Model,
    bytes: &[u8],
    on_window: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Vec<WindowCost>, Error> {
    let packed = model.runtime().model();
    let (stretches, all) = stretches(model, bytes);
    if stretches.is_empty() {
        return Ok(Vec::new());
    }
    let windows: Vec<usize> = WINDOWS
        .into_iter()
        .filter(|&window| window <= packed.config().window)
        .collect();
    let mut measured = Vec::new();
    for (done, &tokens) in windows.iter().enumerate() {
        if on_window(done, windows.len()).is_break() {
            return Err(Error::Cancelled);
        }
        let cut = Engine::new(Arc::clone(packed), model.engine_options())?.with_window(tokens);
        measured.push(with_window(Arc::new(cut), tokens, &stretches, all)?);
    }
    Ok(measured)
}

fn with_window(
    runtime: Arc<dyn Runtime>,
    tokens: usize,
    stretches: &[Vec<u32>],
    all: usize,
) -> Result<WindowCost, Error> {
    let mut of_stretches = Vec::new();
    let table = runtime.model().tokens();
    let mut window = WindowCost {
        tokens,
        all: Cost::default(),
        by_position: Vec::new(),
        sample: Sampling {
            measured: stretches.len(),
            all,
        },
        standard_error: None,
    };
    for rows in stretches {
        let before = window.all;
        for (position, (bits, &row)) in costs(&runtime, rows)?.into_iter().zip(rows).enumerate() {
            let bytes = table.bytes(row).len() as u64;
            let class = position.checked_ilog2().map_or(0, |log| log as usize + 1);
            if class == window.by_position.len() {
                window.by_position.push(Cost::default());
            }
            window.by_position[class].add(bytes, bits);
            window.all.add(bytes, bits);
        }
        of_stretches.push(Cost {
            bytes: window.all.bytes - before.bytes,
            bits: window.all.bits - before.bits,
        });
    }
    window.standard_error = standard_error(&of_stretches, all);
    Ok(window)
}

/// The standard error of the bits per byte of a file with `all` stretches of which `measured` were
/// drawn.
fn standard_error(measured: &[Cost], all: usize) -> Option<f64> {
    let count = measured.len();
    if count == all {
        return Some(0.0);
    }
    let bytes = measured.iter().map(|one| one.bytes).sum::<u64>() as f64;
    let bits: f64 = measured.iter().map(|one| one.bits).sum();
    let ratio = bits / bytes;
    let squares = measured
        .iter()
        .map(|one| (one.bits - ratio * one.bytes as f64).powi(2));
    let variance = squares.sum::<f64>() * count as f64 / (count - 1) as f64;
    let left_out = 1.0 - count as f64 / all as f64;
    (count > 1).then(|| (variance * left_out).sqrt() / bytes)
}

/// Stretches of tokens, spread evenly over the file, and how many there are in it. Bytes for which
/// the vocabulary has no token are left out: the model never sees them.
fn stretches(model: &Model, bytes: &[u8]) -> (Vec<Vec<u32>>, usize) {
    let symbols = model.tokenizer().encode(bytes);
    let rows: Vec<u32> = symbols.iter().filter_map(Symbol::token).collect();
    let whole: Vec<&[u32]> = rows.chunks(STRETCH).collect();
    let count = whole.len().min(STRETCHES);
    let drawn = (0..count).map(|i| whole[i * whole.len() / count].to_vec());
    (drawn.collect(), whole.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_double() {
        assert_eq!(
            [0, 1, 2, 3, 11].map(WindowCost::first_position),
            [0, 1, 2, 4, 1024]
        );
    }

    #[test]
    fn a_sample_has_an_error_and_a_whole_file_none() {
        let cost = |bits| Cost { bytes: 100, bits };
        let costs = [cost(190.0), cost(200.0), cost(210.0)];
        assert_eq!(standard_error(&costs, 3), Some(0.0));
        // Of six stretches: the variance of a mean, 100 / 3, half of which remains.
        let expected = (100.0f64 / 3.0 / 2.0).sqrt() / 100.0;
        let found = standard_error(&costs, 6).unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        assert_eq!(standard_error(&costs[..1], 6), None);
    }
}

//! Measures the bits that a longer context saves: the cost under the model alone, with attention
//! windows of several lengths.

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
/// and how many there are.
pub(super) fn measure(
    model: &Model,
    bytes: &[u8],
    on_window: &mut dyn FnMut(usize, usize),
) -> Result<Vec<WindowCost>, Error> {
    let packed = model.runtime().model();
    let stretches = stretches(model, bytes);
    if stretches.is_empty() {
        return Ok(Vec::new());
    }
    let windows: Vec<usize> = WINDOWS
        .into_iter()
        .filter(|&window| window <= packed.config().window)
        .collect();
    let mut measured = Vec::new();
    for (done, &tokens) in windows.iter().enumerate() {
        on_window(done, windows.len());
        let cut = Engine::new(Arc::clone(packed), model.engine_options())?.with_window(tokens);
        measured.push(with_window(Arc::new(cut), tokens, &stretches)?);
    }
    Ok(measured)
}

fn with_window(
    runtime: Arc<dyn Runtime>,
    tokens: usize,
    stretches: &[Vec<u32>],
) -> Result<WindowCost, Error> {
    let table = runtime.model().tokens();
    let mut window = WindowCost {
        tokens,
        all: Cost::default(),
        by_position: Vec::new(),
    };
    for rows in stretches {
        for (position, (bits, &row)) in costs(&runtime, rows)?.into_iter().zip(rows).enumerate() {
            let bytes = table.bytes(row).len() as u64;
            let class = position.checked_ilog2().map_or(0, |log| log as usize + 1);
            if class == window.by_position.len() {
                window.by_position.push(Cost::default());
            }
            window.by_position[class].add(bytes, bits);
            window.all.add(bytes, bits);
        }
    }
    Ok(window)
}

/// Stretches of tokens, spread evenly over the file. Bytes for which the vocabulary has no token
/// are left out: the model never sees them.
fn stretches(model: &Model, bytes: &[u8]) -> Vec<Vec<u32>> {
    let symbols = model.tokenizer().encode(bytes);
    let rows: Vec<u32> = symbols.iter().filter_map(Symbol::token).collect();
    let whole: Vec<&[u32]> = rows.chunks(STRETCH).collect();
    let count = whole.len().min(STRETCHES);
    (0..count)
        .map(|i| whole[i * whole.len() / count].to_vec())
        .collect()
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
}

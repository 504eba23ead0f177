//! What looking back is worth: the model by itself, its window cut shorter and shorter.

use std::sync::Arc;

use crate::codec::Symbol;
use crate::codec::costs;
use crate::engine::{Engine, Runtime};
use crate::{Error, Model};

/// Windows tried, where the model's own is at least as long.
const WINDOWS: [usize; 4] = [16, 64, 256, 1024];
/// Tokens of a stretch, before which the model has seen nothing.
const STRETCH: usize = 1024;
/// The most stretches taken from a file, evenly spread.
const STRETCHES: usize = 24;

/// The model with one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Tokens it sees.
    pub tokens: usize,
    /// Over all stretches.
    pub all: Cost,
    /// By how many tokens came before: 0, 1, 2 to 3, 4 to 7 and so on.
    pub by_position: Vec<Cost>,
}

/// Bits spent on bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Original bytes.
    pub bytes: u64,
    /// Bits.
    pub bits: f64,
}

impl Cost {
    /// Bits a byte; `None` without bytes.
    pub fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.bits / self.bytes as f64)
    }

    pub(super) fn add(&mut self, bytes: u64, bits: f64) {
        self.bytes += bytes;
        self.bits += bits;
    }
}

/// Measures every window on stretches of `bytes`; `on_window` hears how many of how many are done.
pub(in crate::report) fn measure(
    model: &Model,
    bytes: &[u8],
    on_window: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Window>, Error> {
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
        measured.push(one(Arc::new(cut), tokens, &stretches)?);
    }
    Ok(measured)
}

fn one(runtime: Arc<dyn Runtime>, tokens: usize, stretches: &[Vec<u32>]) -> Result<Window, Error> {
    let table = runtime.model().tokens();
    let mut window = Window {
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

/// Stretches of tokens, evenly spread over the file. Bytes outside the vocabulary are left out, as the model never sees them.
fn stretches(model: &Model, bytes: &[u8]) -> Vec<Vec<u32>> {
    let pieces = model.tokenizer().encode(bytes);
    let rows: Vec<u32> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Symbol::Token(row) => Some(*row),
            Symbol::Byte(_) => None,
        })
        .collect();
    let whole: Vec<&[u32]> = rows.chunks(STRETCH).collect();
    let count = whole.len().min(STRETCHES);
    (0..count)
        .map(|i| whole[i * whole.len() / count].to_vec())
        .collect()
}

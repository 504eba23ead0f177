//! Where the bits of a file go: what each token cost, what the model expected, and whether model or experts knew better.
//!
//! What a token *cost* is the ideal code length of its decisions in the frame that `compress` writes. What the *model by
//! itself* would have paid comes from the same run; what the *experts by themselves* would have paid is measured by a
//! second run without a model, byte by byte. What the model's window is worth is measured apart, see [`Window`].

mod kind;
mod page;
pub mod render;
pub(super) mod window;

pub use kind::Kind;
pub use window::{Cost, Window};

use super::{OnStep, ReportError, Rung, Sample};
use crate::TracedBlock;
use crate::codec::ledger::{Entry, GUESSES};

/// Peaks listed.
const PEAKS: usize = 20;

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The file's name.
    pub name: String,
    /// The rung's name.
    pub rung: String,
    /// Parameters of its model, 0 without one.
    pub parameters: u64,
    /// Original bytes.
    pub original: u64,
    /// Compressed bytes, the whole frame.
    pub compressed: u64,
    /// Ideal code length of the whole file in bits.
    pub cross_entropy: f64,
    /// The file in pieces: tokens where the model coded, else runs of similar characters.
    pub pieces: Vec<Piece>,
    /// One for each [`Kind`], in the order of [`Kind::ALL`].
    pub kinds: Vec<Kinds>,
    /// Over the pieces on which the model had an opinion; `None` if there is none.
    pub voices: Option<Voices>,
    /// The model with its window cut, the shortest first; empty without a model.
    pub windows: Vec<Window>,
    /// The dearest pieces, the dearest first, by their number.
    pub peaks: Vec<usize>,
}

/// A stretch of the file that was coded together.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// What it cost, in bits.
    pub bits: f32,
    /// What the experts by themselves would have paid for it, in bits.
    pub experts: f32,
    /// What the model thought of it, if it was asked.
    pub model: Option<Opinion>,
}

/// What the model by itself thought of a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// What it would have paid, in bits.
    pub bits: f32,
    /// 1 for the token it thought most probable.
    pub rank: u32,
    /// What it thought most probable, best first, and how probable.
    pub guesses: Vec<(Vec<u8>, f32)>,
}

/// All pieces of a kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kinds {
    /// Which.
    pub kind: Kind,
    /// Pieces.
    pub pieces: u64,
    /// Their bytes and bits.
    pub cost: Cost,
}

/// Model and experts beside each other.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Voices {
    /// Pieces that the model alone would have coded in fewer bits, and what they cost.
    pub model: Better,
    /// Pieces that the experts alone would have coded in fewer or as many.
    pub experts: Better,
    /// What the model alone would have paid for all of them.
    pub model_bits: f64,
    /// What the experts alone would have paid.
    pub experts_bits: f64,
    /// What they cost with both.
    pub bits: f64,
}

/// Where one of two voices was better.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Better {
    /// Pieces.
    pub pieces: u64,
    /// Bits by which it was better than the other, in all.
    pub saved: f64,
}

/// Measures `sample` with `rung`.
///
/// # Errors
///
/// If compression fails.
pub fn measure(
    sample: &Sample,
    rung: &Rung,
    on_step: OnStep<'_>,
) -> Result<Explanation, ReportError> {
    let (summary, blocks) = rung.trace(sample, on_step)?;
    let alone = match rung.parameters() {
        0 => each_byte(&blocks),
        _ => each_byte(&Rung::experts().trace(sample, on_step)?.1),
    };
    let pieces = pieces(sample, rung, &blocks, &alone);
    Ok(Explanation {
        name: sample.name.clone(),
        rung: rung.name().to_owned(),
        parameters: rung.parameters(),
        original: summary.original_len,
        compressed: summary.compressed_len,
        cross_entropy: summary.cross_entropy.unwrap_or_default(),
        kinds: kinds(&pieces),
        voices: voices(&pieces),
        windows: rung.windows(sample, on_step)?,
        peaks: peaks(&pieces),
        pieces,
    })
}

/// What each byte cost in blocks without a model, 8 bits where they are stored.
fn each_byte(blocks: &[TracedBlock]) -> Vec<f32> {
    let mut costs = Vec::new();
    for block in blocks {
        match block.entries.is_empty() {
            true => costs.extend((0..block.original_len).map(|_| 8.0)),
            false => costs.extend(block.entries.iter().map(|entry| entry.bits)),
        }
    }
    costs
}

/// The whole file, block by block.
fn pieces(sample: &Sample, rung: &Rung, blocks: &[TracedBlock], alone: &[f32]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for block in blocks {
        let end = start + block.original_len as usize;
        let block_bytes = &sample.bytes[start..end];
        let entries = match block.entries.iter().any(|entry| entry.opinion.is_some()) {
            true => block.entries.clone(),
            false => joined(block_bytes, &each_byte(std::slice::from_ref(block))),
        };
        for entry in entries {
            let next = start + entry.len as usize;
            let bytes = &sample.bytes[start..next];
            pieces.push(Piece {
                bytes: bytes.to_vec(),
                kind: Kind::of(bytes, &sample.bytes[..start]),
                bits: entry.bits,
                experts: alone[start..next].iter().sum(),
                model: entry.opinion.map(|opinion| opinion_of(rung, &opinion)),
            });
            start = next;
        }
    }
    pieces
}

/// Bytes and what each cost, as pieces that can be read.
fn joined(bytes: &[u8], costs: &[f32]) -> Vec<Entry> {
    let mut start = 0;
    let mut entries = Vec::new();
    for len in kind::cut(bytes) {
        entries.push(Entry {
            len: len as u32,
            bits: costs[start..start + len].iter().sum(),
            opinion: None,
        });
        start += len;
    }
    entries
}

fn opinion_of(rung: &Rung, opinion: &crate::codec::ledger::Opinion) -> Opinion {
    let mut guesses = Vec::with_capacity(GUESSES);
    for guess in opinion.guesses.iter().flatten() {
        guesses.push((rung.token(guess.row), guess.probability));
    }
    Opinion {
        bits: opinion.bits,
        rank: opinion.rank,
        guesses,
    }
}

fn kinds(pieces: &[Piece]) -> Vec<Kinds> {
    let mut kinds = Kind::ALL.map(|kind| Kinds {
        kind,
        pieces: 0,
        cost: Cost::default(),
    });
    for piece in pieces {
        let sum = &mut kinds[piece.kind as usize];
        sum.pieces += 1;
        sum.cost
            .add(piece.bytes.len() as u64, f64::from(piece.bits));
    }
    kinds.to_vec()
}

fn voices(pieces: &[Piece]) -> Option<Voices> {
    let mut voices = Voices::default();
    for piece in pieces {
        let Some(opinion) = &piece.model else {
            continue;
        };
        let (model, experts) = (f64::from(opinion.bits), f64::from(piece.experts));
        let better = match model < experts {
            true => &mut voices.model,
            false => &mut voices.experts,
        };
        better.pieces += 1;
        better.saved += (model - experts).abs();
        voices.model_bits += model;
        voices.experts_bits += experts;
        voices.bits += f64::from(piece.bits);
    }
    (voices.model.pieces + voices.experts.pieces > 0).then_some(voices)
}

fn peaks(pieces: &[Piece]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    // Stable, so that of equals the first comes first.
    order.sort_by(|&a, &b| pieces[b].bits.total_cmp(&pieces[a].bits));
    order.truncate(PEAKS);
    order
}

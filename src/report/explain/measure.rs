//! Measures an [`Explanation`].

use std::io;

use super::cut;
use super::explanation::{
    Advantage, Explanation, KindTotals, ModelAlone, ModelVersusExperts, Piece,
};
use super::kind::PieceKind;
use super::window::{self, Cost, WindowCost};
use crate::Summary;
use crate::codec::cost::{ModelPrediction, SymbolCost};
use crate::frame::{TracedBlock, trace};
use crate::report::{Candidate, OnMeasureProgress, Phase, ReportError, Sample};

/// Number of most expensive pieces listed.
const PEAKS: usize = 20;

/// Measures where the bits of `sample` go when `candidate` compresses it.
///
/// # Errors
///
/// [`ReportError::Llmzip`] if compression fails.
pub fn measure(
    sample: &Sample,
    candidate: &Candidate,
    on_progress: OnMeasureProgress<'_>,
) -> Result<Explanation, ReportError> {
    let (summary, blocks) = costs(sample, candidate, on_progress)?;
    let experts_alone = match candidate.model() {
        None => cost_of_each_byte(&blocks),
        Some(_) => cost_of_each_byte(&costs(sample, &Candidate::experts_alone(), on_progress)?.1),
    };
    let pieces = pieces(sample, candidate, &blocks, &experts_alone);
    Ok(Explanation {
        name: sample.name.clone(),
        model: candidate.name().to_owned(),
        parameters: candidate.parameters(),
        original: summary.original_len,
        compressed: summary.compressed_len,
        cross_entropy: summary.cross_entropy.unwrap_or_default(),
        kinds: totals_by_kind(&pieces),
        model_versus_experts: model_versus_experts(&pieces),
        windows: windows(sample, candidate, on_progress)?,
        peaks: peaks(&pieces),
        pieces,
    })
}

/// Compresses `sample`, discards the result and returns what each symbol cost.
fn costs(
    sample: &Sample,
    candidate: &Candidate,
    on_progress: OnMeasureProgress<'_>,
) -> Result<(Summary, Vec<TracedBlock>), ReportError> {
    let mut blocks = Vec::new();
    let summary = trace(
        sample.bytes.as_slice(),
        io::sink(),
        &candidate.options(),
        &mut |block| blocks.push(block),
        &mut |progress| on_progress(candidate.progress(sample, Phase::Compress, progress.original)),
    )
    .map_err(|error| candidate.failed(sample, error))?;
    Ok((summary, blocks))
}

/// What contexts of several lengths are worth on `sample`; empty without a model.
fn windows(
    sample: &Sample,
    candidate: &Candidate,
    on_progress: OnMeasureProgress<'_>,
) -> Result<Vec<WindowCost>, ReportError> {
    let Some(model) = candidate.model() else {
        return Ok(Vec::new());
    };
    window::measure(model, &sample.bytes, &mut |done, all| {
        let done = sample.bytes.len() as u64 * done as u64 / all as u64;
        on_progress(candidate.progress(sample, Phase::Predict, done))
    })
    .map_err(|error| candidate.failed(sample, error))
}

/// The cost of each byte of blocks that were coded without a model.
fn cost_of_each_byte(blocks: &[TracedBlock]) -> Vec<f32> {
    let costs = blocks.iter().flat_map(TracedBlock::costs);
    costs.map(|cost| cost.bits).collect()
}

/// The whole file in pieces. `experts_alone` holds the cost of each byte without a model.
fn pieces(
    sample: &Sample,
    candidate: &Candidate,
    blocks: &[TracedBlock],
    experts_alone: &[f32],
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for block in blocks {
        let end = start + block.original_len as usize;
        for cost in readable_costs(block, &sample.bytes[start..end]) {
            let next = start + cost.len as usize;
            let bytes = &sample.bytes[start..next];
            let model = cost.prediction;
            pieces.push(Piece {
                bytes: bytes.to_vec(),
                kind: PieceKind::of(bytes, &sample.bytes[..start]),
                bits: cost.bits,
                experts_bits: experts_alone[start..next].iter().sum(),
                model: model.map(|prediction| model_alone(candidate, &prediction)),
            });
            start = next;
        }
    }
    pieces
}

/// The costs of a block's tokens. The single bytes of a block without a model are joined to runs
/// that can be read.
fn readable_costs(block: &TracedBlock, bytes: &[u8]) -> Vec<SymbolCost> {
    if block
        .symbols
        .iter()
        .any(|symbol| symbol.prediction.is_some())
    {
        return block.symbols.clone();
    }
    let of_bytes = cost_of_each_byte(std::slice::from_ref(block));
    let mut start = 0;
    let mut joined = Vec::new();
    for len in cut::run_lengths(bytes) {
        joined.push(SymbolCost {
            len: len as u32,
            bits: of_bytes[start..start + len].iter().sum(),
            prediction: None,
        });
        start += len;
    }
    joined
}

fn model_alone(candidate: &Candidate, prediction: &ModelPrediction) -> ModelAlone {
    let bytes = |row| {
        let model = candidate.model();
        model.map_or_else(Vec::new, |model| {
            model.runtime().model().tokens().bytes(row).to_vec()
        })
    };
    let top = prediction.top.iter().flatten();
    ModelAlone {
        bits: prediction.bits,
        rank: prediction.rank,
        guesses: top
            .map(|token| (bytes(token.row), token.probability))
            .collect(),
    }
}

fn totals_by_kind(pieces: &[Piece]) -> Vec<KindTotals> {
    let mut kinds = PieceKind::ALL.map(|kind| KindTotals {
        kind,
        pieces: 0,
        cost: Cost::default(),
    });
    for piece in pieces {
        let totals = &mut kinds[piece.kind as usize];
        totals.pieces += 1;
        totals
            .cost
            .add(piece.bytes.len() as u64, f64::from(piece.bits));
    }
    kinds.to_vec()
}

fn model_versus_experts(pieces: &[Piece]) -> Option<ModelVersusExperts> {
    let mut sums = ModelVersusExperts::default();
    for piece in pieces {
        let Some(model) = &piece.model else {
            continue;
        };
        let (model, experts) = (f64::from(model.bits), f64::from(piece.experts_bits));
        let better: &mut Advantage = match model < experts {
            true => &mut sums.model_better,
            false => &mut sums.experts_better,
        };
        better.pieces += 1;
        better.saved_bits += (model - experts).abs();
        sums.model_bits += model;
        sums.experts_bits += experts;
        sums.bits += f64::from(piece.bits);
    }
    (sums.model_better.pieces + sums.experts_better.pieces > 0).then_some(sums)
}

fn peaks(pieces: &[Piece]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    // The sort is stable: of pieces that cost the same, the first in the file comes first.
    order.sort_by(|&a, &b| pieces[b].bits.total_cmp(&pieces[a].bits));
    order.truncate(PEAKS);
    order
}

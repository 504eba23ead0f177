//! The results of measuring one file.

use super::kind::PieceKind;
use super::window::{Cost, WindowCost};

/// Where the bits of one file go.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The file's name.
    pub name: String,
    /// The model's name, `none` for the experts alone.
    pub model: String,
    /// Parameters of the model, 0 without one.
    pub parameters: u64,
    /// Original bytes.
    pub original: u64,
    /// Compressed bytes of the whole frame.
    pub compressed: u64,
    /// Ideal code length of the whole file in bits.
    pub cross_entropy: f64,
    /// The whole file in pieces: tokens where the model coded, elsewhere runs of similar
    /// characters.
    pub pieces: Vec<Piece>,
    /// One entry for each [`PieceKind`], in the order of [`PieceKind::ALL`].
    pub kinds: Vec<KindTotals>,
    /// Over all pieces that the model predicted; `None` if it predicted none.
    pub model_versus_experts: Option<ModelVersusExperts>,
    /// The model alone with shorter and shorter contexts, the shortest first; empty without a
    /// model.
    pub windows: Vec<WindowCost>,
    /// Indices of the most expensive pieces, the most expensive first.
    pub peaks: Vec<usize>,
}

/// A part of the file whose cost is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What kind of text it is.
    pub kind: PieceKind,
    /// Its cost in bits.
    pub bits: f32,
    /// What the experts alone would have paid, in bits.
    pub experts_bits: f32,
    /// What the model alone predicted; `None` if it was not asked.
    pub model: Option<ModelAlone>,
}

/// What the model alone predicted where a token came.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelAlone {
    /// What the model would have paid for the token, in bits.
    pub bits: f32,
    /// Rank of the token by probability; 1 is the most probable.
    pub rank: u32,
    /// Bytes and probabilities of the tokens that the model found most probable, best first.
    pub guesses: Vec<(Vec<u8>, f32)>,
}

/// All pieces of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KindTotals {
    /// The kind.
    pub kind: PieceKind,
    /// Number of pieces.
    pub pieces: u64,
    /// Their bytes and bits.
    pub cost: Cost,
}

/// The model alone beside the experts alone.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ModelVersusExperts {
    /// Pieces that the model alone would have coded in fewer bits.
    pub model_better: Advantage,
    /// Pieces that the experts alone would have coded in as many bits or fewer.
    pub experts_better: Advantage,
    /// What the model alone would have paid for all of them, in bits.
    pub model_bits: f64,
    /// What the experts alone would have paid for all of them, in bits.
    pub experts_bits: f64,
    /// What both together paid, in bits.
    pub bits: f64,
}

/// Where and by how much one of two predictors was better than the other.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Advantage {
    /// Number of pieces.
    pub pieces: u64,
    /// Bits saved on them in total.
    pub saved_bits: f64,
}

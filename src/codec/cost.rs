//! Records what coding costs, token by token, while it happens.
//!
//! Only reports read these records. Nothing that is coded depends on them.

use crate::predict::Weights;

/// Number of most probable tokens kept with each [`ModelPrediction`].
pub const TOP_TOKENS: usize = 3;

/// What one symbol cost: a token, an escaped byte, or a byte of a block without a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SymbolCost {
    /// Original bytes of the symbol.
    pub len: u32,
    /// Ideal code length of its decisions in bits, its escape included.
    pub bits: f32,
    /// What the language model alone predicted; `None` if the model was not asked.
    pub prediction: Option<ModelPrediction>,
}

/// The language model's own prediction of a token that was coded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelPrediction {
    /// Ideal code length of the token in bits.
    pub bits: f32,
    /// Rank of the token by probability; 1 is the most probable.
    pub rank: u32,
    /// The most probable tokens, best first; `None` where the vocabulary has no more.
    pub top: [Option<ProbableToken>; TOP_TOKENS],
}

/// A token and the probability that the model gave it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbableToken {
    /// Its row in the vocabulary.
    pub row: u32,
    /// Its probability, 0 to 1.
    pub probability: f32,
}

/// Adds up code lengths and, if asked, keeps the cost of each symbol.
#[derive(Clone, Debug)]
pub struct CostRecorder {
    bits: f64,
    /// The value of `bits` when the last symbol ended.
    bits_before_symbol: f64,
    symbols: Option<Vec<SymbolCost>>,
}

impl CostRecorder {
    /// An empty recorder that keeps only the sum.
    pub fn sum() -> CostRecorder {
        CostRecorder {
            bits: 0.0,
            bits_before_symbol: 0.0,
            symbols: None,
        }
    }

    /// An empty recorder that keeps the cost of each symbol too.
    pub fn detailed() -> CostRecorder {
        CostRecorder {
            symbols: Some(Vec::new()),
            ..CostRecorder::sum()
        }
    }

    /// Ideal code length of all decisions in bits: the sum of -log2 of their probabilities.
    pub fn bits(&self) -> f64 {
        self.bits
    }

    /// The cost of each symbol in order; empty if only the sum is kept.
    pub fn into_symbols(self) -> Vec<SymbolCost> {
        self.symbols.unwrap_or_default()
    }

    /// An empty recorder that keeps as much detail as this one.
    pub(super) fn emptied(&self) -> CostRecorder {
        match self.symbols {
            Some(_) => CostRecorder::detailed(),
            None => CostRecorder::sum(),
        }
    }

    /// Returns what has been recorded and starts again from nothing.
    pub(super) fn take(&mut self) -> CostRecorder {
        let empty = self.emptied();
        std::mem::replace(self, empty)
    }

    /// Appends the records of the next part of the block.
    pub(super) fn append(&mut self, part: CostRecorder) {
        self.bits += part.bits;
        self.bits_before_symbol = self.bits;
        if let (Some(symbols), Some(part)) = (&mut self.symbols, part.symbols) {
            symbols.extend(part);
        }
    }

    /// Adds the code length of one decision.
    pub(super) fn add(&mut self, bits: f64) {
        self.bits += bits;
    }

    /// Whether the cost of each symbol is kept.
    pub(super) fn is_detailed(&self) -> bool {
        self.symbols.is_some()
    }

    /// Ends a symbol of `len` bytes: it costs all decisions since the last symbol ended.
    pub(super) fn end_symbol(&mut self, len: usize, prediction: Option<ModelPrediction>) {
        let bits = (self.bits - self.bits_before_symbol) as f32;
        self.bits_before_symbol = self.bits;
        if let Some(symbols) = &mut self.symbols {
            symbols.push(SymbolCost {
                // A symbol lies in a block, and the length of a block fits 32 bits.
                len: len as u32,
                bits,
                prediction,
            });
        }
    }
}

impl ModelPrediction {
    /// The prediction of token `row`, whose distribution has these weights.
    pub(super) fn new(weights: &Weights, row: u32) -> ModelPrediction {
        let total = weights.total() as f64;
        let weight = weights.rows()[row as usize];
        let mut rank = 1;
        let mut best: [Option<(u32, u32)>; TOP_TOKENS] = [None; TOP_TOKENS];
        for (&other, candidate) in weights.rows().iter().zip(0..) {
            rank += u32::from(other > weight);
            let slot = best
                .iter()
                .position(|kept| kept.is_none_or(|(kept, _)| other > kept));
            if let Some(slot) = slot {
                best[slot..].rotate_right(1);
                best[slot] = Some((other, candidate));
            }
        }
        let probability = |weight: u32| f64::from(weight) / total;
        ModelPrediction {
            bits: -probability(weight).log2() as f32,
            rank,
            top: best.map(|kept| {
                kept.map(|(weight, row)| ProbableToken {
                    row,
                    probability: probability(weight) as f32,
                })
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_has_a_rank_and_the_most_probable_tokens() {
        let weights = Weights::from_rows(&[1, 8, 2, 4, 1]);
        let prediction = ModelPrediction::new(&weights, 2);
        assert_eq!((prediction.bits, prediction.rank), (3.0, 3));
        let top = prediction.top.map(|token| token.unwrap());
        assert_eq!(top.map(|token| token.row), [1, 3, 2]);
        assert_eq!(top.map(|token| token.probability), [0.5, 0.25, 0.125]);
        assert_eq!(ModelPrediction::new(&weights, 4).rank, 4);
        let two = ModelPrediction::new(&Weights::from_rows(&[1, 1]), 1).top;
        assert!(two[0].is_some_and(|token| token.row == 0) && two[2].is_none());
    }

    #[test]
    fn costs_add_up() {
        let mut recorder = CostRecorder::detailed();
        recorder.add(1.0);
        recorder.add(0.5);
        recorder.end_symbol(3, None);
        recorder.add(2.0);
        recorder.end_symbol(1, None);
        let taken = recorder.take();
        assert_eq!((taken.bits(), recorder.bits()), (3.5, 0.0));
        let bits: Vec<f32> = taken
            .into_symbols()
            .iter()
            .map(|symbol| symbol.bits)
            .collect();
        assert_eq!(bits, [1.5, 2.0]);
        assert!(recorder.is_detailed());
    }
}

//! What coding costs, noted while it happens. Reports want it; nothing that is coded depends on it.

/// Guesses of the model kept with each token.
pub const GUESSES: usize = 3;

/// What one piece of a block cost: a token, a byte behind an escape, or a byte of a block without a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Original bytes.
    pub len: u32,
    /// Ideal code length of its decisions in bits, the escape included.
    pub bits: f32,
    /// What the language model thought of it, if it is a token.
    pub opinion: Option<Opinion>,
}

/// What the language model by itself thought of a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opinion {
    /// Ideal code length in bits.
    pub bits: f32,
    /// 1 for the token it thought most probable.
    pub rank: u32,
    /// What it thought most probable, best first; fewer where the vocabulary is smaller.
    pub guesses: [Option<Guess>; GUESSES],
}

/// A token that the model expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// Its row in the vocabulary.
    pub row: u32,
    /// How probable.
    pub probability: f32,
}

/// A sum of code lengths and, if wanted, an entry for each piece.
#[derive(Clone, Debug)]
pub struct Ledger {
    bits: f64,
    /// What `bits` was when the last entry was made.
    entered: f64,
    entries: Option<Vec<Entry>>,
}

impl Ledger {
    /// An empty one that only sums.
    pub fn sum() -> Ledger {
        Ledger {
            bits: 0.0,
            entered: 0.0,
            entries: None,
        }
    }

    /// An empty one with an entry for each piece.
    pub fn detailed() -> Ledger {
        Ledger {
            entries: Some(Vec::new()),
            ..Ledger::sum()
        }
    }

    /// Ideal code length of everything noted, in bits: the sum of -log2 of the predicted probabilities.
    pub fn bits(&self) -> f64 {
        self.bits
    }

    /// The entries, none if only the sum is kept.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries.unwrap_or_default()
    }

    /// An empty one that notes as much.
    pub(super) fn emptied(&self) -> Ledger {
        match self.entries {
            Some(_) => Ledger::detailed(),
            None => Ledger::sum(),
        }
    }

    /// What has been noted so far; afterwards it is as empty as it was.
    pub(super) fn take(&mut self) -> Ledger {
        let empty = self.emptied();
        std::mem::replace(self, empty)
    }

    /// Adds what was noted of the part of a block that follows.
    pub(super) fn append(&mut self, part: Ledger) {
        self.bits += part.bits;
        self.entered = self.bits;
        if let (Some(entries), Some(part)) = (&mut self.entries, part.entries) {
            entries.extend(part);
        }
    }

    /// Adds a decision's code length.
    pub(super) fn add(&mut self, bits: f64) {
        self.bits += bits;
    }

    /// Whether entries are made.
    pub(super) fn is_detailed(&self) -> bool {
        self.entries.is_some()
    }

    /// All decisions since the last entry were about a piece of `len` bytes.
    pub(super) fn enter(&mut self, len: usize, opinion: Option<Opinion>) {
        let bits = (self.bits - self.entered) as f32;
        self.entered = self.bits;
        if let Some(entries) = &mut self.entries {
            entries.push(Entry {
                // A piece lies in a block, whose length fits.
                len: len as u32,
                bits,
                opinion,
            });
        }
    }
}

impl Opinion {
    /// The opinion on `row` of a distribution given as exclusive prefix sums (V + 1 entries).
    pub(super) fn new(cumulative: &[u64], row: u32) -> Opinion {
        let total = cumulative.last().copied().unwrap_or(1).max(1) as f64;
        let weights = || cumulative.windows(2).map(|pair| pair[1] - pair[0]);
        let weight = weights().nth(row as usize).unwrap_or(1);
        let mut rank = 1;
        let mut best: [Option<(u64, u32)>; GUESSES] = [None; GUESSES];
        for (other, candidate) in weights().zip(0..) {
            rank += u32::from(other > weight);
            let place = best
                .iter()
                .position(|kept| kept.is_none_or(|(kept, _)| other > kept));
            if let Some(place) = place {
                best[place..].rotate_right(1);
                best[place] = Some((other, candidate));
            }
        }
        let probability = |weight: u64| weight as f64 / total;
        Opinion {
            bits: -probability(weight).log2() as f32,
            rank,
            guesses: best.map(|kept| {
                kept.map(|(weight, row)| Guess {
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
    fn an_opinion_ranks_and_guesses() {
        // Weights 1, 8, 2, 4, 1.
        let cumulative = [0, 1, 9, 11, 15, 16];
        let opinion = Opinion::new(&cumulative, 2);
        assert_eq!((opinion.bits, opinion.rank), (3.0, 3));
        let guesses = opinion.guesses.map(|guess| guess.unwrap());
        assert_eq!(guesses.map(|guess| guess.row), [1, 3, 2]);
        assert_eq!(guesses.map(|guess| guess.probability), [0.5, 0.25, 0.125]);
        assert_eq!(Opinion::new(&cumulative, 4).rank, 4);
        let two = Opinion::new(&[0, 1, 2], 1).guesses;
        assert!(two[0].is_some_and(|guess| guess.row == 0) && two[2].is_none());
    }

    #[test]
    fn entries_add_up() {
        let mut ledger = Ledger::detailed();
        ledger.add(1.0);
        ledger.add(0.5);
        ledger.enter(3, None);
        ledger.add(2.0);
        ledger.enter(1, None);
        let taken = ledger.take();
        assert_eq!((taken.bits(), ledger.bits()), (3.5, 0.0));
        let bits: Vec<f32> = taken
            .into_entries()
            .iter()
            .map(|entry| entry.bits)
            .collect();
        assert_eq!(bits, [1.5, 2.0]);
        assert!(ledger.is_detailed());
    }
}

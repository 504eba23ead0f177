//! Cheap guesses at the next tokens, so that a decoder can ask the language model about several of
//! them at once.
//!
//! For each of several context lengths, a table maps the hash of the last tokens to the token that
//! followed them last, and counts how often in a row that token followed. The rate of right guesses
//! is measured for each kind of guess. A draft grows as long as the next row is expected to save
//! more time than it takes.
//!
//! Drafting only reads; [`Drafter::note`] alone learns, and only tokens that have been decoded. A
//! draft decides how long decoding takes and nothing else: the bytes are the same.

/// How many tokens the decoder guesses ahead. For measurement and tests: it changes no byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drafts {
    /// As many as are expected to pay.
    #[default]
    Adaptive,
    /// Always this many, at most [`Drafts::MOST`]; with 0, one token is computed at a time.
    Fixed(usize),
}

impl Drafts {
    /// The longest draft.
    pub const MOST: usize = 15;
}

/// A draft must save at least this many tokens in the time of a pass of one row: a token that is
/// not drafted now may be drafted in the next pass.
const LEAST_SAVING: f32 = 1.3;

/// Lengths of the contexts, in tokens.
const ORDERS: [usize; 7] = [1, 2, 3, 4, 6, 10, 16];
/// The longest of them.
const LONGEST: usize = 16;
/// Slots of each table, as a power of two.
const SLOT_BITS: u32 = 15;
/// The number of outcomes of the last three best guesses. An outcome has one bit for each guess,
/// the latest lowest; 1 is right.
const OUTCOMES: usize = 8;
/// Repeats in a row are counted up to here.
const STREAK_MAX: u8 = 7;

/// The token that followed a context last.
#[derive(Clone, Copy, Default)]
struct Slot {
    row: u32,
    /// Some bits of the context's hash, never 0 in a slot that is used.
    check: u16,
    /// How often in a row this token followed.
    streak: u8,
}

/// How often guesses of one kind were right.
#[derive(Clone, Copy, Default)]
struct HitRate {
    hits: u16,
    tries: u16,
}

impl HitRate {
    /// The expected rate, which is a third before anything is known.
    fn expected(self) -> f32 {
        (f32::from(self.hits) + 0.5) / (f32::from(self.tries) + 1.5)
    }

    fn note(&mut self, hit: bool) {
        if self.tries == 255 {
            (self.hits, self.tries) = (self.hits / 2, self.tries / 2);
        }
        self.tries += 1;
        self.hits += u16::from(hit);
    }
}

/// The last tokens, the latest first.
type Recent = [u32; LONGEST];

/// Guesses tokens from those before.
pub(super) struct Drafter {
    drafts: Drafts,
    row_cost: f32,
    recent: Recent,
    tables: [Vec<Slot>; ORDERS.len()],
    /// For each order, by the last outcomes and the slot's streak.
    hit_rates: [[[HitRate; STREAK_MAX as usize + 1]; OUTCOMES]; ORDERS.len()],
    outcomes: usize,
}

impl Drafter {
    /// A drafter that has seen nothing, for a runtime of this [`crate::engine::Runtime::row_cost`].
    pub(super) fn new(drafts: Drafts, row_cost: f32) -> Drafter {
        let slots = match drafts {
            Drafts::Fixed(0) => 0,
            _ => 1 << SLOT_BITS,
        };
        Drafter {
            drafts,
            row_cost,
            recent: [0; LONGEST],
            tables: std::array::from_fn(|_| vec![Slot::default(); slots]),
            hit_rates: Default::default(),
            outcomes: 0,
        }
    }

    /// Appends the tokens expected next to `rows`.
    pub(super) fn draft(&self, rows: &mut Vec<u32>) {
        match self.drafts {
            Drafts::Adaptive => self.draft_what_pays(rows),
            Drafts::Fixed(len) => self.draft_exactly(len.min(Drafts::MOST), rows),
        }
    }

    /// Appends rows as long as one more row raises the number of tokens expected per unit of time.
    fn draft_what_pays(&self, rows: &mut Vec<u32>) {
        let (mut recent, mut outcomes) = (self.recent, self.outcomes);
        let (mut reached, mut tokens, mut cost) = (1.0, 1.0, 1.0);
        for _ in 0..Drafts::MOST {
            let Some((row, trust)) = self.guess(&recent, outcomes) else {
                return;
            };
            reached *= trust;
            if reached <= self.row_cost * f32::max(tokens / cost, LEAST_SAVING) {
                return;
            }
            (tokens, cost) = (tokens + reached, cost + self.row_cost);
            rows.push(row);
            push(&mut recent, row);
            outcomes = after(outcomes, true);
        }
    }

    fn draft_exactly(&self, len: usize, rows: &mut Vec<u32>) {
        let mut recent = self.recent;
        for _ in 0..len {
            let guess = self.guess(&recent, self.outcomes);
            let row = guess.map_or(recent[0], |(row, _)| row);
            rows.push(row);
            push(&mut recent, row);
        }
    }

    /// The best guess at the next token, and the chance that it is right.
    fn guess(&self, recent: &Recent, outcomes: usize) -> Option<(u32, f32)> {
        let mut best: Option<(u32, f32)> = None;
        let tables = self.tables.iter().zip(&self.hit_rates);
        for (hash, (table, rates)) in hashes(recent).into_iter().zip(tables) {
            let slot = table[index(hash)];
            if slot.check == check(hash) {
                let trust = rates[outcomes][usize::from(slot.streak)].expected();
                if best.is_none_or(|(_, before)| trust >= before) {
                    best = Some((slot.row, trust));
                }
            }
        }
        best
    }

    /// Learns that `row` was the next token.
    pub(super) fn note(&mut self, row: u32) {
        if self.drafts == Drafts::Fixed(0) {
            return;
        }
        let guess = self.guess(&self.recent, self.outcomes);
        let tables = self.tables.iter_mut().zip(&mut self.hit_rates);
        for (hash, (table, rates)) in hashes(&self.recent).into_iter().zip(tables) {
            let slot = &mut table[index(hash)];
            let known = slot.check == check(hash);
            if known {
                rates[self.outcomes][usize::from(slot.streak)].note(slot.row == row);
            }
            if known && slot.row == row {
                slot.streak = (slot.streak + 1).min(STREAK_MAX);
            } else {
                (slot.row, slot.check, slot.streak) = (row, check(hash), 0);
            }
        }
        let right = guess.is_some_and(|(guess, _)| guess == row);
        self.outcomes = after(self.outcomes, right);
        push(&mut self.recent, row);
    }
}

fn after(outcomes: usize, right: bool) -> usize {
    (outcomes << 1 | usize::from(right)) % OUTCOMES
}

fn push(recent: &mut Recent, row: u32) {
    recent.copy_within(..LONGEST - 1, 1);
    recent[0] = row;
}

/// A hash of the context of each order.
fn hashes(recent: &Recent) -> [u64; ORDERS.len()] {
    let mut hash = 0u64;
    let mut hashed = 0;
    ORDERS.map(|order| {
        for row in &recent[hashed..order] {
            hash =
                (hash.rotate_left(23) ^ (u64::from(*row) + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        hashed = order;
        hash
    })
}

fn index(hash: u64) -> usize {
    (hash >> (u64::BITS - SLOT_BITS)) as usize
}

fn check(hash: u64) -> u16 {
    (hash >> 24) as u16 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: f32 = 0.25;

    fn draft(drafter: &Drafter) -> Vec<u32> {
        let mut rows = Vec::new();
        drafter.draft(&mut rows);
        rows
    }

    #[test]
    fn nothing_is_drafted_from_nothing() {
        assert!(draft(&Drafter::new(Drafts::Adaptive, CHEAP)).is_empty());
        assert!(draft(&Drafter::new(Drafts::Fixed(0), CHEAP)).is_empty());
    }

    #[test]
    fn what_repeats_is_drafted_at_length() {
        let mut drafter = Drafter::new(Drafts::Adaptive, CHEAP);
        (0..400).for_each(|i| drafter.note(i % 20));
        let wanted: Vec<u32> = (0..Drafts::MOST as u32).collect();
        assert_eq!(draft(&drafter), wanted);
    }

    #[test]
    fn what_never_repeats_is_not_drafted() {
        let mut drafter = Drafter::new(Drafts::Adaptive, CHEAP);
        let mut state = 1u32;
        let mut drafted = 0;
        for _ in 0..4000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            drafter.note(state >> 24);
            drafted += draft(&drafter).len();
        }
        assert!(drafted < 100, "{drafted}");
    }

    #[test]
    fn a_fixed_draft_has_its_length() {
        for len in 0..20 {
            let mut drafter = Drafter::new(Drafts::Fixed(len), CHEAP);
            (0..50).for_each(|row| drafter.note(row % 7));
            assert_eq!(draft(&drafter).len(), len.min(Drafts::MOST));
        }
    }
}

//! Several streams in one block.
//!
//! A block may be cut into streams: consecutive parts of the original, each with coded bytes of its
//! own. They are coded in rounds. In each round every stream that is not complete has one turn, in
//! the order of the streams; a turn is the next token and the escaped bytes before it. So a decoder
//! knows a token of every stream before it needs the next one of any, and can ask the language
//! model about all of them in one pass.
//!
//! The first stream continues where the block before ended. The other streams begin when the
//! language model of the first has seen [`HEAD`] tokens, or when the first stream is complete. They
//! begin with copies of that model, because the beginning of the file is a better context than
//! none. From then on each stream has its own model. The experts are shared: what they learn from
//! one stream, they use for the others from the next turn on. Each stream has its own place in the
//! original. The next block continues where the last stream ended.

use std::iter::Peekable;

use super::Symbol;
use crate::machine::MachineError;
use crate::predict::{Predictor, StreamState, TokenPredictor};

/// Tokens that a language model has seen before it is copied for other streams.
pub(super) const HEAD: u64 = 256;

/// Streams of a block with more streams than this learn tokens by rounds instead of turn by turn.
const MOST_TURN_BY_TURN: usize = 16;

/// Whether the streams of a block with so many streams learn tokens by rounds.
pub fn learn_by_rounds(streams: usize) -> bool {
    streams > MOST_TURN_BY_TURN
}

/// Bytes that a stream's place takes.
const PLACE: usize = 280 << 10;

/// Bytes that an encoder or a decoder takes for the streams of a block with so many, beside their
/// language models, for a vocabulary of `vocabulary` tokens: places, distributions and output
/// biases. For few streams it is little, and given as 0.
pub fn bytes_of_streams(vocabulary: usize, streams: usize) -> usize {
    match learn_by_rounds(streams) {
        true => streams * (PLACE + TokenPredictor::bytes_of_stream(vocabulary)),
        false => 0,
    }
}

/// The places of a block's streams while the predictor is at one of them.
pub(super) struct Places {
    /// For each stream but the first, its state; during its turn, the state of the first stream
    /// instead.
    others: Vec<StreamState>,
}

impl Places {
    /// The places at which streams of these lengths begin, in a block that begins at `position`.
    ///
    /// # Errors
    /// If their memory cannot be had.
    pub(super) fn new(
        mut position: usize,
        lens: impl Iterator<Item = usize>,
    ) -> Result<Places, MachineError> {
        let begins = lens.map(|len| {
            position += len;
            position - len
        });
        let others = begins.skip(1).map(StreamState::new);
        Ok(Places {
            others: others.collect::<Result<_, _>>()?,
        })
    }

    /// Called before and after a turn: moves the predictor to the place of `stream`, and back.
    pub(super) fn exchange(&mut self, stream: usize, predictor: &mut Predictor) {
        if stream > 0 {
            predictor.exchange(&mut self.others[stream - 1]);
        }
    }

    /// Ends the block: moves the predictor to the place where the last stream ended.
    pub(super) fn finish(mut self, predictor: &mut Predictor) {
        self.exchange(self.others.len(), predictor);
    }
}

/// Splits the first of several streams where the others begin. Its model has seen `seen` tokens.
pub(super) fn split_head(pieces: &[Symbol], seen: u64) -> (&[Symbol], &[Symbol]) {
    let mut left = HEAD.saturating_sub(seen);
    let ends_head = |piece: &Symbol| {
        if left == 0 {
            return true;
        }
        left -= u64::from(piece.token().is_some());
        false
    };
    let head = pieces.iter().position(ends_head);
    pieces.split_at(head.unwrap_or(pieces.len()))
}

/// The turns of streams whose symbols are known, each with the number of its stream.
#[derive(Clone)]
pub(super) struct Turns<'a> {
    /// The rest of each stream.
    rest: Vec<&'a [Symbol]>,
    stream: usize,
}

impl<'a> Turns<'a> {
    /// All turns of a block.
    pub(super) fn new(streams: &[&'a [Symbol]]) -> Turns<'a> {
        Turns {
            rest: streams.to_vec(),
            stream: 0,
        }
    }
}

impl<'a> Iterator for Turns<'a> {
    type Item = (usize, &'a [Symbol]);

    fn next(&mut self) -> Option<Self::Item> {
        for _ in 0..self.rest.len() {
            let stream = self.stream;
            self.stream = (stream + 1) % self.rest.len();
            let rest = &mut self.rest[stream];
            if !rest.is_empty() {
                let len = rest.iter().position(|symbol| symbol.token().is_some());
                let (turn, after) = rest.split_at(len.map_or(rest.len(), |token| token + 1));
                *rest = after;
                return Some((stream, turn));
            }
        }
        None
    }
}

/// The rounds of turns whose symbols are known.
pub(super) struct Rounds<'a> {
    turns: Peekable<Turns<'a>>,
}

impl<'a> Rounds<'a> {
    /// All rounds of a block.
    pub(super) fn new(streams: &[&'a [Symbol]]) -> Rounds<'a> {
        Rounds {
            turns: Turns::new(streams).peekable(),
        }
    }
}

impl<'a> Iterator for Rounds<'a> {
    type Item = Vec<(usize, &'a [Symbol])>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut round = vec![self.turns.next()?];
        while let Some(turn) = self
            .turns
            .next_if(|turn| is_same_round(round[round.len() - 1].0, turn.0))
        {
            round.push(turn);
        }
        Some(round)
    }
}

/// Whether a turn of stream `next`, which follows one of stream `last`, is in the same round.
pub(super) fn is_same_round(last: usize, next: usize) -> bool {
    last < next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_one_turn_a_round_until_it_is_complete() {
        use Symbol::{Byte, Token};
        let streams: [&[Symbol]; 3] = [
            &[Token(1), Byte(2), Byte(3), Token(4), Byte(5)],
            &[],
            &[Byte(6), Token(7), Token(8), Token(9), Token(10)],
        ];
        let turns: Vec<_> = Turns::new(&streams).collect();
        let expected: [(usize, &[Symbol]); 7] = [
            (0, &[Token(1)]),
            (2, &[Byte(6), Token(7)]),
            (0, &[Byte(2), Byte(3), Token(4)]),
            (2, &[Token(8)]),
            (0, &[Byte(5)]),
            (2, &[Token(9)]),
            (2, &[Token(10)]),
        ];
        assert_eq!(turns, expected);
    }
}

//! Where a stream is: its tokens so far, and the contexts that it is cut into where a model has
//! learned only some positions.

use super::checkpoints::Behind;
use super::runtime::SLACK;
use crate::arch::Block;

/// How far a stream has come. A runtime keeps this for each of its states.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    /// Tokens of the present context so far: of the stream, unless its positions are learned.
    position: u64,
    /// One past the last position ever written since the reset.
    written: u64,
    /// Position in the stream where the present context begins.
    start: u64,
    /// The last tokens of the stream, if positions are learned.
    history: History,
    /// How far the stream is behind the checkpoints of its recurrent layers.
    behind: Behind,
    is_recurrent: bool,
}

/// The last tokens of a stream whose model has learned `positions` positions; none if these are 0.
#[derive(Clone, Debug)]
struct History {
    positions: u64,
    /// Position in the stream of the first token kept.
    first: u64,
    tokens: Vec<u32>,
}

impl Track {
    /// The beginning of a stream, whose model has layers of this kind.
    pub(crate) fn new(block: &Block) -> Track {
        Track {
            position: 0,
            written: 0,
            start: 0,
            history: History {
                positions: block.positions as u64,
                first: 0,
                tokens: Vec::new(),
            },
            behind: Behind::default(),
            is_recurrent: block.recurrent.is_some(),
        }
    }

    /// Tokens of the present context so far.
    pub(crate) fn in_context(&self) -> u64 {
        self.position
    }

    /// Tokens of the stream so far.
    pub(crate) fn in_stream(&self) -> u64 {
        match self.history.positions {
            0 => self.position,
            _ => self.history.end(),
        }
    }

    /// Adds tokens to the history; they are then fed.
    pub(crate) fn remember(&mut self, tokens: &[u32]) {
        self.history.add(tokens);
    }

    /// The tokens to feed before the next one, so that it has its context before it. Everything
    /// fed before is forgotten if that is another context than the present one.
    pub(crate) fn enter_context(&mut self) -> Vec<u32> {
        let next = self.history.end();
        let start = start(next, self.history.positions);
        if (self.start, self.position) == (start, next - start) {
            return Vec::new();
        }
        (self.start, self.position, self.written) = (start, 0, 0);
        self.history.from(start)
    }

    /// Tokens that the present context can still take.
    pub(crate) fn room(&self) -> usize {
        (self.history.positions - self.position) as usize
    }

    /// Notes that so many tokens have been fed.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.position += tokens as u64;
        self.written = self.written.max(self.position);
    }

    /// How far the stream is behind the checkpoints of its recurrent layers.
    pub(crate) fn behind(&self) -> Behind {
        self.behind
    }

    /// Notes how far it is behind them now.
    pub(crate) fn set_behind(&mut self, behind: Behind) {
        self.behind = behind;
    }

    /// Goes back to `position` of the stream.
    ///
    /// # Panics
    /// If that is ahead, or the keys or the checkpoint before it are gone.
    pub(crate) fn truncate(&mut self, position: u64) {
        let end = self.in_stream();
        assert!(
            position <= end,
            "a stream of {end} tokens cannot be cut to {position}"
        );
        if self.history.positions > 0 {
            self.history.cut(position);
            self.position = position.saturating_sub(self.start);
            return;
        }
        let kept = self.written.saturating_sub(SLACK as u64);
        assert!(position >= kept, "keys before position {kept} are gone");
        if self.is_recurrent {
            self.behind.cut((end - position) as usize);
        }
        self.position = position;
    }

    /// Goes back to the beginning.
    pub(crate) fn reset(&mut self) {
        (self.position, self.written, self.start) = (0, 0, 0);
        self.history.cut(0);
        self.behind = Behind::default();
    }
}

impl History {
    /// The number of tokens in the stream.
    fn end(&self) -> u64 {
        self.first + self.tokens.len() as u64
    }

    fn add(&mut self, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
        // A context, and what a cut may take back, is less than two contexts and the slack.
        let kept = 2 * self.positions as usize + SLACK;
        if self.tokens.len() > 2 * kept {
            let dropped = self.tokens.len() - kept;
            self.tokens.drain(..dropped);
            self.first += dropped as u64;
        }
    }

    /// The tokens from `position` on.
    fn from(&self, position: u64) -> Vec<u32> {
        self.tokens[(position - self.first) as usize..].to_vec()
    }

    /// Forgets the tokens from `position` on; before the first one kept, everything.
    fn cut(&mut self, position: u64) {
        match position.checked_sub(self.first) {
            Some(left) => self.tokens.truncate(left as usize),
            None => (self.first, self.tokens) = (0, Vec::new()),
        }
    }
}

/// Where the context begins in which the token at `position` of a stream is fed: the last context
/// of at most `positions` tokens, the first of which begins with the stream, and each other half as
/// many tokens after the one before. So behind the first, a token has at least half a context
/// before it.
pub(crate) fn start(position: u64, positions: u64) -> u64 {
    let half = positions / 2;
    match position.checked_sub(positions) {
        None => 0,
        Some(beyond) => (beyond / half + 1) * half,
    }
}

#[cfg(test)]
mod tests {
    use super::start;

    #[test]
    fn a_context_has_between_half_and_all_positions() {
        for (position, want) in [(0, 0), (7, 0), (8, 4), (11, 4), (12, 8), (15, 8), (16, 12)] {
            assert_eq!(start(position, 8), want, "{position}");
        }
        for position in 8..1000 {
            assert!((4..8).contains(&(position - start(position, 8))));
        }
    }
}

//! Where the checkpoints of recurrent layers are.
//!
//! A layer keeps two states, that at a *checkpoint* and that behind the last token, and the rows of
//! the projection from a few tokens before the checkpoint on. A call of [`forward`] puts the
//! checkpoint [`RECURRENT_SLACK`] tokens before its end, or where it began if it has fewer. When
//! tokens are taken back, the next call runs those that are left again from the checkpoint on. So a
//! state takes the same memory however long a stream is.
//!
//! [`forward`]: super::Runtime::forward

use std::ops::Range;

use super::runtime::RECURRENT_SLACK;

/// How far a stream is behind its checkpoints.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Behind {
    /// Tokens behind the checkpoint.
    tokens: usize,
    /// Whether tokens have been taken back, so that the last states are none of this stream.
    is_cut: bool,
}

impl Behind {
    /// Forgets the last `tokens` tokens.
    ///
    /// # Panics
    /// If they began before the checkpoint.
    pub(crate) fn cut(&mut self, tokens: usize) {
        assert!(
            tokens <= self.tokens,
            "{tokens} tokens of a recurrent stream cannot be taken back, only {}",
            self.tokens
        );
        self.tokens -= tokens;
        self.is_cut |= tokens > 0;
    }
}

/// How the rows of a part of a call lie to the checkpoints before and behind them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Rows behind the checkpoint that are kept from before the part.
    pub(crate) kept: usize,
    /// As many of them, the last ones, run again first.
    pub(crate) again: usize,
    /// Whether the checkpoint moves to where the call begins.
    pub(crate) begins: bool,
    /// Rows of the part that come before the new checkpoint.
    pub(crate) before: usize,
    /// Row of the part at which the checkpoint is put; if there is none, it is in another part.
    pub(crate) checkpoint: Option<usize>,
    /// Rows behind the checkpoint after the part.
    pub(crate) after: usize,
}

impl Span {
    /// The span of these tokens of a call, which has `call` tokens in this stream.
    pub(crate) fn new(tokens: Range<usize>, call: usize, behind: Behind) -> Span {
        let checkpoint = call.saturating_sub(RECURRENT_SLACK);
        let Range { start, end } = tokens;
        let begins = start == 0;
        Span {
            kept: match begins {
                true => behind.tokens,
                false => start.saturating_sub(checkpoint),
            },
            again: if begins && behind.is_cut {
                behind.tokens
            } else {
                0
            },
            begins,
            before: checkpoint.clamp(start, end) - start,
            checkpoint: (start..end)
                .contains(&checkpoint)
                .then(|| checkpoint - start),
            after: end.saturating_sub(checkpoint),
        }
    }

    /// How far the stream is behind its checkpoint after the part.
    pub(crate) fn behind(self) -> Behind {
        Behind {
            tokens: self.after,
            is_cut: false,
        }
    }
}

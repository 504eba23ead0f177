//! Priming: a frame can be coded as if another file had been coded before it.
//!
//! The experts learn the prime as they learn the bytes of a block. The language model sees the end
//! of it as the beginning of its context.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::CodecError;
use super::frame_predictor::FramePredictor;
use crate::packed::TokenTable;
use crate::predict::Settings;

/// Most bytes of a prime.
pub const MAX_PRIME_LEN: usize = 16 << 20;

/// So many bytes at the end of a prime are the beginning of the language model's context, about as
/// many as its window holds.
const CONTEXT_LEN: usize = 4 << 10;

/// Bytes that coder and decoder have seen before the first byte of a frame, such as an earlier
/// version of the file or a sample of its kind.
pub struct Prime {
    bytes: Vec<u8>,
    identity: [u8; 32],
    /// The predictors that have learned it.
    learned: Mutex<Vec<(Settings, FramePredictor)>>,
}

impl Prime {
    /// A prime of 1 to [`MAX_PRIME_LEN`] bytes; `None` if there are fewer or more.
    pub fn new(bytes: Vec<u8>) -> Option<Prime> {
        (1..=MAX_PRIME_LEN).contains(&bytes.len()).then(|| Prime {
            identity: *blake3::hash(&bytes).as_bytes(),
            bytes,
            learned: Mutex::default(),
        })
    }

    /// The BLAKE3 hash of its bytes. Frames carry the first 8 bytes of it.
    pub fn identity(&self) -> [u8; 32] {
        self.identity
    }

    /// What frames carry of its identity: the first 8 bytes.
    pub fn reference(&self) -> [u8; 8] {
        *self.identity.first_chunk().expect("32 bytes hold 8")
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of its bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// A predictor with these settings that has learned the prime. `learn` is called the first
    /// time.
    pub(super) fn predictor(
        &self,
        settings: Settings,
        learn: impl FnOnce(&mut FramePredictor, &[u8]) -> Result<(), CodecError>,
    ) -> Result<FramePredictor, CodecError> {
        // A panic while the lock was held cannot have left a state half learned.
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = learned.iter().find(|(known, _)| *known == settings) {
            return Ok(found.try_clone()?);
        }
        let mut predictor = FramePredictor::new(settings);
        learn(&mut predictor, &self.bytes)?;
        let copy = predictor.try_clone()?;
        learned.push((settings, predictor));
        Ok(copy)
    }

    /// The rows with which the context of a language model with this vocabulary begins.
    pub(super) fn context(&self, tokens: TokenTable<'_>) -> Vec<u32> {
        let start = self.bytes.len().saturating_sub(CONTEXT_LEN);
        longest_tokens(tokens, &self.bytes[start..])
    }
}

impl fmt::Debug for Prime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prime")
            .field("size", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// The longest token at each position of `bytes`; bytes where no token fits are passed over. It
/// needs no tokenizer.
fn longest_tokens(tokens: TokenTable<'_>, bytes: &[u8]) -> Vec<u32> {
    let mut rows = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let row = tokens.longest_prefix(rest);
        rows.extend(row);
        rest = &rest[row.map_or(1, |row| tokens.bytes(row).len())..];
    }
    rows
}

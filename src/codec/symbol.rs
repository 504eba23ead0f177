//! What a tokenizer cuts a text into.

/// One step of a text for the coder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Symbol {
    /// An output row of the packed vocabulary.
    Token(u32),
    /// A byte for which the vocabulary has no token.
    Byte(u8),
}

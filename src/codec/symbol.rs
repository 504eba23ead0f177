//! The symbols that a tokenizer cuts a text into.

/// One unit of a text, which the coder codes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Symbol {
    /// An output row of the packed vocabulary.
    Token(u32),
    /// A byte for which the vocabulary has no token.
    Byte(u8),
}

impl Symbol {
    /// The output row, if this is a token.
    pub fn token(&self) -> Option<u32> {
        match self {
            Symbol::Token(row) => Some(*row),
            Symbol::Byte(_) => None,
        }
    }
}

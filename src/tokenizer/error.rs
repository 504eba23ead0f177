//! Why text cannot be cut into tokens.

/// Why no tokenizer could be made from a packed model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The `tokenizers` crate does not know a part of the pre-tokenizer.
    #[error("the pre-tokenizer {name} is not understood: {reason}")]
    PreTokenizer {
        /// The type of that part.
        name: String,
        /// What the crate says of it.
        reason: String,
    },
}

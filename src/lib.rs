//! Lossless compression in which a pretrained language model predicts and an arithmetic coder writes.
//!
//! [`compress`] and [`decompress`] work over any [`Read`] and [`Write`] in bounded memory, and the
//! command line uses nothing else. What one writes, the other reads on any machine: every number
//! between the model's weights and the coded bits is computed the same way everywhere.
//!
//! ```
//! use llmzip::{CompressOptions, compress, decompress, no_models};
//!
//! let original = b"the cat sat on the mat; the cat sat on the hat; the cat sat".as_slice();
//! let options = CompressOptions::default(); // no language model: adaptive experts alone
//! let mut compressed = Vec::new();
//! let summary = compress(original, &mut compressed, &options, &mut |_| {})?;
//! assert_eq!(summary.original_len, 59);
//! assert!(compressed.len() < 59);
//!
//! let mut restored = Vec::new();
//! decompress(compressed.as_slice(), &mut restored, &mut no_models, &mut |_| {})?;
//! assert_eq!(restored, original);
//! # Ok::<(), llmzip::Error>(())
//! ```

pub mod arch;
#[cfg(feature = "convert")]
pub mod check;
pub mod codec;
pub mod container;
pub mod engine;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "convert")]
pub mod import;
pub mod machine;
pub mod numerics;
pub mod packed;
pub mod predict;
pub mod report;
pub mod store;
#[cfg(feature = "encode")]
pub mod tokenizer;

mod error;
mod frame;

pub use codec::Times;
pub use error::Error;
pub use frame::{CompressOptions, Model, TracedBlock, compress, decompress, no_models, trace};

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Original bytes dealt with so far.
    pub original: u64,
    /// Compressed bytes written or read so far.
    pub compressed: u64,
}

/// Called many times a second with how far a run has come.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress);

/// What a run amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summary {
    /// Original bytes.
    pub original_len: u64,
    /// Compressed bytes.
    pub compressed_len: u64,
    /// Original bytes by mode.
    pub modes: ModeLengths,
    /// The ideal code length in bits: the sum of -log2 of the probabilities that what happened was
    /// given, and 8 a stored byte. Only where [`CompressOptions::count_cross_entropy`] asks for it.
    pub cross_entropy: Option<f64>,
    /// What coding waited for: not trials, reading and writing.
    pub times: Times,
}

/// How many original bytes went which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModeLengths {
    /// Stored as they are.
    pub raw: u64,
    /// Coded by the experts alone.
    pub experts: u64,
    /// Coded by the language model and the experts.
    pub model: u64,
}

impl ModeLengths {
    fn add(&mut self, mode: container::Mode, len: u64) {
        match mode {
            container::Mode::Raw => self.raw += len,
            container::Mode::Experts => self.experts += len,
            container::Mode::Model => self.model += len,
        }
    }
}

//! What runs of a compressor give.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::times::Times;

/// What one compressor made of one file. Decompression gave the original back each time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Compressed bytes.
    pub compressed: u64,
    /// Wall times of compression.
    pub compress: Times,
    /// Wall times of decompression, as many.
    pub decompress: Times,
    /// Peak resident memory, in bytes, of a process that did nothing else; `None` if not known.
    pub peak_memory: Option<u64>,
}

/// One compression and decompression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Compressed bytes.
    pub compressed: u64,
    /// Wall time of compression.
    pub compress: Duration,
    /// Wall time of decompression.
    pub decompress: Duration,
    /// Peak resident memory so far, in bytes, of this process; `None` if not known.
    pub peak_memory: Option<u64>,
}

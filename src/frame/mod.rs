//! Frames: a compressed file from a reader, and the original from a compressed file.

mod compress;
mod decompress;
mod model;

pub use compress::{CompressOptions, TracedBlock, compress, trace};
pub use decompress::{decompress, no_models};
pub use model::Model;

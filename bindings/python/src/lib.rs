//! The native half of the Python package `llmzip`.
//!
//! It hands bytes to the library and back. While the library works, the interpreter is free for
//! other threads; [`watch`] looks at signals and tells the progress meanwhile. What can be said in
//! Python, such as files and data frames, is said in `python/llmzip`.

mod buffer;
mod bulk;
mod compressor;
mod decompressor;
mod dictionary;
mod error;
mod exclusive;
mod file;
mod frame_info;
mod frames;
mod measure;
mod models;
mod options;
mod program;
mod reader;
mod watch;

use llmzip::machine::memory::Allocator;
use pyo3::pymodule;

/// Ends the command line with a sentence where memory is refused.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator {
    on_refusal: program::end_without_memory,
};

#[pymodule]
mod _llmzip {
    #[pymodule_export]
    use crate::bulk::{compress, decompress};
    #[pymodule_export]
    use crate::compressor::LlmzCompressor;
    #[pymodule_export]
    use crate::decompressor::LlmzDecompressor;
    #[pymodule_export]
    use crate::dictionary::LlmzDict;
    #[pymodule_export]
    use crate::error::LlmzError;
    #[pymodule_export]
    use crate::frame_info::frame_info;
    #[pymodule_export]
    use crate::frames::frames;
    #[pymodule_export]
    use crate::measure::{compare, scaling, token_costs};
    #[pymodule_export]
    use crate::models::models;
    /// The level of calls that name none.
    #[pymodule_export]
    const DEFAULT_LEVEL: u8 = crate::options::DEFAULT_LEVEL;
    #[pymodule_export]
    use crate::program::{note_standard_streams, run_program};
    #[pymodule_export]
    use crate::reader::Reader;
}

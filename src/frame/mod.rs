//! Frames: compressing a stream of bytes, and restoring it.
//!
//! [`Encoder`] takes an original through [`Write`](std::io::Write), and [`Decoder`] returns it
//! through [`Read`](std::io::Read); the functions [`compress`], [`decompress`], [`compress_all`]
//! and [`decompress_all`] do the same for a whole stream or slice. All of them only pass bytes on:
//! `compression` turns bytes into frames, and `decompression` turns frames into bytes. [`Models`]
//! finds a language model by its name for an application, and by its identity for a frame.
//!
//! This folder is what `lib.rs` shows to applications. It knows the codec, the container, the
//! tokenizer and the store, but no command line.

mod arriving;
mod bulk;
mod compression;
mod copy;
mod cuts;
mod decoder;
mod decompression;
#[cfg(feature = "gpu")]
pub mod devices;
mod encoder;
mod frame_decoder;
mod model;
mod models;
mod options;
mod parallel;
mod part;
mod placement;
mod random_access;
mod resolver;
mod seekable;
mod summary;

pub use crate::codec::Prime;
pub use arriving::ArrivingFrame;
pub use bulk::{compress_all, decompress_all};
pub use compression::TracedBlock;
pub use copy::{compress, compress_with, decompress, decompress_with, trace};
pub use decoder::Decoder;
pub use encoder::{AutoFinishEncoder, Encoder};
pub use model::Model;
pub use models::Models;
pub use options::{DecoderOptions, EncoderOptions, MAX_FRAME_LEN, WANTED_GAIN};
pub use part::{Part, decompress_part_with, decompress_seekable_part_with};
pub use resolver::{Resolve, Resolver};
pub use seekable::SeekableDecoder;
pub use summary::{ModeLengths, OnProgress, Progress, Summary, keep_going};

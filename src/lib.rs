//! Lossless compression in which a pretrained language model predicts and an arithmetic coder writes.

pub mod error;

// The rooms of the house, for the binary, benches, tests and fuzz targets of this package alone:
// they are no stable interface.
#[doc(hidden)]
pub mod arch;
#[cfg(feature = "convert")]
#[doc(hidden)]
pub mod check;
#[doc(hidden)]
pub mod codec;
#[doc(hidden)]
pub mod container;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod frame;
#[cfg(feature = "hub")]
#[doc(hidden)]
pub mod hub;
#[cfg(feature = "convert")]
#[doc(hidden)]
pub mod import;
#[doc(hidden)]
pub mod machine;
#[doc(hidden)]
pub mod numerics;
#[doc(hidden)]
pub mod packed;
#[doc(hidden)]
pub mod predict;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod store;
#[cfg(feature = "encode")]
#[doc(hidden)]
pub mod tokenizer;

pub use codec::Times;
pub use error::Error;
pub use frame::{
    AutoFinishEncoder, Decoder, DecoderOptions, Encoder, EncoderOptions, ModeLengths, Model,
    Models, Progress, Summary, compress, compress_all, decompress, decompress_all,
};
pub use predict::Preset;

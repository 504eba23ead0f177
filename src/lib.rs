//! Lossless compression in which a language model predicts and an arithmetic coder writes.
//!
//! A language model gives a probability for every possible next token of a text. An arithmetic
//! coder turns probabilities into bits: the better the prediction, the fewer. llmzip joins the two,
//! and adds adaptive experts that learn the file itself, so that data other than text is also
//! compressed well. Four small models are built in; larger ones can be added.
//!
//! ```
//! # #[cfg(all(feature = "builtin", feature = "encode"))] {
//! use llmzip::{EncoderOptions, Models, compress_all, decompress_all};
//!
//! let models = Models::builtin();
//! let options = EncoderOptions::new().model(models.get("mini")?);
//!
//! let original = b"Happy families are all alike; every unhappy family is unhappy in its own way.";
//! let compressed = compress_all(original, &options)?;
//! assert!(compressed.len() < original.len() * 2 / 3);
//!
//! assert_eq!(decompress_all(&compressed, &models)?, original);
//! # }
//! # Ok::<(), llmzip::Error>(())
//! ```
//!
//! # Streams
//!
//! [`Encoder`] is a [`Write`](std::io::Write) that compresses, and [`Decoder`] a
//! [`Read`](std::io::Read) that decompresses. Their memory does not grow with the data. Anything
//! that writes or reads can use them, an archive for example:
//!
//! ```
//! use std::io::Write;
//! use llmzip::{Decoder, Encoder, EncoderOptions, Models};
//!
//! let mut encoder = Encoder::new(Vec::new(), &EncoderOptions::new())?;
//! writeln!(encoder, "a line")?;
//! writeln!(encoder, "and another")?;
//! let compressed = encoder.finish()?;
//!
//! let decoder = Decoder::new(compressed.as_slice(), Models::none());
//! assert_eq!(std::io::read_to_string(decoder)?, "a line\nand another\n");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! With the crate `tar`, `tar::Builder::new(encoder)` writes a compressed archive and
//! `tar::Archive::new(decoder)` reads it: see `examples/tar.rs`. The functions [`compress`] and
//! [`decompress`] connect a reader with a writer.
//!
//! [`SeekableDecoder`] also implements [`Seek`](std::io::Seek): it decodes the frames that are read
//! and no others. [`EncoderOptions::frame_len`] says how long frames are.
//!
//! # Models
//!
//! Decompression needs the same model as compression: compressed data names the model by the hash
//! of its packed file. [`Models::builtin`] finds the models of this library, `nano`, `micro`,
//! `mini` and `small`; [`Models::installed`] also finds those that `llmzip model add` and `llmzip
//! model pull` have stored; [`Model::open`] opens a packed model's file. A larger model makes files
//! smaller and takes longer. Without a model, the experts code everything. This is what
//! [`EncoderOptions::default`] does, and it suffices for data without text.
//!
//! # The same bits everywhere
//!
//! Compressed data can be decompressed on every machine: with the same version of the format and
//! the same model, every number between the weights and the coded bits is computed the same way on
//! every processor and with every number of threads. The compressed bytes depend only on the
//! original, the options and the model. Each block carries checksums of its coded and original
//! bytes, and [`Decoder`] hands out no byte that has not passed them.
//!
//! # Errors
//!
//! Functions return an [`Error`]; [`Read`](std::io::Read) and [`Write`](std::io::Write) return an
//! [`io::Error`](std::io::Error) that holds one. A progress callback ([`Encoder::on_progress`],
//! [`Decoder::on_progress`]) can cancel. For data from a source that you do not trust, set a limit
//! to the original's length ([`DecoderOptions::limit`]).
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `builtin` | yes | the four built-in models, 8 MB |
//! | `encode` | yes | compression with a model; without it, only the experts compress |
//! | `convert` | yes | for the command line: packing models from other formats |
//! | `hub` | yes | for the command line: fetching models |
//! | `cli` | yes | the program `llmzip` |
//! | `compare` | yes | for the command line: other compressors to compare with |
//! | `gpu` | no | models on GPUs, through Vulkan: [`Models::device`] |
//! | `reference` | no | for tests: candle's implementations of the models |
//!
//! With `default-features = false`, the library decompresses with any model that it is given, and
//! compresses with the experts alone. An application that compresses text also needs `features =
//! ["builtin", "encode"]`.

pub mod error;

// The command line names the library as its other users do.
#[cfg(feature = "cli")]
extern crate self as llmzip;

// The rooms of the house, for the binary, benches, tests, fuzz targets and Python package of this
// repository alone: they are no stable interface.
#[doc(hidden)]
pub mod arch;
#[cfg(feature = "convert")]
#[doc(hidden)]
pub mod check;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
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
pub use engine::{DeviceChoice, DeviceNews};
pub use error::Error;
pub use frame::{
    AutoFinishEncoder, Decoder, DecoderOptions, Encoder, EncoderOptions, ModeLengths, Model,
    Models, Prime, Progress, SeekableDecoder, Summary, compress, compress_all, decompress,
    decompress_all,
};
pub use predict::Preset;

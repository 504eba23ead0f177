//! How the binary behaves: each test runs the real `llmzip` in a folder of its own.
//!
//! A test is named after the behaviour it pins down; `CONVENTIONS` of compressors (what users of
//! zstd, xz and gzip expect) are where these come from.

#[cfg(feature = "compare")]
mod compare;
mod conventions;
mod damage;
mod device;
mod explain;
mod harness;
mod info;
mod provenance;
mod range;
mod roundtrip;
mod safety;
mod scaling;
mod terminal;

//! The command line as it was typed. [`super::meant`] says what it means.
//!
//! This folder knows clap and the texts of `--help`. It interprets nothing.

mod coding;
mod level;
mod model;
mod reports;
mod shared;

use clap::{Parser, Subcommand};

pub(super) use coding::{CatArgs, CompressArgs, DecompressArgs, InfoArgs, TestArgs};
#[cfg(feature = "convert")]
pub(super) use model::CheckArgs;
pub(super) use model::{ModelArgs, ModelCommand};
#[cfg(feature = "encode")]
pub(super) use reports::ExplainArgs;
#[cfg(feature = "compare")]
pub(super) use reports::{CompareArgs, CompareFormat, CompareOneArgs};
pub(super) use reports::{MeasureArgs, ReportArgs, ScalingArgs, ScalingFormat};
pub(super) use shared::{FileArgs, OutputArgs, ReadingArgs, ResourceArgs, Switch, VerbosityArgs};

/// Compress files with a language model.
///
/// A language model predicts what comes next, and an arithmetic coder writes only what the model
/// did not foresee. `llmzip compress FILE` writes FILE.llmz; `llmzip decompress FILE.llmz` restores
/// FILE.
#[derive(Debug, Parser)]
#[command(
    name = "llmzip",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(super) struct Typed {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Compress each FILE to FILE.llmz (no FILE, or -: standard input to standard output)
    #[command(visible_alias = "c")]
    Compress(CompressArgs),
    /// Restore each FILE.llmz to FILE
    #[command(visible_alias = "d")]
    Decompress(DecompressArgs),
    /// Decompress to standard output
    Cat(CatArgs),
    /// Check that each FILE can be decompressed, without writing anything
    #[command(visible_alias = "t")]
    Test(TestArgs),
    /// Show what each FILE consists of; checks headers and payloads, needs no model
    Info(InfoArgs),
    /// Compare gzip, bzip2, xz, zstd, brotli and llmzip with each of its models
    #[cfg(feature = "compare")]
    Compare(CompareArgs),
    /// Measure one compressor on standard input: compare runs it in a process of its own
    #[cfg(feature = "compare")]
    #[command(hide = true)]
    CompareOne(CompareOneArgs),
    /// Show how much smaller FILEs get as models grow, and fit a law to it
    ///
    /// Each file is coded in one stream, however long it is, because that makes it smallest.
    Scaling(ScalingArgs),
    /// Show where the bits of FILE go, token by token
    #[cfg(feature = "encode")]
    Explain(ExplainArgs),
    /// Add, fetch, list, verify, remove and check models
    Model(ModelArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

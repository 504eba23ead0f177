//! The command line as it was typed. [`super::meant`] says what it means.
//!
//! This folder knows clap and the texts of `--help`. It interprets nothing.

mod coding;
mod devices;
mod level;
mod model;
mod plain;
mod reports;
mod shared;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(super) use coding::{CatArgs, CompressArgs, DecompressArgs, InfoArgs, StreamsArg, TestArgs};
pub(super) use devices::DevicesArgs;
#[cfg(feature = "convert")]
pub(super) use model::CheckArgs;
pub(super) use model::{ModelArgs, ModelCommand};
pub(super) use plain::PlainArgs;
#[cfg(feature = "encode")]
pub(super) use reports::ExplainArgs;
#[cfg(feature = "compare")]
pub(super) use reports::{CompareArgs, CompareOneArgs};
pub(super) use reports::{MeasureArgs, ReportArgs, ReportFormat, ResultArgs, ScalingArgs};
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
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    override_usage = "llmzip [OPTIONS] [FILE]...\n       llmzip <COMMAND> ...",
    after_help = "A file that is named like a command is typed ./NAME.",
    after_long_help = EXAMPLES
)]
pub(super) struct Typed {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) plain: PlainArgs,
}

/// Decompress files that llmzip has written.
///
/// Options and FILEs are those of `llmzip -d`; llmzcat writes to standard output.
#[derive(Debug, Parser)]
#[command(
    name = "unllmzip",
    version,
    max_term_width = 100,
    args_override_self = true
)]
pub(super) struct TypedWithoutCommand {
    #[command(flatten)]
    pub(super) plain: PlainArgs,
}

const EXAMPLES: &str = "\
Examples:
  llmzip notes.txt                    write notes.txt.llmz
  llmzip -d notes.txt.llmz            restore notes.txt
  llmzip -2 --rm *.log                the fast way, and delete what is compressed
  llmzip -r -T4 folder                compress all files in a folder, with 4 threads
  tar -I llmzip -cf a.tar.llmz a      archive a folder; -xf unpacks it
  llmzip cat a.llmz | less            read a compressed file
  llmzip explain notes.txt            see where its bits go

An interrupted run leaves no output and cannot be resumed, because an output appears complete or not
at all. Who fears that cuts a long input into parts: joined compressed files are a compressed file.

A file that is named like a command is typed ./NAME. Called as unllmzip, the program decompresses;
called as llmzcat, it decompresses to standard output.";

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
    /// List the GPUs and other devices that could run models
    Devices(DevicesArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder, which is made if it is absent
        folder: PathBuf,
        /// Overwrite pages that are there
        #[arg(short, long)]
        force: bool,
    },
}

//! Arguments that several commands share.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

#[derive(Debug, Args)]
pub(in crate::cli) struct FileArgs {
    /// The files; none, or -, is standard input
    #[arg(value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Take the files of folders
    ///
    /// And those of the folders in them. Links are not followed. Files with .llmz at the end of
    /// their names are not compressed, and others are not decompressed.
    #[arg(short, long)]
    pub(in crate::cli) recursive: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OutputArgs {
    /// Write to FILE (- is standard output)
    #[arg(short, long, value_name = "FILE", conflicts_with = "stdout")]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Write to standard output, keep the inputs
    #[arg(short = 'c', long)]
    pub(in crate::cli) stdout: bool,
    /// Keep the inputs (the default)
    #[arg(short, long, overrides_with = "rm")]
    pub(in crate::cli) keep: bool,
    /// Delete each input once its output is safely on the disk
    ///
    /// An input that is not as it was read stays, and so does one whose output went to a pipe or a
    /// device.
    #[arg(long, overrides_with = "keep")]
    pub(in crate::cli) rm: bool,
    /// Overwrite outputs
    ///
    /// Also follow symbolic links, compress what is compressed, and write binary data to a
    /// terminal.
    #[arg(short, long)]
    pub(in crate::cli) force: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ResourceArgs {
    /// Threads; 0, the default, is one for each core
    ///
    /// No more are used than there are cores for this process. The environment variable
    /// `LLMZIP_THREADS` names another default.
    #[arg(short = 'T', long, value_name = "N")]
    pub(in crate::cli) threads: Option<usize>,
    /// Where the language model runs: cpu, gpu, auto, or one of llmzip devices by its number or a
    /// part of its name; the bytes are the same
    ///
    /// auto, the default, takes a GPU where it is likely to be faster: a card with memory of its
    /// own, for a model of 64 MiB or more and an input that is not short. Without such a card, or
    /// where anything is wrong with it, the model runs on the CPU. The environment variable
    /// `LLMZIP_DEVICE` names another default.
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(in crate::cli) device: Option<String>,
    /// Refuse what needs more memory than this, e.g. 500MB
    #[arg(short = 'M', long, value_name = "LIMIT")]
    pub(in crate::cli) memory: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReadingArgs {
    /// Use this model for files written with it (a name or the path of a packed model)
    #[arg(short, long, value_name = "NAME|PATH")]
    pub(in crate::cli) model: Option<String>,
    /// A file or folder that files were compressed with; may be given several times
    #[arg(short = 'D', long, value_name = "FILE")]
    pub(in crate::cli) prime: Vec<PathBuf>,
    /// Refuse a FILE that decompresses to more bytes than this, e.g. 2GB
    #[arg(long, value_name = "SIZE")]
    pub(in crate::cli) max_output: Option<String>,
    /// Accepted and ignored: every checksum in a file is always checked
    #[arg(long, overrides_with = "no_check", hide = true)]
    pub(in crate::cli) check: bool,
    /// Accepted and ignored: every checksum in a file is always checked
    #[arg(long, overrides_with = "check", hide = true)]
    pub(in crate::cli) no_check: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerbosityArgs {
    /// Print errors only; twice: not even errors
    #[arg(short, long, action = ArgAction::Count)]
    pub(in crate::cli) quiet: u8,
    /// Print more about each file
    #[arg(short, long, action = ArgAction::Count)]
    pub(in crate::cli) verbose: u8,
    /// Show no progress
    #[arg(long, hide_short_help = true)]
    pub(in crate::cli) no_progress: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Switch {
    On,
    Off,
}

//! Arguments of the commands that read or write compressed files.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::level::LevelArg;
use super::shared::{FileArgs, OutputArgs, ReadingArgs, ResourceArgs, Switch, VerbosityArgs};
use crate::cli::level::LEVELS;
use llmzip::container::MAX_STREAMS;

/// How many streams a block should have.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum StreamsArg {
    Exactly(usize),
    /// As many as a GPU decompresses well.
    Gpu,
}

impl FromStr for StreamsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<StreamsArg, String> {
        if text == "gpu" {
            return Ok(StreamsArg::Gpu);
        }
        let number = text
            .parse()
            .ok()
            .filter(|number| (1..=MAX_STREAMS).contains(number));
        let wanted = || format!("{text} is neither \"gpu\" nor a number from 1 to {MAX_STREAMS}");
        number.map(StreamsArg::Exactly).ok_or_else(wanted)
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CompressArgs {
    #[command(flatten)]
    pub(in crate::cli) files: FileArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
    #[command(flatten)]
    pub(in crate::cli) resources: ResourceArgs,
    #[command(flatten)]
    pub(in crate::cli) verbosity: VerbosityArgs,
    /// The language model: the name of an installed one, the path of a packed one, or "none"
    #[arg(short, long, value_name = "NAME|PATH")]
    pub(in crate::cli) model: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) level: LevelArg,
    /// Use the highest level that compresses all FILEs in about this time, e.g. 10s or 5min, as far
    /// as short trials tell; the same files may get another level on another machine
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with_all = LEVELS.iter().map(|level| level.id).chain(["model", "experts"]),
        hide_short_help = true
    )]
    pub(in crate::cli) budget: Option<String>,
    /// Compress as if FILE had been compressed just before: an earlier version, or samples of the
    /// same kind (the files of a folder, not those in its folders, are joined); decompressing needs
    /// the same FILE
    #[arg(short = 'D', long, value_name = "FILE", hide_short_help = true)]
    pub(in crate::cli) prime: Option<PathBuf>,
    /// Store a checksum of the original bytes (the default)
    #[arg(long, overrides_with = "no_check", hide_short_help = true)]
    pub(in crate::cli) check: bool,
    /// Store no checksum of the original bytes; headers and payloads always have one
    #[arg(long, overrides_with = "check", hide_short_help = true)]
    pub(in crate::cli) no_check: bool,
    /// Decompress each output and compare it with the input, before it is put in place (the
    /// default with --rm); that takes longer than compressing
    #[arg(long, overrides_with = "no_verify", hide_short_help = true)]
    pub(in crate::cli) verify: bool,
    /// Do not decompress the output again
    #[arg(long, overrides_with = "verify", hide_short_help = true)]
    pub(in crate::cli) no_verify: bool,
    /// Adaptive experts beside the model; off is for measurements, and makes files larger
    #[arg(
        long,
        value_enum,
        default_value_t = Switch::On,
        hide_possible_values = true,
        hide_short_help = true,
        value_name = "on|off"
    )]
    pub(in crate::cli) experts: Switch,
    /// Original bytes in a block, 1KiB to 16MiB; memory and the delay of a pipe grow with it
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1MiB",
        hide_short_help = true
    )]
    pub(in crate::cli) block_size: String,
    /// Original bytes in a frame, 4KiB to 1GiB: frames are decompressed by themselves, for cat
    /// --range, and up to 64MiB long they are coded at the same time, one on each thread; they end
    /// where a line ends, and shorter ones make files larger [default: one frame]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub(in crate::cli) frame_size: Option<String>,
    /// Streams in a block, 1 to 256; more make decompression faster and files larger; "gpu" for
    /// as many as a GPU decompresses well, up to 64 in long blocks [default: by model and size]
    #[arg(long, value_name = "N|gpu", hide_short_help = true)]
    pub(in crate::cli) streams: Option<StreamsArg>,
    /// Make each block readable without those before it; files get larger
    #[arg(long, hide_short_help = true)]
    pub(in crate::cli) independent_blocks: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DecompressArgs {
    #[command(flatten)]
    pub(in crate::cli) files: FileArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
    #[command(flatten)]
    pub(in crate::cli) resources: ResourceArgs,
    #[command(flatten)]
    pub(in crate::cli) reading: ReadingArgs,
    #[command(flatten)]
    pub(in crate::cli) verbosity: VerbosityArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CatArgs {
    #[command(flatten)]
    pub(in crate::cli) files: FileArgs,
    /// Write only LENGTH bytes of the original from byte OFFSET on, or all from there on without
    /// LENGTH; both may have units, as in 4MiB:64k
    #[arg(long, value_name = "OFFSET:[LENGTH]", conflicts_with = "max_output")]
    pub(in crate::cli) range: Option<String>,
    /// Write binary data to a terminal
    #[arg(short, long)]
    pub(in crate::cli) force: bool,
    #[command(flatten)]
    pub(in crate::cli) resources: ResourceArgs,
    #[command(flatten)]
    pub(in crate::cli) reading: ReadingArgs,
    #[command(flatten)]
    pub(in crate::cli) verbosity: VerbosityArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    #[command(flatten)]
    pub(in crate::cli) files: FileArgs,
    /// Accepted and ignored: symbolic links are always followed
    #[arg(short, long, hide = true)]
    pub(in crate::cli) force: bool,
    #[command(flatten)]
    pub(in crate::cli) resources: ResourceArgs,
    #[command(flatten)]
    pub(in crate::cli) reading: ReadingArgs,
    #[command(flatten)]
    pub(in crate::cli) verbosity: VerbosityArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct InfoArgs {
    #[command(flatten)]
    pub(in crate::cli) files: FileArgs,
    /// Print one line of JSON for each FILE
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Accepted and ignored: symbolic links are always followed
    #[arg(short, long, hide = true)]
    pub(in crate::cli) force: bool,
}

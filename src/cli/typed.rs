//! What was typed, as it was typed. What it means is [`super::meant`]'s to say.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::level::LevelArg;

/// Compress files with a language model.
///
/// A language model predicts what comes next, an arithmetic coder writes down how far the file
/// differs. `llmzip compress FILE` writes FILE.llmz; `llmzip decompress FILE.llmz` gives FILE back.
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
    /// Decompress without writing anything: is each FILE whole?
    #[command(visible_alias = "t")]
    Test(TestArgs),
    /// Say what is in each FILE, checking headers and payloads; needs no model
    Info(InfoArgs),
    /// Set each FILE under gzip, bzip2, xz, zstd, brotli and every model side by side
    #[cfg(feature = "compare")]
    Compare(CompareArgs),
    /// Measure one compressor on standard input, for compare, which starts a process for each
    #[cfg(feature = "compare")]
    #[command(hide = true)]
    CompareOne(CompareOneArgs),
    /// Say how small FILEs get as models grow, and the law behind it
    ///
    /// Each is coded in one stream, however long: as small as it gets.
    Scaling(ScalingArgs),
    /// Show where the bits of FILE go, token by token
    #[cfg(feature = "encode")]
    Explain(ExplainArgs),
    /// Add, fetch, list, verify, remove and check models
    Model(super::model::ModelArgs),
    /// Write a completion script for a shell to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct CompressArgs {
    #[command(flatten)]
    pub(super) files: FileArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) run: RunArgs,
    #[command(flatten)]
    pub(super) talk: TalkArgs,
    /// The language model: the name of an installed one, a packed file, or "none"
    #[arg(short, long, value_name = "NAME|PATH")]
    pub(super) model: Option<String>,
    #[command(flatten)]
    pub(super) level: LevelArg,
    /// Store a check of the original bytes (the default)
    #[arg(long, overrides_with = "no_check")]
    pub(super) check: bool,
    /// Store no check of the original bytes; headers and payloads are always checked
    #[arg(long, overrides_with = "check")]
    pub(super) no_check: bool,
    /// Adaptive experts beside the model; off is for measurement, and larger
    #[arg(long, value_enum, default_value_t = Switch::On, hide_possible_values = true, value_name = "on|off")]
    pub(super) experts: Switch,
    /// Original bytes in a block, at most 16MiB: memory and the delay of a stream grow with it
    #[arg(long, value_name = "SIZE", default_value = "1MiB")]
    pub(super) block_size: String,
    /// Streams in a block, 1 to 16: more are faster to decompress, and larger [default: by model and size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=llmzip::container::MAX_STREAMS as i64))]
    pub(super) streams: Option<u8>,
    /// Blocks that can each be read without those before: larger
    #[arg(long)]
    pub(super) independent_blocks: bool,
}

#[derive(Debug, Args)]
pub(super) struct DecompressArgs {
    #[command(flatten)]
    pub(super) files: FileArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    #[command(flatten)]
    pub(super) run: RunArgs,
    #[command(flatten)]
    pub(super) reading: ReadingArgs,
    #[command(flatten)]
    pub(super) talk: TalkArgs,
}

#[derive(Debug, Args)]
pub(super) struct CatArgs {
    #[command(flatten)]
    pub(super) files: FileArgs,
    /// Write binary to a terminal; follow symbolic links
    #[arg(short, long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) run: RunArgs,
    #[command(flatten)]
    pub(super) reading: ReadingArgs,
    #[command(flatten)]
    pub(super) talk: TalkArgs,
}

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    #[command(flatten)]
    pub(super) files: FileArgs,
    /// Follow symbolic links
    #[arg(short, long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) run: RunArgs,
    #[command(flatten)]
    pub(super) reading: ReadingArgs,
    #[command(flatten)]
    pub(super) talk: TalkArgs,
}

#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    #[command(flatten)]
    pub(super) files: FileArgs,
    /// One JSON object a file, each on a line
    #[arg(long)]
    pub(super) json: bool,
    /// Follow symbolic links
    #[arg(short, long)]
    pub(super) force: bool,
}

#[cfg(feature = "compare")]
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    pub(super) measure: MeasureArgs,
    /// How to write the result
    #[arg(long, value_enum, default_value_t = CompareFormat::Table)]
    pub(super) format: CompareFormat,
}

#[cfg(feature = "compare")]
#[derive(Debug, Args)]
pub(super) struct CompareOneArgs {
    /// The compressor, as compare calls it
    #[arg(long)]
    pub(super) compressor: String,
    /// What the file is called
    #[arg(long)]
    pub(super) called: String,
    /// The language model: a name, a packed file, or "none"
    #[arg(long)]
    pub(super) model: String,
    #[command(flatten)]
    pub(super) watching: WatchArgs,
}

#[derive(Debug, Args)]
pub(super) struct ScalingArgs {
    #[command(flatten)]
    pub(super) measure: MeasureArgs,
    /// Adaptive experts beside the models; off measures each model by itself
    #[arg(long, value_enum, default_value_t = Switch::On, hide_possible_values = true, value_name = "on|off")]
    pub(super) experts: Switch,
    /// How to write the result
    #[arg(long, value_enum, default_value_t = ScalingFormat::Table)]
    pub(super) format: ScalingFormat,
    /// Write the plot as SVG, too
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
    /// Write plot and tables as a page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

#[cfg(feature = "encode")]
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The language model: a name, a packed file, or "none" [default: mini]
    #[arg(short, long, value_name = "NAME|PATH")]
    pub(super) model: Option<String>,
    /// Write a page for a browser, which needs nothing else
    #[arg(short, long, value_name = "FILE.html")]
    pub(super) output: Option<PathBuf>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) watching: WatchArgs,
}

/// What reports measure, and with what.
#[derive(Debug, Args)]
pub(super) struct MeasureArgs {
    /// The files; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// The models: names or packed files, separated by commas [default: all there are]
    #[arg(short, long, value_name = "NAME|PATH,...", value_delimiter = ',')]
    pub(super) models: Vec<String>,
    #[command(flatten)]
    pub(super) watching: WatchArgs,
}

/// How reports are made.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Overwrite outputs, follow symbolic links
    #[arg(short, long)]
    pub(super) force: bool,
    /// Say nothing but errors; twice: nothing at all
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) quiet: u8,
    /// Show no progress
    #[arg(long)]
    pub(super) no_progress: bool,
}

#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// The files; none, or -, is standard input
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Write to FILE (- is standard output)
    #[arg(short, long, value_name = "FILE", conflicts_with = "stdout")]
    pub(super) output: Option<PathBuf>,
    /// Write to standard output, keep the inputs
    #[arg(short = 'c', long)]
    pub(super) stdout: bool,
    /// Keep the inputs (the default)
    #[arg(short, long, overrides_with = "rm")]
    pub(super) keep: bool,
    /// Delete each input once its output is safely written
    #[arg(long, overrides_with = "keep")]
    pub(super) rm: bool,
    /// Overwrite outputs, write binary to a terminal, follow symbolic links
    #[arg(short, long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Threads; 0 is one for each core
    #[arg(short = 'T', long, value_name = "N", default_value_t = 0)]
    pub(super) threads: usize,
    /// Refuse what needs more memory than this, e.g. 500MiB
    #[arg(short = 'M', long, value_name = "LIMIT")]
    pub(super) memory: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ReadingArgs {
    /// Use this model if the file was written with it (a name or a packed file)
    #[arg(short, long, value_name = "NAME|PATH")]
    pub(super) model: Option<String>,
    /// Accepted for symmetry: what a file carries is always checked
    #[arg(long, overrides_with = "no_check", hide = true)]
    pub(super) check: bool,
    /// Accepted for symmetry: what a file carries is always checked
    #[arg(long, overrides_with = "check", hide = true)]
    pub(super) no_check: bool,
}

#[derive(Debug, Args)]
pub(super) struct TalkArgs {
    /// Say nothing but errors; twice: nothing at all
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) quiet: u8,
    /// Say more
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Show no progress
    #[arg(long)]
    pub(super) no_progress: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

#[cfg(feature = "compare")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CompareFormat {
    Table,
    Json,
    Csv,
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ScalingFormat {
    Table,
    Json,
}

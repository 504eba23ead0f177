//! Arguments of the commands that measure and report.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::shared::{ResourceArgs, Switch};

#[cfg(feature = "compare")]
#[derive(Debug, Args)]
pub(in crate::cli) struct CompareArgs {
    #[command(flatten)]
    pub(in crate::cli) measure: MeasureArgs,
    #[command(flatten)]
    pub(in crate::cli) result: ResultArgs,
}

#[cfg(feature = "compare")]
#[derive(Debug, Args)]
pub(in crate::cli) struct CompareOneArgs {
    /// Name of the compressor, as compare prints it
    #[arg(long)]
    pub(in crate::cli) compressor: String,
    /// Name of the file
    #[arg(long)]
    pub(in crate::cli) called: String,
    /// Length of the file, which standard input begins with
    #[arg(long)]
    pub(in crate::cli) bytes: u64,
    /// The language model: a name, the path of a packed model, or "none"
    #[arg(long)]
    pub(in crate::cli) model: String,
    #[command(flatten)]
    pub(in crate::cli) report: ReportArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ScalingArgs {
    #[command(flatten)]
    pub(in crate::cli) measure: MeasureArgs,
    /// Adaptive experts beside the models; off measures each model alone
    #[arg(
        long,
        value_enum,
        default_value_t = Switch::On,
        hide_possible_values = true,
        value_name = "on|off"
    )]
    pub(in crate::cli) experts: Switch,
    #[command(flatten)]
    pub(in crate::cli) result: ResultArgs,
}

#[cfg(feature = "encode")]
#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// The language model: a name, the path of a packed model, or "none" [default: mini]
    #[arg(short, long, value_name = "NAME|PATH")]
    pub(in crate::cli) model: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) result: ResultArgs,
    #[command(flatten)]
    pub(in crate::cli) report: ReportArgs,
}

/// Which files are measured with which models.
#[derive(Debug, Args)]
pub(in crate::cli) struct MeasureArgs {
    /// The files; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// The models: names or paths of packed models, separated by commas
    /// [default: all built-in and installed models]
    #[arg(short, long, value_name = "NAME|PATH,...", value_delimiter = ',')]
    pub(in crate::cli) models: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) report: ReportArgs,
}

/// What the result looks like, and where it goes.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResultArgs {
    /// Format of the result [default: what the name of the output ends with, else table]
    #[arg(long, value_enum)]
    pub(in crate::cli) format: Option<ReportFormat>,
    /// Write the result to FILE instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
}

/// Options of all reports.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReportArgs {
    #[command(flatten)]
    pub(in crate::cli) resources: ResourceArgs,
    /// Overwrite outputs
    #[arg(short, long)]
    pub(in crate::cli) force: bool,
    /// Show no progress; twice: print no errors either
    #[arg(short, long, action = ArgAction::Count)]
    pub(in crate::cli) quiet: u8,
    /// Show no progress
    #[arg(long)]
    pub(in crate::cli) no_progress: bool,
}

/// A format of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ReportFormat {
    /// Tables for a terminal
    Table,
    /// One JSON object
    Json,
    /// Comma-separated values
    Csv,
    /// Tables for a document
    Markdown,
    /// A self-contained page for a browser
    Html,
    /// A picture
    Svg,
}

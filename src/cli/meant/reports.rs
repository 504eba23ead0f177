//! What the arguments of `compare`, `scaling` and `explain` mean.

use std::path::{Path, PathBuf};

use llmzip::report::Provenance;
#[cfg(feature = "compare")]
use llmzip::report::compare::{self, Comparison};
#[cfg(feature = "encode")]
use llmzip::report::explain::{self, Explanation};
use llmzip::report::scaling::{self, Scaling};

use super::shared::{DASH, Input, ModelList, Resources, inputs, named_models, resources};
#[cfg(feature = "encode")]
use super::shared::{ModelChoice, input, model_choice};
use crate::cli::failure::Failure;
use crate::cli::print;
#[cfg(feature = "encode")]
use crate::cli::typed::ExplainArgs;
#[cfg(feature = "compare")]
use crate::cli::typed::{CompareArgs, CompareOneArgs};
use crate::cli::typed::{MeasureArgs, ReportArgs, ReportFormat, ResultArgs, ScalingArgs, Switch};

/// Which files are measured with which models.
pub(in crate::cli) struct Measurement {
    pub(in crate::cli) inputs: Vec<Input>,
    pub(in crate::cli) models: ModelList,
    pub(in crate::cli) options: ReportOptions,
}

/// Options of all reports.
#[derive(Clone)]
pub(in crate::cli) struct ReportOptions {
    /// Overwrite files.
    pub(in crate::cli) force: bool,
    pub(in crate::cli) resources: Resources,
    /// Show the progress, if standard error is a terminal.
    pub(in crate::cli) progress: bool,
}

/// Turns what was measured into text.
pub(in crate::cli) type Render<T> = fn(&T, &Provenance) -> String;

/// What a report on a `T` becomes.
pub(in crate::cli) struct ReportResult<T> {
    pub(in crate::cli) render: Render<T>,
    /// The file that it is written to; `None` for standard output.
    pub(in crate::cli) file: Option<PathBuf>,
}

/// What `compare` is to do.
#[cfg(feature = "compare")]
pub(in crate::cli) struct CompareJob {
    pub(in crate::cli) measurement: Measurement,
    pub(in crate::cli) result: ReportResult<Comparison>,
}

/// What `compare-one` is to do.
#[cfg(feature = "compare")]
pub(in crate::cli) struct CompareOneJob {
    /// Name of the compressor.
    pub(in crate::cli) compressor: String,
    /// Name of the file.
    pub(in crate::cli) file: String,
    /// Length of the file, which standard input begins with.
    pub(in crate::cli) bytes: u64,
    /// The model that the compressor needs, or none.
    pub(in crate::cli) models: ModelList,
    pub(in crate::cli) options: ReportOptions,
}

/// What `scaling` is to do.
pub(in crate::cli) struct ScalingJob {
    pub(in crate::cli) measurement: Measurement,
    /// Whether experts help the models.
    pub(in crate::cli) experts: bool,
    pub(in crate::cli) result: ReportResult<Scaling>,
}

/// What `explain` is to do.
#[cfg(feature = "encode")]
pub(in crate::cli) struct ExplainJob {
    pub(in crate::cli) input: Input,
    pub(in crate::cli) model: ModelChoice,
    pub(in crate::cli) options: ReportOptions,
    pub(in crate::cli) result: ReportResult<Explanation>,
}

#[cfg(feature = "compare")]
pub(in crate::cli) fn compare(args: CompareArgs) -> Result<CompareJob, Failure> {
    Ok(CompareJob {
        measurement: measurement(args.measure)?,
        result: result(args.result, |format| {
            Ok(match format {
                ReportFormat::Table => compare::render::table,
                ReportFormat::Json => compare::render::json,
                ReportFormat::Csv => compare::render::csv,
                ReportFormat::Markdown => compare::render::markdown,
                ReportFormat::Html => compare::render::html,
                ReportFormat::Svg => {
                    return Err(Failure::usage("compare draws no picture; scaling does"));
                }
            })
        })?,
    })
}

#[cfg(feature = "compare")]
pub(in crate::cli) fn compare_one(args: CompareOneArgs) -> Result<CompareOneJob, Failure> {
    Ok(CompareOneJob {
        compressor: args.compressor,
        file: args.called,
        bytes: args.bytes,
        models: named_models(vec![args.model]),
        options: options(&args.report)?,
    })
}

pub(in crate::cli) fn scaling(args: ScalingArgs) -> Result<ScalingJob, Failure> {
    Ok(ScalingJob {
        measurement: measurement(args.measure)?,
        experts: args.experts == Switch::On,
        result: result(args.result, |format| {
            Ok(match format {
                ReportFormat::Table => scaling::render::table,
                ReportFormat::Json => scaling::render::json,
                ReportFormat::Csv => scaling::render::csv,
                ReportFormat::Markdown => scaling::render::markdown,
                ReportFormat::Html => scaling::render::html,
                ReportFormat::Svg => scaling::render::svg,
            })
        })?,
    })
}

#[cfg(feature = "encode")]
pub(in crate::cli) fn explain(args: ExplainArgs) -> Result<ExplainJob, Failure> {
    Ok(ExplainJob {
        input: input(args.file),
        model: model_choice(args.model.as_deref()),
        options: options(&args.report)?,
        result: result(args.result, |format| {
            Ok(match format {
                ReportFormat::Table => explain::render::table,
                ReportFormat::Json => explain::render::json,
                ReportFormat::Csv => explain::render::csv,
                ReportFormat::Markdown => explain::render::markdown,
                ReportFormat::Html => explain::render::html,
                ReportFormat::Svg => {
                    let html = "explain draws its pictures in a page; use --format html";
                    return Err(Failure::usage(html));
                }
            })
        })?,
    })
}

/// What is made of a report, and where it goes. `render` gives the function for a format, or says
/// why there is none.
fn result<T>(
    args: ResultArgs,
    render: impl FnOnce(ReportFormat) -> Result<Render<T>, Failure>,
) -> Result<ReportResult<T>, Failure> {
    let file = args.output.filter(|path| path.as_os_str() != DASH);
    let by_name = || file.as_deref().and_then(format_of);
    let format = args.format.or_else(by_name);
    Ok(ReportResult {
        render: render(format.unwrap_or(ReportFormat::Table))?,
        file,
    })
}

/// The format that the name of a file ends with, if it ends with one.
fn format_of(path: &Path) -> Option<ReportFormat> {
    match path.extension()?.to_str()? {
        "json" => Some(ReportFormat::Json),
        "csv" => Some(ReportFormat::Csv),
        "md" => Some(ReportFormat::Markdown),
        "html" | "htm" => Some(ReportFormat::Html),
        "svg" => Some(ReportFormat::Svg),
        _ => None,
    }
}

fn measurement(args: MeasureArgs) -> Result<Measurement, Failure> {
    Ok(Measurement {
        inputs: inputs(args.files),
        models: match args.models.is_empty() {
            true => ModelList::All,
            false => named_models(args.models),
        },
        options: options(&args.report)?,
    })
}

fn options(args: &ReportArgs) -> Result<ReportOptions, Failure> {
    print::set_quiet(args.quiet);
    Ok(ReportOptions {
        force: args.force,
        resources: resources(&args.resources)?,
        progress: args.quiet == 0 && !args.no_progress,
    })
}

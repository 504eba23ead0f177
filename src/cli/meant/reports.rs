//! What the arguments of `compare`, `scaling` and `explain` mean.

use std::path::PathBuf;

#[cfg(feature = "compare")]
use llmzip::report::compare::{self, Comparison};
#[cfg(feature = "encode")]
use llmzip::report::explain::{self, Explanation};
use llmzip::report::scaling::{self, Scaling};

use super::shared::{Input, ModelList, Resources, inputs, named_models, resources};
#[cfg(feature = "encode")]
use super::shared::{ModelChoice, input, model_choice};
use crate::cli::failure::Failure;
use crate::cli::print;
#[cfg(feature = "encode")]
use crate::cli::typed::ExplainArgs;
#[cfg(feature = "compare")]
use crate::cli::typed::{CompareArgs, CompareFormat, CompareOneArgs};
use crate::cli::typed::{MeasureArgs, ReportArgs, ScalingArgs, ScalingFormat, Switch};

/// Which files are measured with which models.
pub(in crate::cli) struct Measurement {
    pub(in crate::cli) inputs: Vec<Input>,
    pub(in crate::cli) models: ModelList,
    pub(in crate::cli) options: ReportOptions,
}

/// Options of all reports.
#[derive(Clone, Copy)]
pub(in crate::cli) struct ReportOptions {
    /// Overwrite files.
    pub(in crate::cli) force: bool,
    pub(in crate::cli) resources: Resources,
    /// Show the progress, if standard error is a terminal.
    pub(in crate::cli) progress: bool,
}

/// What `compare` is to do.
#[cfg(feature = "compare")]
pub(in crate::cli) struct CompareJob {
    pub(in crate::cli) measurement: Measurement,
    pub(in crate::cli) render: fn(&Comparison) -> String,
}

/// What `compare-one` is to do.
#[cfg(feature = "compare")]
pub(in crate::cli) struct CompareOneJob {
    /// Name of the compressor.
    pub(in crate::cli) compressor: String,
    /// Name of the file.
    pub(in crate::cli) file: String,
    /// The model that the compressor needs, or none.
    pub(in crate::cli) models: ModelList,
    pub(in crate::cli) options: ReportOptions,
}

/// Turns what `scaling` measured into text.
pub(in crate::cli) type RenderScaling = fn(&Scaling) -> String;

/// What `scaling` is to do.
pub(in crate::cli) struct ScalingJob {
    pub(in crate::cli) measurement: Measurement,
    /// Whether experts help the models.
    pub(in crate::cli) experts: bool,
    /// What is printed.
    pub(in crate::cli) render: RenderScaling,
    /// What is also written to files.
    pub(in crate::cli) files: Vec<(PathBuf, RenderScaling)>,
}

/// What `explain` is to do.
#[cfg(feature = "encode")]
pub(in crate::cli) struct ExplainJob {
    pub(in crate::cli) input: Input,
    pub(in crate::cli) model: ModelChoice,
    pub(in crate::cli) options: ReportOptions,
    /// What is printed.
    pub(in crate::cli) render: fn(&Explanation) -> String,
    /// The file of the page, if one is wanted.
    pub(in crate::cli) page: Option<PathBuf>,
}

#[cfg(feature = "compare")]
pub(in crate::cli) fn compare(args: CompareArgs) -> Result<CompareJob, Failure> {
    Ok(CompareJob {
        measurement: measurement(args.measure)?,
        render: match args.format {
            CompareFormat::Table => compare::render::table,
            CompareFormat::Json => compare::render::json,
            CompareFormat::Csv => compare::render::csv,
            CompareFormat::Markdown => compare::render::markdown,
        },
    })
}

#[cfg(feature = "compare")]
pub(in crate::cli) fn compare_one(args: CompareOneArgs) -> Result<CompareOneJob, Failure> {
    Ok(CompareOneJob {
        compressor: args.compressor,
        file: args.called,
        models: named_models(vec![args.model]),
        options: options(&args.report)?,
    })
}

pub(in crate::cli) fn scaling(args: ScalingArgs) -> Result<ScalingJob, Failure> {
    let svg = args
        .svg
        .map(|path| (path, scaling::render::svg as RenderScaling));
    let html = args
        .html
        .map(|path| (path, scaling::render::html as RenderScaling));
    if let (Some((svg, _)), Some((html, _))) = (&svg, &html)
        && svg == html
    {
        return Err(Failure::usage("--svg and --html are the same file"));
    }
    Ok(ScalingJob {
        measurement: measurement(args.measure)?,
        experts: args.experts == Switch::On,
        render: match args.format {
            ScalingFormat::Table => scaling::render::table,
            ScalingFormat::Json => scaling::render::json,
        },
        files: svg.into_iter().chain(html).collect(),
    })
}

#[cfg(feature = "encode")]
pub(in crate::cli) fn explain(args: ExplainArgs) -> Result<ExplainJob, Failure> {
    Ok(ExplainJob {
        input: input(args.file),
        model: model_choice(args.model.as_deref()),
        options: options(&args.report)?,
        render: match args.json {
            true => explain::render::json,
            false => explain::render::table,
        },
        page: args.output,
    })
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

//! What the arguments mean. Every option is interpreted here, once.

use std::path::PathBuf;

use llmzip::predict::Preset;
#[cfg(feature = "compare")]
use llmzip::report::compare::{self, Comparison};
#[cfg(feature = "encode")]
use llmzip::report::explain::{self, Explanation};
use llmzip::report::scaling::{self, Scaling};

use super::failure::Failure;
use super::text;
#[cfg(feature = "encode")]
use super::typed::ExplainArgs;
use super::typed::{
    CatArgs, CompressArgs, DecompressArgs, FileArgs, MeasureArgs, OutputArgs, ReadingArgs, RunArgs,
    ScalingArgs, ScalingFormat, Switch, TalkArgs, TestArgs, WatchArgs,
};
#[cfg(feature = "compare")]
use super::typed::{CompareArgs, CompareFormat, CompareOneArgs};

/// The end of a compressed file's name.
pub(super) const SUFFIX: &str = ".llmz";

/// `-`, for standard input and standard output.
pub(super) const DASH: &str = "-";

/// The name of having no model.
pub(super) const NO_MODEL: &str = "none";

/// Where bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    Stdin,
    File(PathBuf),
}

/// Where bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// Beside the input, the suffix added or taken away.
    Beside,
    Stdout,
    File(PathBuf),
    /// Nowhere: the input is only to be found correct.
    Nowhere,
}

/// What is to be done with files, whatever is done to their contents.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) inputs: Vec<Input>,
    pub(super) destination: Destination,
    /// Overwrite, follow links, write binary to a terminal.
    pub(super) force: bool,
    /// Delete an input once its output is in place.
    pub(super) remove_inputs: bool,
    pub(super) talk: Talk,
}

/// What is said on standard error beside errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    /// A line about each file.
    pub(super) summary: bool,
    /// More than a line.
    pub(super) verbose: bool,
    /// How far it has come, if anybody is looking.
    pub(super) progress: bool,
}

/// What may be used to run a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means {
    /// Threads, 0 for one each core.
    pub(super) threads: usize,
    /// Bytes of memory.
    pub(super) memory: Option<u64>,
}

/// A language model, as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ModelChoice {
    /// The one this program recommends.
    Default,
    /// None: adaptive experts alone.
    None,
    /// An installed one by name, or a packed file by path.
    Named(String),
}

/// A meant `compress`.
pub(super) struct Compress {
    pub(super) files: Files,
    pub(super) means: Means,
    pub(super) model: ModelChoice,
    pub(super) experts: bool,
    pub(super) preset: Preset,
    pub(super) checksum: bool,
    pub(super) independent_blocks: bool,
    pub(super) streams: Option<usize>,
    pub(super) block_len: u32,
}

/// A meant `decompress`, `cat` or `test`.
pub(super) struct Decompress {
    pub(super) files: Files,
    pub(super) means: Means,
    /// A model to be tried first.
    pub(super) model: Option<String>,
}

/// What a report is to measure, and with what.
pub(super) struct Measure {
    pub(super) inputs: Vec<Input>,
    pub(super) models: ModelList,
    pub(super) watching: Watching,
}

/// How a report is made.
#[derive(Clone, Copy)]
pub(super) struct Watching {
    /// Overwrite, follow symbolic links.
    pub(super) force: bool,
    pub(super) means: Means,
    pub(super) progress: bool,
}

/// Several language models, as asked for. The experts alone are measured whatever is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ModelList {
    /// The embedded ones and the installed ones.
    All,
    /// These: installed ones by name, packed files by path.
    Named(Vec<String>),
}

/// A meant `compare`.
#[cfg(feature = "compare")]
pub(super) struct Compare {
    pub(super) measure: Measure,
    pub(super) render: fn(&Comparison) -> String,
}

/// A meant `compare-one`.
#[cfg(feature = "compare")]
pub(super) struct CompareOne {
    pub(super) compressor: String,
    /// The file's name.
    pub(super) called: String,
    /// None, or one.
    pub(super) models: ModelList,
    pub(super) watching: Watching,
}

/// Turns what `scaling` measured into text.
pub(super) type Render = fn(&Scaling) -> String;

/// A meant `scaling`.
pub(super) struct Scale {
    pub(super) measure: Measure,
    /// Whether experts help the models.
    pub(super) experts: bool,
    pub(super) render: Render,
    /// Files to write, and what goes into each.
    pub(super) pictures: Vec<(PathBuf, Render)>,
}

/// A meant `explain`.
#[cfg(feature = "encode")]
pub(super) struct Explain {
    pub(super) input: Input,
    pub(super) model: ModelChoice,
    pub(super) watching: Watching,
    /// What is printed.
    pub(super) render: fn(&Explanation) -> String,
    /// Where the page goes, if one is wanted.
    pub(super) page: Option<PathBuf>,
}

pub(super) fn compress(args: CompressArgs) -> Result<Compress, Failure> {
    let block_len = text::parse_size(&args.block_size)
        .and_then(|size| u32::try_from(size).ok())
        .filter(|size| (1..=llmzip::container::MAX_BLOCK_LEN).contains(size))
        .ok_or_else(|| {
            usage(format!(
                "--block-size {} is not 1 to 16MiB",
                args.block_size
            ))
        })?;
    let level = args.level.0;
    let model = choice(args.model.as_deref().or(level.map(|level| level.model)));
    Ok(Compress {
        files: files(args.files, args.output, args.talk)?,
        means: means(&args.run)?,
        model,
        experts: args.experts == Switch::On,
        preset: level.map_or(Preset::Normal, |level| level.preset),
        checksum: !args.no_check,
        independent_blocks: args.independent_blocks,
        streams: args.streams.map(usize::from),
        block_len,
    })
}

pub(super) fn decompress(args: DecompressArgs) -> Result<Decompress, Failure> {
    Ok(Decompress {
        files: files(args.files, args.output, args.talk)?,
        means: means(&args.run)?,
        model: preferred(args.reading),
    })
}

pub(super) fn cat(args: CatArgs) -> Result<Decompress, Failure> {
    let output = OutputArgs {
        output: None,
        stdout: true,
        keep: true,
        rm: false,
        force: args.force,
    };
    Ok(Decompress {
        files: files(args.files, output, args.talk)?,
        means: means(&args.run)?,
        model: preferred(args.reading),
    })
}

pub(super) fn test(args: TestArgs) -> Result<Decompress, Failure> {
    Ok(Decompress {
        files: Files {
            inputs: inputs(args.files),
            destination: Destination::Nowhere,
            force: args.force,
            remove_inputs: false,
            talk: talk(&args.talk),
        },
        means: means(&args.run)?,
        model: preferred(args.reading),
    })
}

#[cfg(feature = "compare")]
pub(super) fn compare(args: CompareArgs) -> Result<Compare, Failure> {
    Ok(Compare {
        measure: measure(args.measure)?,
        render: match args.format {
            CompareFormat::Table => compare::render::table,
            CompareFormat::Json => compare::render::json,
            CompareFormat::Csv => compare::render::csv,
            CompareFormat::Markdown => compare::render::markdown,
        },
    })
}

#[cfg(feature = "compare")]
pub(super) fn compare_one(args: CompareOneArgs) -> Result<CompareOne, Failure> {
    Ok(CompareOne {
        compressor: args.compressor,
        called: args.called,
        models: named(vec![args.model]),
        watching: watching(&args.watching)?,
    })
}

pub(super) fn scaling(args: ScalingArgs) -> Result<Scale, Failure> {
    let svg = args.svg.map(|path| (path, scaling::render::svg as Render));
    let html = args
        .html
        .map(|path| (path, scaling::render::html as Render));
    if let (Some((svg, _)), Some((html, _))) = (&svg, &html)
        && svg == html
    {
        return Err(usage("--svg and --html are the same file".into()));
    }
    Ok(Scale {
        measure: measure(args.measure)?,
        experts: args.experts == Switch::On,
        render: match args.format {
            ScalingFormat::Table => scaling::render::table,
            ScalingFormat::Json => scaling::render::json,
        },
        pictures: svg.into_iter().chain(html).collect(),
    })
}

fn measure(args: MeasureArgs) -> Result<Measure, Failure> {
    Ok(Measure {
        inputs: inputs(FileArgs { files: args.files }),
        models: match args.models.is_empty() {
            true => ModelList::All,
            false => named(args.models),
        },
        watching: watching(&args.watching)?,
    })
}

fn named(models: Vec<String>) -> ModelList {
    let models = models
        .into_iter()
        .filter(|name| !name.is_empty() && name != NO_MODEL);
    ModelList::Named(models.collect())
}

#[cfg(feature = "encode")]
pub(super) fn explain(args: ExplainArgs) -> Result<Explain, Failure> {
    Ok(Explain {
        input: input(args.file),
        model: choice(args.model.as_deref()),
        watching: watching(&args.watching)?,
        render: match args.json {
            true => explain::render::json,
            false => explain::render::table,
        },
        page: args.output,
    })
}

fn watching(args: &WatchArgs) -> Result<Watching, Failure> {
    if args.quiet > 1 {
        text::be_silent();
    }
    Ok(Watching {
        force: args.force,
        means: means(&args.run)?,
        progress: args.quiet == 0 && !args.no_progress,
    })
}

fn choice(model: Option<&str>) -> ModelChoice {
    match model {
        None => ModelChoice::Default,
        Some(NO_MODEL) => ModelChoice::None,
        Some(name) => ModelChoice::Named(name.to_owned()),
    }
}

/// The model to try first; that a file needs none is for the file to say.
fn preferred(args: ReadingArgs) -> Option<String> {
    args.model.filter(|name| name != NO_MODEL)
}

/// The inputs, standard input if there are none.
pub(super) fn inputs(args: FileArgs) -> Vec<Input> {
    if args.files.is_empty() {
        return vec![Input::Stdin];
    }
    args.files.into_iter().map(input).collect()
}

fn input(file: PathBuf) -> Input {
    match file.as_os_str() == DASH {
        true => Input::Stdin,
        false => Input::File(file),
    }
}

fn files(files: FileArgs, output: OutputArgs, talk: TalkArgs) -> Result<Files, Failure> {
    let inputs = inputs(files);
    let destination = match output.output {
        Some(file) if file.as_os_str() == DASH => Destination::Stdout,
        Some(file) => Destination::File(file),
        None if output.stdout || inputs == [Input::Stdin] => Destination::Stdout,
        None => Destination::Beside,
    };
    if matches!(destination, Destination::File(_)) && inputs.len() > 1 {
        return Err(usage(
            "several inputs cannot go into one -o FILE; -c joins them".into(),
        ));
    }
    let mut talk = self::talk(&talk);
    // Beside the data on a pipe, one line a file is noise, unless it was asked for.
    talk.summary &= destination != Destination::Stdout || talk.verbose;
    Ok(Files {
        inputs,
        remove_inputs: output.rm && destination != Destination::Stdout,
        destination,
        force: output.force,
        talk,
    })
}

fn talk(args: &TalkArgs) -> Talk {
    if args.quiet > 1 {
        text::be_silent();
    }
    Talk {
        summary: args.quiet == 0,
        verbose: args.quiet == 0 && args.verbose > 0,
        progress: args.quiet == 0 && !args.no_progress,
    }
}

fn means(args: &RunArgs) -> Result<Means, Failure> {
    let memory = match &args.memory {
        None => None,
        Some(limit) => Some(
            text::parse_size(limit)
                .ok_or_else(|| usage(format!("-M {limit} is not a size such as 500MiB")))?,
        ),
    };
    Ok(Means {
        threads: args.threads,
        memory,
    })
}

fn usage(message: String) -> Failure {
    Failure::Usage(message)
}

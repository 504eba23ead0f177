//! What the arguments of `compress`, `decompress`, `cat`, `test` and `info` mean.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use llmzip::frame::{MAX_FRAME_LEN, Part};
use llmzip::predict::Preset;

use super::shared::{
    Accept, DASH, Input, ModelChoice, Resources, inputs, model_choice, number_in, resources, size,
};
use crate::cli::failure::Failure;
use crate::cli::level::{self, LEVELS, Level, NO_MODEL};
use crate::cli::typed::{
    CatArgs, CompressArgs, DecompressArgs, FileArgs, InfoArgs, OutputArgs, ReadingArgs, StreamsArg,
    Switch, TestArgs, VerbosityArgs,
};
use crate::cli::{print, text};

/// Most streams of a block that a GPU is to decompress. It predicts more in one pass, but files
/// grow.
const GPU_STREAMS: usize = 64;

/// The end of the name of a compressed file.
pub(in crate::cli) const SUFFIX: &str = ".llmz";

/// Whether a file is a compressed one by its name, which need not be UTF-8 and may be nothing but
/// the suffix.
pub(in crate::cli) fn is_compressed(path: &Path) -> bool {
    // A name that begins with its only dot has no extension.
    path.extension() == Some(OsStr::new(&SUFFIX[1..]))
        || path.file_name() == Some(OsStr::new(SUFFIX))
}

/// The shortest frame that can be asked for. In a shorter one, the model and the experts have
/// hardly begun to learn.
const SHORTEST_FRAME: u64 = 4 << 10;

/// Where bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Destination {
    /// To a file beside the input, whose name has the suffix added or taken away.
    Beside,
    Stdout,
    File(PathBuf),
    /// Nowhere: they are only checked.
    Nowhere,
}

/// Which files are read and written. What happens to their contents is not said here.
#[derive(Debug, Clone)]
pub(in crate::cli) struct FilesJob {
    pub(in crate::cli) inputs: Vec<Input>,
    pub(in crate::cli) destination: Destination,
    /// The kinds of inputs that are read.
    pub(in crate::cli) accept: Accept,
    /// Overwrite files, compress what is compressed, write binary data to a terminal.
    pub(in crate::cli) force: bool,
    /// Take the files of folders.
    pub(in crate::cli) recursive: bool,
    /// Delete an input once its output is in place.
    pub(in crate::cli) remove_inputs: bool,
    pub(in crate::cli) verbosity: Verbosity,
}

/// What is printed to standard error beside errors.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Verbosity {
    /// A line about each file.
    pub(in crate::cli) summary: bool,
    /// More lines about each file.
    pub(in crate::cli) details: bool,
    /// The progress, if standard error is a terminal.
    pub(in crate::cli) progress: bool,
}

/// What `compress` is to do.
pub(in crate::cli) struct CompressJob {
    pub(in crate::cli) files: FilesJob,
    pub(in crate::cli) resources: Resources,
    pub(in crate::cli) model: ModelChoice,
    /// How much the model must gain over the experts, in thousandths.
    pub(in crate::cli) wanted_gain: u16,
    pub(in crate::cli) experts: bool,
    pub(in crate::cli) preset: Preset,
    /// Time in which the files should be compressed, which then decides model and experts.
    pub(in crate::cli) budget: Option<Duration>,
    pub(in crate::cli) checksum: bool,
    /// Decompress each output and compare it with the input.
    pub(in crate::cli) verify: bool,
    pub(in crate::cli) independent_blocks: bool,
    pub(in crate::cli) prime: Option<PathBuf>,
    pub(in crate::cli) streams: Option<usize>,
    pub(in crate::cli) device_streams: Option<usize>,
    pub(in crate::cli) block_len: u32,
    pub(in crate::cli) frame_len: Option<u64>,
}

/// What `decompress`, `cat` or `test` is to do.
pub(in crate::cli) struct DecompressJob {
    pub(in crate::cli) files: FilesJob,
    pub(in crate::cli) resources: Resources,
    /// A model to use for the files that were written with it.
    pub(in crate::cli) model: Option<String>,
    /// What files may have been compressed with.
    pub(in crate::cli) primes: Vec<PathBuf>,
    /// Most original bytes of a file.
    pub(in crate::cli) max_output: Option<u64>,
    /// The part of the original that is wanted, if not all.
    pub(in crate::cli) part: Option<Part>,
}

/// What `info` is to do.
pub(in crate::cli) struct InfoJob {
    pub(in crate::cli) inputs: Vec<Input>,
    /// Take the files of folders.
    pub(in crate::cli) recursive: bool,
    pub(in crate::cli) style: InfoStyle,
}

/// How `info` shows a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum InfoStyle {
    /// One line of a table.
    Row,
    /// A line for each property.
    Lines,
    Json,
}

pub(in crate::cli) fn compress(args: CompressArgs) -> Result<CompressJob, Failure> {
    let level = match args.level.0 {
        Some(level) => Some(level),
        None if args.model.is_none() && args.budget.is_none() => level_in_environment()?,
        None => None,
    };
    if args.experts == Switch::Off && level.is_some_and(|level| level.preset == Preset::Light) {
        let message = "--experts off leaves nothing of the level that LLMZIP_LEVEL names";
        return Err(Failure::usage(message));
    }
    let model = args.model.as_deref().or(level.map(|level| level.model));
    let (streams, device_streams) = match args.streams {
        None => (None, None),
        Some(StreamsArg::Exactly(number)) => (Some(number), None),
        Some(StreamsArg::Gpu) => (None, Some(GPU_STREAMS)),
    };
    let files = files(args.files, args.output, args.verbosity)?;
    if args.verify && files.destination == Destination::Stdout {
        return Err(Failure::usage("--verify needs an output file"));
    }
    Ok(CompressJob {
        model: model_choice(model),
        verify: args.verify || files.remove_inputs && !args.no_verify,
        files,
        resources: resources(&args.resources)?,
        wanted_gain: level.map_or(level::WANTED_GAIN, |level| level.wanted_gain),
        experts: args.experts == Switch::On,
        preset: level.map_or(Preset::Normal, |level| level.preset),
        budget: args.budget.as_deref().map(duration).transpose()?,
        checksum: !args.no_check,
        independent_blocks: args.independent_blocks,
        prime: args.prime,
        streams,
        device_streams,
        block_len: block_len(&args.block_size)?,
        frame_len: args.frame_size.as_deref().map(frame_len).transpose()?,
    })
}

/// The level that `LLMZIP_LEVEL` names, for whoever cannot pass options.
fn level_in_environment() -> Result<Option<&'static Level>, Failure> {
    const VARIABLE: &str = "LLMZIP_LEVEL";
    let Some(number) = number_in(VARIABLE)? else {
        return Ok(None);
    };
    let level = LEVELS
        .iter()
        .find(|level| usize::from(level.number) == number);
    let wrong = || Failure::Usage(format!("{VARIABLE}={number}: levels are 1 to 9"));
    level.ok_or_else(wrong).map(Some)
}

pub(in crate::cli) fn decompress(args: DecompressArgs) -> Result<DecompressJob, Failure> {
    Ok(DecompressJob {
        files: files(args.files, args.output, args.verbosity)?,
        resources: resources(&args.resources)?,
        max_output: max_output(&args.reading)?,
        primes: args.reading.prime.clone(),
        model: preferred_model(args.reading),
        part: None,
    })
}

pub(in crate::cli) fn cat(args: CatArgs) -> Result<DecompressJob, Failure> {
    let output = OutputArgs {
        output: None,
        stdout: true,
        keep: true,
        rm: false,
        force: args.force,
    };
    let part = args.range.as_deref().map(part).transpose()?;
    if part.is_some() && args.files.files.len() > 1 {
        return Err(Failure::usage("--range is of one FILE"));
    }
    Ok(DecompressJob {
        files: files(args.files, output, args.verbosity)?,
        resources: resources(&args.resources)?,
        max_output: max_output(&args.reading)?,
        primes: args.reading.prime.clone(),
        model: preferred_model(args.reading),
        part,
    })
}

pub(in crate::cli) fn test(args: TestArgs) -> Result<DecompressJob, Failure> {
    Ok(DecompressJob {
        files: FilesJob {
            recursive: args.files.recursive,
            inputs: inputs(args.files.files),
            destination: Destination::Nowhere,
            accept: Accept::Pipes,
            force: false,
            remove_inputs: false,
            verbosity: verbosity(&args.verbosity),
        },
        resources: resources(&args.resources)?,
        max_output: max_output(&args.reading)?,
        primes: args.reading.prime.clone(),
        model: preferred_model(args.reading),
        part: None,
    })
}

pub(in crate::cli) fn info(args: InfoArgs) -> InfoJob {
    let style = match args.json {
        true => InfoStyle::Json,
        false => InfoStyle::Lines,
    };
    info_job(args.files, style)
}

/// `--list`: `info` in one line for each file.
pub(super) fn list(args: CompressArgs) -> InfoJob {
    print::set_quiet(args.verbosity.quiet);
    let style = match args.verbosity.verbose {
        0 => InfoStyle::Row,
        _ => InfoStyle::Lines,
    };
    info_job(args.files, style)
}

fn info_job(files: FileArgs, style: InfoStyle) -> InfoJob {
    InfoJob {
        recursive: files.recursive,
        inputs: inputs(files.files),
        style,
    }
}

/// Smaller blocks take longer to plan than to code.
const MIN_BLOCK_LEN: u32 = 1 << 10;

fn block_len(typed: &str) -> Result<u32, Failure> {
    text::parse_size(typed)
        .and_then(|size| u32::try_from(size).ok())
        .filter(|size| (MIN_BLOCK_LEN..=llmzip::container::MAX_BLOCK_LEN).contains(size))
        .ok_or_else(|| Failure::Usage(format!("--block-size {typed} is not 1KiB to 16MiB")))
}

fn max_output(args: &ReadingArgs) -> Result<Option<u64>, Failure> {
    let limit = args.max_output.as_deref();
    limit.map(|typed| size("--max-output", typed)).transpose()
}

fn duration(typed: &str) -> Result<Duration, Failure> {
    text::parse_duration(typed)
        .ok_or_else(|| Failure::Usage(format!("--budget {typed} is not a time such as 10s")))
}

fn frame_len(typed: &str) -> Result<u64, Failure> {
    text::parse_size(typed)
        .filter(|size| (SHORTEST_FRAME..=MAX_FRAME_LEN).contains(size))
        .ok_or_else(|| Failure::Usage(format!("--frame-size {typed} is not 4KiB to 1GiB")))
}

/// Reads `OFFSET:LENGTH` or `OFFSET:`.
fn part(typed: &str) -> Result<Part, Failure> {
    let wrong = || Failure::Usage(format!("--range {typed} is not OFFSET:LENGTH or OFFSET:"));
    let (offset, len) = typed.split_once(':').ok_or_else(wrong)?;
    let size = |typed: &str| text::parse_size(typed).ok_or_else(wrong);
    Ok(Part {
        offset: size(offset)?,
        len: match len {
            "" => None,
            len => Some(size(len)?),
        },
    })
}

/// The model to use where it fits. A file that needs none says so itself, so `none` means nothing
/// here.
fn preferred_model(args: ReadingArgs) -> Option<String> {
    args.model.filter(|name| name != NO_MODEL)
}

fn files(
    files: FileArgs,
    output: OutputArgs,
    typed_verbosity: VerbosityArgs,
) -> Result<FilesJob, Failure> {
    let recursive = files.recursive;
    let inputs = inputs(files.files);
    let destination = match output.output {
        Some(file) if is_stdout(&file) => Destination::Stdout,
        Some(file) => Destination::File(file),
        None if output.stdout || inputs == [Input::Stdin] => Destination::Stdout,
        None => Destination::Beside,
    };
    if matches!(destination, Destination::File(_)) && (inputs.len() > 1 || recursive) {
        return Err(Failure::usage(
            "several inputs cannot go into one -o FILE; -c joins them",
        ));
    }
    let mut verbosity = verbosity(&typed_verbosity);
    // Where the data goes into a pipe, a line about each file would be noise unless asked for.
    verbosity.summary &= destination != Destination::Stdout || verbosity.details;
    // There the data may come to the same terminal.
    verbosity.progress &= destination != Destination::Stdout;
    Ok(FilesJob {
        inputs,
        recursive,
        accept: accept(&destination, output.force),
        remove_inputs: output.rm && destination != Destination::Stdout,
        destination,
        force: output.force,
        verbosity,
    })
}

/// Whether a path stands for standard output.
fn is_stdout(path: &Path) -> bool {
    let names = [DASH, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    names.iter().any(|name| path == Path::new(name))
}

/// Whoever lets outputs go beside the inputs may have named all there is, and means the files.
/// Whoever says where the output goes means that very input.
fn accept(destination: &Destination, force: bool) -> Accept {
    match (destination, force) {
        (Destination::Beside, false) => Accept::Files,
        (Destination::Beside, true) => Accept::Links,
        _ => Accept::Pipes,
    }
}

fn verbosity(args: &VerbosityArgs) -> Verbosity {
    print::set_quiet(args.quiet);
    let details = args.quiet == 0 && args.verbose > 0;
    print::set_verbose(details);
    Verbosity {
        summary: args.quiet == 0,
        details,
        progress: args.quiet == 0 && !args.no_progress,
    }
}

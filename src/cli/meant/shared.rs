//! The meaning of arguments that several commands share.

use std::path::PathBuf;

use llmzip::DeviceChoice;

use crate::cli::failure::Failure;
use crate::cli::level::NO_MODEL;
use crate::cli::text;
use crate::cli::typed::ResourceArgs;

/// `-`, which stands for standard input and standard output.
pub(in crate::cli) const DASH: &str = "-";

/// Where bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Input {
    Stdin,
    File(PathBuf),
}

/// The kinds of inputs that are read. Directories and devices never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Accept {
    /// Regular files.
    Files,
    /// Also symbolic links to them.
    Links,
    /// Also pipes.
    Pipes,
}

/// The resources that may be used to run a model.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Resources {
    /// Threads, 0 for one on each core.
    pub(in crate::cli) threads: usize,
    /// Most bytes of memory, if there is a limit.
    pub(in crate::cli) memory: Option<u64>,
    pub(in crate::cli) device: DeviceChoice,
}

/// The language model to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum ModelChoice {
    /// The default one.
    Default,
    /// None: the adaptive experts alone.
    None,
    /// An installed model by its name, or a packed one by its path.
    Named(String),
}

/// The language models to measure. The experts alone are always measured too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum ModelList {
    /// All built-in and all installed models.
    All,
    /// These: installed models by their names, packed ones by their paths.
    Named(Vec<String>),
}

/// The inputs; standard input if none is named.
pub(super) fn inputs(files: Vec<PathBuf>) -> Vec<Input> {
    if files.is_empty() {
        return vec![Input::Stdin];
    }
    files.into_iter().map(input).collect()
}

pub(super) fn input(file: PathBuf) -> Input {
    match file.as_os_str() == DASH {
        true => Input::Stdin,
        false => Input::File(file),
    }
}

pub(super) fn resources(args: &ResourceArgs) -> Result<Resources, Failure> {
    let memory = args.memory.as_deref();
    Ok(Resources {
        threads: match args.threads {
            Some(threads) => threads,
            None => number_in("LLMZIP_THREADS")?.unwrap_or(0),
        },
        memory: memory.map(|typed| size("-M", typed)).transpose()?,
        device: device(args.device.as_deref())?,
    })
}

/// The device that was typed behind `--device`, or the one that `LLMZIP_DEVICE` names.
pub(super) fn device(typed: Option<&str>) -> Result<DeviceChoice, Failure> {
    let variable = std::env::var_os("LLMZIP_DEVICE").filter(|value| !value.is_empty());
    let variable = variable.map(|value| value.to_string_lossy().into_owned());
    match typed.or(variable.as_deref()) {
        None => Ok(DeviceChoice::Auto),
        Some(name) if name.trim().is_empty() => {
            Err(Failure::usage("--device needs the name of a device"))
        }
        Some(name) => Ok(DeviceChoice::from(name)),
    }
}

/// The number that an environment variable holds; `None` if it is unset or empty.
pub(super) fn number_in(variable: &str) -> Result<Option<usize>, Failure> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty());
    let number = value.map(|value| {
        let value = value.to_string_lossy();
        let wrong = || Failure::Usage(format!("{variable}={value} is not a number in range"));
        value.parse().map_err(|_| wrong())
    });
    number.transpose()
}

/// The size that was typed behind `option`, in bytes.
pub(super) fn size(option: &str, typed: &str) -> Result<u64, Failure> {
    text::parse_size(typed)
        .ok_or_else(|| Failure::Usage(format!("{option} {typed} is not a size such as 500MB")))
}

/// The model that was named, if one was.
pub(in crate::cli) fn model_choice(model: Option<&str>) -> ModelChoice {
    match model {
        None => ModelChoice::Default,
        Some(NO_MODEL) => ModelChoice::None,
        Some(name) => ModelChoice::Named(name.to_owned()),
    }
}

pub(super) fn named_models(models: Vec<String>) -> ModelList {
    let models = models
        .into_iter()
        .filter(|name| !name.is_empty() && name != NO_MODEL);
    ModelList::Named(models.collect())
}

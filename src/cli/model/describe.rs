//! Describes a packed model in one line.

use llmzip::arch::Config;
use llmzip::report::numbers::parameters;
use llmzip::store::{Installed, Store, hex};

use crate::cli::failure::Failure;
use crate::cli::print;

/// Prints a line about a model that was added to the store.
pub(super) fn print_added(store: &Store, added: &Installed) -> Result<(), Failure> {
    let description = store.describe(added)?;
    let (config, size) = (&description.config, description.size);
    print_model(&added.name, &added.identity, config, size)
}

/// Prints a line about a packed model.
pub(super) fn print_model(
    name: &str,
    identity: &[u8; 32],
    config: &Config,
    size: u64,
) -> Result<(), Failure> {
    print::result(&format!(
        "{name}: {} parameters, {} tokens, {} bytes packed, blake3 {}\n",
        parameters(config.parameters),
        config.vocab,
        size,
        hex(identity)
    ))
}

//! Describes a packed model in one line.

use llmzip::packed::PackedModel;
use llmzip::report::numbers::parameters;
use llmzip::store::{Installed, Store, hex};

use crate::cli::failure::Failure;
use crate::cli::print;

/// Prints a line about a model that was added to the store.
pub(super) fn print_added(store: &Store, added: &Installed) -> Result<(), Failure> {
    let model = store.open(added)?;
    print_model(&added.name, &added.identity, &model)
}

/// Prints a line about a packed model.
pub(super) fn print_model(
    name: &str,
    identity: &[u8; 32],
    model: &PackedModel,
) -> Result<(), Failure> {
    let config = model.config();
    print::result(&format!(
        "{name}: {} parameters, {} tokens, {} bytes packed, blake3 {}\n",
        parameters(config.parameters),
        config.vocab,
        model.size(),
        hex(identity)
    ))
}

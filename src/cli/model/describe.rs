//! Describes a packed model, and what exactness costs it.

#[cfg(feature = "convert")]
use std::sync::Arc;

use llmzip::arch::Config;
#[cfg(feature = "convert")]
use llmzip::check::Sampled;
#[cfg(feature = "convert")]
use llmzip::packed::PackedModel;
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

/// Prints by how much the exact engine predicts the sample worse than f32, and warns if that is
/// much. A model that cannot be run is added all the same: compressing says why.
#[cfg(feature = "convert")]
pub(super) fn print_loss(
    name: &str,
    sampled: &Sampled,
    packed: Arc<PackedModel>,
) -> Result<(), Failure> {
    /// Files become larger by this share at most, without a warning.
    const LITTLE: f64 = 0.02;

    let loss = match sampled.compare(packed) {
        Ok(Some(loss)) => loss,
        Ok(None) => return Ok(()),
        Err(error) => {
            print::warning(&format!("{name}: its loss could not be measured: {error}"));
            return Ok(());
        }
    };
    let percent = 100.0 * loss.share();
    print::result(&format!(
        "{name}: the exact engine needs {:.3} bits a token ({percent:.2} %) more than f32 on a sample\n",
        loss.more
    ))?;
    if loss.share() > LITTLE {
        print::warning(&format!(
            "{name}: exactness makes files larger by about {percent:.1} %; \
             --activation-bits 16 may cost less"
        ));
    }
    Ok(())
}

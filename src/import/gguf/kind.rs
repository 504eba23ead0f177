//! Which kind of model a GGUF file holds, judged by its metadata before anything else is read.

use crate::arch::Family;
use crate::arch::family::Member;
use crate::arch::settings::Setting;
use crate::import::SourceError;
use crate::import::description::find_member;
use crate::import::metadata::Metadata;

/// The name of the architecture, with its family and member.
///
/// # Errors
/// If the engine runs no such model.
pub(super) fn judge(
    metadata: &Metadata,
) -> Result<(&str, &'static Family, &'static Member), SourceError> {
    if let Some(kind @ ("adapter" | "mmproj" | "imatrix")) = metadata.text("general.type") {
        return Err(SourceError::Unsupported(format!(
            "a GGUF file of the type {kind}, which is only a part of a model or about one"
        )));
    }
    let name = metadata
        .text("general.architecture")
        .ok_or_else(|| SourceError::invalid("GGUF metadata lack general.architecture"))?;
    let known = find_member(name, |member| member.gguf);
    let known = known.map_err(|unknown| other_task(name, metadata).unwrap_or(unknown))?;
    Ok((name, known.0, known.1))
}

/// Why no model of this architecture could ever be used: it does not predict what follows a text.
fn other_task(name: &str, metadata: &Metadata) -> Option<SourceError> {
    let causal = metadata.setting(&format!("{name}.attention.causal"));
    let is_decoder = causal != Some(Setting::Flag(false))
        && !name.contains("bert")
        && !matches!(name, "t5" | "t5encoder" | "clip" | "gemma-embedding");
    (!is_decoder).then(|| {
        SourceError::Unsupported(format!(
            "architecture {name}, which is no causal decoder: \
             it does not predict each token from those before it"
        ))
    })
}

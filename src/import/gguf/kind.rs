//! Which kind of model a GGUF file holds, judged by its metadata before anything else is read.

use crate::arch::family::{Fixed, Member};
use crate::arch::settings::Setting;
use crate::arch::{Family, families};
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
    let (family, member) = with_settings(name, metadata).unwrap_or(known);
    Ok((name, family, member))
}

/// Of the families whose files name this architecture, the first whose fixed settings are those of
/// the file: Mixtral's files name that of Llama.
fn with_settings(name: &str, metadata: &Metadata) -> Option<(&'static Family, &'static Member)> {
    let is_as_fixed = |fixed: &Fixed| {
        let got = metadata.setting(&format!("{name}.{}", fixed.key));
        got.is_none_or(|got| got == fixed.value)
    };
    let mut fitting = families()
        .iter()
        .filter(|it| it.gguf.fixed.iter().all(is_as_fixed));
    fitting.find_map(|family| {
        let member = family.members.iter().find(|member| member.gguf == name)?;
        Some((*family, member))
    })
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

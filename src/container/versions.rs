//! Versions that this library does not read, and what reads them.

/// The replaced versions: the part, its version, and the last llmzip that reads it.
const REPLACED: &[(&str, u8, &str)] = &[];

/// The sentence about a file whose `part` has the version `got`, where this library has `own`.
pub(crate) fn refusal(part: &str, got: u8, own: u8) -> String {
    let reader = match REPLACED
        .iter()
        .find(|(what, version, _)| (*what, *version) == (part, got))
    {
        Some((_, _, llmzip)) => format!("; llmzip {llmzip} reads it"),
        None if got > own => "; a newer llmzip reads it".to_owned(),
        None => String::new(),
    };
    format!("{part} version {got}, and this llmzip reads version {own}{reader}")
}

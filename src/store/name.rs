//! Names of models.

use super::embedded;

/// What stands for no model where a model is named.
pub const NO_MODEL: &str = "none";

/// Models that can be fetched by a short name: the names, and the repositories on Hugging Face.
pub const SHORT_NAMES: [(&str, &str); 3] = [
    ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M"),
    ("smollm2-360m", "HuggingFaceTB/SmolLM2-360M"),
    ("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B"),
];

/// The repository that a short name stands for; `None` if `name` is no short name.
pub fn repository_of(name: &str) -> Option<&'static str> {
    let found = SHORT_NAMES.iter().find(|(short, _)| *short == name);
    found.map(|(_, repository)| *repository)
}

/// Whether a model that is not built in may have this name: [`is_name`] allows it, and it stands
/// for nothing else.
pub fn is_free_name(name: &str) -> bool {
    is_name(name) && name != NO_MODEL && embedded::by_name(name).is_none()
}

/// Whether a model may have this name: 1 to 64 ASCII letters, digits, `.`, `_` or `-`, the first of
/// them a letter or digit.
pub fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=64).contains(&name.len())
        && name.bytes().all(allowed)
        && name.as_bytes()[0].is_ascii_alphanumeric()
}

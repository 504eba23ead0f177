//! Names of models.

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

/// Whether a model may have this name: 1 to 64 ASCII letters, digits, `.`, `_` or `-`, the first of
/// them a letter or digit.
pub fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=64).contains(&name.len())
        && name.bytes().all(allowed)
        && name.as_bytes()[0].is_ascii_alphanumeric()
}

//! Names of models.

use super::embedded;

/// What stands for no model where a model is named.
pub const NO_MODEL: &str = "none";

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

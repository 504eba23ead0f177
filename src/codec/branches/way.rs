//! The two ways of a filter.

/// Which way a filter rewrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Distances become addresses.
    Apply,
    /// Addresses become distances.
    Restore,
}

impl Way {
    /// `place`, to be added to what is rewritten.
    pub(super) fn offset(self, place: u32) -> u32 {
        match self {
            Way::Apply => place,
            Way::Restore => place.wrapping_neg(),
        }
    }
}

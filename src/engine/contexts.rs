//! The contexts that a stream is cut into where a model has learned only some positions.

/// Where the context begins in which the token at `position` of a stream is fed: the last context
/// of at most `positions` tokens, the first of which begins with the stream, and each other half as
/// many tokens after the one before. So behind the first, a token has at least half a context
/// before it.
pub(crate) fn start(position: u64, positions: u64) -> u64 {
    let half = positions / 2;
    match position.checked_sub(positions) {
        None => 0,
        Some(beyond) => (beyond / half + 1) * half,
    }
}

#[cfg(test)]
mod tests {
    use super::start;

    #[test]
    fn a_context_has_between_half_and_all_positions() {
        for (position, want) in [(0, 0), (7, 0), (8, 4), (11, 4), (12, 8), (15, 8), (16, 12)] {
            assert_eq!(start(position, 8), want, "{position}");
        }
        for position in 8..1000 {
            assert!((4..8).contains(&(position - start(position, 8))));
        }
    }
}

//! Numbers as users write and read them.

use std::fmt;
use std::time::Duration;

pub(super) use llmzip::report::numbers::rate;

/// Prints the lengths of a file before and after as `12.5 %, 1.000 bpb, 8.0x`.
pub(super) struct Ratio {
    pub(super) original: u64,
    pub(super) compressed: u64,
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (original, compressed) = (self.original as f64, self.compressed as f64);
        let percent = 100.0 * compressed / original;
        let bits = 8.0 * compressed / original;
        write!(
            f,
            "{percent:.1} %, {bits:.3} bpb, {:.1}x",
            original / compressed
        )
    }
}

/// Writes a duration as `3.1 s`, `4 min 10 s`, or `2 h 5 min`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Parses a size such as `4096`, `500k`, `1MiB`, `2G` or `3MB`. The units K, M, G and T, alone or
/// followed by iB, are powers of 1024; followed by B they are powers of 1000.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let mut letters = unit.chars();
    let power = match letters.next() {
        None | Some('b') => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some(_) => return None,
    };
    let base: u64 = match (power, letters.as_str()) {
        (0, "") | (1.., "" | "ib") => 1024,
        (1.., "b") => 1000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(base.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, size) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("7B", Some(7)),
            ("500k", Some(500 << 10)),
            ("1MiB", Some(1 << 20)),
            ("3MB", Some(3_000_000)),
            ("2G", Some(2 << 30)),
            ("16777216T", None),
            ("", None),
            ("M", None),
            ("-1", None),
            ("1.5M", None),
            ("1X", None),
            ("1bb", None),
            ("1kbb", None),
        ] {
            assert_eq!(parse_size(text), size, "{text}");
        }
    }

    #[test]
    fn numbers_are_short() {
        let ratio = Ratio {
            original: 152_089,
            compressed: 19_012,
        };
        assert_eq!(ratio.to_string(), "12.5 %, 1.000 bpb, 8.0x");
        assert_eq!(rate(152_089, Duration::from_millis(3100)), "49 KB/s");
        assert_eq!(duration(Duration::from_millis(3100)), "3.1 s");
        assert_eq!(duration(Duration::from_secs(250)), "4 min 10 s");
        assert_eq!(duration(Duration::from_secs(7500)), "2 h 5 min");
    }
}

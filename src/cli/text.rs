//! Numbers as users write and read them.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::time::Duration;

pub(super) use llmzip::report::numbers::{rate, size};

/// A path as it is shown: what a terminal would obey, and what is no UTF-8, is escaped.
pub(super) fn path(path: &Path) -> String {
    let chunks = path.as_os_str().as_encoded_bytes().utf8_chunks();
    chunks
        .map(|chunk| {
            let invalid = chunk.invalid().iter();
            let invalid: String = invalid.map(|byte| format!("\\x{byte:02x}")).collect();
            printable(chunk.valid()) + &invalid
        })
        .collect()
}

/// Text from outside on one line, with what a terminal would obey escaped.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if is_obeyed(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Text of at most `most` characters: where it has more, its beginning and its end.
pub(super) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    const GAP: &str = " [...] ";
    let count = text.chars().count();
    if count <= most {
        return Cow::Borrowed(text);
    }
    let kept = most - GAP.len();
    let start = text.chars().take(kept - kept / 4);
    let end = text.chars().skip(count - kept / 4);
    Cow::Owned(start.chain(GAP.chars()).chain(end).collect())
}

/// As [`printable`], for text of several lines.
pub(super) fn printable_lines(text: &str) -> String {
    let lines = text.split('\n').map(printable);
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a terminal does something with a character beside showing it, or shows nothing. Among
/// these are the characters that reverse the direction of what follows them.
fn is_obeyed(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
        )
}

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

/// The one of `names` that somebody may have meant who typed `word`.
pub(super) fn similar<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Of two letters exchanged, or one missing, in a word of five.
    const ENOUGH: f64 = 0.85;
    let score = |name: &&str| strsim::jaro_winkler(word, name);
    let best = names
        .into_iter()
        .max_by(|one, other| score(one).total_cmp(&score(other)))?;
    (score(&best) >= ENOUGH && best != word).then_some(best)
}

/// Parses a time such as `90`, `90s`, `1.5min` or `2h`. Without a unit it is in seconds.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "ms" => 1e-3,
        "" | "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let seconds: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(seconds * unit).ok()
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
    fn nothing_that_a_terminal_obeys_is_shown() {
        for (text, shown) in [
            ("a b-\u{e9}\u{1f600}.txt", "a b-\u{e9}\u{1f600}.txt"),
            ("a\nb\t\x1b[2J\x7f", "a\\nb\\t\\u{1b}[2J\\u{7f}"),
            ("\u{202e}txt.exe\u{9b}", "\\u{202e}txt.exe\\u{9b}"),
        ] {
            assert_eq!(printable(text), shown);
            assert_eq!(path(Path::new(text)), shown);
        }
    }

    #[test]
    fn long_text_loses_its_middle() {
        assert_eq!(shortened("0123456789abcdef", 16), "0123456789abcdef");
        assert_eq!(shortened("0123456789abcdef", 15), "012345 [...] ef");
        let long = "\u{e9}".repeat(100_000);
        assert_eq!(shortened(&long, 5_000).chars().count(), 5_000);
    }

    #[test]
    fn lines_stay_lines() {
        let text = "a\x1b[2J\n\n\u{9b}b\r\n";
        assert_eq!(printable_lines(text), "a\\u{1b}[2J\n\n\\u{9b}b\\r\n");
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_utf_8_are_told_apart() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"a\xff\xfeb");
        assert_eq!(path(Path::new(name)), "a\\xff\\xfeb");
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

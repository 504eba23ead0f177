//! The class of a file, found by simple rules from its first 64 KiB.
//!
//! The first rule that fits decides:
//!
//! 1. binary: more than one character in twenty is a control character or invalid UTF-8;
//! 2. logs: at least half of the lines have six digits or more among their first 24 characters, as
//!    lines that begin with a time do;
//! 3. code: at least 9 % of the characters that are not white space are [`MARKS`];
//! 4. prose: at least 6 % of the words are among the most common English ones;
//! 5. other languages: the rest.

use std::fmt;

/// Bytes that the rules look at.
const HEAD: usize = 64 << 10;
/// Characters that code and markup are full of.
const MARKS: &str = "{}[]()<>;=_*/\\+|&#@$`\"";
/// The most common English words.
const COMMON: [&str; 10] = [
    "the", "of", "and", "to", "in", "is", "that", "it", "a", "for",
];

/// A class of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileClass {
    /// English prose.
    Prose,
    /// Programs, markup and data in text.
    Code,
    /// Text in other languages.
    OtherLanguages,
    /// Logs.
    Logs,
    /// Everything that is not text.
    Binary,
}

impl FileClass {
    /// All classes, in the order of reports.
    pub const ALL: [FileClass; 5] = [
        FileClass::Prose,
        FileClass::Code,
        FileClass::OtherLanguages,
        FileClass::Logs,
        FileClass::Binary,
    ];

    /// The class of a file with these bytes. An empty file is binary.
    pub fn of(bytes: &[u8]) -> FileClass {
        let text = String::from_utf8_lossy(head(bytes));
        if text.is_empty() || share(text.chars(), |char| !is_text(char)) > 0.05 {
            FileClass::Binary
        } else if share(lines(&text), begins_with_a_time) >= 0.5 {
            FileClass::Logs
        } else if share(visible(&text), |char| MARKS.contains(char)) >= 0.09 {
            FileClass::Code
        } else if share(words(&text), |word| COMMON.contains(&&*word.to_lowercase())) >= 0.06 {
            FileClass::Prose
        } else {
            FileClass::OtherLanguages
        }
    }

    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            FileClass::Prose => "prose",
            FileClass::Code => "code",
            FileClass::OtherLanguages => "other_languages",
            FileClass::Logs => "logs",
            FileClass::Binary => "binary",
        }
    }
}

impl fmt::Display for FileClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileClass::OtherLanguages => "other languages",
            other => other.key(),
        })
    }
}

/// The first bytes, up to the end of a character.
fn head(bytes: &[u8]) -> &[u8] {
    if bytes.len() <= HEAD {
        return bytes;
    }
    let start_of_char = |&end: &usize| bytes[end] & 0xC0 != 0x80;
    let end = (HEAD - 3..=HEAD).rev().find(start_of_char);
    &bytes[..end.unwrap_or(HEAD)]
}

fn is_text(char: char) -> bool {
    char != char::REPLACEMENT_CHARACTER && (!char.is_control() || char.is_ascii_whitespace())
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty())
}

fn begins_with_a_time(line: &str) -> bool {
    let digits = line.chars().take(24).filter(char::is_ascii_digit);
    digits.count() >= 6
}

fn visible(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|char| !char.is_whitespace())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_alphabetic())
        .filter(|word| !word.is_empty())
}

/// The fraction of the items that `fit`; 0 if there are no items.
fn share<T>(items: impl Iterator<Item = T>, mut fit: impl FnMut(T) -> bool) -> f64 {
    let (mut all, mut fitting) = (0u64, 0u64);
    for item in items {
        all += 1;
        fitting += u64::from(fit(item));
    }
    fitting as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_recognised() {
        for (text, class) in [
            (
                "It was the best of times, it was the worst of times.\n",
                FileClass::Prose,
            ),
            (
                "fn main() {\n    println!(\"{}\", 1 + 1);\n}\n",
                FileClass::Code,
            ),
            (
                "Es war die beste und die schlimmste aller Zeiten.\n",
                FileClass::OtherLanguages,
            ),
            (
                "吾輩は猫である。名前はまだ無い。\n",
                FileClass::OtherLanguages,
            ),
            ("Jun 14 15:16:01 combo sshd: failure\n", FileClass::Logs),
            ("\u{0}\u{1}\u{2}ELF\n", FileClass::Binary),
            ("", FileClass::Binary),
        ] {
            assert_eq!(FileClass::of(text.as_bytes()), class, "{text}");
            assert_eq!(FileClass::of(text.repeat(3000).as_bytes()), class, "{text}");
        }
        assert_eq!(FileClass::of(&[0xFF; 300]), FileClass::Binary);
    }
}

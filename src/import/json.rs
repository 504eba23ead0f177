//! JSON files of published models.
//!
//! Some begin with a byte order mark. Python writes numbers that JSON lacks: `NaN`, `Infinity` and
//! `-Infinity`. They become strings, so that they do no harm where nobody needs them, and no
//! number where somebody does.

use super::{SourceError, file};
use serde_json::Value;
use serde_json::error::Category;
use std::io::Read;
use std::path::Path;

/// Reads the JSON file `name` in `folder`, which may have `most` bytes.
///
/// # Errors
/// If it cannot be read, is longer, or is not JSON.
pub(super) fn read(folder: &Path, name: &str, most: u64) -> Result<Value, SourceError> {
    let mut text = Vec::new();
    let file = file::open(&folder.join(name), name)?;
    let read = file.take(most + 1).read_to_end(&mut text);
    read.map_err(|error| SourceError::io(name, error))?;
    if text.len() as u64 > most {
        return Err(SourceError::Invalid(format!(
            "{name} is longer than {most} bytes"
        )));
    }
    parse(&text, name)
}

/// The value that `text` holds. Messages call it `name`.
///
/// # Errors
/// If it is not JSON.
pub(super) fn parse(text: &[u8], name: &str) -> Result<Value, SourceError> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        let reason = format!("{name} is UTF-16 (save it as UTF-8)");
        return Err(SourceError::Invalid(reason));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    serde_json::from_slice(text)
        .or_else(|error| match python_numbers_as_strings(text) {
            Some(text) => serde_json::from_slice(&text),
            None => Err(error),
        })
        .map_err(|error| SourceError::Invalid(format!("{name} {}", in_words(&error))))
}

/// What is wrong with a JSON text, to be put behind its name.
pub(super) fn in_words(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "ends too early".to_owned(),
        _ if error.to_string().starts_with("recursion limit") => "is nested too deeply".to_owned(),
        _ => format!(
            "is not JSON from line {}, column {} on",
            error.line(),
            error.column()
        ),
    }
}

/// The same text with quotes around the numbers that JSON lacks; `None` if it has no such number.
fn python_numbers_as_strings(text: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut out) = (text, Vec::with_capacity(text.len() + 16));
    let (mut in_string, mut found) = (false, false);
    while let Some(&byte) = rest.first() {
        let mut numbers = ["-Infinity", "Infinity", "NaN"].iter();
        let number = numbers.find(|number| !in_string && rest.starts_with(number.as_bytes()));
        if let Some(number) = number {
            found = true;
            out.extend_from_slice(format!("\"{number}\"").as_bytes());
            rest = &rest[number.len()..];
            continue;
        }
        let len = match byte {
            b'\\' if in_string => rest.len().min(2),
            _ => 1,
        };
        in_string ^= byte == b'"';
        out.extend_from_slice(&rest[..len]);
        rest = &rest[len..];
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(text: &str) -> Value {
        parse(text.as_bytes(), "config.json").unwrap()
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(parsed("\u{feff}{\"a\": 1}"), json!({"a": 1}));
        let utf16 = parse(b"\xff\xfe{\0}\0", "config.json").unwrap_err();
        assert!(utf16.to_string().contains("UTF-16"), "{utf16}");
    }

    #[test]
    fn numbers_of_python_become_strings() {
        let text =
            r#"{"a": NaN, "b": [Infinity,-Infinity, -1], "NaN\"": "is \" NaN, \\", "c": null}"#;
        let want = json!({
            "a": "NaN",
            "b": ["Infinity", "-Infinity", -1],
            "NaN\"": "is \" NaN, \\",
            "c": null,
        });
        assert_eq!(parsed(text), want);
    }

    #[test]
    fn what_is_no_json_is_an_error_in_words() {
        for (text, want) in [
            ("", "config.json ends too early"),
            ("{\"a\": NaN", "config.json ends too early"),
            (
                "{\"a\": 1,\n nan}",
                "config.json is not JSON from line 2, column 2 on",
            ),
            ("{\"a\\", "config.json ends too early"),
            (&"[".repeat(1000), "config.json is nested too deeply"),
        ] {
            let error = parse(text.as_bytes(), "config.json").unwrap_err();
            assert!(error.to_string().ends_with(want), "{error}");
        }
    }
}

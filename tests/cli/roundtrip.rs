//! What goes in comes out.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Dir, TEXT, corpus, noise, text};

fn round_trip(bytes: &[u8], args: &str) -> usize {
    let dir = Dir::new();
    dir.write("a", bytes);
    dir.llmzip(&format!("compress -q {args} --rm a")).succeeds();
    let len = dir.read("a.llmz").len();
    dir.llmzip("decompress -q a.llmz").succeeds();
    assert!(dir.read("a") == bytes, "{} bytes, {args}", bytes.len());
    len
}

#[test]
fn what_tokenizers_lose() {
    let all: Vec<u8> = (0..=255).collect();
    let lone_surrogate = b"\xed\xa0\x80 \xf5\xff\xc0\x80 \xe2\x82";
    for bytes in [
        &all[..],
        b"a\x04b<|endoftext|>",
        "f\u{40000}o \u{1f600}\u{0}".as_bytes(),
        lone_surrogate,
        b"\r\n\r\n  \t x",
        b"\xef\xbb\xbfbom",
        b"x",
    ] {
        round_trip(bytes, "");
        round_trip(bytes, "-m none");
    }
}

#[test]
fn every_way_of_compressing() {
    let text = TEXT.repeat(15);
    for args in [
        "-m none",
        "--no-check",
        "--experts off",
        "-1",
        "-2",
        "-1 --block-size 1024",
        "-1 --block-size 1024 --independent-blocks",
        "--block-size 1024",
        "--block-size 1024 --independent-blocks",
        "--block-size 1024 -m none --independent-blocks --no-check",
    ] {
        round_trip(&text, args);
    }
}

#[test]
fn noise_hardly_grows() {
    for len in [1, 100, 65_536, 1_200_000] {
        let compressed = round_trip(&noise(len), "");
        assert!(compressed <= len + len / 1024 + 32, "{len} -> {compressed}");
    }
}

#[test]
fn blocks_of_all_kinds_one_after_the_other() {
    let mixed = [
        &TEXT.repeat(30)[..],
        &noise(40_000),
        &TEXT.repeat(30),
        &[0; 50_000],
        &noise(10),
    ];
    round_trip(&mixed.concat(), "");
    round_trip(&mixed.concat(), "--block-size 30000");
}

/// Every file of the corpus, whole if it is small, else its beginning.
#[test]
fn the_corpus() {
    const ENOUGH: usize = 2_000;
    let Some(corpus) = corpus() else {
        eprintln!("skipped: there is no corpus beside the repository");
        return;
    };
    let mut paths = Vec::new();
    walk(&corpus, &mut paths);
    assert!(paths.len() > 30);
    let dir = Dir::new();
    let mut originals = Vec::new();
    for path in &paths {
        let mut bytes = fs::read(path).unwrap();
        bytes.truncate(ENOUGH);
        let name = originals.len().to_string();
        dir.write(&name, &bytes);
        originals.push((name, bytes));
    }
    let names = |suffix: &str| -> String {
        let names = originals.iter().map(|(name, _)| format!(" {name}{suffix}"));
        names.collect()
    };
    dir.llmzip(&format!("compress -q --rm{}", names("")))
        .succeeds();
    dir.llmzip(&format!("decompress -q --rm{}", names(".llmz")))
        .succeeds();
    for ((name, bytes), path) in originals.iter().zip(&paths) {
        assert!(dir.read(name) == *bytes, "{}", path.display());
    }
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, paths);
        } else {
            paths.push(path);
        }
    }
}

#[test]
fn a_file_that_uses_no_model_is_read_where_the_model_is_missing() {
    let dir = Dir::new();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/fixture.llmzmodel");
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("noise", noise(3000)),
        ("zeros", vec![0; 3000]),
    ] {
        dir.compressed(name, bytes, &format!("-m {model}"));
        dir.llmzip(&format!("test -q {name}")).succeeds();
        let shown = text(&dir.llmzip(&format!("info {name}")).succeeds());
        assert!(shown.contains("model      none"), "{shown}");
    }
    dir.compressed("text", TEXT, &format!("-m {model}"));
    let needed = dir.llmzip("test -q text").fails(1);
    assert!(needed.contains("needs model fixture"), "{needed}");
}

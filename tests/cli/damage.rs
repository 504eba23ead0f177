//! Damaged files through the binary: a sample. All damage to one file goes through the library in
//! `tests/damage.rs`.

use crate::harness::{Dir, TEXT};

/// Exit code 1, one sentence, no output.
fn refused(bytes: &[u8]) {
    let dir = Dir::new();
    dir.write("a.llmz", bytes);
    for command in ["test", "decompress"] {
        let error = dir.llmzip(&format!("{command} a.llmz")).fails(1);
        assert!(error.starts_with("llmzip: a.llmz: "), "{error}");
    }
    assert_eq!(dir.list(), ["a.llmz"]);
}

fn sample(args: &str) -> Vec<u8> {
    let dir = Dir::new();
    dir.compressed("a", TEXT, args);
    dir.read("a")
}

#[test]
fn flipped_bits() {
    for args in ["", "--no-check"] {
        let good = sample(args);
        for at in (0..good.len()).step_by(9) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            refused(&bad);
        }
    }
}

#[test]
fn truncations() {
    let good = sample("");
    for len in (0..good.len()).step_by(13) {
        refused(&good[..len]);
    }
}

#[test]
fn junk_at_the_end() {
    let good = sample("");
    for junk in [&b"\0"[..], b"\n", b"junk", &[0; 1000], &good[..10]] {
        refused(&[&good, junk].concat());
    }
}

#[test]
fn files_of_other_programs() {
    refused(b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0");
    refused(TEXT);
}

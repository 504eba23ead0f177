//! `compress --frame-size` and `cat --range`.

use crate::harness::{Dir, TEXT, text};

fn lines() -> Vec<u8> {
    let line = |number: usize| format!("line {number} of a log\n").into_bytes();
    (0..2000).flat_map(line).collect()
}

/// A folder with `lines` in frames, in one frame, and one behind the other.
fn files() -> Dir {
    let dir = Dir::new();
    dir.compressed("frames", lines(), "-m none --frame-size 4KiB");
    dir.compressed("one", lines(), "-m none");
    dir.write("both", [dir.read("one"), dir.read("frames")].concat());
    dir
}

#[test]
fn a_range_is_a_part_of_the_original() {
    let dir = files();
    let original = [lines(), lines()].concat();
    let len = lines().len();
    for (range, from, to) in [
        ("0:10".to_owned(), 0, 10),
        ("4000:200".to_owned(), 4000, 4200),
        ("1k:1KiB".to_owned(), 1024, 2048),
        (format!("{}:7", len - 3), len - 3, len + 4),
        (format!("{}:", len + 4097), len + 4097, 2 * len),
        (format!("{}:1G", 2 * len - 5), 2 * len - 5, 2 * len),
        (format!("{}:", 2 * len), 2 * len, 2 * len),
        ("77:0".to_owned(), 77, 77),
    ] {
        let part = dir.llmzip(&format!("cat --range {range} both")).succeeds();
        assert!(part == original[from..to], "{range}");
        // From a pipe, which has only one direction.
        let piped = dir
            .llmzip(&format!("cat --range {range}"))
            .stdin(dir.read("both"))
            .succeeds();
        assert!(piped == original[from..to], "{range}");
    }
}

#[test]
fn a_range_behind_the_end_is_an_error() {
    let dir = files();
    let len = lines().len();
    let expected = format!(
        "byte {} lies behind the end: the original has {len} bytes",
        len + 1
    );
    for len in ["", "0", "5"] {
        let range = format!("{}:{len}", lines().len() + 1);
        let error = dir.llmzip(&format!("cat --range {range} frames")).fails(1);
        assert_eq!(error, format!("llmzip: frames: {expected}"));
    }
    for range in ["18446744073709551615:", "18446744073709551615:1"] {
        dir.llmzip(&format!("cat --range {range} frames")).fails(1);
    }
    let range = format!("{}:5", len + 1);
    let error = dir
        .llmzip(&format!("cat --range {range}"))
        .stdin(dir.read("frames"))
        .fails(1);
    assert_eq!(error, format!("llmzip: (stdin): {expected}"));
}

#[test]
fn what_is_no_range_is_refused() {
    let dir = files();
    for range in ["5", "a:5", "5:a", ":", "5:-1", "1:2:3"] {
        let error = dir.llmzip(&format!("cat --range {range} one")).fails(2);
        assert!(error.contains("is not OFFSET:LENGTH"), "{error}");
    }
    let error = dir.llmzip("cat --range 0:5 one frames").fails(2);
    assert!(error.contains("--range is of one FILE"), "{error}");
    for size in ["0", "4095", "2G", "much"] {
        let error = dir
            .llmzip(&format!("compress --frame-size {size} one"))
            .fails(2);
        assert!(error.contains("is not 4KiB to 1GiB"), "{error}");
    }
}

#[test]
fn damage_outside_of_the_range_does_no_harm_and_inside_nothing_is_written() {
    let dir = files();
    let mut file = dir.read("frames");
    file[100] ^= 1;
    dir.write("damaged", file);
    let part = dir.llmzip("cat --range 9000:500 damaged").succeeds();
    assert!(part == lines()[9000..9500]);
    let output = dir.llmzip("cat --range 10:500 damaged").output();
    assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
}

#[test]
fn frames_decompress_as_one_file_and_info_counts_them() {
    let dir = files();
    assert!(dir.llmzip("cat frames").succeeds() == lines());
    dir.llmzip("test frames").succeeds();
    let shown = text(&dir.llmzip("info --json frames").succeeds());
    let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let frames = value["frames"].as_array().unwrap().len();
    assert_eq!(frames, lines().len().div_ceil(4096));
    assert_eq!(value["compressed_len"], dir.read("frames").len());
    dir.compressed("text", TEXT, "--frame-size 4KiB");
    assert!(dir.llmzip("cat text").succeeds() == TEXT);
}

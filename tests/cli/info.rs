//! `info`.

use crate::harness::{Dir, TEXT, noise, text};

#[test]
fn many_frames_take_little_memory_and_are_counted() {
    let dir = Dir::new();
    dir.compressed("empty.llmz", "", "");
    dir.write("many.llmz", dir.read("empty.llmz").repeat(150_000));
    let shown = dir.llmzip("info --json many.llmz").succeeds();
    let contents: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(contents["frames"].as_array().unwrap().len(), 100_000);
    assert_eq!(contents["unlisted_frames"], 50_000);
    let shown = text(&dir.llmzip("info many.llmz").succeeds());
    assert!(shown.ends_with("  and 50000 more frames\n"));
}

#[test]
fn json_says_what_is_in_a_file() {
    let dir = Dir::new();
    dir.compressed("a.llmz", TEXT, "-m none");
    let line = text(&dir.llmzip("info --json a.llmz").succeeds());
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["file"], "a.llmz");
    assert_eq!(value["original_len"], TEXT.len());
    assert_eq!(value["compressed_len"], dir.read("a.llmz").len());
    let frame = &value["frames"][0];
    assert_eq!(frame["model"], serde_json::Value::Null);
    assert_eq!(frame["blocks"], 1);
    assert_eq!(frame["checks_original"], true);
}

#[test]
fn frames_and_modes_are_counted() {
    let dir = Dir::new();
    dir.compressed("a", TEXT, "--no-check");
    dir.compressed("b", noise(100_000), "-m none");
    dir.write("c", [dir.read("a"), dir.read("b")].concat());
    let line = text(&dir.llmzip("info --json c").succeeds());
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["frames"].as_array().unwrap().len(), 2);
    assert_eq!(value["frames"][0]["checks_original"], false);
    assert_eq!(value["frames"][1]["modes"]["raw"]["original_len"], 100_000);
    let shown = text(&dir.llmzip("info c").succeeds());
    assert!(
        shown.contains("frame 2") && shown.contains("raw"),
        "{shown}"
    );
}

#[test]
fn damage_is_found_without_a_model() {
    let dir = Dir::new();
    dir.compressed("a.llmz", TEXT, "");
    let mut bytes = dir.read("a.llmz");
    let at = bytes.len() - 12;
    bytes[at] ^= 0x10;
    dir.write("a.llmz", bytes);
    dir.llmzip("info a.llmz").fails(1);
}

#[test]
fn an_empty_file_has_no_ratio() {
    let dir = Dir::new();
    dir.compressed("a.llmz", "", "");
    let line = text(&dir.llmzip("info --json a.llmz").succeeds());
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["bits_per_byte"], serde_json::Value::Null);
    let shown = text(&dir.llmzip("info a.llmz").succeeds());
    assert!(!shown.contains("NaN"), "{shown}");
}

#[test]
fn streams_are_made_on_demand_and_shown() {
    let dir = Dir::new();
    dir.write("a", include_str!("../../LICENSE-MIT"));
    dir.llmzip("compress --streams 3 a").succeeds();
    let line = text(&dir.llmzip("info --json a.llmz").succeeds());
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["frames"][0]["streams"], 3);
    let shown = text(&dir.llmzip("info a.llmz").succeeds());
    assert!(shown.contains("up to 3 streams each"), "{shown}");
    dir.llmzip("test a.llmz").succeeds();
}

#[test]
fn a_gpu_wants_more_streams_than_a_processor() {
    let dir = Dir::new();
    let text_of = [
        include_str!("../../docs/FORMAT.md"),
        include_str!("../../docs/PREDICTOR.md"),
    ];
    dir.write("a", text_of.concat());
    let streams = |how: &str| {
        dir.llmzip(&format!("compress -f -3 {how} a")).succeeds();
        dir.llmzip("test a.llmz").succeeds();
        let line = text(&dir.llmzip("info --json a.llmz").succeeds());
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        value["frames"][0]["streams"].as_u64().unwrap()
    };
    let (default, gpu) = (streams(""), streams("--streams gpu"));
    assert!(default < 3 && (3..16).contains(&gpu), "{default} {gpu}");
}

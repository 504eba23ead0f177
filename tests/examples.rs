//! The programs in `examples/` do what they say.

#[expect(dead_code, reason = "its `main` is the program's")]
#[path = "../examples/measure.rs"]
mod measure_example;
#[expect(dead_code, reason = "its `main` is the program's")]
#[path = "../examples/tar.rs"]
mod tar_example;

use std::path::PathBuf;

use llmzip::{EncoderOptions, Models};

const PROSE: &str = "tests/golden/text.txt";

#[test]
fn tar_writes_an_archive_and_lists_it() {
    let models = Models::builtin();
    let options = EncoderOptions::new().model(models.get("nano").unwrap());
    let mut archive = Vec::new();
    tar_example::pack(&mut archive, [PROSE, "Cargo.toml"], &options).unwrap();

    let listed = tar_example::list(archive.as_slice(), &models).unwrap();
    let len = |path| std::fs::metadata(path).unwrap().len();
    let file = |path| (len(path), PathBuf::from(path));
    assert_eq!(listed, [file(PROSE), file("Cargo.toml")]);
    let original = len(PROSE) + len("Cargo.toml");
    assert!(archive.len() as u64 * 2 < original, "{}", archive.len());
}

#[test]
fn measure_ranks_the_models_by_their_size() {
    let text = std::fs::read(PROSE).unwrap();
    let models = Models::builtin();
    let names = models.names().unwrap();
    let bits: Vec<f64> = (names.iter())
        .map(|name| models.get(name).unwrap())
        .map(|model| measure_example::bits_per_byte(&text, model).unwrap())
        .collect();
    assert_eq!(bits.len(), 4);
    assert!(bits.is_sorted_by(|a, b| a > b), "{bits:?}");
    assert!(bits.iter().all(|bits| (0.5..4.0).contains(bits)));
}

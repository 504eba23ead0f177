//! What every report says of itself.

use serde_json::Value;

use crate::harness::{Dir, TEXT, text};

/// Checks the provenance of a report in JSON that `command` printed.
pub(crate) fn says_where_it_comes_from(report: &Value, command: &str) {
    let made = &report["provenance"];
    assert_eq!(made["command"], command);
    assert_eq!(made["llmzip_version"], env!("CARGO_PKG_VERSION"));
    let date = made["date"].as_str().unwrap();
    assert!(
        date.len() == 20 && date.starts_with("20") && date.ends_with('Z'),
        "{date}"
    );
    assert!(made["machine"]["cores"].as_u64() >= made["threads"].as_u64());
    assert!(
        made["machine"]["system"]
            .as_str()
            .unwrap()
            .starts_with(std::env::consts::OS)
    );
    assert!(!made["kernels"].as_str().unwrap().is_empty());
    for model in made["models"].as_array().unwrap() {
        assert_eq!(model["blake3"].as_str().unwrap().len(), 64, "{model}");
        assert!(model["parameters"].as_u64() > Some(0) && model["bytes"].as_u64() > Some(0));
    }
}

#[test]
fn models_are_told_apart_and_threads_are_those_that_were_asked_for() {
    let dir = Dir::new();
    dir.write("a b", TEXT);
    let shown = dir
        .llmzip("scaling -T 1 -m nano,mini --format json")
        .arg("a b")
        .succeeds();
    let report: Value = serde_json::from_str(&text(&shown)).unwrap();
    says_where_it_comes_from(
        &report,
        "llmzip scaling -T 1 -m nano,mini --format json 'a b'",
    );
    let made = &report["provenance"];
    assert_eq!(made["threads"], 1);
    let listed = text(&dir.llmzip("model list").succeeds());
    let models = made["models"].as_array().unwrap();
    assert_eq!(models.len(), 2);
    for model in models {
        let digits = &model["blake3"].as_str().unwrap()[..16];
        let name = model["name"].as_str().unwrap();
        let line = listed.lines().find(|line| line.starts_with(name));
        assert!(
            line.is_some_and(|line| line.contains(digits)),
            "{model} {listed}"
        );
    }
}

//! `scaling`.

use serde_json::Value;

use crate::harness::{Dir, TEXT, noise, text};
use crate::provenance::says_where_it_comes_from;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/fixture.llmzmodel");

fn json(dir: &Dir, args: &str) -> Value {
    let shown = text(
        &dir.llmzip(&format!("scaling --format json {args}"))
            .succeeds(),
    );
    serde_json::from_str(&shown).expect("JSON")
}

#[test]
fn sizes_are_those_of_files() {
    let dir = Dir::new();
    dir.write("a", TEXT.repeat(4));
    dir.write("b", noise(70_000));
    dir.llmzip(&format!("model add {FIXTURE} --name tiny"))
        .succeeds();
    let report = json(&dir, "a b");
    for (i, file) in ["a", "b"].into_iter().enumerate() {
        let points = report["files"][i]["points"].as_array().unwrap();
        let names: Vec<&str> = points
            .iter()
            .map(|one| one["model"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["none", "tiny", "nano", "micro", "mini", "small"]);
        for point in points {
            let model = point["model"].as_str().unwrap();
            dir.llmzip(&format!("compress -q -f -m {model} {file}"))
                .succeeds();
            let len = dir.read(&format!("{file}.llmz")).len();
            assert_eq!(point["compressed_bytes"], len, "{file}, {model}");
        }
    }
}

#[test]
fn a_model_by_itself_is_that_of_compress_without_experts() {
    let dir = Dir::new();
    dir.write("a", TEXT.repeat(4));
    let report = json(&dir, "--experts off -m mini a");
    for (i, options) in ["-m none", "-m mini --experts off"].into_iter().enumerate() {
        dir.llmzip(&format!("compress -q -f {options} a"))
            .succeeds();
        let point = &report["files"][0]["points"][i];
        assert_eq!(
            point["compressed_bytes"],
            dir.read("a.llmz").len(),
            "{options}"
        );
    }
}

#[test]
fn the_json_is_what_its_schema_says() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("b", TEXT.repeat(3));
    dir.write("c", noise(3000));
    let report = json(&dir, "-m mini a b c");
    assert_eq!(report["schema"], "llmzip.scaling");
    assert_eq!(report["version"], 2);
    says_where_it_comes_from(&report, "llmzip scaling --format json -m mini a b c");
    assert_eq!(report["files"][0]["class"], "prose");
    let curves = report["curves"].as_array().unwrap();
    let classes: Vec<&str> = curves
        .iter()
        .map(|one| one["class"].as_str().unwrap())
        .collect();
    assert_eq!(classes, ["prose", "binary"]);
    let prose = &curves[0];
    assert_eq!(prose["files"], serde_json::json!(["a", "b"]));
    let family = &prose["families"][0];
    assert_eq!(family["models"], serde_json::json!(["mini"]));
    assert_eq!(family["fit"], Value::Null);
    let reason = family["no_fit"].as_str().unwrap();
    assert!(
        reason.contains("four sizes of model") && reason.contains("found 1"),
        "{reason}"
    );
    let number = |point: &Value, key: &str| point[key].as_f64().unwrap_or_else(|| panic!("{key}"));
    for point in prose["points"].as_array().unwrap() {
        let sum = number(point, "cross_entropy_bits") + number(point, "coder_overhead_bits");
        assert!((sum - number(point, "coded_bits")).abs() < 1e-6);
        let file = number(point, "coded_bits") / 8.0 + number(point, "container_bytes");
        assert_eq!(file, number(point, "compressed_bytes"));
        let adjusted = number(point, "compressed_bytes") + number(point, "model_bytes");
        assert_eq!(adjusted, number(point, "adjusted_bytes"));
        assert_eq!(point["original_bytes"], 4 * TEXT.len());
        // Two files end with a few bits each that the coder has to round up.
        assert!(
            (0.0..=144.0).contains(&number(point, "coder_overhead_bits")),
            "{point}"
        );
    }
    assert_eq!(prose["points"][0]["pays_from"], Value::Null);
    assert_eq!(prose["points"][1]["law"], Value::Null);
    let pays_from = &prose["points"][1]["pays_from"];
    assert!(number(pays_from, "low_bytes") > 1e6, "{pays_from}");
    assert_eq!(pays_from["extrapolated"], true);
    for point in report["files"][2]["points"].as_array().unwrap() {
        let along = point["along"].as_array().unwrap();
        let sum = |key: &str| along.iter().map(|one| number(one, key)).sum::<f64>();
        assert_eq!(sum("bytes"), number(point, "original_bytes"));
        assert!((sum("bits") - number(point, "cross_entropy_bits")).abs() < 1.0);
    }
}

#[test]
fn a_law_has_intervals_and_models_of_another_vocabulary_are_not_in_it() {
    let dir = Dir::new();
    dir.write("a", TEXT.repeat(4));
    dir.llmzip(&format!("model add {FIXTURE} --name tiny"))
        .succeeds();
    let curve = &json(&dir, "a")["curves"][0];
    let families = curve["families"].as_array().unwrap();
    assert_eq!(families.len(), 2, "{families:?}");
    assert_eq!(families[0]["models"], serde_json::json!(["tiny"]));
    let of_four = &families[1];
    let four = serde_json::json!(["nano", "micro", "mini", "small"]);
    assert_eq!(of_four["models"], four);
    let fit = &of_four["fit"];
    assert_eq!(fit["few_points"], true, "{of_four}");
    for parameter in ["c", "a", "b"] {
        let ends = fit[format!("{parameter}_interval")].as_array().unwrap();
        let ends: Vec<f64> = ends.iter().map(|end| end.as_f64().unwrap()).collect();
        let value = fit[parameter].as_f64().unwrap();
        assert!(ends[0] <= value && value <= ends[1], "{parameter} {fit}");
    }
    let points = curve["points"].as_array().unwrap();
    assert_eq!(points.len(), 6);
    for point in points {
        let is_in = point["family"] == 1;
        assert_eq!(point["law"].is_object(), is_in, "{point}");
        if is_in {
            let law = point["law"]["bits_per_byte"].as_f64().unwrap();
            let residual = point["law"]["residual"].as_f64().unwrap();
            let measured = point["bits_per_byte"].as_f64().unwrap();
            assert!((law + residual - measured).abs() < 1e-9, "{point}");
        }
    }
}

#[test]
fn every_format_is_written() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let shown = |args: &str| text(&dir.llmzip(&format!("scaling -f a {args}")).succeeds());
    let table = shown("");
    assert!(
        table.contains("bits/byte") && table.contains("──//──"),
        "{table}"
    );
    assert_eq!(shown("-o a.svg"), "");
    let svg = text(&dir.read("a.svg"));
    assert!(
        svg.starts_with("<svg ") && svg.matches("class=\"mark\"").count() == 6,
        "{svg}"
    );
    assert!(svg.contains("llmzip scaling -f a -o a.svg"), "{svg}");
    assert_eq!(shown("-o a.html"), "");
    let page = text(&dir.read("a.html"));
    assert!(
        page.starts_with("<!doctype html>") && page.contains("<svg "),
        "{page}"
    );
    let markdown = shown("--format markdown");
    assert!(markdown.contains("| nano | 171.2 k | "), "{markdown}");
    let csv = shown("--format csv");
    assert_eq!(csv.lines().count(), 1 + 5, "{csv}");
    assert!(csv.starts_with("file,class,model,"), "{csv}");
    assert_eq!(dir.list(), ["a", "a.html", "a.svg"]);
}

#[test]
fn apart_from_the_date_the_same_is_written_again() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let run = || {
        dir.llmzip("scaling -f a -o a.svg").succeeds();
        let drawn = text(&dir.read("a.svg"));
        let same = drawn.lines().filter(|line| !line.contains("llmzip "));
        same.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn outputs_are_overwritten_on_demand_and_inputs_never() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("b", "precious");
    let refusal = dir.llmzip("scaling -m none a -o b").fails(1);
    assert!(refusal.contains("-f overwrites it"), "{refusal}");
    assert_eq!(dir.read("b"), b"precious");
    let refusal = dir.llmzip("scaling -m none -f a -o ./a").fails(1);
    assert!(refusal.contains("same file"), "{refusal}");
    assert_eq!(dir.read("a"), TEXT);
}

#[test]
fn what_cannot_be_written_is_refused_before_measuring() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    std::fs::create_dir(dir.path("folder")).unwrap();
    for (output, reason) in [("absent/b", "no such folder"), ("folder", "is a directory")] {
        let error = dir
            .llmzip(&format!("scaling -m nano -o {output} a"))
            .fails(1);
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(dir.list(), ["a", "folder"]);
}

#[test]
fn a_limit_to_memory_is_kept() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let refusal = dir.llmzip("scaling -m none -M 10MiB a").fails(1);
    assert!(refusal.contains("-M allows"), "{refusal}");
}

#[test]
fn an_empty_file_has_a_report() {
    let dir = Dir::new();
    dir.write("a", "");
    for format in ["table", "json", "csv", "markdown", "html", "svg"] {
        let shown = text(
            &dir.llmzip(&format!("scaling a --format {format}"))
                .succeeds(),
        );
        assert!(!shown.contains("NaN") && !shown.contains("inf"), "{shown}");
    }
    assert_eq!(
        json(&dir, "a")["curves"][0]["points"][0]["bits_per_byte"],
        Value::Null
    );
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_behind() {
    let dir = Dir::new();
    dir.write("a", TEXT.repeat(20_000));
    let mut child = dir
        .llmzip("scaling -m none a -o a.svg")
        .with_default_signals()
        .spawn();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(2)
    );
    assert_eq!(dir.list(), ["a"]);
}

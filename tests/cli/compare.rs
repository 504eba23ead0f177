//! `compare`.

use serde_json::Value;

use crate::harness::{Dir, TEXT, noise, text};
use crate::provenance::says_where_it_comes_from;

fn json(dir: &Dir, args: &str) -> Value {
    let shown = text(
        &dir.llmzip(&format!("compare --format json {args}"))
            .succeeds(),
    );
    serde_json::from_str(&shown).expect("JSON")
}

/// What `compressor` made of a file or of all together.
fn result<'a>(group: &'a Value, compressor: &str) -> &'a Value {
    let results = group["results"].as_array().expect("results");
    let found = results.iter().find(|one| one["compressor"] == compressor);
    found.unwrap_or_else(|| panic!("no {compressor}"))
}

#[test]
fn sizes_are_those_of_files() {
    let dir = Dir::new();
    dir.write("a", TEXT.repeat(4));
    dir.write("b", noise(70_000));
    let report = json(&dir, "a b");
    for (i, file) in ["a", "b"].into_iter().enumerate() {
        for (model, compressor) in [("none", "llmzip none"), ("mini", "llmzip mini")] {
            dir.llmzip(&format!("compress -q -f -m {model} {file}"))
                .succeeds();
            let len = dir.read(&format!("{file}.llmz")).len();
            let found = result(&report["files"][i], compressor);
            assert_eq!(found["compressed_bytes"], len, "{file}, {model}");
        }
    }
}

#[test]
fn installed_models_are_measured_and_named_ones_alone() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/fixture.llmzmodel");
    dir.llmzip(&format!("model add {fixture} --name tiny"))
        .succeeds();
    let report = json(&dir, "a");
    dir.llmzip("compress -q -m tiny a").succeeds();
    let found = result(&report["files"][0], "llmzip tiny");
    assert_eq!(found["compressed_bytes"], dir.read("a.llmz").len());
    let names = |report: &Value| -> Vec<String> {
        let compressors = report["compressors"].as_array().unwrap();
        let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
        compressors
            .iter()
            .map(name)
            .filter(|name| name.starts_with("llmzip"))
            .collect()
    };
    assert_eq!(
        names(&report),
        [
            "llmzip none",
            "llmzip tiny",
            "llmzip nano",
            "llmzip micro",
            "llmzip mini",
            "llmzip small"
        ]
    );
    assert_eq!(
        names(&json(&dir, "-m tiny,none a")),
        ["llmzip none", "llmzip tiny"]
    );
    let refusal = dir.llmzip("compare -m absent a").fails(1);
    assert!(refusal.contains("no model absent"), "{refusal}");
}

#[test]
fn the_json_is_what_its_schema_says() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("empty", "");
    let report = json(&dir, "a empty");
    assert_eq!(report["schema"], "llmzip.compare");
    assert_eq!(report["version"], 2);
    says_where_it_comes_from(&report, "llmzip compare --format json a empty");
    let compressors = report["compressors"].as_array().unwrap();
    assert_eq!(compressors[0]["kind"], "classical");
    assert_eq!(compressors[0]["parameters"], Value::Null);
    let last = compressors.last().unwrap();
    assert_eq!(last["kind"], "model");
    assert!(last["parameters"].as_u64() > Some(0) && last["model_bytes"].as_u64() > Some(0));
    let groups = [&report["files"][0], &report["files"][1], &report["total"]];
    for group in groups {
        let results = group["results"].as_array().unwrap();
        assert_eq!(results.len(), compressors.len());
        for (compressor, result) in compressors.iter().zip(results) {
            assert_eq!(compressor["name"], result["compressor"]);
            assert_eq!(result["verified"], true);
            let runs = result["runs"].as_u64().unwrap() as usize;
            assert!((3..=10).contains(&runs), "{result}");
            for way in ["compress", "decompress"] {
                let of_runs = result[format!("{way}_seconds_of_runs")].as_array().unwrap();
                assert_eq!(of_runs.len(), runs, "{result}");
                let mut seconds: Vec<f64> =
                    of_runs.iter().map(|one| one.as_f64().unwrap()).collect();
                seconds.sort_by(f64::total_cmp);
                let middle = (seconds[(runs - 1) / 2] + seconds[runs / 2]) / 2.0;
                let median = result[format!("{way}_seconds")].as_f64().unwrap();
                assert!((median - middle).abs() < 2e-9, "{result}");
            }
            if cfg!(target_os = "linux") {
                let mib = result["peak_memory_bytes"].as_u64().unwrap() >> 20;
                assert!((1..1000).contains(&mib), "{result}");
            }
        }
    }
    let full = result(groups[0], "xz -9e");
    let bytes = full["compressed_bytes"].as_f64().unwrap();
    assert_eq!(full["bits_per_byte"], 8.0 * bytes / TEXT.len() as f64);
    let empty = result(groups[1], "xz -9e");
    assert_eq!(empty["ratio"], Value::Null);
    assert_eq!(empty["best"]["size"], false);
    let results = groups[0]["results"].as_array().unwrap();
    let size = |one: &Value| one["compressed_bytes"].as_u64().unwrap();
    let smallest = results.iter().map(size).min().unwrap();
    for one in results {
        assert_eq!(one["best"]["size"], size(one) == smallest, "{one}");
    }
    for way in ["compress", "decompress"] {
        let times = |one: &Value| -> Vec<f64> {
            let runs = one[format!("{way}_seconds_of_runs")].as_array().unwrap();
            runs.iter().map(|time| time.as_f64().unwrap()).collect()
        };
        let shortest = |one| times(one).into_iter().fold(f64::MAX, f64::min);
        let longest = |one| times(one).into_iter().fold(0.0, f64::max);
        for one in results {
            let is_other = |other: &&Value| other["compressor"] != one["compressor"];
            let mut others = results.iter().filter(is_other);
            let is_apart = others.all(|other| longest(one) < shortest(other));
            assert_eq!(one["best"][way], is_apart, "{way} {one}");
        }
    }
}

#[test]
fn each_compressor_is_charged_with_its_own_memory() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("b", noise(1 << 18));
    let report = json(&dir, "-m nano,small a b");
    let peak = |file: usize, compressor: &str| {
        result(&report["files"][file], compressor)["peak_memory_bytes"].as_u64()
    };
    // Where the system does not tell, nothing is told.
    if cfg!(target_os = "linux") {
        // One keeps an index of the whole file, the other of 32 KiB; what comes later is not
        // charged with it.
        assert!(peak(1, "xz -9e") > peak(1, "gzip -9"));
        assert!(peak(1, "xz -9e") > peak(1, "zstd -3"));
        assert!(peak(0, "llmzip nano") < peak(0, "llmzip small"));
    } else {
        assert_eq!(peak(0, "xz -9e"), None);
    }
}

#[test]
fn a_compressor_that_is_not_there_is_said_to_be_so() {
    let dir = Dir::new();
    let one = dir.llmzip("compare-one --compressor rar --called a --bytes 0 --model none");
    assert_eq!(text(&one.succeeds()), "{\"Err\":\"no compressor rar\"}\n");
    for shown in ["--help", "completions bash"] {
        assert!(!text(&dir.llmzip(shown).succeeds()).contains("compare-one"));
    }
}

#[test]
fn every_format_is_written() {
    let dir = Dir::new();
    dir.write("a,b", TEXT);
    let shown = |format: &str| {
        text(
            &dir.llmzip(&format!("compare -m none --format {format} a,b"))
                .succeeds(),
        )
    };
    let table = shown("table");
    assert!(table.starts_with("a,b: "), "{table}");
    assert!(
        table.contains("zstd --ultra -22") && table.contains('*'),
        "{table}"
    );
    let csv = shown("csv");
    assert_eq!(csv.lines().count(), 1 + 8, "{csv}");
    assert!(
        csv.lines().skip(1).all(|line| line.starts_with("\"a,b\",")),
        "{csv}"
    );
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    for column in [
        "llmzip_version",
        "command",
        "date",
        "cpu",
        "cores",
        "threads",
        "kernels",
    ] {
        assert!(header.contains(&column), "{column}");
    }
    let markdown = shown("markdown");
    assert!(markdown.contains("| xz -9e | "), "{markdown}");
    assert!(markdown.contains("    llmzip compare -m none --format markdown a,b\n"));
    let page = shown("html");
    assert!(page.starts_with("<!doctype html>") && page.contains("<td>xz -9e</td>"));
    assert!(page.contains("<code>llmzip compare -m none --format html a,b</code>"));
    let refusal = dir.llmzip("compare --format svg a,b").fails(2);
    assert!(refusal.contains("draws no picture"), "{refusal}");
}

#[test]
fn the_name_of_the_output_says_its_format() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    for (name, start) in [
        ("a.md", "**a: "),
        ("a.json", "{"),
        ("a.csv", "file,"),
        ("a.x", "a: "),
    ] {
        let printed = dir
            .llmzip(&format!("compare -m none a -o {name}"))
            .succeeds();
        assert_eq!(text(&printed), "");
        assert!(text(&dir.read(name)).starts_with(start), "{name}");
    }
    let printed = dir.llmzip("compare -m none a -o - --format csv").succeeds();
    assert!(text(&printed).starts_with("file,"));
    dir.llmzip("compare -m none a -o a.md").fails(1);
    dir.llmzip("compare -m none a -f -o a.md --format json")
        .succeeds();
    assert!(text(&dir.read("a.md")).starts_with('{'));
}

#[test]
fn an_input_that_cannot_be_read_does_not_stop_the_others() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let output = dir.llmzip("compare -m none absent a").output();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("a: "));
    dir.llmzip("compare -m none absent").fails(1);
    dir.llmzip("compare").fails(2);
    assert_eq!(dir.list(), ["a"]);
}

//! `explain`.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Dir, TEXT, noise, text};
use crate::provenance::says_where_it_comes_from;

fn parsed(shown: &[u8]) -> Value {
    serde_json::from_slice(shown).expect("JSON")
}

fn sum(list: &Value, key: &str) -> f64 {
    let each = list.as_array().unwrap().iter();
    each.map(|one| one[key].as_f64().unwrap()).sum()
}

fn column(report: &Value, name: &str) -> Vec<f64> {
    let column = report["pieces"][name].as_array().unwrap().iter();
    column.map(|one| one.as_f64().unwrap()).collect()
}

#[test]
fn sizes_are_those_of_compress_and_pieces_add_up() {
    let dir = Dir::new();
    dir.write("a", TEXT.repeat(3));
    // Escapes, stored bytes, experts: whatever is in it is in the pieces.
    let mut mixed = TEXT.repeat(20);
    mixed.extend(noise(40_000));
    dir.write("b", mixed);
    dir.write("empty", "");
    for file in ["a", "b", "empty"] {
        for model in ["mini", "none"] {
            dir.llmzip(&format!("compress -q -f -m {model} {file}"))
                .succeeds();
            let report = parsed(
                &dir.llmzip(&format!("explain --format json -m {model} {file}"))
                    .succeeds(),
            );
            let context = format!("{file}, {model}");
            assert_eq!(report["schema"], "llmzip.explain", "{context}");
            assert_eq!(report["version"], 1, "{context}");
            let len = dir.read(&format!("{file}.llmz")).len();
            assert_eq!(report["compressed_bytes"], len, "{context}");
            let original = dir.read(file).len() as f64;
            assert_eq!(report["original_bytes"], original as u64, "{context}");

            let bytes = column(&report, "bytes");
            let bits: f64 = column(&report, "bits").iter().sum();
            let cross_entropy = report["cross_entropy_bits"].as_f64().unwrap();
            assert_eq!(bytes.iter().sum::<f64>(), original, "{context}");
            let rounding = 0.006 * bytes.len() as f64 + 1.0;
            assert!((bits - cross_entropy).abs() < rounding, "{context}: {bits}");
            assert!(cross_entropy <= 8.0 * len as f64, "{context}");
            assert_eq!(sum(&report["kinds"], "bytes"), original, "{context}");
            assert_eq!(sum(&report["kinds"], "pieces"), bytes.len() as f64);
            // What repeats is better left to the experts alone.
            let asked = model == "mini" && file == "a";
            assert_eq!(report["voices"].is_object(), asked, "{context}");
            let with_model = model == "mini" && file != "empty";
            assert_eq!(
                report["windows"].as_array().unwrap().is_empty(),
                !with_model
            );
            for (name, column) in report["pieces"].as_object().unwrap() {
                let len = column.as_array().unwrap().len();
                assert_eq!(len, bytes.len(), "{context}: {name}");
            }
        }
    }
}

#[test]
fn the_text_is_in_the_strings_and_the_most_expensive_piece_first() {
    let dir = Dir::new();
    let told = format!("{0}{0}zyxq{0}", text(TEXT));
    dir.write("a", &told);
    let report = parsed(&dir.llmzip("explain --format json a").succeeds());
    let strings = report["strings"].as_array().unwrap();
    let joined: String = column(&report, "string")
        .into_iter()
        .map(|index| strings[index as usize].as_str().unwrap())
        .collect();
    assert_eq!(joined, told);
    let bits = column(&report, "bits");
    let peaks = report["peaks"].as_array().unwrap();
    let most_expensive = peaks[0].as_u64().unwrap() as usize;
    assert_eq!(
        bits[most_expensive],
        bits.iter().copied().fold(0.0, f64::max)
    );
    let windows = report["windows"].as_array().unwrap();
    assert!(windows.len() >= 3 && windows[0]["tokens"] == 16);
}

#[test]
fn outputs_are_overwritten_on_demand_and_inputs_never() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("b", "precious");
    let refusal = dir.llmzip("explain -m none a -o b").fails(1);
    assert!(refusal.contains("-f overwrites it"), "{refusal}");
    let refusal = dir.llmzip("explain -m none -f a -o ./a").fails(1);
    assert!(refusal.contains("same file"), "{refusal}");
    assert_eq!(dir.read("a"), TEXT);
    dir.llmzip("explain missing").fails(1);
    dir.llmzip("explain -m none a -o b -f --format html")
        .succeeds();
    assert!(text(&dir.read("b")).starts_with("<!doctype html>"));
}

#[test]
fn every_format_is_written() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let shown = |format: &str| text(&dir.llmzip(&format!("explain {format} a")).succeeds());
    let table = shown("");
    assert!(
        table.contains("word begins") && table.contains("model alone"),
        "{table}"
    );
    assert!(table.contains("\nllmzip explain a\n"), "{table}");
    assert!(shown("--format markdown").contains("| word begins | "));
    let csv = shown("--format csv");
    assert!(
        csv.starts_with("file,model,offset,bytes,text,kind,bits,"),
        "{csv}"
    );
    let report: Value = serde_json::from_str(&shown("--format json")).unwrap();
    says_where_it_comes_from(&report, "llmzip explain --format json a");
    let hash = report["provenance"]["models"][0]["blake3"]
        .as_str()
        .unwrap();
    let pieces = report["pieces"]["bits"].as_array().unwrap().len();
    assert_eq!(csv.matches(hash).count(), pieces, "{csv}");
    let refusal = dir.llmzip("explain --format svg a").fails(2);
    assert!(refusal.contains("--format html"), "{refusal}");
}

/// The page in a real browser. Without one there is nothing to test, unless `LLMZIP_CHROMIUM` says
/// that there must be.
#[test]
fn the_page_shows_in_a_browser_what_the_json_says() {
    let required = std::env::var("LLMZIP_CHROMIUM");
    let browser = required.as_deref().unwrap_or("chromium");
    if Command::new(browser).arg("--version").output().is_err() {
        assert!(required.is_err(), "{browser} is not there");
        eprintln!("no {browser}: the page was not opened");
        return;
    }
    let dir = Dir::new();
    // A name and a text that would break out of careless markup.
    let told = format!(
        "{}</script><b>&amp;\u{1}\u{4f60}</b><!-- \"'`\\",
        text(TEXT)
    );
    dir.write("a<b>&.txt", told);
    dir.llmzip("explain a<b>&.txt -o page.html").succeeds();
    let report = parsed(&dir.llmzip("explain --format json a<b>&.txt").succeeds());
    let shown = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--dump-dom",
        ])
        .args(["--enable-logging=stderr", "--virtual-time-budget=10000"])
        .arg(format!("--user-data-dir={}", dir.path("profile").display()))
        .arg(format!("file://{}", dir.path("page.html").display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&shown.stderr);
    assert!(!said.contains("CONSOLE"), "{said}");
    let page = String::from_utf8_lossy(&shown.stdout);
    let number = |id: &str| -> String {
        let (_, rest) = page
            .split_once(&format!("id=\"{id}\">"))
            .unwrap_or_else(|| panic!("{id}: {page}"));
        let number = rest.split('<').next().unwrap();
        number.chars().filter(|&char| char != ',').collect()
    };
    assert_eq!(number("original"), report["original_bytes"].to_string());
    assert_eq!(number("compressed"), report["compressed_bytes"].to_string());
    let pieces = report["pieces"]["bits"].as_array().unwrap().len();
    assert_eq!(number("pieces"), pieces.to_string());
    assert_eq!(page.matches("<span data-i=").count(), pieces);
    for kind in report["kinds"].as_array().unwrap() {
        let (name, pieces) = (kind["kind"].as_str().unwrap(), &kind["pieces"]);
        let row = format!("data-kind=\"{name}\" data-pieces=\"{pieces}\"");
        assert!(*pieces == 0 || page.contains(&row), "{row}");
    }
    for window in report["windows"].as_array().unwrap() {
        assert!(page.contains(&format!("data-window=\"{}\"", window["tokens"])));
    }
    assert!(page.contains("<h1 id=\"title\">a&lt;b&gt;&amp;.txt</h1>"));
}

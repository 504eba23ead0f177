//! `llmzip model` as a user runs it, on the frozen fixture and a store of its own.
#![cfg(all(feature = "cli", feature = "convert"))]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn run(&self, args: &[&str]) -> Output {
        let path = |arg: &&str| arg.strip_prefix('@').map(fixture);
        let args = args
            .iter()
            .map(|arg| path(arg).map_or(arg.into(), PathBuf::into_os_string));
        Command::new(env!("CARGO_BIN_EXE_llmzip"))
            .arg("model")
            .args(args)
            .env("LLMZIP_HOME", self.0.path().join("home"))
            .env("HF_HOME", self.0.path().join("hf"))
            .env("HF_ENDPOINT", "http://127.0.0.1:1")
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    /// What a run that succeeds prints.
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one line of a run that fails.
    fn complains(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.starts_with("llmzip: "), "{error}");
        error
    }
}

const IDENTITY: &str = "9b477d67e4d52001f663dd0f55b4093a8212d348721cf0d37475ed3c9337977e";

#[test]
fn a_folder_is_added_listed_verified_and_removed() {
    let home = Home::new();
    let added = home.says(&[
        "add",
        "@fixture-hf",
        "--activation-bits",
        "8",
        "--name",
        "tiny",
    ]);
    let (described, loss) = added.split_once('\n').unwrap();
    assert_eq!(
        described,
        format!("tiny: 94.9 k parameters, 325 tokens, 107100 bytes packed, blake3 {IDENTITY}")
    );
    // The last digits of f32 differ between machines.
    let share = loss.strip_prefix("tiny: the exact engine needs 0.00");
    assert!(
        share.is_some_and(|rest| rest.ends_with("more than f32 on a sample\n")),
        "{loss}"
    );
    let list: serde_json::Value = serde_json::from_str(&home.says(&["list", "--json"])).unwrap();
    let models = list.as_array().unwrap();
    assert_eq!(models[0]["built_in"], true);
    let tiny = models.iter().find(|m| m["name"] == "tiny").unwrap();
    assert_eq!(tiny["blake3"], IDENTITY);
    assert_eq!(tiny["bytes"], 107_100);
    assert!(home.says(&["list"]).contains("tiny"));
    assert_eq!(home.says(&["verify", "tiny"]), "tiny: ok\n");
    assert_eq!(home.says(&["remove", "tiny"]), "tiny: removed\n");
    assert!(
        home.complains(&["remove", "tiny"])
            .contains("no model tiny")
    );
    assert!(
        home.complains(&["verify", "tiny"])
            .contains("no model tiny")
    );
}

#[test]
fn a_packed_file_is_verified_at_its_path() {
    let home = Home::new();
    let mut pack = include_bytes!("../fixtures/fixture.llmzmodel").to_vec();
    let path = home.0.path().join("tiny.llmzmodel");
    let name = path.to_str().unwrap();
    std::fs::write(&path, &pack).unwrap();
    assert_eq!(home.says(&["verify", name]), format!("{name}: ok\n"));
    pack.pop();
    std::fs::write(&path, &pack).unwrap();
    assert!(home.complains(&["verify", name]).contains(name));
    // What follows is not read: it may have terabytes.
    std::fs::File::create(&path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert!(home.complains(&["verify", name]).contains(name));
    std::fs::write(&path, include_bytes!("../fixtures/fixture.llmzmodel")).unwrap();
    let grown = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    grown.set_len(1 << 40).unwrap();
    assert!(home.complains(&["verify", name]).contains(name));
}

#[test]
fn packing_to_a_file_and_adding_a_packed_file() {
    let home = Home::new();
    home.says(&[
        "add",
        "@fixture-hf",
        "--activation-bits=8",
        "--output",
        "out.llmzmodel",
    ]);
    let out = std::fs::read(home.0.path().join("out.llmzmodel")).unwrap();
    assert!(out == std::fs::read(fixture("fixture.llmzmodel")).unwrap());
    let added = home.says(&["add", "out.llmzmodel"]);
    assert!(added.starts_with("out: "), "{added}");
    let error = home.complains(&["add", "@fixture-hf", "--output", "-"]);
    assert!(error.contains("not written to standard output"), "{error}");
    assert!(!home.0.path().join("-").exists());
}

#[test]
fn what_is_no_model_is_refused_and_leaves_nothing() {
    let home = Home::new();
    let error = home.complains(&["add", "@fixture-hf/config.json", "--name", "x"]);
    assert!(error.contains("neither a GGUF file"), "{error}");
    assert!(home.complains(&["add", "absent"]).contains("absent"));
    assert!(
        home.complains(&["add", "@fixture-hf", "--name", "a/b"])
            .contains("not a model name")
    );
    assert!(
        home.complains(&["remove", "nano"])
            .contains("cannot be removed")
    );
    let packs = home.0.path().join("home/models");
    let left = std::fs::read_dir(packs).map_or(0, Iterator::count);
    assert_eq!(left, 0);
    assert_eq!(home.run(&["remove"]).status.code(), Some(2));
}

#[cfg(feature = "hub")]
#[test]
fn without_a_network_pull_says_so_in_one_line() {
    let home = Home::new();
    let error = home.complains(&["pull", "smollm2-135m"]);
    assert!(error.contains("cannot reach http://127.0.0.1:1"), "{error}");
    assert!(home.complains(&["pull", "nonsense"]).contains("owner/repo"));
}

#[test]
fn check_compares_the_engine_with_float() {
    let home = Home::new();
    let text = env!("CARGO_MANIFEST_DIR").to_owned() + "/src/packed/tokens.rs";
    let told = home.says(&[
        "check",
        "@fixture-hf",
        &text,
        "--bytes",
        "1500",
        "--no-candle",
    ]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(
        lines[1].contains("f32") && lines[1].contains("+0.00 %"),
        "{told}"
    );
    assert!(lines[2].contains("exact engine"), "{told}");
    // A packed model may have any name.
    std::fs::copy(fixture("fixture.llmzmodel"), home.0.path().join("m2")).unwrap();
    let told = home.says(&["check", "m2", &text, "--bytes", "500", "--no-candle"]);
    assert!(told.contains("f32 over the packed weights"), "{told}");
}

#[test]
fn without_a_home_the_built_in_models_are_listed() {
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmzip"));
        for name in ["HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "LLMZIP_HOME"] {
            command.env_remove(name);
        }
        command.arg("model").args(args).output().unwrap()
    };
    let listed = run(&["list"]);
    assert_eq!(listed.status.code(), Some(0));
    assert!(
        String::from_utf8(listed.stdout)
            .unwrap()
            .contains("\nmini ")
    );
    let pack = fixture("fixture.llmzmodel");
    let refused = run(&["add", pack.to_str().unwrap(), "--name", "tiny"]);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.ends_with("set LLMZIP_HOME\n"), "{error}");
}

#[test]
fn one_bad_name_hides_no_other() {
    let home = Home::new();
    home.says(&["add", "@fixture.llmzmodel", "--name", "tiny"]);
    let name = home.0.path().join("home/names/bad");
    std::fs::write(&name, "junk").unwrap();
    let listed = home.says(&["list"]);
    assert!(listed.contains("\ntiny  "), "{listed}");
    let advice = "the name bad is damaged; remove it (llmzip model remove bad) and add it again";
    assert!(listed.contains(advice), "{listed}");
    let json = home.says(&["list", "--json"]);
    assert!(
        json.contains("\"error\": \"the name bad is damaged\""),
        "{json}"
    );
    assert!(
        home.complains(&["verify"])
            .contains("the name bad is damaged")
    );
    home.says(&["verify", "tiny"]);
    home.says(&["remove", "bad"]);
    home.says(&["verify"]);
}

//! `llmzip model pull` and what follows from it, with a hub on the loopback address.
#![cfg(all(feature = "cli", feature = "hub"))]

#[path = "../fuzz/git_hash.rs"]
mod git_hash;
mod loopback_hub;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use loopback_hub::{Hub, REPOSITORY};

/// A user with a store and a cache of their own.
struct User {
    folder: tempfile::TempDir,
    endpoint: String,
}

impl User {
    fn of(hub: &Hub) -> User {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("text"), "a text, and a text").unwrap();
        User {
            folder,
            endpoint: hub.endpoint.clone(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LLMZIP_HOME", self.at("home"))
            .env("HF_HOME", self.at("hf"))
            .env("HF_ENDPOINT", &self.endpoint)
            .env_remove("HF_TOKEN")
            .stdin(Stdio::null())
            .current_dir(self.folder.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_llmzip"));
        command.args(args).output().unwrap()
    }

    /// What a run that succeeds prints.
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The one line of a run that fails.
    fn complains(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }
}

#[test]
fn a_fetched_model_is_found_by_its_repository() {
    let user = User::of(&Hub::start());
    let error = user.complains(&["-k", "-m", REPOSITORY, "text"]);
    let advice = "no model owner/tiny; llmzip model pull owner/tiny fetches it";
    assert!(error.contains(advice), "{error}");
    assert!(!user.at("text.llmz").exists());

    user.says(&["model", "pull", REPOSITORY, "--name", "mine"]);
    let listed: serde_json::Value =
        serde_json::from_str(&user.says(&["model", "list", "--json"])).unwrap();
    let origin = &listed.as_array().unwrap().last().unwrap()["origin"];
    assert_eq!(origin["repository"], REPOSITORY);
    user.says(&["-k", "-m", REPOSITORY, "text"]);
    let info = user.says(&["info", "--json", "text.llmz"]);
    assert!(info.contains("\"mine\""), "{info}");
    assert_eq!(user.says(&["-d", "-c", "text.llmz"]), "a text, and a text");
    // Whatever lies at the path comes first.
    fs::create_dir(user.at("owner")).unwrap();
    fs::write(user.at("owner/tiny"), "no model").unwrap();
    user.complains(&["-k", "-f", "-m", REPOSITORY, "text"]);
    fs::remove_dir_all(user.at("owner")).unwrap();

    user.says(&["model", "remove", "mine"]);
    user.complains(&["-k", "-f", "-m", REPOSITORY, "text"]);
    let origins = fs::read_dir(user.at("home/origins")).unwrap();
    assert_eq!(origins.count(), 0);
}

#[test]
fn the_advice_for_a_damaged_model_mends_it() {
    let user = User::of(&Hub::start());
    user.says(&["model", "pull", REPOSITORY, "--name", "mine"]);
    user.says(&["-k", "-m", "mine", "text"]);
    let models = fs::read_dir(user.at("home/models")).unwrap();
    let pack = models.map(|entry| entry.unwrap().path()).next().unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&pack, bytes).unwrap();
    let error = user.complains(&["-k", "-f", "-m", "mine", "text"]);
    let advice = "model pull owner/tiny@0123456789abcdef0123456789abcdef01234567 --name mine";
    assert!(error.trim_end().ends_with(advice), "{error}");
    user.says(&advice.split(' ').collect::<Vec<_>>());
    user.says(&["-k", "-f", "-m", "mine", "text"]);
}

#[test]
fn a_short_name_is_pinned_when_it_is_fetched_first() {
    let user = User::of(&Hub::start());
    user.says(&["model", "pull", "pythia-70m"]);
    let pin = fs::read_to_string(user.at("home/pins/pythia-70m.json")).unwrap();
    assert!(
        pin.contains("0123456789abcdef0123456789abcdef01234567"),
        "{pin}"
    );
    let listed = user.says(&["model", "list", "--available", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let lines = listed.as_array().unwrap();
    let line = lines
        .iter()
        .find(|line| line["name"] == "pythia-70m")
        .unwrap();
    assert_eq!(line["commit"], "0123456789abcdef0123456789abcdef01234567");
    assert!(line["installed"].is_string(), "{line}");
    assert!(line["measured"].is_null(), "{line}");
    assert!(line["compress"].as_f64().unwrap() > 0.0, "{line}");

    // Another content than the pinned one is refused, whatever the hub says.
    let digits = pin.find("\"hash\": \"").unwrap() + 9;
    let other = if &pin[digits..=digits] == "0" {
        "1"
    } else {
        "0"
    };
    let bent = [&pin[..digits], other, &pin[digits + 1..]].concat();
    fs::write(user.at("home/pins/pythia-70m.json"), bent).unwrap();
    user.says(&["model", "remove", "pythia-70m"]);
    let error = user.complains(&["model", "pull", "pythia-70m"]);
    assert!(
        error.contains("not the file that the short name stands for"),
        "{error}"
    );
    // Who names a revision takes what the hub has.
    user.says(&["model", "pull", "pythia-70m@main"]);
}

#[test]
fn a_level_uses_the_same_weights_whatever_they_are_called() {
    let user = User::of(&Hub::start());
    let error = user.complains(&["-7", "-k", "text"]);
    assert!(
        error.contains("llmzip model pull smollm2-135m fetches it"),
        "{error}"
    );
    user.says(&["model", "pull", REPOSITORY, "--name", "mine"]);
    let origins = fs::read_dir(user.at("home/origins")).unwrap();
    let origin = origins.map(|entry| entry.unwrap().path()).next().unwrap();
    let commit = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2";
    let as_if = |commit: &str| {
        let note = serde_json::json!({
            "repository": "HuggingFaceTB/SmolLM2-135M", "commit": commit
        });
        fs::write(&origin, note.to_string()).unwrap();
    };
    as_if("0123456789abcdef0123456789abcdef01234567");
    user.complains(&["-7", "-k", "text"]);
    as_if(commit);
    user.says(&["-7", "-k", "text"]);
    assert!(
        user.says(&["info", "--json", "text.llmz"])
            .contains("\"mine\"")
    );
}

/// `script` (util-linux) provides the terminal, where there is one.
#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_a_model_is_fetched_if_the_user_wants_it() {
    use std::io::Write;

    let user = User::of(&Hub::start());
    let has_script = user.command("script").arg("--version").output();
    if !has_script.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("util-linux")) {
        eprintln!("skipped: no script from util-linux");
        return;
    }
    let answer = |answer: &str| {
        let program = env!("CARGO_BIN_EXE_llmzip");
        let command = format!("{program} -k -m {REPOSITORY} text");
        let mut script = user.command("script");
        script.args(["-qec", &command, "/dev/null"]);
        let script = script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(answer.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (done, shown) = answer("n\n");
    assert!(
        !done && shown.contains("fetch it from Hugging Face? [y/N]"),
        "{shown}"
    );
    assert!(!user.at("home").exists());
    let (done, shown) = answer("y\n");
    assert!(done && shown.contains("it is called tiny"), "{shown}");
    assert!(user.at("text.llmz").exists());
    assert!(user.says(&["model", "list"]).contains("tiny"));
}

//! Behaviour that depends on a terminal, which `script` (util-linux) provides where there is one.

use std::process::{Command, Stdio};

use crate::harness::{Dir, TEXT, noise, text};

/// Runs a shell command with `llmzip` in it on a terminal; its exit code and all it showed.
fn on_a_terminal(dir: &Dir, command: &str) -> Option<(i32, String)> {
    let has_script = Command::new("script").arg("--version").output();
    if !has_script.is_ok_and(|output| text(&output.stdout).contains("util-linux")) {
        eprintln!("skipped: no script from util-linux");
        return None;
    }
    let command = command.replace("llmzip", env!("CARGO_BIN_EXE_llmzip"));
    let output = Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        .current_dir(dir.path(""))
        .env("LLMZIP_HOME", dir.path("no-home"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output.status.code().unwrap(), shown))
}

#[test]
fn compressed_data_is_not_written_to_a_terminal() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let Some((code, shown)) = on_a_terminal(&dir, "llmzip compress -c a") else {
        return;
    };
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("not written to a terminal"), "{shown}");
    let (code, _) = on_a_terminal(&dir, "llmzip compress -c -f a").unwrap();
    assert_eq!(code, 0);
}

#[test]
fn text_is_shown_on_a_terminal_and_binary_is_not() {
    let dir = Dir::new();
    dir.compressed("text.llmz", TEXT, "");
    dir.compressed("binary.llmz", noise(5000), "");
    let Some((code, shown)) = on_a_terminal(&dir, "llmzip cat text.llmz") else {
        return;
    };
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("It was the best of times"), "{shown}");
    let (code, shown) = on_a_terminal(&dir, "llmzip cat binary.llmz").unwrap();
    assert_eq!(code, 1, "{shown}");
    assert!(
        shown.contains("binary data is not written to a terminal"),
        "{shown}"
    );
}

#[test]
fn compressed_data_is_not_read_from_a_terminal() {
    let dir = Dir::new();
    let Some((code, shown)) = on_a_terminal(&dir, "llmzip decompress -o a") else {
        return;
    };
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("not read from a terminal"), "{shown}");
}

#[test]
fn progress_is_shown_on_a_terminal_and_can_be_turned_off() {
    let dir = Dir::new();
    dir.write("a", noise(3_000_000));
    let Some((code, shown)) = on_a_terminal(&dir, "llmzip compress --block-size 10k a -o b") else {
        return;
    };
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("ETA"), "{shown}");
    for option in ["--no-progress", "-q"] {
        let command = format!("llmzip compress {option} a -f -o b");
        let (code, shown) = on_a_terminal(&dir, &command).unwrap();
        assert_eq!(code, 0, "{shown}");
        assert!(!shown.contains("ETA"), "{shown}");
    }
}

#[test]
fn reports_say_what_they_are_measuring() {
    let dir = Dir::new();
    dir.write("a", noise(50_000));
    let Some((code, shown)) = on_a_terminal(&dir, "llmzip scaling -m none a") else {
        return;
    };
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("a, none, compressing: "), "{shown}");
    for option in ["--no-progress", "-q"] {
        let command = format!("llmzip scaling -m none {option} a");
        let (_, shown) = on_a_terminal(&dir, &command).unwrap();
        assert!(!shown.contains("compressing: "), "{shown}");
    }
}

#[test]
fn reports_cannot_command_the_terminal() {
    let dir = Dir::new();
    let name = "x\u{1b}[31m\u{202e}";
    dir.write(name, "hi\u{1b}[31m\u{9b}2Kthere");
    for format in ["table", "csv", "json", "markdown", "html"] {
        let options = format!("--format {format} --no-progress");
        let measured = [
            format!("llmzip explain {options} x*"),
            format!("llmzip scaling -m nano {options} x*"),
            format!("llmzip compare -m none {options} x* 2>/dev/null"),
            format!("llmzip explain {options} -o /dev/tty x*"),
        ];
        for command in measured {
            let Some((code, shown)) = on_a_terminal(&dir, &command) else {
                return;
            };
            assert_eq!(code, 0, "{command}: {shown}");
            assert!(shown.len() > 100, "{command}: {shown}");
            let obeyed = ['\u{1b}', '\u{9b}', '\u{202e}'];
            assert!(!shown.contains(obeyed), "{command}: {shown:?}");
        }
    }
    // To a file, the bytes of names and texts go as they are.
    let csv = dir.llmzip("explain --format csv").arg(name).succeeds();
    assert!(text(&csv).contains('\u{1b}'));
}

#[test]
fn overwriting_is_asked_for_on_a_terminal() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("a.llmz", "precious");
    // `script` hands its own standard input on to the terminal; here there is none, so nobody says
    // yes.
    let Some((code, shown)) = on_a_terminal(&dir, "llmzip compress a") else {
        return;
    };
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("overwrite? [y/N]"), "{shown}");
    assert_eq!(dir.read("a.llmz"), b"precious");
}

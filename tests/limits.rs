//! What the machine refuses, memory above all, ends a run with a sentence: never with a panic, a
//! signal or a wait without end.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than any of these runs takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `llmzip` with `arguments` in `folder`, in at most `kilobytes` of address space.
fn run(folder: &Path, kilobytes: u64, arguments: &str) -> Output {
    let script = format!("ulimit -v {kilobytes}; exec \"$LLMZIP\" {arguments}");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder)
        .env("LLMZIP", env!("CARGO_BIN_EXE_llmzip"))
        .env("RUST_BACKTRACE", "1")
        .env_remove("LLMZIP_KERNELS")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{arguments} with {kilobytes} kB hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// Runs `arguments` with more and more memory until that is enough.
fn run_with_more_and_more(folder: &Path, arguments: &str) {
    // The least with which the program starts at all.
    let mut kilobytes = 10_000;
    while run(folder, kilobytes, "--version").status.code() != Some(0) {
        kilobytes += 2_000;
        assert!(kilobytes < 200_000, "the program does not start");
    }
    let mut refused = 0;
    loop {
        let output = run(folder, kilobytes, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let what = format!("{arguments} with {kilobytes} kB: {} {said}", output.status);
        match output.status.code() {
            Some(0) => break assert!(said.is_empty(), "{what}"),
            Some(1) => assert!(
                said.starts_with("llmzip: ") && said.lines().count() == 1,
                "{what}"
            ),
            _ => panic!("{what}"),
        }
        let left = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name());
        let hidden = |name: &std::ffi::OsString| name.to_string_lossy().starts_with('.');
        assert!(!left.into_iter().any(|name| hidden(&name)), "{what}");
        refused += 1;
        kilobytes += kilobytes / 9;
        assert!(kilobytes < 4_000_000, "never enough: {what}");
    }
    assert!(refused > 3, "{arguments}: refused only {refused} times");
}

#[test]
fn memory_that_is_refused_ends_a_run_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../src/lib.rs").repeat(4);
    fs::write(folder.path().join("text"), text).unwrap();
    for level in [1, 2, 4] {
        let coded = format!("coded{level}");
        run_with_more_and_more(
            folder.path(),
            &format!("compress -q -f -{level} -T 2 -o {coded} text"),
        );
        run_with_more_and_more(
            folder.path(),
            &format!("decompress -q -f -T 2 -o restored {coded}"),
        );
        let restored = fs::read(folder.path().join("restored")).unwrap();
        assert!(restored == fs::read(folder.path().join("text")).unwrap());
    }
}

/// Runs `llmzip` with `arguments` in `folder`, where it may start no thread. Root has no such
/// limit, and therefore runs it as nobody.
#[cfg(target_os = "linux")]
fn run_without_threads(folder: &Path, arguments: &str) -> Output {
    let user = Command::new("id").arg("-u").output().unwrap().stdout;
    let as_nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let is_root = user.trim_ascii() == b"0";
    let mut words = as_nobody.into_iter().filter(|_| is_root);
    let limited = ["prlimit", "--nproc=1", "./llmzip"];
    let first = words.next().unwrap_or("env");
    Command::new(first)
        .args(words.chain(limited).chain(arguments.split(' ')))
        .current_dir(folder)
        .env_remove("LLMZIP_KERNELS")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn without_threads_the_program_works_on_its_own() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let anybody = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder.path(), anybody.clone()).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_llmzip"), folder.path().join("llmzip")).unwrap();
    let text = include_str!("../src/lib.rs");
    fs::write(folder.path().join("text"), text).unwrap();
    // Two streams, which several threads would decompress together.
    for arguments in [
        "compress -q -3 -T 4 --streams 2 -o coded text",
        "decompress -q -T 4 -o restored coded",
    ] {
        let output = run_without_threads(folder.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{arguments}: {said}"
        );
    }
    let restored = fs::read(folder.path().join("restored")).unwrap();
    assert!(restored == text.as_bytes());
}

/// Peak resident memory of a run in bytes.
#[cfg(target_os = "linux")]
fn peak_memory(folder: &Path, arguments: &str) -> u64 {
    let script = format!(
        "\"$LLMZIP\" {arguments} & pid=$!; peak=0; \
         while [ -r /proc/$pid/status ] && line=$(grep VmHWM /proc/$pid/status); do \
         set -- $line; peak=$2; done; wait $pid && echo $peak"
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder)
        .env("LLMZIP", env!("CARGO_BIN_EXE_llmzip"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments}: {output:?}");
    let kilobytes = String::from_utf8(output.stdout).unwrap();
    kilobytes.trim().parse::<u64>().unwrap() << 10
}

/// The least that `-M` must allow, in bytes: what it says that a run needs, until nothing is
/// refused.
#[cfg(target_os = "linux")]
fn needed_memory(folder: &Path, arguments: &str) -> u64 {
    let mut allowed = 1_000;
    loop {
        let refusal = run(folder, 8_000_000, &format!("-M {allowed} {arguments}"));
        if refusal.status.success() {
            return allowed;
        }
        let said = String::from_utf8(refusal.stderr).unwrap();
        let needs = said.split("needs ").nth(1);
        let needs = needs.unwrap_or_else(|| panic!("{arguments}: {said}"));
        let number = needs.trim_start_matches("at least ").split(" MB").next();
        let needed = number.unwrap().parse::<u64>().unwrap() * 1_000_000;
        assert!(needed > allowed, "{arguments}: {said}");
        allowed = needed;
    }
}

/// `-M` says what a run needs: at least what it takes, and for the experts alone not much more.
#[cfg(target_os = "linux")]
#[test]
fn the_memory_that_a_run_needs_is_what_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    // A short block is left at the end, which is coded by a copy of the experts, and may be stored.
    let text = include_str!("../src/cli/output.rs").repeat(20);
    fs::write(folder.path().join("a"), &text[..(128 << 10) + 1000]).unwrap();
    // The experts alone code it, and the model does not pay.
    let log: String = (0..7_000).map(|n| format!("{n}: ok {}\n", n % 7)).collect();
    fs::write(folder.path().join("log"), &log[..(64 << 10) + 1000]).unwrap();
    fs::write(folder.path().join("prime"), &log[..30_000]).unwrap();
    for (options, most) in [
        ("-1 a", 2.0),
        ("-2 a", 1.3),
        ("-3 a", 6.0),
        ("-2 -D prime log", 1.3),
        ("-3 -D prime log", 6.0),
        ("-5 -D prime log", 6.0),
    ] {
        let arguments = format!("-q -f -k --block-size 64KiB {options}");
        let peak = peak_memory(folder.path(), &arguments) as f64;
        let needs = needed_memory(folder.path(), &arguments) as f64;
        assert!(peak <= needs, "{options}: takes {peak}, says {needs}");
        assert!(
            needs <= most * peak,
            "{options}: takes {peak}, says {needs}"
        );
    }
}

/// As many frames are coded at the same time as `-M` leaves memory for, and the same bytes written.
#[cfg(target_os = "linux")]
#[test]
fn frames_at_the_same_time_keep_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../src/cli/output.rs").repeat(20);
    fs::write(folder.path().join("a"), &text).unwrap();
    for level in ["-1", "-3"] {
        let arguments = format!("-q -f -k {level} --block-size 32KiB --frame-size 64KiB a");
        let needs = needed_memory(folder.path(), &arguments);
        let mut files = Vec::new();
        for limit in [needs, needs * 5] {
            let peak = peak_memory(folder.path(), &format!("-T4 -M {limit} {arguments}"));
            assert!(peak <= limit, "{level}: takes {peak} of {limit}");
            files.push(fs::read(folder.path().join("a.llmz")).unwrap());
            let decompress = "-q -d -f -k a.llmz";
            let needs = needed_memory(folder.path(), decompress);
            let peak = peak_memory(folder.path(), &format!("-T4 -M {needs} {decompress}"));
            assert!(
                peak <= needs,
                "{level}: decompressing takes {peak} of {needs}"
            );
        }
        assert!(files.windows(2).all(|pair| pair[0] == pair[1]), "{level}");
        assert!(fs::read_to_string(folder.path().join("a")).unwrap() == text);
    }
}

/// No memory is taken for experts before `-M` is compared with what they need, from a file and from
/// a pipe.
#[cfg(target_os = "linux")]
#[test]
fn decompressing_keeps_the_limit_whatever_the_header_names() {
    let folder = tempfile::tempdir().unwrap();
    let log: String = (0..5_000).map(|n| format!("{n}: ok {}\n", n % 7)).collect();
    fs::write(folder.path().join("log"), &log).unwrap();
    fs::write(folder.path().join("prime"), &log[..30_000]).unwrap();
    let text = include_str!("../src/cli/output.rs").repeat(2);
    fs::write(folder.path().join("text"), text).unwrap();
    for (compress, decompress) in [
        ("-1 log", ""),
        ("-2 log", ""),
        ("-3 --block-size 4KiB log", ""),
        ("-3 --block-size 4KiB -D prime log", "-D prime"),
        ("-3 -D prime text", "-D prime"),
        ("-2 -D prime --independent-blocks log", "-D prime"),
    ] {
        let compress = format!("-q -f -k -o c.llmz {compress}");
        assert!(run(folder.path(), 8_000_000, &compress).status.success());
        for input in ["c.llmz", "<c.llmz"] {
            let arguments = format!("-q -d -c {decompress} {input}");
            let needs = needed_memory(folder.path(), &arguments);
            let limited = format!("-M {needs} {arguments} >out");
            let peak = peak_memory(folder.path(), &limited);
            assert!(
                peak <= needs,
                "{compress}, {input}: takes {peak}, says {needs}"
            );
            let less = format!("-M 14MB {arguments} >out");
            let refused = run(folder.path(), 8_000_000, &less);
            assert_eq!(refused.status.code(), Some(1), "{compress}, {input}");
        }
    }
}

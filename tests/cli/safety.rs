//! Nothing is lost: inputs that change, outputs that are in the way, streams that are closed,
//! signals.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Dir, TEXT, noise, text};

/// Text that takes a second or so to compress.
fn long_text() -> Vec<u8> {
    include_bytes!("../../docs/FORMAT.md").repeat(2)
}

/// Waits until a process has the file open.
fn wait_until_open(child: &Child, dir: &Dir, name: &str) {
    let path = fs::canonicalize(dir.path(name)).unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        let open = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
        let mut links = open
            .flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok());
        if links.any(|link| link == path) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{name} was never opened");
}

/// Runs a shell command in which `llmzip` is the program.
fn shell(dir: &Dir, command: &str) -> Output {
    Command::new("sh")
        .args([
            "-c",
            &command.replace("llmzip", env!("CARGO_BIN_EXE_llmzip")),
        ])
        .current_dir(dir.path(""))
        .env("LLMZIP_HOME", dir.path("no-home"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn kill(child: &Child, signal: &str) {
    let killed = Command::new("kill")
        .args([format!("-{signal}"), child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn rm_keeps_an_input_that_another_file_replaced() {
    let dir = Dir::new();
    dir.write("log", long_text());
    let child = dir.llmzip("compress -q --rm log").spawn();
    wait_until_open(&child, &dir, "log");
    dir.write("new", "a line that was never compressed");
    fs::rename(dir.path("new"), dir.path("log")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("the input is not deleted: another file took its place"),
        "{said}"
    );
    assert_eq!(dir.read("log"), b"a line that was never compressed");
    assert_eq!(dir.llmzip("cat log.llmz").succeeds(), long_text());
}

#[cfg(target_os = "linux")]
#[test]
fn rm_keeps_an_input_that_was_written_to() {
    for (args, code, said) in [
        (
            "compress -q --rm log",
            1,
            "the input is not deleted: it changed while it was read",
        ),
        (
            "compress log",
            0,
            "warning: log: it changed while it was read",
        ),
    ] {
        let dir = Dir::new();
        dir.write("log", long_text());
        let child = dir.llmzip(args).spawn();
        wait_until_open(&child, &dir, "log");
        let mut log = fs::OpenOptions::new()
            .append(true)
            .open(dir.path("log"))
            .unwrap();
        std::io::Write::write_all(&mut log, b"appended").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args}");
        assert!(
            text(&output.stderr).contains(said),
            "{}",
            text(&output.stderr)
        );
        assert_eq!(dir.list(), ["log", "log.llmz"]);
    }
}

#[test]
fn f_replaces_a_link_and_keeps_what_it_led_to() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("precious", "precious");
    symlink("precious", dir.path("a.llmz")).unwrap();
    let error = dir.llmzip("compress a").fails(1);
    assert_eq!(error, "llmzip: a: a.llmz exists; -f overwrites it");
    dir.llmzip("compress -f a").succeeds();
    assert_eq!(dir.read("precious"), b"precious");
    assert!(
        !fs::symlink_metadata(dir.path("a.llmz"))
            .unwrap()
            .is_symlink()
    );
    // A link that leads nowhere is in the way, too.
    symlink("nowhere", dir.path("b.llmz")).unwrap();
    dir.llmzip("compress a -o b.llmz").fails(1);
    dir.llmzip("compress a -f -o b.llmz").succeeds();
    assert_eq!(dir.list(), ["a", "a.llmz", "b.llmz", "precious"]);
}

#[test]
fn f_gives_nobody_more_permissions_than_the_old_output_gave() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("a.llmz", "secret");
    let mode = |name: &str| fs::metadata(dir.path(name)).unwrap().mode() & 0o777;
    let set = |name: &str, mode| {
        fs::set_permissions(dir.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    set("a", 0o644);
    set("a.llmz", 0o600);
    dir.llmzip("compress -f a").succeeds();
    assert_eq!(mode("a.llmz"), 0o600);
    set("a.llmz", 0o666);
    dir.llmzip("compress -f a").succeeds();
    assert_eq!(mode("a.llmz"), 0o644);
}

#[test]
fn owner_and_group_are_kept_by_root() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    if std::os::unix::fs::chown(dir.path("a"), Some(1234), Some(4321)).is_err() {
        // Nobody else can give files away; the bits are tested beside the code.
        return;
    }
    fs::set_permissions(dir.path("a"), fs::Permissions::from_mode(0o640)).unwrap();
    dir.llmzip("compress -q a").succeeds();
    let output = fs::metadata(dir.path("a.llmz")).unwrap();
    assert_eq!((output.uid(), output.gid()), (1234, 4321));
    assert_eq!(output.mode() & 0o777, 0o640);
}

#[test]
fn outputs_that_cannot_be_made_are_refused_before_the_work() {
    let dir = Dir::new();
    let long = "a".repeat(252);
    dir.write(&long, TEXT);
    assert!(
        dir.llmzip(&format!("compress {long}"))
            .fails(1)
            .contains("too long")
    );
    symlink("nowhere", dir.path("link")).unwrap();
    for output in ["missing/out", "newdir/", "link", ".", &"b".repeat(300)] {
        // Standard input stays open, so nothing can have been read to its end.
        let mut child = dir.llmzip(&format!("compress -o {output}")).spawn();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{output}: still running"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(child.wait().unwrap().code(), Some(1), "{output}");
    }
}

#[test]
fn closed_streams_are_errors() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.compressed("b.llmz", TEXT, "");
    for (command, said) in [
        (
            "llmzip compress -c a >&-",
            "llmzip: a: standard output is closed\n",
        ),
        (
            "llmzip cat b.llmz >&-",
            "llmzip: b.llmz: standard output is closed\n",
        ),
        (
            "llmzip info b.llmz >&-",
            "llmzip: standard output is closed\n",
        ),
        ("llmzip --help >&-", "llmzip: standard output is closed\n"),
        (
            "llmzip compress <&-",
            "llmzip: (stdin): standard input is closed\n",
        ),
        (
            "llmzip info - <&-",
            "llmzip: (stdin): standard input is closed\n",
        ),
    ] {
        let output = shell(&dir, command);
        assert_eq!(text(&output.stderr), said, "{command}");
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(output.stdout.is_empty(), "{command}");
    }
    // Without standard error, there is only the exit code.
    let output = shell(&dir, "llmzip cat missing 2>&-");
    assert_eq!(output.status.code(), Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_does_not_fit_is_an_error() {
    let dir = Dir::new();
    dir.compressed("a.llmz", TEXT, "");
    for args in [
        "cat a.llmz",
        "info a.llmz",
        "info --json a.llmz",
        "--help",
        "model list",
    ] {
        let output = shell(&dir, &format!("llmzip {args} >/dev/full"));
        assert_eq!(output.status.code(), Some(1), "{args}");
        let said = text(&output.stderr);
        assert!(
            said.contains("cannot write: No space left"),
            "{args}: {said}"
        );
    }
}

#[test]
fn a_broken_pipe_ends_the_program_as_the_signal_does() {
    let dir = Dir::new();
    dir.compressed("a.llmz", noise(1_000_000), "-m none");
    for args in ["cat a.llmz", "compress -m none -c a.llmz"] {
        let mut child = dir.llmzip(args).spawn();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(13), "{args}");
        assert_eq!(text(&output.stderr), "", "{args}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_the_program_and_leaves_nothing() {
    let dir = Dir::new();
    dir.write("a", long_text());
    for (name, number) in [
        ("INT", 2),
        ("TERM", 15),
        ("HUP", 1),
        ("QUIT", 3),
        ("XCPU", 24),
    ] {
        let command = dir.llmzip("compress --rm -q a").with_default_signals();
        let child = command.spawn();
        wait_until_open(&child, &dir, "a");
        kill(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(number), "{name}: {output:?}");
        assert_eq!(text(&output.stderr), "", "{name}");
        assert_eq!(dir.list(), ["a"], "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_beyond_the_limit_ends_the_program_and_leaves_nothing() {
    let dir = Dir::new();
    dir.write("a", noise(3_000_000));
    // In units of 512 or 1024 bytes.
    let output = shell(
        &dir,
        "ulimit -c 0; ulimit -f 100; exec llmzip compress -q -1 --rm a",
    );
    assert_eq!(output.status.signal(), Some(25), "{output:?}");
    assert_eq!(dir.list(), ["a"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let dir = Dir::new();
    dir.write("a", long_text());
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_llmzip");
    command.args(["-c", &format!("trap '' HUP; exec {program} compress -q a")]);
    let child = command.current_dir(dir.path("")).spawn().unwrap();
    wait_until_open(&child, &dir, "a");
    kill(&child, "HUP");
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(dir.list(), ["a", "a.llmz"]);
}

#[test]
fn commands_that_read_follow_links_and_pipes() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.compressed("a.llmz", TEXT, "");
    symlink("a.llmz", dir.path("link.llmz")).unwrap();
    symlink("a", dir.path("link")).unwrap();
    for args in [
        "cat link.llmz",
        "test link.llmz",
        "info link.llmz",
        "compress -c link",
    ] {
        dir.llmzip(args).succeeds();
    }
    let output = shell(&dir, "cat a.llmz | llmzip cat /dev/stdin");
    assert_eq!(output.stdout, TEXT);
    let output = shell(
        &dir,
        "mkfifo pipe; cat a >pipe & llmzip compress -q pipe -o b.llmz",
    );
    assert!(output.status.success(), "{output:?}");
    assert_eq!(dir.llmzip("cat b.llmz").succeeds(), TEXT);
}

#[test]
fn pipes_and_devices_are_skipped_without_waiting() {
    let dir = Dir::new();
    assert!(shell(&dir, "mkfifo pipe").status.success());
    let _socket = std::os::unix::net::UnixListener::bind(dir.path("socket")).unwrap();
    for (args, said) in [
        (
            "compress pipe",
            "llmzip: pipe: is a pipe, skipped; -c or -o reads it",
        ),
        (
            "compress -f pipe",
            "llmzip: pipe: is a pipe, skipped; -c or -o reads it",
        ),
        ("compress -c socket", "llmzip: socket: is a socket, skipped"),
        (
            "compress -c /dev/zero",
            "llmzip: /dev/zero: is a device, skipped; it can be read as standard input",
        ),
    ] {
        assert_eq!(dir.llmzip(args).fails(1), said);
    }
    assert_eq!(dir.list(), ["pipe", "socket"]);
}

#[test]
fn what_is_compressed_is_not_compressed_again_unless_f() {
    let dir = Dir::new();
    dir.compressed("a.llmz", TEXT, "");
    let error = dir.llmzip("compress a.llmz").fails(1);
    assert_eq!(
        error,
        "llmzip: a.llmz: is compressed already, skipped; -f compresses it again"
    );
    dir.llmzip("compress -q -f a.llmz").succeeds();
    assert_eq!(dir.list(), ["a.llmz", "a.llmz.llmz"]);
}

#[test]
fn standard_input_is_not_overwritten_either() {
    let dir = Dir::new();
    let bytes = noise(3_000_000);
    dir.compressed("c.llmz", TEXT, "");
    let compressed = dir.read("c.llmz");
    for (command, name) in [
        ("llmzip -1 <b >>b", "b"),
        ("llmzip -1 <b 1<>b", "b"),
        ("llmzip -1 -f -o b <b", "b"),
        ("llmzip -d <c.llmz >>c.llmz", "c.llmz"),
        ("llmzip cat - <c.llmz 1<>c.llmz", "c.llmz"),
        ("llmzip explain -f --format json -o b - <b", "b"),
        ("llmzip explain b >>b", "b"),
        ("llmzip scaling - <b >>b", "b"),
        ("llmzip compare c.llmz b >>b", "b"),
        ("llmzip info c.llmz >>c.llmz", "c.llmz"),
        ("llmzip -l c.llmz >>c.llmz", "c.llmz"),
    ] {
        dir.write("b", &bytes);
        // In units of 512 or 1024 bytes: what is eaten is eaten up to here.
        let output = shell(&dir, &format!("ulimit -c 0; ulimit -f 20000; {command}"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(
            said.ends_with("input and output are the same file\n"),
            "{command}: {said}"
        );
        assert!(
            dir.read("b") == bytes && dir.read("c.llmz") == compressed,
            "{command}: {name}"
        );
    }
    // Neither devices nor pipes are meant, nor two files.
    for command in [
        "llmzip -1 </dev/null >/dev/null",
        "llmzip -1 <b >new",
        "cat b | llmzip -1 | cat >new",
    ] {
        assert!(shell(&dir, command).status.success(), "{command}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn standard_streams_that_do_not_wait_are_waited_for() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    let dir = Dir::new();
    let bytes = noise(2_000_000);
    for args in ["compress -q -1 -c", "compress -q -1 -c b"] {
        dir.write("b", &bytes);
        let (mut feed, stdin) = UnixStream::pair().unwrap();
        let (mut sink, stdout) = UnixStream::pair().unwrap();
        for stream in [&stdin, &stdout] {
            stream.set_nonblocking(true).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmzip"));
        command.args(args.split(' ')).current_dir(dir.path(""));
        command
            .stdin(OwnedFd::from(stdin))
            .stdout(OwnedFd::from(stdout));
        let mut child = command.spawn().unwrap();
        // It has the only ends of these.
        drop(command);
        std::thread::sleep(Duration::from_millis(200));
        let fed = bytes.clone();
        let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut feed, &fed));
        std::thread::sleep(Duration::from_millis(200));
        let mut compressed = Vec::new();
        std::io::Read::read_to_end(&mut sink, &mut compressed).unwrap();
        assert!(child.wait().unwrap().success(), "{args}");
        let _ = feeder.join().unwrap();
        dir.write("c.llmz", compressed);
        assert!(dir.llmzip("cat c.llmz").succeeds() == bytes, "{args}");
    }
}

#[test]
fn of_two_runs_with_f_neither_says_that_f_is_missing() {
    for _ in 0..10 {
        let dir = Dir::new();
        dir.write("q", TEXT);
        let first = dir.llmzip("-q -1 -f --rm q").spawn();
        let second = dir.llmzip("-q -1 -f --rm q").output();
        let first = first.wait_with_output().unwrap();
        let said = text(&first.stderr) + &text(&second.stderr);
        assert!(!said.contains("-f overwrites"), "{said}");
        assert_eq!(dir.list(), ["q.llmz"], "{said}");
        assert_eq!(dir.llmzip("cat q.llmz").succeeds(), TEXT);
    }
}

#[test]
fn names_cannot_command_the_terminal() {
    let dir = Dir::new();
    let name = "a\u{1b}[2J\u{202e}\u{9b}2K\n\u{7}.llmz";
    dir.compressed("plain", TEXT, "");
    fs::rename(dir.path("plain"), dir.path(name)).unwrap();
    for command in ["test", "info", "decompress", "compress"] {
        let output = dir.llmzip(command).arg(name).output();
        let all = text(&output.stdout) + &text(&output.stderr);
        let shown = "a\\u{1b}[2J\\u{202e}\\u{9b}2K\\n\\u{7}.llmz";
        assert!(all.contains(shown), "{command}: {all:?}");
        assert!(
            !all.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\u{7}']),
            "{command}"
        );
    }
}

#[test]
fn a_prime_is_neither_deleted_nor_changed() {
    let dir = Dir::new();
    dir.write("v1", TEXT);
    dir.write("v2", [TEXT, b"and more"].concat());
    let output = dir.llmzip("compress -q -1 --rm --prime v1 v1 v2").output();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("v1: done, but the input is not deleted"),
        "{said}"
    );
    assert_eq!(dir.list(), ["v1", "v1.llmz", "v2.llmz"]);
    dir.write("link-target", TEXT);
    symlink("v1", dir.path("link")).unwrap();
    for args in [
        "compress -q -1 -f --rm --prime v1 link-target -o v1",
        "compress -q -1 -f --prime link link-target -o v1",
        "compress -q -1 -f --prime v2.llmz v2.llmz -o v2.llmz",
        "decompress -q -f --prime v1 v2.llmz -o v1",
    ] {
        dir.llmzip(args).fails(1);
    }
    assert_eq!(dir.read("v1"), TEXT);
    let restored = dir.llmzip("cat --prime v1 v2.llmz").succeeds();
    assert_eq!(restored, [TEXT, b"and more"].concat());

    fs::create_dir(dir.path("samples")).unwrap();
    dir.write("samples/a", TEXT);
    for args in [
        "compress -q -1 --prime samples samples/a",
        "compress -q -1 --prime samples v1 -o samples/v1.llmz",
    ] {
        let error = dir.llmzip(args).fails(1);
        assert!(
            error.contains("would become a part of the prime"),
            "{error}"
        );
    }
    dir.llmzip("compress -q -1 --rm --prime samples samples/a -o a.llmz")
        .fails(1);
    assert_eq!(dir.read("samples/a"), TEXT);
    assert_eq!(dir.llmzip("cat --prime samples a.llmz").succeeds(), TEXT);
}

/// Starts `llmzip ARGS` on the file `a`, and changes something else while it is at work.
#[cfg(target_os = "linux")]
fn change_while_it_works(dir: &Dir, args: &str, change: impl FnOnce()) -> Output {
    dir.write("a", long_text());
    let child = dir.llmzip(args).arg("a").spawn();
    wait_until_open(&child, dir, "a");
    change();
    child.wait_with_output().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn rm_keeps_an_input_whose_prime_does_not_stay_as_it_was() {
    let dir = Dir::new();
    let prime = || dir.path("prime");
    let append = || {
        let file = fs::OpenOptions::new().append(true).open(prime());
        std::io::Write::write_all(&mut file.unwrap(), b"x").unwrap();
    };
    // With the same length and time.
    let replace = || {
        let time = fs::metadata(prime()).unwrap().modified().unwrap();
        dir.write("new", TEXT.to_ascii_uppercase());
        let new = fs::File::open(dir.path("new")).unwrap();
        new.set_modified(time).unwrap();
        fs::rename(dir.path("new"), prime()).unwrap();
    };
    let remove = || fs::remove_file(prime()).unwrap();
    let become_pipe = || {
        remove();
        assert!(shell(&dir, "mkfifo prime").status.success());
    };
    let changes: [(&dyn Fn(), &str); 4] = [
        (&append, "has changed"),
        (&replace, "has changed"),
        (&remove, "is not there"),
        (&become_pipe, "cannot be read"),
    ];
    for (change, problem) in changes {
        dir.write("prime", TEXT);
        let output = change_while_it_works(&dir, "compress -q -2 --rm --prime prime", change);
        let said = format!(
            "llmzip: a: done, but the input is not deleted: \
             its output needs the prime prime, which {problem}\n"
        );
        assert_eq!(text(&output.stderr), said);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(dir.read("a"), long_text());
        for left in dir.list() {
            assert!(["a", "a.llmz", "prime"].contains(&&*left), "{left}");
            let _ = fs::remove_file(dir.path(&left));
        }
    }
    // The file that has the name is another one, with the same bytes.
    dir.write("prime", TEXT);
    let copy = || {
        dir.write("new", TEXT);
        fs::rename(dir.path("new"), prime()).unwrap();
    };
    let output = change_while_it_works(&dir, "compress -q -2 --rm --prime prime", copy);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(dir.list(), ["a.llmz", "prime"]);
    // A file of a folder of samples.
    fs::create_dir(dir.path("samples")).unwrap();
    dir.write("samples/b", TEXT);
    let forget = || fs::remove_file(dir.path("samples/b")).unwrap();
    let output = change_while_it_works(&dir, "compress -qf -2 --rm --prime samples", forget);
    assert!(text(&output.stderr).contains("the prime samples/b, which is not there"));
    assert_eq!(dir.read("a"), long_text());
}

#[test]
fn two_runs_that_delete_each_other_s_prime_lose_neither() {
    for round in 0..20 {
        let dir = Dir::new();
        dir.write("v1", TEXT);
        dir.write("v2", TEXT.to_ascii_uppercase());
        let first = dir.llmzip("compress -q -1 --rm --prime v1 v2").spawn();
        std::thread::sleep(Duration::from_micros(100 * round));
        dir.llmzip("compress -q -1 --rm --prime v2 v1").output();
        first.wait_with_output().unwrap();
        let left = dir.list();
        assert!(
            left.contains(&"v1".to_owned()) || left.contains(&"v2".to_owned()),
            "{left:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn rm_refuses_a_prime_or_a_model_that_does_not_outlast_the_run() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("prime", TEXT);
    dir.write("m", include_bytes!("../../fixtures/fixture.llmzmodel"));
    for command in [
        "cat prime | llmzip compress -q ARGS --prime /dev/stdin a",
        "llmzip compress -q ARGS --prime /dev/stdin a <prime",
        "exec 5<prime; mv prime gone; rm gone; llmzip compress -q ARGS --prime /dev/fd/5 a",
        "llmzip compress -q ARGS -m /dev/fd/5 a 5<m",
    ] {
        dir.write("prime", TEXT);
        let output = shell(&dir, &command.replace("ARGS", "-f --rm"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(
            said.contains("does not outlast this run"),
            "{command}: {said}"
        );
        assert_eq!(dir.read("a"), TEXT, "{command}");
        assert!(!dir.path("a.llmz").exists(), "{command}");
        dir.write("prime", TEXT);
        // Without --rm, nothing is lost.
        let output = shell(&dir, &command.replace("ARGS", ""));
        assert!(output.status.success(), "{command}: {output:?}");
        fs::remove_file(dir.path("a.llmz")).unwrap();
    }
    // Nobody waits for the other end of a pipe that will be refused.
    let output = shell(&dir, "mkfifo pipe; llmzip compress -q --rm --prime pipe a");
    assert!(text(&output.stderr).contains("does not outlast this run"));
    assert_eq!(output.status.code(), Some(1));
    let output = shell(&dir, "cat prime >pipe & llmzip compress -q --prime pipe a");
    assert!(output.status.success(), "{output:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn rm_keeps_an_input_whose_model_does_not_stay_as_it_was() {
    let dir = Dir::new();
    let pack = include_bytes!("../../fixtures/fixture.llmzmodel");
    let put = || dir.write("m", pack);
    let remove = || fs::remove_file(dir.path("m")).unwrap();
    let damage = || dir.write("m", [&pack[..pack.len() - 1], b"x"].concat());
    let forget = || {
        dir.llmzip("model remove tiny").succeeds();
    };
    put();
    dir.llmzip("model add m --name tiny").succeeds();
    dir.llmzip("model remove tiny").succeeds();
    let changes: [(&str, &dyn Fn(), &str); 3] = [
        ("./m", &remove, "the model ./m, which is not there"),
        ("./m", &damage, "the model ./m, which has changed"),
        ("tiny", &forget, "the model tiny, which is not there"),
    ];
    for (model, change, said) in changes {
        put();
        if model == "tiny" {
            dir.llmzip("model add m --name tiny").succeeds();
        }
        let args = format!("compress -qf --rm -m {model}");
        let output = change_while_it_works(&dir, &args, change);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains(said),
            "{}",
            text(&output.stderr)
        );
        assert_eq!(dir.read("a"), long_text());
    }
    // Whoever decompresses finds it in the store.
    put();
    dir.llmzip("model add m --name tiny").succeeds();
    let output = change_while_it_works(&dir, "compress -qf --rm -m ./m", remove);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(dir.llmzip("cat a.llmz").succeeds(), long_text());
}

#[test]
fn a_model_that_an_output_needs_is_neither_deleted_nor_changed() {
    let dir = Dir::new();
    let pack = include_bytes!("../../fixtures/fixture.llmzmodel");
    dir.write("m", pack);
    dir.write("a", TEXT);
    // A packed model is compressed with itself.
    let error = dir.llmzip("compress -q --rm -m ./m m").fails(1);
    assert!(
        error.ends_with("not deleted: it is the model that its output needs"),
        "{error}"
    );
    dir.llmzip("compress -q -m ./m a").succeeds();
    for args in [
        "compress -q -f --rm -m ./m -o m a",
        "decompress -q -f -m ./m -o m a.llmz",
        "decompress -q -f --rm -m ./m -o ./m a.llmz",
        "explain -f -m ./m --format html -o m a",
        "scaling -f -m ./m --format svg -o m a",
        "compare -f -m ./m --format csv -o m a",
    ] {
        let error = dir.llmzip(args).fails(1);
        assert!(
            error.ends_with("output and model are the same file"),
            "{error}"
        );
    }
    assert_eq!(dir.list(), ["a", "a.llmz", "m", "m.llmz"]);
    assert_eq!(dir.read("m"), pack);
    // What a file needs is known once it is read.
    dir.llmzip("model add m --name kept").succeeds();
    let stored = fs::read_dir(dir.path("no-home/models")).unwrap().next();
    let stored = stored.unwrap().unwrap().path();
    dir.write("b.llmz", dir.read("a.llmz"));
    let decompress = dir.llmzip("decompress -q -f a.llmz b.llmz");
    decompress.succeeds();
    let error = dir
        .llmzip("decompress -q -f a.llmz -o")
        .arg(&stored)
        .fails(1);
    assert!(
        error.ends_with("output and model are the same file"),
        "{error}"
    );
    assert_eq!(fs::read(stored).unwrap(), pack);
}

#[test]
fn standard_output_changes_nothing_that_is_needed() {
    let dir = Dir::new();
    let pack = include_bytes!("../../fixtures/fixture.llmzmodel");
    let kept = [("prime", TEXT), ("m", &pack[..]), ("folder/sample", TEXT)];
    fs::create_dir(dir.path("folder")).unwrap();
    dir.write("a", TEXT);
    for (name, bytes) in kept {
        dir.write(name, bytes);
    }
    dir.llmzip("compress -q -m ./m -o by-m.llmz a").succeeds();
    dir.llmzip("compress -q -1 -D prime -o by-prime.llmz a")
        .succeeds();
    dir.llmzip("model add m --name kept").succeeds();
    let needed_now = dir.read("by-m.llmz");
    for (command, what) in [
        ("llmzip -1 -q -D prime -c a >>prime", "prime"),
        ("llmzip -1 -q -D folder -c a >>folder/sample", "prime"),
        ("llmzip -1 -q -D folder -c a >folder/a.llmz", "prime"),
        ("llmzip -d -q -D prime -c by-prime.llmz >>prime", "prime"),
        ("llmzip -q -m ./m -c a >>m", "model"),
        ("llmzip -q -m ./m <a 1<>m", "model"),
        ("llmzip -d -q -m ./m -c by-m.llmz >>m", "model"),
        (
            "for model in no-home/models/*; do llmzip cat by-m.llmz >>$model; done",
            "model",
        ),
        ("llmzip explain -q -m ./m a >>m", "model"),
        ("llmzip compare -q -m ./m a >>m", "model"),
        ("llmzip scaling -q -m ./m a >>m", "model"),
    ] {
        let output = shell(&dir, command);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        let refusal = format!("output and {what} are the same file\n");
        assert!(said.ends_with(&refusal), "{command}: {said}");
        for (name, bytes) in kept {
            assert_eq!(dir.read(name), bytes, "{command}: {name}");
        }
        let _ = fs::remove_file(dir.path("folder/a.llmz"));
    }
    dir.llmzip("model verify kept").succeeds();
    assert_eq!(dir.read("by-m.llmz"), needed_now);
    // What messages are written to is not deleted.
    dir.write("log", b"");
    let output = shell(&dir, "llmzip -1 -q --rm log nowhere 2>>log");
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(dir.read("log")).unwrap();
    assert!(
        log.contains("goes to it") && log.contains("nowhere"),
        "{log}"
    );
    // Nor does standard error. Its message is written, but no input is deleted.
    for command in [
        "llmzip -1 -q --rm -D folder a nowhere 2>folder/log",
        "llmzip -q --rm -m ./m a nowhere 2>>m",
    ] {
        let output = shell(&dir, command);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert_eq!(dir.read("a"), TEXT, "{command}");
        assert!(!dir.path("a.llmz").exists(), "{command}");
    }
}

#[test]
fn a_pack_with_a_weight_that_the_format_forbids_compresses_nothing() {
    let dir = Dir::new();
    let mut pack = include_bytes!("../../fixtures/fixture.llmzmodel").to_vec();
    let header = u64::from_le_bytes(*pack.first_chunk().unwrap()) as usize;
    let index: serde_json::Value = serde_json::from_slice(&pack[8..8 + header]).unwrap();
    let scale = index["layer.0.qkv.scale"]["data_offsets"][0]
        .as_u64()
        .unwrap();
    let at = 8 + header + scale as usize;
    pack[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    dir.write("m.llmzmodel", pack);
    dir.write("a", TEXT);
    let error = dir.llmzip("compress -m m.llmzmodel a").fails(1);
    assert!(error.contains("holds NaN"), "{error}");
    assert!(dir.llmzip("model add m.llmzmodel").fails(1).contains("NaN"));
    assert_eq!(dir.list(), ["a", "m.llmzmodel", "no-home"]);
}

#[test]
fn as_much_memory_as_is_said_to_be_needed_is_enough() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    for level in ["-1", "-2", "-3", "-4", "-5", "-6", "-5 --streams 16"] {
        let error = dir.llmzip(&format!("compress {level} -M 1KiB a")).fails(1);
        let needed = error.split("needs ").nth(1).unwrap();
        let (needed, _) = needed.split_once(" MB of memory").unwrap();
        dir.llmzip(&format!("compress -q {level} -M {needed}MB a -c"))
            .succeeds();
    }
}

/// What comes through a pipe tells how many streams its blocks have only when they come.
#[test]
fn many_streams_are_refused_where_they_need_too_much_memory() {
    let dir = Dir::new();
    let licence = include_bytes!("../../LICENSE-APACHE");
    let file = |streams: usize| {
        let name = format!("{streams}.llmz");
        let how = format!("-3 --experts off --streams {streams}");
        dir.compressed(&name, licence, &how);
        dir.read(&name)
    };
    let cat =
        |megabytes: u64, file: &[u8]| dir.llmzip(&format!("cat -M {megabytes}MB")).stdin(file);
    let needed = |error: String| -> u64 {
        let needed = error.split("needs ").nth(1).unwrap();
        needed
            .split_once(" MB of memory")
            .unwrap()
            .0
            .parse()
            .unwrap()
    };
    let (few, many) = (file(1), file(60));
    let enough_for_few = needed(cat(14, &few).fails(1));
    assert_eq!(cat(enough_for_few, &few).succeeds(), licence);
    let enough_for_many = needed(cat(enough_for_few, &many).fails(1));
    assert_eq!(cat(enough_for_many, &many).succeeds(), licence);
}

#[cfg(unix)]
#[test]
fn a_small_stack_is_enough() {
    let dir = Dir::new();
    dir.compressed("a.llmz", TEXT, "");
    let program = env!("CARGO_BIN_EXE_llmzip");
    let run = format!("ulimit -s 64; exec {program} cat a.llmz");
    let output = Command::new("sh")
        .args(["-c", &run])
        .current_dir(dir.path(""))
        .output()
        .unwrap();
    assert_eq!(output.stdout, TEXT, "{}", text(&output.stderr));
}

#[test]
fn an_original_that_is_too_long_is_refused() {
    let dir = Dir::new();
    dir.compressed("a.llmz", vec![0; 100_000], "");
    let error = dir.llmzip("decompress --max-output 99999 a.llmz").fails(1);
    assert!(
        error.contains("decompresses to more than 99999 bytes"),
        "{error}"
    );
    assert_eq!(dir.list(), ["a.llmz"]);
    for command in ["cat", "test"] {
        dir.llmzip(&format!("{command} --max-output 1KB a.llmz"))
            .fails(1);
        dir.llmzip(&format!("{command} --max-output 100000 a.llmz"))
            .succeeds();
    }
}

#[test]
fn outputs_are_verified_where_inputs_are_deleted() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.llmzip("compress -q --verify a").succeeds();
    assert_eq!(dir.llmzip("cat a.llmz").succeeds(), TEXT);
    dir.llmzip("compress -q -f --rm a").succeeds();
    assert_eq!(dir.list(), ["a.llmz"]);
    dir.write("a", TEXT);
    let error = dir.llmzip("compress -c --verify a").fails(2);
    assert!(error.contains("--verify needs an output file"), "{error}");
    let error = dir.llmzip("compress --verify -o /dev/null a").fails(1);
    assert!(
        error.contains("only a regular file can be verified"),
        "{error}"
    );
}

//! What users of zstd, xz and gzip expect.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::harness::{Dir, TEXT, noise, text};

#[test]
fn output_goes_beside_the_input_and_back() {
    let dir = Dir::new();
    dir.write("a.txt", TEXT);
    dir.llmzip("compress a.txt").succeeds();
    assert_eq!(dir.list(), ["a.txt", "a.txt.llmz"]);
    fs::remove_file(dir.path("a.txt")).unwrap();
    dir.llmzip("decompress a.txt.llmz").succeeds();
    assert_eq!(dir.read("a.txt"), TEXT);
    assert_eq!(dir.list(), ["a.txt", "a.txt.llmz"]);
}

#[test]
fn an_unknown_suffix_is_an_error_that_names_o() {
    let dir = Dir::new();
    dir.compressed("a.other", TEXT, "");
    assert_eq!(
        dir.llmzip("decompress a.other").fails(1),
        "llmzip: a.other: has no .llmz at the end of its name; name the output with -o"
    );
    dir.llmzip("decompress a.other -o a").succeeds();
    assert_eq!(dir.read("a"), TEXT);
    dir.compressed(".llmz", TEXT, "");
    dir.llmzip("decompress .llmz").fails(1);
}

#[test]
fn no_file_or_a_dash_is_stdin_to_stdout() {
    let dir = Dir::new();
    let compressed = dir.llmzip("compress").stdin(TEXT).succeeds();
    assert_eq!(dir.llmzip("compress -").stdin(TEXT).succeeds(), compressed);
    assert_eq!(dir.llmzip("decompress").stdin(&compressed).succeeds(), TEXT);
    assert_eq!(
        dir.llmzip("decompress -").stdin(&compressed).succeeds(),
        TEXT
    );
    assert_eq!(dir.llmzip("cat").stdin(&compressed).succeeds(), TEXT);
    dir.llmzip("test").stdin(&compressed).succeeds();
    assert!(dir.list().is_empty());
}

#[test]
fn stdin_can_be_written_to_a_file() {
    let dir = Dir::new();
    dir.llmzip("compress -o a.llmz").stdin(TEXT).succeeds();
    assert_eq!(dir.llmzip("decompress -c a.llmz").succeeds(), TEXT);
}

#[test]
fn c_writes_to_stdout_and_keeps_the_input() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let compressed = dir.llmzip("compress -c --rm a").succeeds();
    assert_eq!(dir.list(), ["a"]);
    dir.write("a.llmz", &compressed);
    assert_eq!(
        dir.llmzip("cat a.llmz a.llmz").succeeds(),
        [TEXT, TEXT].concat()
    );
    assert_eq!(dir.llmzip("decompress -o - a.llmz").succeeds(), TEXT);
}

#[test]
fn inputs_are_kept_unless_rm() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.llmzip("compress -k a").succeeds();
    assert_eq!(dir.list(), ["a", "a.llmz"]);
    fs::remove_file(dir.path("a.llmz")).unwrap();
    dir.llmzip("compress --rm a").succeeds();
    assert_eq!(dir.list(), ["a.llmz"]);
    dir.llmzip("decompress --rm a.llmz").succeeds();
    assert_eq!(dir.list(), ["a"]);
}

#[test]
#[cfg(unix)]
fn rm_keeps_an_input_whose_output_is_no_file() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.llmzip("compress --rm -m none -o /dev/null a")
        .succeeds();
    assert_eq!(dir.list(), ["a"]);
}

#[test]
fn rm_keeps_an_input_that_failed() {
    let dir = Dir::new();
    dir.write("a.llmz", "damaged");
    dir.llmzip("decompress --rm a.llmz").fails(1);
    assert_eq!(dir.list(), ["a.llmz"]);
}

#[test]
fn an_existing_output_is_refused_and_f_overwrites() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("a.llmz", "precious");
    let error = dir.llmzip("compress a").fails(1);
    assert_eq!(error, "llmzip: a: a.llmz exists; -f overwrites it");
    assert_eq!(dir.read("a.llmz"), b"precious");
    dir.llmzip("compress -f a").succeeds();
    assert_eq!(dir.llmzip("cat a.llmz").succeeds(), TEXT);
}

#[test]
fn the_input_is_never_overwritten() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    fs::hard_link(dir.path("a"), dir.path("b")).unwrap();
    for args in ["compress -f -o a a", "compress -f -o b a"] {
        let error = dir.llmzip(args).fails(1);
        assert_eq!(error, "llmzip: a: input and output are the same file");
    }
    assert_eq!(dir.read("a"), TEXT);
}

#[test]
fn several_inputs_go_on_after_a_failure() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("c", TEXT);
    let error = dir.llmzip("compress -q a missing c").fails(1);
    assert!(
        error.starts_with("llmzip: missing: cannot open: "),
        "{error}"
    );
    assert_eq!(dir.list(), ["a", "a.llmz", "c", "c.llmz"]);
}

#[test]
fn several_inputs_into_one_output_are_refused() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.write("b", TEXT);
    dir.llmzip("compress a b -o c").fails(2);
    assert_eq!(dir.list(), ["a", "b"]);
}

#[test]
fn wrong_usage_exits_with_2_and_one_line() {
    let dir = Dir::new();
    for args in [
        "compress --no-such-option",
        "compress -c -o a b",
        "compress -M much a",
        "compress --streams 257 a",
        "compress --streams cpu a",
        "compress --block-size 0 a",
        "compress --block-size 1023 a",
        "compress --block-size 17MiB a",
        "cat --max-output much a",
        "compress -T many a",
        "compress --experts maybe a",
        "completions",
    ] {
        let error = dir.llmzip(args).fails(2);
        let command = args.split(' ').next().unwrap();
        let help = format!("see llmzip {command} --help");
        assert!(error.ends_with(&help), "{error}");
    }
    let error = dir.llmzip("-M much a").fails(2);
    assert!(error.ends_with("see llmzip --help"), "{error}");
    let error = dir.llmzip("model list --jso").fails(2);
    assert!(
        error.contains("did you mean --json?") && error.ends_with("see llmzip model list --help"),
        "{error}"
    );
}

#[test]
fn help_and_version_are_not_errors() {
    let dir = Dir::new();
    let version = text(&dir.llmzip("-V").succeeds());
    assert_eq!(version, format!("llmzip {}\n", env!("CARGO_PKG_VERSION")));
    for args in ["-h", "--help", "help compress", "compress -h", "cat --help"] {
        assert!(
            text(&dir.llmzip(args).succeeds()).contains("Usage:"),
            "{args}"
        );
    }
}

#[test]
fn without_a_command_of_its_own_model_shows_help() {
    let dir = Dir::new();
    let output = dir.llmzip("model").output();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("Usage:"));
}

#[test]
fn m_none_is_understood_in_both_directions() {
    let dir = Dir::new();
    dir.compressed("a.llmz", TEXT, "-m none");
    assert_eq!(dir.llmzip("cat -m none a.llmz").succeeds(), TEXT);
}

#[test]
fn a_double_dash_ends_the_options() {
    let dir = Dir::new();
    dir.write("-c", TEXT);
    dir.llmzip("compress -- -c").succeeds();
    assert_eq!(dir.list(), ["-c", "-c.llmz"]);
}

#[test]
fn directories_are_skipped() {
    let dir = Dir::new();
    fs::create_dir(dir.path("folder")).unwrap();
    for args in ["compress folder", "compress -f folder"] {
        assert_eq!(
            dir.llmzip(args).fails(1),
            "llmzip: folder: is a directory, skipped"
        );
    }
    dir.write("a", TEXT);
    let error = dir.llmzip("compress a -f -o folder").fails(1);
    assert_eq!(error, "llmzip: a: folder is a directory");
}

#[cfg(unix)]
#[test]
fn symbolic_links_are_skipped_unless_f() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    std::os::unix::fs::symlink("a", dir.path("link")).unwrap();
    let error = dir.llmzip("compress link").fails(1);
    assert_eq!(
        error,
        "llmzip: link: is a symbolic link, skipped; -f follows it"
    );
    dir.llmzip("compress -f link").succeeds();
    assert_eq!(dir.list(), ["a", "link", "link.llmz"]);
}

#[cfg(unix)]
#[test]
fn mode_and_time_are_copied() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let dir = Dir::new();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    dir.write("a", TEXT);
    fs::set_permissions(dir.path("a"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::File::open(dir.path("a"))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    dir.llmzip("compress --rm a").succeeds();
    dir.llmzip("decompress -k a.llmz").succeeds();
    for name in ["a", "a.llmz"] {
        let metadata = fs::metadata(dir.path(name)).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o750, "{name}");
        assert_eq!(metadata.modified().unwrap(), modified, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn special_files_are_written_directly() {
    use std::os::unix::fs::FileTypeExt;
    use std::process::Command;
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.llmzip("compress a -o /dev/null").succeeds();
    let null = fs::metadata("/dev/null").unwrap().file_type();
    assert!(null.is_char_device());
    let made = Command::new("mkfifo")
        .arg(dir.path("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    let pipe = dir.path("pipe");
    let reader = std::thread::spawn(move || fs::read(pipe).unwrap());
    dir.llmzip("compress a -o pipe").succeeds();
    dir.write("b.llmz", reader.join().unwrap());
    assert_eq!(dir.llmzip("cat b.llmz").succeeds(), TEXT);
    assert!(
        fs::metadata(dir.path("pipe"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
}

#[test]
fn an_empty_input_makes_a_valid_file() {
    let dir = Dir::new();
    dir.write("empty", "");
    dir.llmzip("compress empty").succeeds();
    let compressed = dir.read("empty.llmz");
    assert!((1..=40).contains(&compressed.len()));
    assert_eq!(dir.llmzip("cat empty.llmz").succeeds(), b"");
}

#[test]
fn an_empty_file_is_not_a_compressed_one() {
    let dir = Dir::new();
    dir.write("empty.llmz", "");
    let error = dir.llmzip("decompress empty.llmz").fails(1);
    assert_eq!(error, "llmzip: empty.llmz: not an llmzip file: it is empty");
    assert_eq!(dir.list(), ["empty.llmz"]);
}

#[test]
fn concatenated_files_decode_as_one() {
    let dir = Dir::new();
    dir.compressed("a", TEXT, "");
    dir.compressed("b", noise(300), "-m none --no-check");
    dir.write("both.llmz", [dir.read("a"), dir.read("b")].concat());
    dir.llmzip("decompress both.llmz").succeeds();
    assert_eq!(dir.read("both"), [TEXT, &noise(300)].concat());
}

#[test]
fn the_summary_is_one_line() {
    let dir = Dir::new();
    dir.write("a.txt", TEXT);
    let line = dir.llmzip("compress a.txt").says();
    let len = fs::metadata(dir.path("a.txt.llmz")).unwrap().len();
    let start = format!("a.txt: {} -> {len} bytes (", TEXT.len());
    assert!(line.starts_with(&start), "{line}");
    let rest: Vec<&str> = line[start.len()..].trim_end().split(' ').collect();
    let [_, "%,", _, "bpb,", times, "in", _, "s,", _, speed] = rest[..] else {
        panic!("{line}");
    };
    assert!(times.ends_with("x)") && speed.ends_with("/s"), "{line}");
    let line = dir.llmzip("decompress -f a.txt.llmz").says();
    assert!(
        line.starts_with(&format!("a.txt.llmz: {len} -> {} bytes (", TEXT.len())),
        "{line}"
    );
}

#[test]
fn of_options_given_twice_the_last_counts() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    dir.llmzip("-1 -2 -q -q -T1 -T 2 -o b -o c --rm --rm -k a")
        .succeeds();
    assert_eq!(dir.list(), ["a", "c"]);
    dir.llmzip("decompress -f -f -m mini -m none -o d c")
        .succeeds();
    assert_eq!(dir.read("d"), TEXT);
}

#[test]
fn q_says_nothing_and_qq_not_even_errors() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    assert_eq!(dir.llmzip("compress -q a").says(), "");
    dir.llmzip("compress -q a").fails(1);
    let output = dir.llmzip("compress -qq a").output();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty());
}

#[test]
fn without_a_terminal_there_is_no_progress() {
    let dir = Dir::new();
    dir.write("a", noise(3_000_000));
    let said = dir.llmzip("compress a").says();
    assert!(
        !said.contains('\r') && !said.contains('\x1b') && said.lines().count() == 1,
        "{said}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let dir = Dir::new();
    dir.write("a", noise(100_000));
    let error = dir.llmzip("compress a -o /dev/full").fails(1);
    assert!(error.starts_with("llmzip: a: cannot write: "), "{error}");
}

#[test]
fn a_failure_leaves_nothing_partial() {
    let dir = Dir::new();
    dir.compressed("a.llmz", noise(3_000_000), "-m none");
    let mut bytes = dir.read("a.llmz");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    dir.write("a.llmz", bytes);
    dir.llmzip("decompress a.llmz").fails(1);
    assert_eq!(dir.list(), ["a.llmz"]);
}

#[test]
fn too_little_memory_is_refused_in_words() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let error = dir.llmzip("compress -M 1MiB a").fails(1);
    assert!(
        error.contains("of memory") && error.contains("-M"),
        "{error}"
    );
    let error = dir.llmzip("compress -M 100MiB -m none a").fails(1);
    assert!(error.contains("of memory"), "{error}");
    dir.llmzip("compress -M 4GiB a").succeeds();
    let error = dir.llmzip("test -M 1MiB a.llmz").fails(1);
    assert!(
        error.contains("of memory") && error.contains("-M"),
        "{error}"
    );
    assert_eq!(dir.list(), ["a", "a.llmz"]);
}

#[test]
fn an_unknown_model_is_one_sentence() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let error = dir.llmzip("compress -m no-such-model a").fails(1);
    assert!(error.contains("no-such-model"), "{error}");
    assert_eq!(dir.list(), ["a"]);
}

#[test]
fn a_level_of_zstd_is_not_read_as_two_of_ours() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let error = dir.llmzip("compress -19 a").fails(2);
    assert!(error.contains("-19: levels are -1 to -9"), "{error}");
    dir.write("-19", TEXT);
    dir.llmzip("compress -q -2 -- -19").succeeds();
}

#[test]
#[cfg(unix)]
fn a_name_need_not_be_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = Dir::new();
    let [name, packed] = [b"n\xff".as_slice(), b"n\xff.llmz"].map(OsStr::from_bytes);
    let path = dir.path("").join(name);
    fs::write(&path, TEXT).unwrap();
    dir.llmzip("compress -q --rm -m none").arg(name).succeeds();
    assert!(!path.exists());
    dir.llmzip("decompress -q").arg(packed).succeeds();
    assert_eq!(fs::read(&path).unwrap(), TEXT);
    for args in ["", "explain", "compare", "model remove", "model list"] {
        let error = dir.llmzip(args).arg(name).arg("--no-such-option").fails(2);
        assert!(error.contains("--help"), "{error}");
    }
}

#[test]
fn built_in_models_need_no_home() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let homeless = dir.llmzip("compress -q -m nano a");
    homeless.without("HOME").without("LLMZIP_HOME").succeeds();
}

#[test]
fn an_output_that_cannot_be_created_is_called_by_its_own_name() {
    let dir = Dir::new();
    dir.write("a", TEXT);
    let error = dir.llmzip("compress -m none -o absent/b a").fails(1);
    assert!(
        error.contains("cannot create absent/b") && !error.contains(".tmp"),
        "{error}"
    );
}

#[test]
fn completions_for_every_shell() {
    let dir = Dir::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&dir.llmzip(&format!("completions {shell}")).succeeds());
        assert!(script.contains("LLMZIP_COMPLETE"), "{shell}");
    }
}

#[test]
fn threads_do_not_change_the_bytes() {
    let dir = Dir::new();
    dir.write("a", TEXT.repeat(20));
    let one = dir.llmzip("compress -c -T 1 a").succeeds();
    for threads in [0, 2, 3] {
        let args = format!("compress -c -T {threads} a");
        assert!(dir.llmzip(&args).succeeds() == one, "{threads} threads");
    }
}

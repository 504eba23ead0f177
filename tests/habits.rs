//! What users of zstd, xz and gzip type by habit, in front of the real programs that they use with
//! these: tar, rsync, logrotate, lesspipe, git and the shell.
//!
//! A machine may lack some of them. What it lacks is named; with `LLMZIP_ALL_PROGRAMS` set, as
//! `.ci/run` sets it, that is a failure.
#![cfg(unix)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TEXT: &str = include_str!("../LICENSE-MIT");

/// A folder of its own with `llmzip` and its other names on the path.
struct World(tempfile::TempDir);

impl World {
    fn new() -> World {
        let world = World(tempfile::tempdir().unwrap());
        fs::create_dir(world.path("bin")).unwrap();
        for name in ["llmzip", "unllmzip", "llmzcat", "llmz"] {
            let program = world.path("bin").join(name);
            symlink(env!("CARGO_BIN_EXE_llmzip"), program).unwrap();
        }
        fs::create_dir(world.path("work")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file among those that are worked on.
    fn file(&self, name: &str) -> PathBuf {
        self.path("work").join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.file(name).parent().unwrap()).unwrap();
        fs::write(self.file(name), content).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The files, sorted, with those in folders.
    fn list(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("work")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => found.push(path),
                }
            }
        }
        let shown = |path: PathBuf| {
            let path = path.strip_prefix(self.path("work")).unwrap().to_owned();
            path.into_os_string().into_string().unwrap()
        };
        let mut names: Vec<String> = found.into_iter().map(shown).collect();
        names.sort();
        names
    }

    /// Runs a script of the shell among the files.
    fn try_sh(&self, script: &str) -> Output {
        let path = std::env::var("PATH").unwrap();
        let bin = self.path("bin");
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("set -euo pipefail; {script}")])
            .current_dir(self.path("work"))
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("HOME", self.0.path())
            .env("LLMZIP_HOME", self.path("home"))
            .env_remove("LLMZIP_LEVEL")
            .env_remove("LLMZIP_THREADS")
            .env_remove("LLMZIP_DEVICE");
        command.output().unwrap()
    }

    /// Runs a script that succeeds, and returns what it prints.
    fn sh(&self, script: &str) -> String {
        let output = self.try_sh(script);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{script}: {}: {error}",
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a script says that ends with this exit code.
    fn fails(&self, code: i32, script: &str) -> String {
        let output = self.try_sh(script);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{script}: {error}");
        error
    }
}

/// Whether the program is on this machine.
fn have(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap();
    let found = path.split(':').any(|folder| {
        let metadata = Path::new(folder).join(program).metadata();
        metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
    }) || Path::new("/usr/sbin").join(program).exists();
    if !found {
        assert!(
            std::env::var_os("LLMZIP_ALL_PROGRAMS").is_none(),
            "{program} is missing"
        );
        eprintln!("{program} is missing, so nothing is tried with it");
    }
    found
}

#[test]
fn files_are_compressed_listed_tested_and_restored_without_a_command() {
    let world = World::new();
    world.write("a", TEXT);
    world.sh("llmzip -q a");
    assert_eq!(world.list(), ["a", "a.llmz"]);
    let listed = world.sh("llmzip -l a.llmz");
    assert!(
        listed.contains("1075") && listed.contains("mini"),
        "{listed}"
    );
    world.sh("llmzip -tq a.llmz");
    assert_eq!(world.sh("llmzip -dc a.llmz"), TEXT);
    world.fails(1, "llmzip -d a.llmz");
    world.sh("rm a; llmzip -dq a.llmz; llmzip -d --uncompress -fq a.llmz");
    assert_eq!(world.read("a"), TEXT.as_bytes());
    assert_eq!(world.list(), ["a", "a.llmz"]);
    world.sh("llmzip -2qf --rm a; llmzip -dq --rm a.llmz");
    assert_eq!(world.list(), ["a"]);
    world.sh("llmzip -1kqo out a; llmzip -dqo back out; cmp a back");
    // The last one of several that contradict each other counts.
    assert_eq!(world.sh("llmzip -z -d -c out"), TEXT);
}

#[test]
fn the_name_of_the_program_says_what_to_do() {
    let world = World::new();
    world.write("a", TEXT);
    world.sh("llmz -1q a; mv a b; unllmzip -q a.llmz; cmp a b");
    assert_eq!(world.list(), ["a", "a.llmz", "b"]);
    assert_eq!(world.sh("llmzcat a.llmz"), TEXT);
    assert_eq!(world.sh("llmzcat < a.llmz"), TEXT);
    assert_eq!(world.sh("unllmzip < a.llmz"), TEXT);
    assert_eq!(world.sh("llmzcat a.llmz a.llmz"), TEXT.repeat(2));
    world.sh("unllmzip -t -q a.llmz");
}

#[test]
fn files_may_be_named_like_commands() {
    let world = World::new();
    for name in ["compress", "d", "cat"] {
        world.write(name, TEXT);
    }
    world.sh("llmzip -1q ./compress; llmzip -1q -- d; llmz -1 -q cat; rm compress d cat");
    world.sh("unllmzip -q compress.llmz; llmzip -dq d.llmz cat.llmz");
    assert_eq!(world.read("compress"), TEXT.as_bytes());
    world.write("compress", TEXT);
    world.sh("cp compress.llmz test; unllmzip -c test | cmp - compress");
    let error = world.fails(2, "llmzip compres a");
    assert!(error.contains("did you mean llmzip compress?"), "{error}");
}

#[test]
fn it_filters_between_pipes() {
    let world = World::new();
    world.write("a", TEXT);
    world.sh("cat a | llmzip -1 | llmzip -d | cmp - a");
    world.sh("llmzip -1 < a > b; llmzip -d < b > c; cmp a c");
    world.sh("cat a | llmzip -1 - | llmzip -dc - | cmp - a");
    world.sh("llmzip -1 < /dev/null | llmzip -d | cmp - /dev/null");
    world.sh("exec 3< <(llmzip -1 -c a); llmzip -dc <&3 | cmp - a");
    world.sh("llmzip -1 -c <(cat a) | llmzcat | cmp - a");
}

#[test]
fn folders_are_taken_with_r() {
    let world = World::new();
    for name in ["f/a", "f/g/b", "f/g/h/c"] {
        world.write(name, TEXT);
    }
    symlink("a", world.file("f/link")).unwrap();
    world.sh("llmzip -1qr --rm f");
    assert_eq!(
        world.list(),
        ["f/a.llmz", "f/g/b.llmz", "f/g/h/c.llmz", "f/link"]
    );
    world.write("f/other", TEXT);
    // What is compressed is not compressed again, and what is not is not decompressed.
    world.sh("llmzip -1qr f; llmzip -tqr f; rm f/other.llmz");
    let listed = world.sh("llmzip -lr f");
    assert!(listed.ends_with("3 files\n"), "{listed}");
    world.sh("rm -f f/*.llmz; llmzip -drq --rm f");
    assert_eq!(world.list(), ["f/g/b", "f/g/h/c", "f/link", "f/other"]);
    world.fails(1, "llmzip -1 f");
    world.fails(2, "llmzip -1r -o out f");
}

#[test]
fn several_files_end_in_a_line_about_all() {
    let world = World::new();
    world.write("a", TEXT);
    world.write("b", TEXT);
    let output = world.try_sh("llmzip -1 --rm a b");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.lines()
            .last()
            .unwrap()
            .starts_with("2 files: 2150 -> "),
        "{said}"
    );
    let listed = world.sh("llmzip -lv a.llmz b.llmz");
    assert!(
        listed.lines().last().unwrap().starts_with("2 files: "),
        "{listed}"
    );
}

#[test]
fn the_environment_names_level_and_threads() {
    let world = World::new();
    world.write("a", TEXT);
    let model = |script: &str| world.sh(&format!("{script}; llmzip info --json a.llmz; rm a.llmz"));
    assert!(model("LLMZIP_LEVEL=2 llmzip -q a").contains("\"model\":null"));
    assert!(model("LLMZIP_LEVEL=2 llmzip compress -q a").contains("\"model\":null"));
    assert!(model("LLMZIP_LEVEL=2 LLMZIP_THREADS=1 llmzip -q -3 a").contains("nano"));
    assert!(model("LLMZIP_LEVEL=2 llmzip -q -m nano a").contains("nano"));
    for wrong in ["LLMZIP_LEVEL=19", "LLMZIP_LEVEL=fast", "LLMZIP_THREADS=-1"] {
        let error = world.fails(2, &format!("{wrong} llmzip a"));
        assert!(error.contains(wrong), "{error}");
    }
    // What they say is of no use to whoever decompresses, so it cannot be wrong.
    world.sh("llmzip -1q a; LLMZIP_LEVEL=19 llmzip -dc a.llmz | cmp - a");
}

#[test]
fn tar_uses_it() {
    if !have("tar") {
        return;
    }
    let world = World::new();
    world.write("f/a", TEXT);
    world.write("f/b", TEXT.repeat(3));
    world.sh("tar -I llmzip -cf f.tar.llmz f");
    assert_eq!(
        world.sh("tar -I llmzip -tf f.tar.llmz | sort"),
        "f/\nf/a\nf/b\n"
    );
    // Options for compression are given when unpacking, too.
    world.sh("mkdir x; tar -I 'llmzip -2 -T1' -xf f.tar.llmz -C x; diff -r f x/f");
    world.sh("tar --use-compress-program=llmz -cf - f > g; mkdir y; \
              tar --use-compress-program=unllmzip -xf g -C y; diff -r f y/f");
    world.sh("tar -cf - f | llmzip -1 > h; llmzip -dc h | tar -xO f/a | cmp - f/a");
}

#[test]
fn rsync_copies_what_it_makes() {
    if !have("rsync") {
        return;
    }
    let world = World::new();
    world.write("f/a", TEXT);
    world.sh("touch -d 2020-02-02 f/a; chmod 640 f/a; llmzip -1qr --rm f; rsync -a f/ copy/");
    world.sh("unllmzip -qr copy; llmzip -dqr f");
    let stat = world.sh("stat -c '%a %Y' f/a copy/a | sort -u");
    assert_eq!(stat.lines().count(), 1, "{stat}");
    assert!(stat.starts_with("640 "), "{stat}");
    assert_eq!(world.read("copy/a"), TEXT.as_bytes());
}

#[test]
fn logrotate_rotates_with_it() {
    if !have("logrotate") {
        return;
    }
    let world = World::new();
    world.write("logs/app.log", TEXT);
    let bin = world.path("bin");
    let config = format!(
        "{logs}/app.log {{\n  rotate 3\n  size 1\n  compress\n  compresscmd {bin}/llmzip\n  \
         uncompresscmd {bin}/unllmzip\n  compressext .llmz\n  compressoptions -1\n  create\n}}\n",
        logs = world.file("logs").display(),
        bin = bin.display(),
    );
    world.write("logrotate.conf", config);
    world.sh("chmod 644 logrotate.conf; chmod 755 logs; \
              PATH=$PATH:/usr/sbin logrotate -s state logrotate.conf");
    assert_eq!(world.sh("llmzcat logs/app.log.1.llmz"), TEXT);
    assert_eq!(world.read("logs/app.log"), b"");
}

#[test]
fn less_shows_what_is_in_a_compressed_file() {
    if !have("less") || !have("lesspipe") {
        return;
    }
    let world = World::new();
    world.write("a", TEXT);
    world.sh("llmzip -1q a");
    world.sh("LESSOPEN='|llmzcat %s' less a.llmz | cmp - a");
    // lesspipe asks this script about files that it does not know.
    let filter = world.path(".lessfilter");
    fs::write(
        &filter,
        "#!/bin/sh\ncase $1 in *.llmz) llmzcat \"$1\" ;; *) exit 1 ;; esac\n",
    )
    .unwrap();
    fs::set_permissions(&filter, fs::Permissions::from_mode(0o755)).unwrap();
    world.sh("lesspipe a.llmz | cmp - a");
}

#[test]
fn git_stores_and_compares_with_it() {
    if !have("git") {
        return;
    }
    let world = World::new();
    world.sh("git init -q .; git config user.name n; git config user.email e@example.org");
    world.sh("git config filter.llmzip.clean 'llmzip -1'; \
              git config filter.llmzip.smudge 'llmzip -d'; \
              git config filter.llmzip.required true; \
              git config diff.llmzip.textconv llmzcat");
    world.write(
        ".gitattributes",
        "*.big filter=llmzip\n*.llmz diff=llmzip\n",
    );
    world.write("a.big", TEXT);
    world.write("b", TEXT);
    world.sh("llmzip -1q --rm b; git add .; git commit -qm one");
    let stored = world.sh("git cat-file -s :a.big");
    assert!(
        stored.trim().parse::<usize>().unwrap() < TEXT.len(),
        "{stored}"
    );
    world.sh("rm a.big; git checkout -q a.big");
    assert_eq!(world.read("a.big"), TEXT.as_bytes());
    world.sh("unllmzip -q b.llmz; echo and more >> b; llmzip -1qf --rm b");
    let diff = world.sh("git diff b.llmz");
    assert!(diff.contains("+and more"), "{diff}");
}

/// A shell on a terminal, which `script` (util-linux) provides.
struct Shell {
    script: std::process::Child,
    shown: Arc<Mutex<String>>,
}

impl Shell {
    fn start(world: &World, shell: &str) -> Shell {
        let path = std::env::var("PATH").unwrap();
        let mut script = Command::new("script")
            .args(["-qefc", shell, "/dev/null"])
            .current_dir(world.path("work"))
            .env("PATH", format!("{}:{path}", world.path("bin").display()))
            .env("HOME", world.0.path())
            .env("LLMZIP_HOME", world.path("home"))
            .env("TERM", "xterm")
            .env("PS1", "$ ")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let mut from = script.stdout.take().unwrap();
        let to = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..len]);
                to.lock().unwrap().push_str(&text);
            }
        });
        Shell { script, shown }
    }

    /// Types `keys` again and again until the shell shows `wanted`, because a shell that is still
    /// busy takes a Tab for a character.
    fn types(&mut self, keys: &str, wanted: &str) {
        for _ in 0..30 {
            self.shown.lock().unwrap().clear();
            // Control and U deletes what was typed.
            let line = format!("\u{15}{keys}");
            let stdin = self.script.stdin.as_mut().unwrap();
            stdin.write_all(line.as_bytes()).unwrap();
            stdin.flush().unwrap();
            for _ in 0..20 {
                std::thread::sleep(Duration::from_millis(100));
                if self.shown.lock().unwrap().contains(wanted) {
                    return;
                }
            }
        }
        let shown = self.shown.lock().unwrap();
        panic!("{keys:?} does not show {wanted:?}, but {shown:?}");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn shells_complete_commands_options_files_and_models() {
    let world = World::new();
    for name in ["notes.llmz", "notes.txt"] {
        world.write(name, TEXT);
    }
    world.write("a", TEXT);
    world.sh("mkdir evil two; llmzip -1q a -o 'evil/$(touch pwned).llmz'; llmzip -1q a -o 'two/a b.llmz'");
    let shells = [
        (
            "bash",
            "bash --norc -i",
            "source <(llmzip completions bash); echo re''ady\n",
        ),
        (
            "zsh",
            "zsh -f -i",
            "autoload -U compinit; compinit -u; source <(llmzip completions zsh); echo re''ady\n",
        ),
        (
            "fish",
            "fish --no-config -i",
            "llmzip completions fish | source; echo re''ady\n",
        ),
    ];
    for (name, command, setup) in shells {
        if !have(name) || !have("script") {
            continue;
        }
        let mut shell = Shell::start(&world, command);
        shell.types(setup, "ready");
        shell.types("llmzip decomp\t", "decompress");
        shell.types("llmzip cat no\t", "notes.llmz");
        shell.types("llmzip compress -m nan\t", "nano");
        shell.types("llmzip compress --independent\t", "--independent-blocks");
        // A name that the shell would run, were it not quoted, and one of two words.
        shell.types(
            "llmzip test -q evil/\t\n\u{15}llmzip test -q two/\t\necho do''ne\n",
            "done",
        );
        assert!(!world.file("pwned").exists(), "{name}");
        assert!(world.file("evil/$(touch pwned).llmz").exists());
        let shown = shell.shown.lock().unwrap().clone();
        assert!(!shown.contains("No such file"), "{name}: {shown}");
    }
}

#[test]
fn manual_pages_can_be_shown() {
    let world = World::new();
    world.sh("llmzip man pages");
    let pages = world.list();
    for page in [
        "llmzip.1",
        "llmzip-compress.1",
        "llmzip-model-pull.1",
        "unllmzip.1",
    ] {
        assert!(
            pages.contains(&format!("pages/{page}")),
            "{page}: {pages:?}"
        );
    }
    let error = world.fails(1, "llmzip man pages");
    assert!(error.contains(" exists; -f overwrites it"), "{error}");
    let error = world.fails(1, "mkdir few; echo mine >few/llmzip.1; llmzip man few");
    assert!(error.contains("few/llmzip.1 exists"), "{error}");
    assert_eq!(world.sh("ls few; cat few/llmzip.1"), "llmzip.1\nmine\n");
    // Pages take the places of links and pipes, and nothing is written through them.
    world.write("precious", TEXT);
    world.sh(
        "cd pages; rm llmzip.1 llmz.1; ln -s ../precious llmzip.1; mkfifo llmz.1; \
              timeout 10 llmzip man -f . && cmp llmz.1 llmzcat.1",
    );
    assert_eq!(world.read("precious"), TEXT.as_bytes());
    world.sh("cd pages; mv llmzip-cat.1 x; mkdir llmzip-cat.1");
    let error = world.fails(1, "llmzip man -f pages");
    assert!(error.contains("pages/llmzip-cat.1"), "{error}");
    if !have("man") || !have("groff") {
        return;
    }
    let shown = world.sh("MANWIDTH=80 man --warnings -l pages/llmzip.1 2>&1");
    assert!(
        shown.contains("EXAMPLES") || shown.contains("Examples"),
        "{shown}"
    );
    assert!(!shown.contains("warning"), "{shown}");
    let shown = world.sh("MANWIDTH=80 man --warnings -l pages/llmzip-compress.1 2>&1");
    assert!(
        shown.contains("--frame-size") && !shown.contains("warning"),
        "{shown}"
    );
}

#[test]
fn a_budget_of_time_chooses_a_level() {
    let world = World::new();
    world.write("a", TEXT.repeat(20));
    let said = |budget: &str| {
        let output = world.try_sh(&format!("llmzip -f --budget {budget} a"));
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said("10h").contains("level -"), "{}", said("10h"));
    let slow = said("1ms");
    assert!(
        slow.contains("even the fastest level takes longer: -1"),
        "{slow}"
    );
    assert_eq!(world.sh("llmzcat a.llmz"), TEXT.repeat(20));
    let error = world.fails(1, "llmzip --budget 10s absent");
    assert!(error.contains("absent: cannot open"), "{error}");
    let error = world.fails(1, "llmzip -f --budget 10s -M 1KiB a");
    assert!(error.contains("MB of memory"), "{error}");
    world.fails(2, "llmzip --budget 10s < a");
    world.fails(2, "llmzip --budget soon a");
    world.fails(2, "llmzip --budget 10s -3 a");
}

#[test]
fn an_option_before_a_command_is_told() {
    let world = World::new();
    world.write("a", TEXT);
    world.sh("llmzip -1q a");
    for line in [
        "llmzip -f decompress a.llmz",
        "llmzip -q cat a.llmz",
        "llmzip -T1 info a.llmz",
    ] {
        let error = world.fails(2, line);
        assert!(error.contains("the command comes first"), "{error}");
    }
    assert_eq!(world.list(), ["a", "a.llmz"]);
    let error = world.fails(2, "LLMZIP_LEVEL=1 llmzip --experts off -f a");
    assert!(error.contains("LLMZIP_LEVEL"), "{error}");
    let error = world.fails(1, "LLMZIP_COMPLETE=sh llmzip -- llmzip a");
    assert!(
        error.contains("LLMZIP_COMPLETE") && error.contains("sh"),
        "{error}"
    );
    assert!(world.sh("unllmzip --help").starts_with("Decompress files"));
}

#[test]
fn a_stream_of_the_wrong_direction_loses_nothing() {
    let world = World::new();
    world.write("a", TEXT);
    world.sh("llmzip -1q a; : > w");
    for line in [
        "llmzip -1 < a 1< a",
        "llmzip -d < a.llmz 1< a",
        "llmzip cat a.llmz 1< a",
        "llmzip -1c a 1< a",
        "llmzip -l a.llmz 1< a",
        "llmzip --help 1< a",
        "llmzip model list 1< a",
        "llmzip man x/y 1< a 0> w; exit 1",
    ] {
        world.fails(1, line);
    }
    world.fails(1, "llmzip -1 0> w > out");
    world.fails(1, "LLMZIP_COMPLETE=bash llmzip >&-");
    assert_eq!(world.read("a"), TEXT.as_bytes());
}

#[test]
fn an_open_file_is_not_written_from_its_beginning() {
    let world = World::new();
    world.write("a", TEXT);
    world.write("e", "precious");
    for line in [
        "llmzip -1 -o /dev/fd/3 a 3< a",
        "llmzip -1 -f -o /dev/fd/3 a 3<> a",
        "llmzip -1 -o /dev/fd/3 a 3< e",
        "llmzip -1c a >> a",
        "llmzip -1 -f -o /dev/stdout a 1<> a",
    ] {
        world.fails(1, line);
    }
    assert_eq!(world.read("a"), TEXT.as_bytes());
    assert_eq!(world.read("e"), b"precious");
    world.sh("llmzip -1 -o /dev/stdout a >> e; tail -c +9 e | llmzip -d | cmp - a");
    world.sh("llmzip -1 -o >(cat > b) a; sleep 0.2; llmzip -dc b | cmp - a");
    if Path::new("/dev/shm").is_dir() {
        let shared = format!("/dev/shm/llmzip-test-{}", std::process::id());
        world.sh(&format!(
            "cp a {shared}; llmzip -1qf --rm {shared}; mv {shared}.llmz c"
        ));
        assert!(!Path::new(&shared).exists());
        world.sh("llmzip -dc c | cmp - a");
    }
}

#[test]
fn a_link_to_an_open_file_is_not_deleted() {
    let world = World::new();
    world.write("a", TEXT);
    symlink("/proc/self/fd/0", world.file("stdin")).unwrap();
    world.fails(1, "llmzip -1 -f -o x --rm stdin < a");
    assert!(world.file("stdin").is_symlink() && world.file("a").exists());
}

#[test]
fn what_cannot_be_read_in_a_folder_is_told() {
    let world = World::new();
    world.write("f/a", TEXT);
    // As deep as no path reaches.
    let name = "n".repeat(200);
    world.sh(&format!(
        "(cd f; for i in $(seq 25); do mkdir {name}; cd {name}; done; echo deep > b)"
    ));
    let error = world.fails(1, "llmzip -1qr f");
    assert!(error.contains("File name too long"), "{error}");
    assert!(world.file("f/a.llmz").exists());
    world.sh("rm -r f");
}

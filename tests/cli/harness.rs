//! A folder for one test, and commands run in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// An empty folder that disappears with the test.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Dir {
        Dir(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a file is written");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Names of everything in the folder, sorted.
    pub(crate) fn list(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("the folder is read");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .collect();
        names.sort();
        names
    }

    /// `llmzip ARGS...`, the arguments separated by spaces.
    pub(crate) fn llmzip(&self, args: &str) -> TestCommand {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmzip"));
        command
            .current_dir(self.0.path())
            .args(args.split_ascii_whitespace())
            // No installed model, no user's settings.
            .env("LLMZIP_HOME", self.0.path().join("no-home"))
            .env_remove("LLMZIP_KERNELS")
            .env_remove("LLMZIP_DEVICE");
        TestCommand {
            command,
            stdin: Vec::new(),
        }
    }

    /// Compresses `bytes` to `name` with `args`.
    pub(crate) fn compressed(&self, name: &str, bytes: impl AsRef<[u8]>, args: &str) {
        self.write("source", bytes);
        self.llmzip(&format!("compress -q {args} source -o {name}"))
            .succeeds();
        fs::remove_file(self.path("source")).expect("the source is removed");
    }
}

/// A command to be run once.
pub(crate) struct TestCommand {
    command: Command,
    stdin: Vec<u8>,
}

impl TestCommand {
    /// Takes a variable out of its environment.
    pub(crate) fn without(mut self, variable: &str) -> TestCommand {
        self.command.env_remove(variable);
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn with(mut self, variable: &str, value: &str) -> TestCommand {
        self.command.env(variable, value);
        self
    }

    /// Adds an argument as it is.
    #[cfg(unix)]
    pub(crate) fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> TestCommand {
        self.command.arg(arg);
        self
    }

    /// Has it ignore no signal, whatever this process ignores: a run behind `nohup`, for instance.
    #[cfg(unix)]
    pub(crate) fn with_default_signals(mut self) -> TestCommand {
        use std::os::unix::process::CommandExt;
        // SAFETY: the closure calls only `signal`, which may be called between fork and exec.
        unsafe {
            self.command.pre_exec(|| {
                for signal in 1..32 {
                    libc::signal(signal, libc::SIG_DFL);
                }
                Ok(())
            });
        }
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl AsRef<[u8]>) -> TestCommand {
        self.stdin = bytes.as_ref().to_vec();
        self
    }

    /// Starts it and leaves it running, with pipes on all sides.
    pub(crate) fn spawn(mut self) -> Child {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("llmzip starts")
    }

    pub(crate) fn output(self) -> Output {
        let bytes = self.stdin.clone();
        let mut child = self.spawn();
        let mut stdin = child.stdin.take().expect("a pipe");
        let writer = std::thread::spawn(move || {
            // It may well end without reading everything.
            let _ = stdin.write_all(&bytes);
        });
        let output = child.wait_with_output().expect("llmzip ends");
        writer.join().expect("the writer ends");
        output
    }

    /// Runs it; it must exit with 0. Gives its standard output.
    pub(crate) fn succeeds(self) -> Vec<u8> {
        let output = self.output();
        assert_eq!(
            output.status.code(),
            Some(0),
            "stderr: {}",
            text(&output.stderr)
        );
        output.stdout
    }

    /// Runs it; it must exit with 0. Gives its standard error.
    pub(crate) fn says(self) -> String {
        let output = self.output();
        assert_eq!(
            output.status.code(),
            Some(0),
            "stderr: {}",
            text(&output.stderr)
        );
        text(&output.stderr)
    }

    /// Runs it; it must exit with `code` and say exactly one line, which is returned without its
    /// end.
    pub(crate) fn fails(self, code: i32) -> String {
        let output = self.output();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "stderr: {stderr}");
        let line = stderr
            .strip_suffix('\n')
            .unwrap_or_else(|| panic!("no line: {stderr:?}"));
        assert!(
            !line.contains('\n') && line.starts_with("llmzip: "),
            "{stderr}"
        );
        line.to_owned()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A little English text.
pub(crate) const TEXT: &[u8] =
    b"It was the best of times, it was the worst of times, it was the age of wisdom, \
it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity.\n";

/// Bytes in which there is nothing to find.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// The corpus that lies beside the repository, where it does.
pub(crate) fn corpus() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    path.is_dir().then_some(path)
}

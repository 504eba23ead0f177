//! The processes in which `compare` runs compressors: this program, run as `compare-one`. Each has
//! one compressor and one file. It reads the file from standard input and then, for each line that
//! it reads, compresses and decompresses once and prints one line of JSON, an [`Answer`].

use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use llmzip::report::Sample;
use llmzip::report::compare::Run;

use super::call;
use super::failure::Failure;
use super::interrupt;
use super::meant::ReportOptions;
use super::print;

/// What the process prints: the run, or a sentence that says why there is none.
type Answer = Result<Run, String>;

/// Prints an answer of this process.
pub(super) fn print_answer(run: Result<Run, Failure>) -> Result<(), Failure> {
    let answer: Answer = run.map_err(|failure| failure.to_string());
    let json = serde_json::to_string(&answer).expect("numbers and a sentence are JSON");
    print::result(&format!("{json}\n"))
}

/// The file with `len` bytes that standard input begins with.
pub(super) fn read_file(len: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(len).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Message(format!("cannot read: {error}")))?;
    Ok(bytes)
}

/// Waits until another run is wanted; `false` if no more are.
pub(super) fn is_wanted() -> bool {
    let read = io::stdin().lock().read_line(&mut String::new());
    read.is_ok_and(|len| len > 0)
}

/// A process that runs one compressor on one file. It waits until a run is wanted, and ends when
/// this value is dropped.
pub(super) struct OneCompressor {
    /// The file and the compressor, for messages.
    name: String,
    process: Option<Child>,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl OneCompressor {
    /// Starts a process for `sample` and `compressor`, which uses `model`.
    pub(super) fn start(
        sample: &Sample,
        compressor: &str,
        model: &str,
        options: &ReportOptions,
    ) -> Result<OneCompressor, Failure> {
        let name = format!("{}: {compressor}", sample.name);
        command(sample, compressor, model, options)
            .and_then(|command| spawn(command, name.clone(), &sample.bytes))
            .map_err(|error| failed(&name, &error))
    }

    /// Has it run once. An interrupt of this process ends it too.
    pub(super) fn run(&mut self) -> Result<Run, Failure> {
        *interrupt::child() = self.process.take();
        let mut answer = String::new();
        // A process that has ended said why before.
        let _ = self.stdin.as_mut().map(|stdin| stdin.write_all(b"run\n"));
        let read = self.stdout.read_line(&mut answer);
        self.process = interrupt::child().take();
        read.map_err(|error| failed(&self.name, &error))?;
        match serde_json::from_str::<Answer>(&answer) {
            Ok(answer) => answer.map_err(Failure::Message),
            Err(_) => {
                let status = self
                    .end()
                    .map_or_else(String::new, |status| format!("{status}"));
                Err(failed(
                    &self.name,
                    &format_args!("its process ended with {status}"),
                ))
            }
        }
    }

    /// Ends the process.
    fn end(&mut self) -> Option<std::process::ExitStatus> {
        drop(self.stdin.take());
        let mut process = self.process.take()?;
        process.wait().ok()
    }
}

impl Drop for OneCompressor {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts a process that reads `input` first.
fn spawn(mut command: Command, name: String, input: &[u8]) -> io::Result<OneCompressor> {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let pipes = (process.stdin.take(), process.stdout.take());
    let (Some(mut stdin), Some(stdout)) = pipes else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    // A process that ends before it has read everything says itself why.
    let _ = stdin.write_all(input);
    Ok(OneCompressor {
        name,
        process: Some(process),
        stdin: Some(stdin),
        stdout: BufReader::new(stdout),
    })
}

fn failed(name: &str, error: &dyn fmt::Display) -> Failure {
    Failure::Message(format!("{name}: {error}"))
}

fn command(
    sample: &Sample,
    compressor: &str,
    model: &str,
    options: &ReportOptions,
) -> io::Result<Command> {
    let mut command = call::program()?;
    command.arg("compare-one");
    command.arg(format!("--compressor={compressor}"));
    command.arg(format!("--called={}", sample.name));
    command.arg(format!("--bytes={}", sample.bytes.len()));
    command.arg(format!("--model={model}"));
    command.arg(format!("--threads={}", options.resources.threads));
    command.arg(format!("--device={}", options.resources.device));
    if let Some(limit) = options.resources.memory {
        command.arg(format!("--memory={limit}"));
    }
    if !options.progress {
        command.arg("--quiet");
    }
    Ok(command)
}

/// Peak resident memory of this process in bytes, where the system tells it.
pub(super) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

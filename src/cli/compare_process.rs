//! The process in which `compare` measures one compressor: this program, run as `compare-one`.
//!
//! It reads the file from standard input and prints one line of JSON, an [`Answer`].

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::process::{Command, ExitStatus, Stdio};

use llmzip::report::Sample;
use llmzip::report::compare::Outcome;

use super::failure::Failure;
use super::interrupt;
use super::meant::ReportOptions;
use super::print;

/// What the process prints: the outcome, or a sentence that says why there is none.
type Answer = Result<Outcome, String>;

/// Prints the answer of this process.
pub(super) fn print_outcome(outcome: Result<Outcome, Failure>) -> Result<(), Failure> {
    let answer: Answer = outcome.map_err(|failure| failure.to_string());
    let json = serde_json::to_string(&answer).expect("numbers and a sentence are JSON");
    print::result(&format!("{json}\n"))
}

/// Starts a process that measures `sample` under `compressor`, which uses `model`, and waits for
/// its answer.
pub(super) fn measure(
    sample: &Sample,
    compressor: &str,
    model: &str,
    options: ReportOptions,
) -> Result<Outcome, Failure> {
    let failed = |error: &dyn fmt::Display| {
        Failure::Message(format!("{}: {compressor}: {error}", sample.name))
    };
    let (printed, status) = command(sample, compressor, model, options)
        .and_then(|command| run(command, &sample.bytes))
        .map_err(|error| failed(&error))?;
    match serde_json::from_slice::<Answer>(&printed) {
        Ok(answer) => answer.map_err(Failure::Message),
        Err(_) => Err(failed(&format_args!("its process ended with {status}"))),
    }
}

/// Runs a command on `input`; returns what it prints and how it ends. An interrupt ends it too.
fn run(mut command: Command, input: &[u8]) -> io::Result<(Vec<u8>, ExitStatus)> {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
    *interrupt::child() = Some(process);
    // A process that ends before it has read everything says itself why.
    let _ = stdin.map(|mut stdin| stdin.write_all(input));
    let mut printed = Vec::new();
    let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut printed));
    let process = interrupt::child().take();
    let status = process.map(|mut process| process.wait());
    read?;
    Ok((printed, status.transpose()?.unwrap_or_default()))
}

fn command(
    sample: &Sample,
    compressor: &str,
    model: &str,
    options: ReportOptions,
) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("compare-one");
    command.arg(format!("--compressor={compressor}"));
    command.arg(format!("--called={}", sample.name));
    command.arg(format!("--model={model}"));
    command.arg(format!("--threads={}", options.resources.threads));
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

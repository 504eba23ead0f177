//! `compare`: files under every compressor there is.
//!
//! Each file meets each compressor in a process of its own, because what memory one takes can only be told where nothing else
//! runs: this program again, as `compare-one`, which prints an [`Outcome`] as JSON.

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::process::{Command, ExitStatus, Stdio};

use llmzip::report::Sample;
use llmzip::report::compare::{self, Comparison, Outcome};

use super::failure::Failure;
use super::interrupt;
use super::meant::{Compare, CompareOne, Input, NO_MODEL, Watching};
use super::models::Models;
use super::samples::{self, Steps};

/// What a process that measures one compressor prints: what came of it, or a sentence.
type Measured = Result<Outcome, String>;

pub(super) fn run(meant: Compare) -> Result<bool, Failure> {
    let Compare { measure, render } = meant;
    let Some(material) = samples::gather(&measure)? else {
        return Ok(false);
    };
    let candidates = &material.candidates;
    let compressors = compare::compressors(candidates);
    let classical = compressors.len() - candidates.len();
    let names: Vec<String> = compressors.iter().map(|one| one.name.clone()).collect();
    let comparison = Comparison::new(&material.samples, compressors, |sample, i| {
        let model = i
            .checked_sub(classical)
            .map(|candidate| candidates[candidate].name());
        in_a_process(
            sample,
            &names[i],
            model.unwrap_or(NO_MODEL),
            measure.watching,
        )
    })?;
    io::stdout()
        .write_all(render(&comparison).as_bytes())
        .map_err(Failure::from_write)?;
    Ok(material.complete)
}

/// Prints what one compressor came to, or why it failed, as JSON.
pub(super) fn run_one(meant: CompareOne) -> Result<bool, Failure> {
    let outcome: Measured = one(meant).map_err(|failure| failure.to_string());
    let json = serde_json::to_string(&outcome).expect("numbers and a sentence are JSON");
    writeln!(io::stdout(), "{json}").map_err(Failure::from_write)?;
    Ok(true)
}

fn one(meant: CompareOne) -> Result<Outcome, Failure> {
    let sample = Sample {
        name: meant.called,
        ..samples::read_one(&Input::Stdin, false)?
    };
    let candidates = Models::new(meant.watching.means).ladder(&meant.models, &mut |_| {})?;
    let known = compare::compressors(&candidates);
    let i = known.iter().position(|one| one.name == meant.compressor);
    let i = i.ok_or_else(|| Failure::said(format!("no compressor {}", meant.compressor)))?;
    let mut steps = Steps::new(meant.watching.progress);
    let outcome = compare::measure(&sample, &candidates, i, &mut |step| steps.update(step))?;
    Ok(Outcome {
        peak_memory: peak_memory(),
        ..outcome
    })
}

/// Lets a process of its own measure `sample` under `compressor`, which is classical or uses `model`.
fn in_a_process(
    sample: &Sample,
    compressor: &str,
    model: &str,
    watching: Watching,
) -> Result<Outcome, Failure> {
    let failed =
        |error: &dyn fmt::Display| Failure::said(format!("{}: {compressor}: {error}", sample.name));
    let command = command(sample, compressor, model, watching);
    let (printed, status) = command
        .and_then(|command| talk(command, &sample.bytes))
        .map_err(|error| failed(&error))?;
    match serde_json::from_slice::<Measured>(&printed) {
        Ok(outcome) => outcome.map_err(Failure::Said),
        Err(_) => Err(failed(&format_args!("its process ended with {status}"))),
    }
}

/// Runs a command that reads `input`; what it prints, and how it ends. An interrupt ends it, too.
fn talk(mut command: Command, input: &[u8]) -> io::Result<(Vec<u8>, ExitStatus)> {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
    *interrupt::child() = Some(process);
    // One that has ended early says why itself.
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
    watching: Watching,
) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("compare-one");
    command.arg(format!("--compressor={compressor}"));
    command.arg(format!("--called={}", sample.name));
    command.arg(format!("--model={model}"));
    command.arg(format!("--threads={}", watching.means.threads));
    if let Some(limit) = watching.means.memory {
        command.arg(format!("--memory={limit}"));
    }
    if !watching.progress {
        command.arg("--quiet");
    }
    Ok(command)
}

/// Most bytes that this process has had resident, where the system says so.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}
